/**
 * How a proxy is asked for UDP (RFC 9298 §2 and §3): the path of the default template, whose host may be a name, an IPv4
 * address, or an IPv6 address with its colons percent-encoded. Pure.
 */

export interface UdpTarget {
  /** Name in lower case, or numeric address without brackets. */
  readonly host: string;
  readonly port: number;
}

/** The token of the protocol, for `:protocol` and for Upgrade. */
export const connectUdpToken = 'connect-udp';
/** Both sides say by it that capsules follow (RFC 9297 §3.4); lower case, as Node tells and sends header names. */
export const capsuleHeader = 'capsule-protocol';
export const capsuleHeaderValue = '?1';

const prefix = '/.well-known/masque/udp/';
/** A name of 253 letters with each of them encoded, a port, two slashes. */
const maxPathLength: number = prefix.length + 3 * 253 + 8;
const maxPort = 0xffff;

export function udpRequestPath({ host, port }: UdpTarget): string {
  return `${prefix}${host.replaceAll(':', '%3A')}/${port}/`;
}

/** Undefined where the path is none of the template. */
export function parseUdpRequestPath(path: string): UdpTarget | undefined {
  if (path.length > maxPathLength || !path.startsWith(prefix)) return undefined;
  const [encoded = '', digits = '', end, ...more] = path.slice(prefix.length).split('/');
  const host = decoded(encoded);
  const port = /^[1-9]\d{0,4}$/.test(digits) ? Number(digits) : 0;
  const isWhole = end === '' && more.length === 0 && port > 0 && port <= maxPort;
  return isWhole && host !== undefined ? { host, port } : undefined;
}

/** Only what can stand in a name or an address. */
function decoded(text: string): string | undefined {
  const host = text
    .replaceAll(/%([0-9A-Fa-f]{2})/g, (_, code: string) => String.fromCharCode(Number.parseInt(code, 16)))
    .toLowerCase();
  return /^[a-z0-9._:-]{1,253}$/.test(host) ? host : undefined;
}
