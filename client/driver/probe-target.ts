/**
 * Where to send the packet that proves a tunnel: something inside AllowedIPs that probably answers,
 * and never a public address. Pure.
 */

import {
  formatAddress,
  type Prefix,
  parseAddress,
  parsePrefix,
  prefixContains,
} from '../../shared/core/base/ip.ts';
import { allowedIpsOf } from './effects.ts';
import type { EdgeProfile } from './ports.ts';

export interface ProbeTarget {
  readonly address: string;
  readonly port: number;
  /** Our own address of the same family. */
  readonly from: string;
  readonly payload: Uint8Array;
}

const dnsPort = 53;
/** RFC 863; where nobody listens, the answer is an ICMP error, which is as good. */
const discardPort = 9;

/**
 * A question for the address of `edge.culvert`: an edge of ours answers it at once, whatever it reaches itself. Any other
 * resolver says that there is no such name, or asks the root first.
 */
const edgeQuestion: Uint8Array = new Uint8Array([
  0x83, 0x83, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 4, 0x65, 0x64, 0x67, 0x65, 7, 0x63, 0x75, 0x6c, 0x76, 0x65, 0x72,
  0x74, 0, 0, 1, 0, 1,
]);

/**
 * The file's private resolver, else the first address of our own network, which is the server's by
 * custom. A stock server that drops it still answers the packet as such, with a keepalive.
 */
export function probeTarget(edge: EdgeProfile): ProbeTarget | undefined {
  const { addresses, dns } = edge.config.interface;
  const allowed = allowedIpsOf(edge)
    .map(parsePrefix)
    .filter((prefix) => prefix !== undefined);
  for (const own of addresses) {
    const prefix = parsePrefix(own);
    const from = parseAddress(own.split('/')[0] ?? '');
    if (prefix === undefined || from === undefined) continue;
    const source = formatAddress(from);
    const resolver = dns.find((address) => isPrivateAmong(address, allowed, from.length));
    if (resolver !== undefined)
      return { address: resolver, port: dnsPort, from: source, payload: edgeQuestion };
    const guess = [neighbour(from), ...allowed.map(firstIn)].find(
      (address) => address.length === from.length && allowed.some((one) => prefixContains(one, address)),
    );
    if (guess !== undefined) {
      return { address: formatAddress(guess), port: discardPort, from: source, payload: Uint8Array.of(0) };
    }
  }
  return undefined;
}

const privatePrefixes: readonly Prefix[] = [
  '10.0.0.0/8',
  '172.16.0.0/12',
  '192.168.0.0/16',
  '100.64.0.0/10',
  'fc00::/7',
]
  .map(parsePrefix)
  .filter((prefix) => prefix !== undefined);

function isPrivateAmong(address: string, allowed: readonly Prefix[], size: number): boolean {
  const bytes = parseAddress(address);
  if (bytes === undefined || bytes.length !== size) return false;
  return [privatePrefixes, allowed].every((list) => list.some((prefix) => prefixContains(prefix, bytes)));
}

/** Our address with its last byte 1, or 2 where that is us. */
function neighbour(own: Uint8Array): Uint8Array {
  const address = own.slice();
  address[address.length - 1] = own.at(-1) === 1 ? 2 : 1;
  return address;
}

function firstIn(prefix: Prefix): Uint8Array {
  const address = prefix.address.slice();
  if (prefix.bits < address.length * 8) address[address.length - 1] = (address.at(-1) ?? 0) | 1;
  return address;
}
