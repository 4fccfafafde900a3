/**
 * What an edge asks of nftables, as one script (product.md §6, research edge-ops §5): devices reach the
 * Internet through this host's address and nothing else. Pure: text in, text out; kernel-nat.ts applies it.
 * Names and addresses come from the checked configuration only, never from the network.
 */

import { type ClosedRanges, closedRanges } from './closed-ranges.ts';

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
}

export const guardTable = 'culvert_edge';

/** Most answers of the gateway itself to one side of the tunnel, a second: pings, and refusals. */
const answersPerSecond = 100;
/** Size of the IP and TCP headers without options. */
const headers = { v4: 40, v6: 60 } as const;

/** The whole script. One transaction: it replaces a table of an earlier run, or changes nothing at all. */
export function guardScript(plan: GuardPlan): string {
  const blocks = [
    ...setBlocks(closedRanges(plan.closePrivate)),
    antiSpoofing(plan),
    segmentSizes(plan),
    toThisHost(plan),
    forwarded(plan),
    leaving(plan),
    openings(plan),
    sourceNat(plan),
  ];
  const table = `table inet ${guardTable}`;
  return `${table}\ndelete ${table}\n${table} {\n${blocks.join('\n\n')}\n}\n`;
}

/** Removes the table; succeeds also where there is none. */
export function removalScript(): string {
  return `table inet ${guardTable}\ndelete table inet ${guardTable}\n`;
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
      ? [`${tunnel} meta nfproto ${nfproto} counter drop`]
      : [
          `${tunnel} ${word} saddr != ${network.prefix} counter drop`,
          `${elsewhere} ${word} saddr ${network.prefix} counter drop`,
        ];
  return block('chain spoofed', [
    'type filter hook prerouting priority raw; policy accept;',
    ...family('ip', 'ipv4', plan.v4),
    ...family('ip6', 'ipv6', plan.v6),
  ]);
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
    'jump openings',
    ...plan.services.map(served),
    ...(plan.v4 === undefined ? [] : gateway(`ip daddr ${plan.v4.gateway}`, 'icmp type echo-request')),
    ...(plan.v6 === undefined ? [] : gateway(`ip6 daddr ${plan.v6.gateway}`, 'icmpv6 type echo-request')),
    'counter drop',
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
    `oifname ${namesOf(plan)} counter drop`,
  ]);
}

/** From a device to anywhere. Answers pass; every packet of the asking direction is judged anew. */
function leaving(plan: GuardPlan): string {
  return block('chain leaving', [
    'ct state established,related ct direction reply accept',
    'jump openings',
    `oifname ${namesOf(plan)} counter drop`,
    'ip daddr @closed_v4 counter drop',
    'ip6 daddr @closed_v6 counter drop',
    'accept',
  ]);
}

function openings(plan: GuardPlan): string {
  const lines = plan.allow.flatMap((opening) => {
    const v6 = opening.cidr.includes(':');
    const word = v6 ? 'ip6' : 'ip';
    const to = `${word} daddr ${opening.cidr} accept`;
    if (opening.from === undefined) return [to];
    const sources = opening.from.filter((prefix) => prefix.includes(':') === v6);
    return sources.length === 0 ? [] : [`${word} saddr { ${sources.join(', ')} } ${to}`];
  });
  return block('chain openings', lines);
}

function sourceNat(plan: GuardPlan): string {
  const out = `oifname != ${namesOf(plan, 'lo')} masquerade`;
  return block('chain source_nat', [
    'type nat hook postrouting priority srcnat; policy accept;',
    ...(plan.v4 === undefined ? [] : [`ip saddr ${plan.v4.prefix} ${out}`]),
    ...(plan.v6 === undefined ? [] : [`ip6 saddr ${plan.v6.prefix} ${out}`]),
  ]);
}
