/**
 * Which flow takes which path, as one nftables script (product.md §6, order of choice; research edge-ops §1). The first
 * packet of a flow is judged; its mark stays with the connection, so that every further packet costs one lookup. Pure:
 * text in, text out. Whether a flow may leave at all is guard-rules.ts; names and addresses come from the checked
 * configuration and the store, never from the network.
 */

import type { ClosedRanges } from './closed-ranges.ts';
import { type GuardOpening, removalScript } from './guard-rules.ts';
import { hex, markOfSlot, nowhereSlot, otherMarkBits, pathMarkMask } from './kernel-marks.ts';
import {
  type AutomaticSlots,
  automaticBlocks,
  byPlaceBlock,
  elements,
  type NamedBlock,
  type PlaceSlot,
  type SilentSlots,
  silentBlocks,
} from './kernel-place-rules.ts';

export interface PathRulesPlan {
  /** One a packet worker. */
  readonly interfaceNames: readonly string[];
  /** Prefixes of the tunnel. */
  readonly networks: readonly string[];
  /** What is closed, and opened again; only needed where a rule opens something for its path. */
  readonly closed: ClosedRanges;
  readonly allow: readonly GuardOpening[];
  readonly paths: readonly MarkedPath[];
  /** In the order of the file. */
  readonly rules: readonly MarkedRule[];
  readonly pins: readonly { readonly prefix: string; readonly slot: number }[];
  /** Where the edge chooses by itself, and the places that it has moved elsewhere. */
  readonly automatic: AutomaticSlots;
  readonly places: readonly PlaceSlot[];
  /** What is known to answer nobody. */
  readonly silent: SilentSlots;
  /** Whether paths are asked, so that a silent one is known. */
  readonly isProbed: boolean;
  /** Elements of the sets of rules for hosts. */
  readonly hosts: readonly HostElement[];
}

export interface MarkedPath {
  readonly slot: number;
  readonly kind: 'carry' | 'drop' | 'reject';
  /** Source addresses that flows leave with; absent: that of the interface. */
  readonly sources: readonly string[];
  /** The interface of a tunnel of its own, and its MTU. */
  readonly hop: { readonly interfaceName: string; readonly mtu: number } | undefined;
  /** Flows before this script was made: its counter goes on. */
  readonly opened: number;
}

export interface MarkedRule {
  /** Position in the file, from 0. */
  readonly index: number;
  /** Prefixes of the devices that it speaks of; undefined: all. */
  readonly from: readonly string[] | undefined;
  readonly cidr: string | undefined;
  readonly port: number | undefined;
  readonly isForHost: boolean;
  readonly use: number | 'auto';
}

/** A device was told this address for a name that the rule speaks of. */
export interface HostElement {
  readonly index: number;
  /** Prefix of the device, of the address's family. */
  readonly from: string;
  readonly address: string;
}

export interface HostStep {
  readonly verb: 'add' | 'delete';
  readonly element: HostElement;
}

export const pathsTable = 'culvert_edge_paths';
export const pathsTableWords: string = `inet ${pathsTable}`;

/** Size of the IP and TCP headers without options. */
const headers = { ipv4: 40, ipv6: 60 } as const;
const mask = hex(pathMarkMask);
const table = pathsTableWords;

/** The whole script. One transaction: it replaces the table of before, or changes nothing at all. */
export function pathScript(plan: PathRulesPlan): string {
  const blocks = [
    ...plan.paths.map(({ slot, opened }) => `  counter path_${slot} { packets ${opened} bytes 0 }`),
    ...(isOpening(plan) ? closedSets(plan.closed) : []),
    ...plan.rules.filter((rule) => rule.isForHost).flatMap((rule) => hostSets(rule, plan.hosts)),
    ...pinMaps(plan),
    ...(mayBeSilent(plan) ? silentBlocks(plan.silent) : []).map(named),
    ...automaticBlocks(plan).map(named),
    ...plan.paths.flatMap(takeChains),
    block(`chain take_${nowhereSlot}`, [markLine('meta', nowhereSlot), 'accept']),
    block('chain gone', ['counter drop']),
    block('chain refuse', [
      'meta l4proto tcp reject with tcp reset',
      'reject with icmpx type admin-prohibited',
    ]),
    ...ruleChains(plan),
    choosing(plan),
    ...hopChains(plan),
    refusing(plan),
    leavingAs(plan),
  ];
  return `${removalScript(pathsTable)}table ${table} {\n${blocks.join('\n\n')}\n}\n`;
}

/** What devices were told for names, and what they were told no longer; in the order given. */
export function hostScript(steps: readonly HostStep[]): string {
  const line = ({ verb, element }: HostStep): string =>
    `${verb} element ${table} ${setOf(element)} { ${element.from} . ${element.address} }\n`;
  return steps.map(line).join('');
}

function block(head: string, lines: readonly string[]): string {
  return [`  ${head} {`, ...lines.map((line) => `    ${line}`), '  }'].join('\n');
}

function named([head, lines]: NamedBlock): string {
  return block(head, lines);
}

function names(list: readonly string[]): string {
  const quoted = list.map((name) => `"${name}"`);
  return quoted.length === 1 ? quoted.join() : `{ ${quoted.join(', ')} }`;
}

function isSix(text: string): boolean {
  return text.includes(':');
}

function familyWord(text: string): 'ip' | 'ip6' {
  return isSix(text) ? 'ip6' : 'ip';
}

function markLine(of: 'ct' | 'meta', slot: number): string {
  return `${of} mark set ${of} mark & ${hex(otherMarkBits)} | ${hex(markOfSlot(slot))}`;
}

function closedSets(ranges: ClosedRanges): string[] {
  const set = (name: string, type: string, list: readonly string[]): string =>
    block(`set ${name}`, [`type ${type}`, 'flags interval', 'auto-merge', elements(list)]);
  return [set('closed_v4', 'ipv4_addr', ranges.v4), set('closed_v6', 'ipv6_addr', ranges.v6)];
}

function setOf({ index, address }: HostElement): string {
  return `host_${index}_${isSix(address) ? 'v6' : 'v4'}`;
}

function hostSets({ index }: MarkedRule, hosts: readonly HostElement[]): string[] {
  const own = hosts.filter((one) => one.index === index);
  return (['v4', 'v6'] as const).map((family) => {
    const type = family === 'v4' ? 'ipv4_addr' : 'ipv6_addr';
    const list = own
      .filter((one) => isSix(one.address) === (family === 'v6'))
      .map(({ from, address }) => `${from} . ${address}`);
    return block(`set host_${index}_${family}`, [`type ${type} . ${type}`, 'flags interval', elements(list)]);
  });
}

function pinMaps({ pins }: PathRulesPlan): string[] {
  const map = (family: 'v4' | 'v6'): string => {
    const list = pins
      .filter(({ prefix }) => isSix(prefix) === (family === 'v6'))
      .map(({ prefix, slot }) => `${prefix} : goto take_${slot}`);
    const type = family === 'v4' ? 'ipv4_addr' : 'ipv6_addr';
    return block(`map pins_${family}`, [`type ${type} : verdict`, 'flags interval', elements(list)]);
  };
  return [map('v4'), map('v6')];
}

/** Only then there is a map for it: each packet looks. */
function mayBeSilent({ paths, isProbed }: Pick<PathRulesPlan, 'paths' | 'isProbed'>): boolean {
  return isProbed || paths.some(({ hop }) => hop !== undefined);
}

/** 'take': a new flow takes the path, and nothing else is asked. 'again': a packet of a flow that has it. */
function takeChains({ slot, kind }: MarkedPath): string[] {
  const count = `counter name path_${slot}`;
  // What is refused never becomes a connection.
  if (kind !== 'carry') return [block(`chain take_${slot}`, [count, markLine('meta', slot), 'accept'])];
  return [
    block(`chain take_${slot}`, [count, markLine('ct', slot), markLine('meta', slot), 'accept']),
    block(`chain again_${slot}`, [markLine('meta', slot)]),
  ];
}

function ruleChains(plan: PathRulesPlan): string[] {
  const isBlocking = (rule: MarkedRule): boolean =>
    plan.paths.some((path) => path.slot === rule.use && path.kind !== 'carry');
  const blocking = plan.rules.filter((rule) => isBlocking(rule) && !isCatchAll(rule));
  const others = plan.rules.filter((rule) => !isBlocking(rule) || isCatchAll(rule));
  const opening = others.filter((rule) => rule.cidr !== undefined && rule.use !== 'auto');
  return [
    ...(blocking.length === 0 ? [] : [block('chain blocking', blocking.flatMap(ruleLines))]),
    ...(isOpening(plan)
      ? [
          block('chain opening', [...opening.flatMap(ruleLines), 'accept']),
          block('chain closed', [
            ...plan.allow.flatMap(returnLines),
            'ip daddr @closed_v4 goto opening',
            'ip6 daddr @closed_v6 goto opening',
          ]),
        ]
      : []),
    named(byPlaceBlock),
    block('chain by_rule', [...others.flatMap(ruleLines), 'goto by_place']),
  ];
}

/** The last line of a list: it comes in its turn, also where it blocks. */
function isCatchAll(rule: MarkedRule): boolean {
  return rule.from === undefined && rule.cidr === undefined && rule.port === undefined && !rule.isForHost;
}

/** Whether a rule names a range for a path of its own: it is open there. */
function isOpening(plan: PathRulesPlan): boolean {
  return plan.rules.some((rule) => rule.cidr !== undefined && rule.use !== 'auto');
}

function returnLines({ cidr, from }: GuardOpening): string[] {
  const word = familyWord(cidr);
  if (from === undefined) return [`${word} daddr ${cidr} return`];
  const own = from.filter((prefix) => isSix(prefix) === isSix(cidr));
  return own.length === 0 ? [] : [`${word} saddr { ${own.join(', ')} } ${word} daddr ${cidr} return`];
}

/** One line, or one a family; none where nobody is meant. */
function ruleLines(rule: MarkedRule): string[] {
  const { from, cidr, port, isForHost, use } = rule;
  const end = [
    ...(port === undefined ? [] : [`meta l4proto { tcp, udp } th dport ${port}`]),
    use === 'auto' ? 'goto by_place' : `goto take_${use}`,
  ];
  if (from === undefined && cidr === undefined && !isForHost) return [end.join(' ')];
  return (['ip', 'ip6'] as const).flatMap((word) => {
    if (cidr !== undefined && familyWord(cidr) !== word) return [];
    const own = from?.filter((prefix) => familyWord(prefix) === word);
    if (own?.length === 0) return [];
    const parts = [
      ...(own === undefined ? [] : [`${word} saddr { ${own.join(', ')} }`]),
      ...(cidr === undefined ? [] : [`${word} daddr ${cidr}`]),
      ...(isForHost
        ? [`${word} saddr . ${word} daddr @host_${rule.index}_${word === 'ip' ? 'v4' : 'v6'}`]
        : []),
    ];
    return [[...parts, ...end].join(' ')];
  });
}

/** Order of choice: the flow's own path, what blocks, what a rule opens, the device's pin, rules, the edge itself. */
function choosing(plan: PathRulesPlan): string {
  const carrying = plan.paths.filter(({ kind }) => kind === 'carry');
  const again = carrying.map(({ slot }) => `${hex(markOfSlot(slot))} : goto again_${slot}`);
  const hasBlocks = plan.rules.some(
    (rule) => !isCatchAll(rule) && plan.paths.some(({ slot, kind }) => slot === rule.use && kind !== 'carry'),
  );
  return block('chain choose', [
    'type filter hook prerouting priority mangle; policy accept;',
    `iifname != ${names(plan.interfaceNames)} accept`,
    // Answers go back to where the question came from.
    'ct direction reply accept',
    ...(again.length === 0 ? [] : [`ct mark & ${mask} vmap { ${again.join(', ')} }`]),
    `ct mark & ${mask} != 0 goto gone`,
    // What belongs to no connection would leave without translation.
    'ct state invalid counter drop',
    ...plan.networks.map((prefix) => `${familyWord(prefix)} daddr ${prefix} accept`),
    ...(hasBlocks ? ['jump blocking'] : []),
    ...(isOpening(plan) ? ['jump closed'] : []),
    'ip saddr vmap @pins_v4',
    'ip6 saddr vmap @pins_v6',
    'goto by_rule',
  ]);
}

/** The tunnels of paths: nobody comes in by them, nobody but devices goes out, and TCP must fit. */
function hopChains(plan: PathRulesPlan): string[] {
  const hops = plan.paths.flatMap(({ hop }) => (hop === undefined ? [] : [hop]));
  if (hops.length === 0) return [];
  const all = names(hops.map((hop) => hop.interfaceName));
  const tunnel = names(plan.interfaceNames);
  const clamp = ({ interfaceName, mtu }: (typeof hops)[number]): string[] =>
    (['iifname', 'oifname'] as const).flatMap((direction) =>
      (['ipv4', 'ipv6'] as const).map(
        (family) =>
          `${direction} "${interfaceName}" meta nfproto ${family} tcp flags & (syn | rst) == syn ` +
          `tcp option maxseg size set ${mtu - headers[family]}`,
      ),
    );
  return [
    block('chain hop_sizes', [
      'type filter hook forward priority mangle; policy accept;',
      ...hops.flatMap(clamp),
    ]),
    block('chain hop_input', [
      'type filter hook input priority filter - 5; policy accept;',
      `iifname ${all} ct state established,related ct direction reply accept`,
      `iifname ${all} counter drop`,
    ]),
    block('chain hop_forward', [
      'type filter hook forward priority filter - 6; policy accept;',
      `iifname ${all} oifname ${tunnel} ct state established,related accept`,
      `iifname ${all} counter drop`,
      `oifname ${all} iifname != ${tunnel} counter drop`,
    ]),
  ];
}

function refusing(plan: PathRulesPlan): string {
  const blocks = plan.paths.filter(({ kind }) => kind !== 'carry');
  const verdicts = [
    ...blocks.map(
      ({ slot, kind }) => `${hex(markOfSlot(slot))} : ${kind === 'drop' ? 'drop' : 'goto refuse'}`,
    ),
    `${hex(markOfSlot(nowhereSlot))} : goto refuse`,
  ];
  return block('chain refusing', [
    'type filter hook forward priority filter - 5; policy accept;',
    ...(mayBeSilent(plan) ? [`iifname ${names(plan.interfaceNames)} ct state new jump silent`] : []),
    `iifname ${names(plan.interfaceNames)} meta mark & ${mask} vmap { ${verdicts.join(', ')} }`,
  ]);
}

/** Before the guard's own translation: the first one that speaks counts. */
function leavingAs(plan: PathRulesPlan): string {
  const lines = plan.paths.flatMap(({ slot, sources }) =>
    sources.flatMap((source) =>
      plan.networks
        .filter((prefix) => isSix(prefix) === isSix(source))
        .map((prefix) => {
          const word = familyWord(source);
          return `${word} saddr ${prefix} meta mark & ${mask} == ${hex(markOfSlot(slot))} snat ${word} to ${source}`;
        }),
    ),
  );
  return block('chain leaving_as', [
    'type nat hook postrouting priority srcnat - 5; policy accept;',
    `oifname ${names([...plan.interfaceNames, 'lo'])} accept`,
    ...lines,
  ]);
}
