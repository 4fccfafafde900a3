/**
 * Destinations that devices may not reach through an edge unless allowed by name (product.md §6,
 * RFC 6890 and its registries). Documentation ranges are ordinary addresses. Data only.
 */

export interface ClosedRanges {
  readonly v4: readonly string[];
  readonly v6: readonly string[];
}

/** RFC 1918, RFC 6598, RFC 4193. */
const privateV4 = ['10.0.0.0/8', '172.16.0.0/12', '192.168.0.0/16', '100.64.0.0/10'] as const;
const privateV6 = ['fc00::/7'] as const;

/** This network, loopback, link-local, multicast, reserved and broadcast. */
const neverV4 = ['0.0.0.0/8', '127.0.0.0/8', '169.254.0.0/16', '224.0.0.0/4', '240.0.0.0/4'] as const;
/** Unspecified, loopback, IPv4-mapped, link-local, the old site-local, multicast. */
const neverV6 = ['::/128', '::1/128', '::ffff:0:0/96', 'fe80::/10', 'fec0::/10', 'ff00::/8'] as const;

/**
 * Where clouds answer their machines with secrets and lies outside the ranges above, or inside the
 * private ones, so that opening those does not open this: Alibaba, Azure, Oracle; AWS, Google.
 */
const metadataV4 = ['100.100.100.200/32', '168.63.129.16/32', '192.0.0.192/32'] as const;
const metadataV6 = ['fd00:ec2::254/128', 'fd20:ce::254/128'] as const;

export function closedRanges(closePrivate: boolean): ClosedRanges {
  const v4 = [...(closePrivate ? privateV4 : []), ...neverV4, ...metadataV4];
  const v6 = [...(closePrivate ? privateV6 : []), ...neverV6, ...metadataV6];
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
