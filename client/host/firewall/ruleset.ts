/**
 * FirewallPolicy → one nft script (the kill switch). Pure. The script replaces our table in one
 * transaction, so there is no moment without rules. It stays when the daemon dies.
 */

import { assert } from '../../../shared/core/base/assert.ts';
import type { Endpoint } from '../../../shared/core/base/endpoint.ts';
import type { PrefixText } from '../../../shared/core/tunnel/config.ts';
import { noSplit, type SplitView } from '../../split/view.ts';
import { outsideMark } from '../routes/plan.ts';
import { examinationRules, wordsOfExamination } from './examination.ts';
import { type Openings, openingsOf } from './openings.ts';
import { type FirewallPolicy, tableFamily, tableName } from './policy.ts';
import { portalRules, wordsOfPortal } from './portal-rules.ts';
import { daddr, family, hex, withoutScope } from './words.ts';

/** The script that removes our table, whether it is there or not. */
export const removeScript: string = [
  `add table ${tableFamily} ${tableName}`,
  `delete table ${tableFamily} ${tableName}`,
  '',
].join('\n');

/** The script that makes `policy` hold instead of whatever held before. `split`: what goes around the tunnel. */
export function rulesetFor(policy: FirewallPolicy, split: SplitView = noSplit): string {
  const openings = openingsOf(policy, split);
  checkWords(policy, openings);
  const chains = [
    ...setsOf(openings),
    outputChain(policy, openings),
    forwardChain(policy, openings),
    ...markChains(policy),
    ...programChains(policy, openings),
    refuseChain,
  ];
  const body = chains.map((lines) => lines.map((line) => `  ${line}`).join('\n')).join('\n\n');
  return `${removeScript}table ${tableFamily} ${tableName} {\n${body}\n}\n`;
}

/** Nothing but names and numbers gets into the script, wherever they came from. */
function checkWords(policy: FirewallPolicy, openings: Openings): void {
  for (const name of [policy.interfaceName, ...openings.lan.map((one) => one.interfaceName)]) {
    assert(/^[A-Za-z0-9_.-]{1,15}$/.test(name), 'an interface name holds no syntax');
  }
  const { group = 'none' } = openings;
  assert(/^[A-Za-z0-9_.-]+(\/[A-Za-z0-9_.-]+)*$/.test(group), 'a group of programs holds no syntax');
  const scope = openings.scope === 'everything' ? [] : openings.scope;
  const prefixes = [...scope, ...openings.around, ...openings.lan.map((one) => one.prefix)];
  const addresses = [
    ...policy.endpoints.map((one) => one.address),
    ...(policy.tlsEndpoints ?? []).map((one) => one.address),
    ...policy.nameServers,
    ...(policy.ruleServers ?? []),
    ...policy.addresses,
    ...wordsOfPortal(policy),
    ...wordsOfExamination(policy.examines),
  ];
  for (const word of [...addresses.map(withoutScope), ...prefixes]) {
    assert(/^[0-9A-Fa-f.:]+(\/\d{1,3})?$/.test(word), 'an address holds no syntax');
  }
}

function outputChain(policy: FirewallPolicy, openings: Openings): readonly string[] {
  const { scope } = openings;
  const everything = scope === 'everything';
  return [
    'chain output {',
    `  type filter hook output priority filter; policy ${everything ? 'drop' : 'accept'};`,
    '  oifname "lo" accept',
    ...ownRules(policy),
    ...portalRules(policy),
    ...examinationRules(policy),
    ...aroundRules(openings, 'daddr'),
    ...openings.lan.flatMap((one) => [`  oifname "${one.interfaceName}" ${daddr(one.prefix)} accept`]),
    ...lanInterfaces(openings).flatMap((name) => [
      `  oifname "${name}" ip daddr { 224.0.0.0/24, 239.255.0.0/16, 255.255.255.255 } accept`,
      `  oifname "${name}" ip6 daddr { fe80::/10, ff02::/16, ff05::/16 } accept`,
    ]),
    ...(openings.group === undefined ? [] : [`  meta mark ${hex(outsideMark)} accept`]),
    ...(everything ? [...essentials, '  goto refuse'] : protectedRules(scope)),
    '}',
  ];
}

/** Sets, because names may stand for thousands of addresses. */
function setsOf({ around }: Openings): readonly (readonly string[])[] {
  return (['ip', 'ip6'] as const).flatMap((kind) => {
    const elements = around.filter((prefix) => family(prefix) === kind);
    if (elements.length === 0) return [];
    return [
      [
        `set around_${kind} {`,
        `  type ${kind === 'ip' ? 'ipv4_addr' : 'ipv6_addr'}; flags interval; auto-merge;`,
        `  elements = { ${elements.join(', ')} }`,
        '}',
      ],
    ];
  });
}

function aroundRules({ around }: Openings, side: 'saddr' | 'daddr'): readonly string[] {
  return (['ip', 'ip6'] as const)
    .filter((kind) => around.some((prefix) => family(prefix) === kind))
    .map((kind) => `  ${kind} ${side} @around_${kind} accept`);
}

function lanInterfaces({ lan }: Openings): readonly string[] {
  return [...new Set(lan.map((one) => one.interfaceName))];
}

function keptRules({ keepsTunnel, interfaceName }: FirewallPolicy): readonly string[] {
  return keepsTunnel === true ? [`  oifname "${interfaceName}" accept`] : [];
}

function ownRules(policy: FirewallPolicy): readonly string[] {
  switch (policy.kind) {
    case 'blocked':
      return keptRules(policy);
    case 'portal':
      return [];
    default:
      return tunnelRules(policy);
  }
}

function tunnelRules(policy: FirewallPolicy): readonly string[] {
  return [
    `  oifname "${policy.interfaceName}" accept`,
    ...policy.endpoints.map((endpoint) => `  meta mark ${hex(policy.mark)} ${toEndpoint(endpoint)} accept`),
    ...(policy.tlsEndpoints ?? []).map(
      (endpoint) => `  meta mark ${hex(policy.mark)} ${toEndpoint(endpoint, 'tcp')} accept`,
    ),
    ...policy.nameServers.flatMap((address) => [
      `  meta mark ${hex(policy.mark)} ${daddr(address)} udp dport 53 accept`,
    ]),
    ...ruleServerRules(policy),
  ];
}

function ruleServerRules({ kind, mark, ruleServers = [] }: FirewallPolicy): readonly string[] {
  if (kind !== 'connected') return [];
  return ruleServers.flatMap((address) =>
    ['udp', 'tcp'].map(
      (protocol) => `  meta mark ${hex(mark)} ${daddr(address)} ${protocol} dport 53 accept`,
    ),
  );
}

/** Without these the link itself dies: addresses by DHCP, neighbours and routers of IPv6. */
const essentials: readonly string[] = [
  '  meta nfproto ipv4 udp sport 68 udp dport 67 accept',
  '  ip6 daddr { fe80::/10, ff02::1:2, ff05::1:3 } udp sport 546 udp dport 547 accept',
  '  icmpv6 type { nd-router-solicit, nd-neighbor-solicit, nd-neighbor-advert } ip6 hoplimit 255 accept',
  '  icmpv6 type { mld-listener-report, mld-listener-done, mld2-listener-report } ip6 hoplimit 1 accept',
];

/** Whoever this machine forwards for (containers, guests) is as private as it is itself. */
function forwardChain(policy: FirewallPolicy, openings: Openings): readonly string[] {
  const { interfaceName } = policy;
  const { scope } = openings;
  const throughTunnel = [`  oifname "${interfaceName}" accept`, `  iifname "${interfaceName}" accept`];
  return [
    'chain forward {',
    `  type filter hook forward priority filter; policy ${scope === 'everything' ? 'drop' : 'accept'};`,
    ...(policy.kind === 'blocked' || policy.kind === 'portal' ? [] : throughTunnel),
    ...aroundRules(openings, 'daddr'),
    ...aroundRules(openings, 'saddr'),
    ...(scope === 'everything' ? [] : protectedRules(scope)),
    '}',
  ];
}

function protectedRules(prefixes: readonly PrefixText[]): readonly string[] {
  return prefixes.map((prefix) => `  ${daddr(prefix)} goto refuse`);
}

/**
 * Replies to the tunnel's datagrams get its mark, so that strict reverse-path checks look them up as
 * the outer network's; and nobody outside may reach our address inside.
 */
function markChains(policy: FirewallPolicy): readonly (readonly string[])[] {
  const mark = hex(policy.mark);
  const antiLeak = policy.addresses.map(
    (address) =>
      `  iifname != { "lo", "${policy.interfaceName}" } ${daddr(address)} fib saddr type != local drop`,
  );
  return [
    ['chain elsewhere {', '  type filter hook prerouting priority raw; policy accept;', ...antiLeak, '}'],
    [
      'chain mark_in {',
      '  type filter hook prerouting priority mangle; policy accept;',
      `  meta l4proto { tcp, udp } ct mark ${mark} meta mark set ct mark`,
      // Answers of DHCP come from the network outside, too.
      `  udp sport 67 udp dport 68 meta mark set ${mark}`,
      '}',
    ],
    [
      'chain mark_out {',
      '  type filter hook postrouting priority mangle; policy accept;',
      `  meta l4proto { tcp, udp } meta mark ${mark} ct mark set meta mark`,
      '}',
    ],
  ];
}

/**
 * Programs of the group get a mark of their own, which routes leave alone. They chose their source address before
 * that, so it is changed on the way out, and back.
 */
function programChains(policy: FirewallPolicy, openings: Openings): readonly (readonly string[])[] {
  const { group } = openings;
  if (group === undefined) return [];
  const mark = hex(outsideMark);
  const level = group.split('/').length;
  return [
    [
      'chain programs {',
      '  type route hook output priority mangle; policy accept;',
      `  oifname "lo" accept`,
      `  socket cgroupv2 level ${level} "${group}" meta mark set ${mark} ct mark set ${mark}`,
      '}',
    ],
    [
      'chain programs_in {',
      '  type filter hook prerouting priority mangle; policy accept;',
      `  ct mark ${mark} meta mark set ${mark}`,
      '}',
    ],
    [
      'chain programs_out {',
      '  type nat hook postrouting priority srcnat; policy accept;',
      `  meta mark ${mark} oifname != { "lo", "${policy.interfaceName}" } masquerade`,
      '}',
    ],
  ];
}

/** Programs learn at once that nothing goes out, instead of waiting for a timeout. */
const refuseChain: readonly string[] = [
  'chain refuse {',
  '  meta l4proto tcp reject with tcp reset',
  '  reject with icmpx admin-prohibited',
  '}',
];

function toEndpoint(endpoint: Endpoint, protocol: 'udp' | 'tcp' = 'udp'): string {
  const { address, port } = endpoint;
  return `${daddr(address)} ${protocol} dport ${port}`;
}
