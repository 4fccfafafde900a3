/** Questions for Linux's routing socket, as bytes (man 7 rtnetlink). Pure. Nothing here changes anything. */

import { parseAddress } from '../../../shared/core/base/ip.ts';
import { AF_INET, AF_INET6, headerSize, messageType } from './rtnetlink.ts';

/** Groups of announcements to join: links, addresses, routes and rules of both families. */
export const allGroups: number = 0x1 | 0x10 | 0x40 | 0x80 | 0x100 | 0x400 | 0x4_0000;

export const mainTable = 254;

const flagRequest = 1;
const flagDump = 0x300;
const rtaDestination = 1;
const rtaMark = 16;

/** All links. */
export function linksRequest(): Uint8Array {
  return request(messageType.getLink, flagDump, new Uint8Array(16));
}

/** All addresses of both families. */
export function addressesRequest(): Uint8Array {
  return request(messageType.getAddress, flagDump, new Uint8Array(8));
}

/** The main table of one family; older kernels tell all tables. */
export function routesRequest(family: 4 | 6): Uint8Array {
  const body = new Uint8Array(12);
  body[0] = family === 4 ? AF_INET : AF_INET6;
  body[4] = mainTable;
  return request(messageType.getRoute, flagDump, body);
}

/** Which way a packet with this mark would go to `target`. Undefined where that is no numeric address. */
export function routeToRequest(target: string, mark: number): Uint8Array | undefined {
  const address = parseAddress(target);
  if (address === undefined) return undefined;
  const body = new Uint8Array(12 + 4 + address.length + (mark === 0 ? 0 : 8));
  const view = new DataView(body.buffer);
  body[0] = address.length === 4 ? AF_INET : AF_INET6;
  body[1] = address.length * 8;
  view.setUint16(12, 4 + address.length, true);
  view.setUint16(14, rtaDestination, true);
  body.set(address, 16);
  if (mark !== 0) {
    const at = 16 + address.length;
    view.setUint16(at, 8, true);
    view.setUint16(at + 2, rtaMark, true);
    view.setUint32(at + 4, mark, true);
  }
  return request(messageType.getRoute, 0, body);
}

function request(type: number, flags: number, body: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(headerSize + body.length);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, bytes.length, true);
  view.setUint16(4, type, true);
  view.setUint16(6, flagRequest | flags, true);
  bytes.set(body, headerSize);
  return bytes;
}
