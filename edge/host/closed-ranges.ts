/**
 * Destinations that devices may not reach through an edge unless allowed by name (product.md §6,
 * RFC 6890 and its registries). Documentation ranges are ordinary addresses. Data only, for the firewall
 * (guard-rules.ts) and for the way out without one (../egress/deny.ts).
 */

export interface ClosedRanges {
  readonly v4: readonly string[];
  readonly v6: readonly string[];
}

/** RFC 1918, RFC 6598; RFC 4193, and RFC 8215: translators of a network's own choosing. */
export const privateRanges: ClosedRanges = {
  v4: ['10.0.0.0/8', '172.16.0.0/12', '192.168.0.0/16', '100.64.0.0/10'],
  v6: ['fc00::/7', '64:ff9b:1::/48'],
};

/**
 * This network, loopback, link-local, multicast, reserved and broadcast; unspecified, loopback and
 * IPv4-compatible, IPv4-mapped, Teredo (which hides two IPv4 addresses, RFC 4380), link-local, the old
 * site-local, multicast.
 */
export const reservedRanges: ClosedRanges = {
  v4: ['0.0.0.0/8', '127.0.0.0/8', '169.254.0.0/16', '224.0.0.0/4', '240.0.0.0/4'],
  v6: ['::/96', '::ffff:0:0/96', '2001::/32', 'fe80::/10', 'fec0::/10', 'ff00::/8'],
};

/**
 * Where clouds answer their machines with secrets: everybody's, Alibaba, Azure, Oracle; AWS, Google. Apart
 * from the ranges around them, so that opening those does not open this.
 */
export const metadataRanges: ClosedRanges = {
  v4: ['169.254.169.254/32', '100.100.100.200/32', '168.63.129.16/32', '192.0.0.192/32'],
  v6: ['fd00:ec2::254/128', 'fd20:ce::254/128'],
};

/** Translators whose addresses hold an IPv4 address at this byte: RFC 6052 §2.1, RFC 3056. */
export const translatedRanges: readonly { readonly range: string; readonly at: number }[] = [
  { range: '64:ff9b::/96', at: 12 },
  { range: '2002::/16', at: 2 },
];

export function closedRanges(closePrivate: boolean): ClosedRanges {
  const all = [...(closePrivate ? [privateRanges] : []), reservedRanges, metadataRanges];
  const v4 = all.flatMap((ranges) => ranges.v4);
  const v6 = all.flatMap((ranges) => ranges.v6);
  return { v4, v6: [...v6, ...v4.map(behindNat64), ...v4.map(behind6to4)] };
}

/** The same IPv4 range as a NAT64 translator reaches it (RFC 6052, 64:ff9b::/96). */
function behindNat64(range: string): string {
  const [high, low, bits] = asGroups(range);
  return `64:ff9b::${high}:${low}/${96 + bits}`;
}

/** The same IPv4 range as a 6to4 relay reaches it (RFC 3056, 2002::/16). */
function behind6to4(range: string): string {
  const [high, low, bits] = asGroups(range);
  return `2002:${high}:${low}::/${16 + bits}`;
}

function asGroups(range: string): [high: string, low: string, bits: number] {
  const [address = '', bits = ''] = range.split('/');
  const [a = 0, b = 0, c = 0, d = 0] = address.split('.').map(Number);
  return [(a * 256 + b).toString(16), (c * 256 + d).toString(16), Number(bits)];
}
