/**
 * What an edge asks of nftables, as one script (product.md §6, research edge-ops §5): devices reach the
 * Internet through this host's address and nothing else. Pure: text in, text out; kernel-nat.ts applies it.
 * Names and addresses come from the checked configuration only, never from the network.
 */

import { type ClosedRanges, closedRanges } from './closed-ranges.ts';
import { openingRules } from './guard-openings.ts';

export interface GuardPlan {
  /** One a packet worker; what is said of the tunnel holds for all of them together. */
  readonly interfaceNames: readonly string[];
  /** Of the tunnel, bytes. */
  readonly mtu: number;
  /** Prefix and the edge's own address in it, as text; absent where the tunnel does not speak that family. */
  readonly v4: GuardNetwork | undefined;
  readonly v6: GuardNetwork | undefined;
  /** Whether private ranges are closed; all other ranges of closed-ranges.ts always are. */
  readonly closePrivate: boolean;
  /** New connections a second that one address of the tunnel may open; 0 = no limit. */
  readonly connectionsPerSecond: number;
  /** What the edge itself serves in the tunnel, on its addresses there. */
  readonly services: readonly GuardService[];
  readonly allow: readonly GuardOpening[];
}

export interface GuardNetwork {
  readonly prefix: string;
  readonly gateway: string;
}

export interface GuardService {
  readonly address: string;
  readonly protocol: 'tcp' | 'udp';
  readonly port: number;
}

/** Opens a destination that is closed by default. */
export interface GuardOpening {
  readonly cidr: string;
  /** Prefixes of the device that may; undefined: every device. */
  readonly from: readonly string[] | undefined;
  /** 'MASK == MARK' as nftables compares it: only for what leaves by that path, and only for places. */
  readonly mark?: string | undefined;
}

export const guardTable = 'culvert_edge';

/**
 * Why the guard drops packets, each with a counter in the table. 'own': this host itself; 'device':
 * another one, or one that a device did not ask; 'rate': connections opened too fast; 'routed': a packet that wants to
 * choose its route, or a device that would tell this host's; 'unasked': from outside.
 */
export const guardDrops = [
  'spoofed',
  'routed',
  'own',
  'device',
  'closed',
  'mail',
  'rate',
  'unasked',
] as const;

export type GuardDrop = (typeof guardDrops)[number];

/** Connections at once after a pause: this many seconds of the limit. */
const burstSeconds = 4;
/** Addresses whose connections are counted at a time, and how long after the last one, seconds. */
const countedAddresses = 65_536;
const countedSeconds = 10;
/** Between mail servers. */
const mailPort = 25;

/** Most answers of the gateway itself to one side of the tunnel, a second: pings, and refusals. */
const answersPerSecond = 100;
/** Size of the IP and TCP headers without options. */
const headers = { v4: 40, v6: 60 } as const;

/** The whole script. One transaction: it replaces a table of an earlier run, or changes nothing at all. */
export function guardScript(plan: GuardPlan): string {
  const blocks = [
    ...guardDrops.map((reason) => `  counter ${guardCounter(reason)} { }`),
    ...setBlocks(closedRanges(plan.closePrivate)),
    ...rateBlocks(plan),
    antiSpoofing(plan),
    segmentSizes(plan),
    toThisHost(plan),
    forwarded(plan),
    leaving(plan),
    ...openingBlocks(plan),
    sourceNat(plan),
  ];
  const table = `table inet ${guardTable}`;
  return `${table}\ndelete ${table}\n${table} {\n${blocks.join('\n\n')}\n}\n`;
}

/** Removes the table; succeeds also where there is none. */
export function removalScript(table: string = guardTable): string {
  return `table inet ${table}\ndelete table inet ${table}\n`;
}

/** '"cvedge0"', or a set where there are more. */
function namesOf(plan: GuardPlan, ...more: readonly string[]): string {
  const names = [...plan.interfaceNames, ...more].map((name) => `"${name}"`);
  return names.length === 1 ? names.join() : `{ ${names.join(', ')} }`;
}

function block(head: string, lines: readonly string[]): string {
  return [`  ${head} {`, ...lines.map((line) => `    ${line}`), '  }'].join('\n');
}

function setBlocks(ranges: ClosedRanges): string[] {
  const set = (name: string, type: string, elements: readonly string[]): string =>
    block(`set ${name}`, [
      `type ${type}`,
      'flags interval',
      'auto-merge',
      `elements = { ${elements.join(', ')} }`,
    ]);
  return [set('closed_v4', 'ipv4_addr', ranges.v4), set('closed_v6', 'ipv6_addr', ranges.v6)];
}

/** Addresses of the tunnel come from the tunnel, and nothing else does. */
function antiSpoofing(plan: GuardPlan): string {
  const tunnel = `iifname ${namesOf(plan)}`;
  const elsewhere = `iifname != ${namesOf(plan, 'lo')}`;
  const family = (word: string, nfproto: string, network: GuardNetwork | undefined): string[] =>
    network === undefined
      ? [`${tunnel} meta nfproto ${nfproto} ${dropAs('spoofed')}`]
      : [
          `${tunnel} ${word} saddr != ${network.prefix} ${dropAs('spoofed')}`,
          `${elsewhere} ${word} saddr ${network.prefix} ${dropAs('spoofed')}`,
        ];
  return block('chain spoofed', [
    'type filter hook prerouting priority raw; policy accept;',
    ...family('ip', 'ipv4', plan.v4),
    ...family('ip6', 'ipv6', plan.v6),
    ...choosingRoutes(tunnel),
  ]);
}

/** Where a packet goes is what its destination says, and what this host knows of routes comes from no device. */
function choosingRoutes(tunnel: string): string[] {
  const kinds = [
    'ip option lsrr exists',
    'ip option ssrr exists',
    'exthdr rt exists',
    'icmp type { redirect, router-advertisement }',
    'icmpv6 type { nd-redirect, nd-router-advert, nd-router-solicit, nd-neighbor-solicit, nd-neighbor-advert }',
  ];
  return kinds.map((what) => `${tunnel} ${what} ${dropAs('routed')}`);
}

/** TCP must fit the tunnel even where path MTU discovery is broken. nftables only ever lowers the size. */
function segmentSizes(plan: GuardPlan): string {
  const clamp = (direction: string, nfproto: string, size: number): string =>
    `${direction} ${namesOf(plan)} meta nfproto ${nfproto} tcp flags & (syn | rst) == syn ` +
    `tcp option maxseg size set ${size}`;
  return block('chain segment_sizes', [
    'type filter hook forward priority mangle; policy accept;',
    ...['iifname', 'oifname'].flatMap((direction) => [
      clamp(direction, 'ipv4', plan.mtu - headers.v4),
      clamp(direction, 'ipv6', plan.mtu - headers.v6),
    ]),
  ]);
}

/**
 * This host's services are closed by whatever address, but for those of the tunnel itself. The edge's address in the tunnel answers pings and
 * refuses the rest aloud, so that a client which asks there to prove its tunnel has its answer at once.
 */
function toThisHost(plan: GuardPlan): string {
  const rate = `limit rate ${answersPerSecond}/second`;
  const gateway = (to: string, echo: string): string[] => [
    `${to} ${echo} ${rate} accept`,
    `${to} ${rate} reject with icmpx type port-unreachable`,
  ];
  return block('chain to_this_host', [
    'type filter hook input priority filter; policy accept;',
    `iifname != ${namesOf(plan)} accept`,
    'ct state established,related ct direction reply accept',
    'jump openings_own',
    ...plan.services.map(served),
    ...(plan.v4 === undefined ? [] : gateway(`ip daddr ${plan.v4.gateway}`, 'icmp type echo-request')),
    ...(plan.v6 === undefined ? [] : gateway(`ip6 daddr ${plan.v6.gateway}`, 'icmpv6 type echo-request')),
    dropAs('own'),
  ]);
}

function served(service: GuardService): string {
  const { address, protocol, port } = service;
  return `${address.includes(':') ? 'ip6' : 'ip'} daddr ${address} ${protocol} dport ${port} accept`;
}

/** Only what concerns the tunnel; other forwarding of this host is none of our business. */
function forwarded(plan: GuardPlan): string {
  return block('chain forwarded', [
    'type filter hook forward priority filter; policy accept;',
    `iifname ${namesOf(plan)} jump leaving`,
    `oifname ${namesOf(plan)} ct state established,related accept`,
    `oifname ${namesOf(plan)} ${dropAs('unasked')}`,
  ]);
}

/** From a device to anywhere. Answers pass, between devices as openings say; what asks is judged anew with every packet. */
function leaving(plan: GuardPlan): string {
  return block('chain leaving', [
    `oifname != ${namesOf(plan)} ct state established,related ct direction reply accept`,
    ...(plan.connectionsPerSecond === 0 ? [] : ['ct state new ct status ! confirmed jump opened']),
    `oifname ${namesOf(plan)} jump openings_devices`,
    `oifname ${namesOf(plan)} ${dropAs('device')}`,
    'jump openings_places',
    `ip daddr @closed_v4 ${dropAs('closed')}`,
    `ip6 daddr @closed_v6 ${dropAs('closed')}`,
    `tcp dport ${mailPort} jump openings_mail`,
    `tcp dport ${mailPort} ${dropAs('mail')}`,
    'accept',
  ]);
}

/** How fast each device opens connections. Only the first packet of each counts, whatever its protocol. */
function rateBlocks(plan: GuardPlan): string[] {
  const { connectionsPerSecond: most } = plan;
  if (most === 0) return [];
  const set = (name: string, type: string): string =>
    block(`set ${name}`, [
      `type ${type}`,
      `size ${countedAddresses}`,
      'flags dynamic,timeout',
      `timeout ${countedSeconds}s`,
    ]);
  const limit = `limit rate over ${most}/second burst ${most * burstSeconds} packets`;
  return [
    set('opened_v4', 'ipv4_addr'),
    set('opened_v6', 'ipv6_addr'),
    block('chain opened', [
      `update @opened_v4 { ip saddr ${limit} } ${dropAs('rate')}`,
      `update @opened_v6 { ip6 saddr ${limit} } ${dropAs('rate')}`,
    ]),
  ];
}

function openingBlocks(plan: GuardPlan): string[] {
  return Object.entries(openingRules(plan)).map(([kind, rules]) => block(`chain openings_${kind}`, rules));
}

/** Its name in the table; bare, some are words of nftables. */
export function guardCounter(reason: GuardDrop): string {
  return `drop_${reason}`;
}

function dropAs(reason: GuardDrop): string {
  return `counter name "${guardCounter(reason)}" drop`;
}

function sourceNat(plan: GuardPlan): string {
  const out = `oifname != ${namesOf(plan, 'lo')} masquerade`;
  return block('chain source_nat', [
    'type nat hook postrouting priority srcnat; policy accept;',
    ...(plan.v4 === undefined ? [] : [`ip saddr ${plan.v4.prefix} ${out}`]),
    ...(plan.v6 === undefined ? [] : [`ip6 saddr ${plan.v6.prefix} ${out}`]),
  ]);
}
