/**
 * FirewallPolicy → one nft script (the kill switch). Pure. The script replaces our table in one
 * transaction, so there is no moment without rules. It stays when the daemon dies.
 */

import { isIPv6 } from 'node:net';
import { assert } from '../../../shared/core/base/assert.ts';
import type { Endpoint } from '../../../shared/core/base/endpoint.ts';
import type { PrefixText } from '../../../shared/core/tunnel/config.ts';
import { type FirewallPolicy, tableFamily, tableName } from './policy.ts';

/** The script that removes our table, whether it is there or not. */
export const removeScript: string = [
  `add table ${tableFamily} ${tableName}`,
  `delete table ${tableFamily} ${tableName}`,
  '',
].join('\n');

/** The script that makes `policy` hold instead of whatever held before. */
export function rulesetFor(policy: FirewallPolicy): string {
  checkWords(policy);
  const chains = [outputChain(policy), forwardChain(policy), ...markChains(policy), refuseChain];
  const body = chains.map((lines) => lines.map((line) => `  ${line}`).join('\n')).join('\n\n');
  return `${removeScript}table ${tableFamily} ${tableName} {\n${body}\n}\n`;
}

/** Nothing but names and numbers gets into the script, wherever they came from. */
function checkWords(policy: FirewallPolicy): void {
  assert(/^[A-Za-z0-9_.-]{1,15}$/.test(policy.interfaceName), 'an interface name holds no syntax');
  const prefixes = policy.scope === 'everything' ? [] : policy.scope;
  const addresses = [
    ...policy.endpoints.map((one) => one.address),
    ...policy.nameServers,
    ...policy.addresses,
  ];
  for (const word of [...addresses.map(withoutScope), ...prefixes]) {
    assert(/^[0-9A-Fa-f.:]+(\/\d{1,3})?$/.test(word), 'an address holds no syntax');
  }
}

function outputChain(policy: FirewallPolicy): readonly string[] {
  const everything = policy.scope === 'everything';
  return [
    'chain output {',
    `  type filter hook output priority filter; policy ${everything ? 'drop' : 'accept'};`,
    '  oifname "lo" accept',
    ...(policy.kind === 'blocked' ? [] : tunnelRules(policy)),
    ...(everything ? [...essentials, '  goto refuse'] : protectedRules(policy.scope)),
    '}',
  ];
}

function tunnelRules(policy: FirewallPolicy): readonly string[] {
  return [
    `  oifname "${policy.interfaceName}" accept`,
    ...policy.endpoints.map((endpoint) => `  meta mark ${hex(policy.mark)} ${toEndpoint(endpoint)} accept`),
    ...policy.nameServers.flatMap((address) => [
      `  ${family(address)} daddr ${withoutScope(address)} udp dport 53 accept`,
      `  ${family(address)} daddr ${withoutScope(address)} tcp dport 53 accept`,
    ]),
  ];
}

/** Without these the link itself dies: addresses by DHCP, neighbours and routers of IPv6. */
const essentials: readonly string[] = [
  '  meta nfproto ipv4 udp sport 68 udp dport 67 accept',
  '  ip6 daddr { fe80::/10, ff02::1:2, ff05::1:3 } udp sport 546 udp dport 547 accept',
  '  icmpv6 type { nd-router-solicit, nd-neighbor-solicit, nd-neighbor-advert } ip6 hoplimit 255 accept',
  '  icmpv6 type { mld-listener-report, mld-listener-done, mld2-listener-report } ip6 hoplimit 1 accept',
];

/** Whoever this machine forwards for (containers, guests) is as private as it is itself. */
function forwardChain(policy: FirewallPolicy): readonly string[] {
  const { interfaceName, scope } = policy;
  const throughTunnel = [`  oifname "${interfaceName}" accept`, `  iifname "${interfaceName}" accept`];
  return [
    'chain forward {',
    `  type filter hook forward priority filter; policy ${scope === 'everything' ? 'drop' : 'accept'};`,
    ...(policy.kind === 'blocked' ? [] : throughTunnel),
    ...(scope === 'everything' ? [] : protectedRules(scope)),
    '}',
  ];
}

function protectedRules(prefixes: readonly PrefixText[]): readonly string[] {
  return prefixes.map((prefix) => `  ${family(prefix)} daddr ${prefix} goto refuse`);
}

/**
 * Replies to the tunnel's datagrams get its mark, so that strict reverse-path checks look them up as
 * the outer network's; and nobody outside may reach our address inside.
 */
function markChains(policy: FirewallPolicy): readonly (readonly string[])[] {
  const mark = hex(policy.mark);
  const antiLeak = policy.addresses.map(
    (address) =>
      `  iifname != { "lo", "${policy.interfaceName}" } ${family(address)} daddr ${address} fib saddr type != local drop`,
  );
  return [
    ['chain elsewhere {', '  type filter hook prerouting priority raw; policy accept;', ...antiLeak, '}'],
    [
      'chain mark_in {',
      '  type filter hook prerouting priority mangle; policy accept;',
      `  meta l4proto udp ct mark ${mark} meta mark set ct mark`,
      '}',
    ],
    [
      'chain mark_out {',
      '  type filter hook postrouting priority mangle; policy accept;',
      `  meta l4proto udp meta mark ${mark} ct mark set meta mark`,
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

function toEndpoint(endpoint: Endpoint): string {
  const { address, port } = endpoint;
  return `${family(address)} daddr ${withoutScope(address)} udp dport ${port}`;
}

function family(address: string): 'ip' | 'ip6' {
  return isIPv6(withoutScope(address).split('/')[0] ?? '') ? 'ip6' : 'ip';
}

function withoutScope(address: string): string {
  return address.split('%')[0] ?? '';
}

function hex(mark: number): string {
  return `0x${mark.toString(16)}`;
}
