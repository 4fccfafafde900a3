/**
 * Messages of Linux's routing socket, bytes → values (man 7 rtnetlink). Pure. Whatever the bytes are, the work is
 * bounded by their number, and what is damaged is left out and counted. 64-bit little-endian machines only.
 */

import { formatAddress } from '../../../shared/core/base/ip.ts';

export interface LinkMessage {
  readonly kind: 'link';
  readonly gone: boolean;
  readonly index: number;
  readonly name: string;
  /** Switched on by somebody. */
  readonly up: boolean;
  /** Packets can pass: there is a carrier, or nobody knows of any. */
  readonly running: boolean;
  readonly loopback: boolean;
}

export interface AddressMessage {
  readonly kind: 'address';
  readonly gone: boolean;
  readonly index: number;
  readonly address: string;
  readonly bits: number;
  /** Reaches further than its link. */
  readonly global: boolean;
  /** False while it is being checked, was refused, or is on its way out. */
  readonly usable: boolean;
}

export interface RouteMessage {
  readonly kind: 'route';
  readonly gone: boolean;
  readonly family: 4 | 6;
  /** '0.0.0.0/0', '10.0.0.0/8'. */
  readonly prefix: string;
  readonly bits: number;
  readonly table: number;
  /** False for blackholes, local addresses, broadcasts and cached copies. */
  readonly unicast: boolean;
  /** False where the kernel knows that its link is dead. */
  readonly alive: boolean;
  readonly metric: number;
  /** The interface; 0 where there is none. */
  readonly index: number;
  readonly gateway?: string;
  /** The address of ours that packets get. */
  readonly source?: string;
}

export interface RuleMessage {
  readonly kind: 'rule';
  readonly gone: boolean;
  readonly family: 4 | 6;
  readonly priority: number;
  readonly table: number;
}

export type RtMessage =
  | LinkMessage
  | AddressMessage
  | RouteMessage
  | RuleMessage
  /** The end of a list. */
  | { readonly kind: 'done' }
  /** `errno` is positive; 0 says that all is well. */
  | { readonly kind: 'error'; readonly errno: number };

export interface RtDatagram {
  readonly messages: readonly RtMessage[];
  /** The list changed while it was told: ask again. */
  readonly interrupted: boolean;
  /** Messages that made no sense. */
  readonly damaged: number;
}

export const messageType = {
  error: 2,
  done: 3,
  newLink: 16,
  delLink: 17,
  getLink: 18,
  newAddress: 20,
  delAddress: 21,
  getAddress: 22,
  newRoute: 24,
  delRoute: 25,
  getRoute: 26,
  newRule: 32,
  delRule: 33,
} as const;

export const headerSize = 16;
export const AF_INET = 2;
export const AF_INET6 = 10;

const flagInterrupted = 0x10;
const flagUp = 0x1;
const flagLoopback = 0x8;
const flagRunning = 0x40;
/** IFA_F_DADFAILED, DEPRECATED, TENTATIVE. */
const addressUnusable = 0x08 | 0x20 | 0x40;
/** RT_SCOPE_LINK; what is narrower has a larger number. */
const scopeLink = 253;
/** RTNH_F_DEAD, LINKDOWN. */
const hopDead = 0x01 | 0x10;
const routeCloned = 0x200;
const routeUnicast = 1;
const longestName = 15;

/** Everything in one datagram. */
export function readRtnetlink(bytes: Uint8Array): RtDatagram {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const messages: RtMessage[] = [];
  let interrupted = false;
  let damaged = 0;
  for (let at = 0; at + headerSize <= bytes.length; ) {
    const length = view.getUint32(at, true);
    if (length < headerSize || at + length > bytes.length)
      return { messages, interrupted, damaged: damaged + 1 };
    interrupted ||= (view.getUint16(at + 6, true) & flagInterrupted) !== 0;
    const verdict = readMessage(view, at, at + length);
    if (verdict === 'damaged') damaged++;
    else if (verdict !== 'unknown') messages.push(verdict);
    at += (length + 3) & ~3;
  }
  return { messages, interrupted, damaged };
}

function readMessage(view: DataView, at: number, end: number): RtMessage | 'damaged' | 'unknown' {
  const body = at + headerSize;
  const type = view.getUint16(at + 4, true);
  switch (type) {
    case messageType.done:
      return { kind: 'done' };
    case messageType.error:
      return body + 4 > end ? 'damaged' : { kind: 'error', errno: Math.abs(view.getInt32(body, true)) };
    case messageType.newLink:
    case messageType.delLink:
      return readLink(view, body, end, type === messageType.delLink);
    case messageType.newAddress:
    case messageType.delAddress:
      return readAddress(view, body, end, type === messageType.delAddress);
    case messageType.newRoute:
    case messageType.delRoute:
      return readRoute(view, body, end, type === messageType.delRoute);
    case messageType.newRule:
    case messageType.delRule:
      return readRule(view, body, end, type === messageType.delRule);
    default:
      return 'unknown';
  }
}

function readLink(view: DataView, body: number, end: number, gone: boolean): LinkMessage | 'damaged' {
  if (body + 16 > end) return 'damaged';
  const flags = view.getUint32(body + 8, true);
  const name = attribute(view, body + 16, end, 3);
  return {
    kind: 'link',
    gone,
    index: view.getInt32(body + 4, true),
    name: name === undefined ? '' : nameIn(name),
    up: (flags & flagUp) !== 0,
    running: (flags & flagRunning) !== 0,
    loopback: (flags & flagLoopback) !== 0,
  };
}

function readAddress(view: DataView, body: number, end: number, gone: boolean): AddressMessage | 'damaged' {
  if (body + 8 > end) return 'damaged';
  const size = sizeOf(view.getUint8(body));
  const bits = view.getUint8(body + 1);
  // Of a link between two ends, the first is ours and the second is the other one's.
  const bytes = attribute(view, body + 8, end, 2) ?? attribute(view, body + 8, end, 1);
  if (size === undefined || bytes?.length !== size || bits > size * 8) return 'damaged';
  const wideFlags = attribute(view, body + 8, end, 8);
  const flags = numberIn(wideFlags) ?? view.getUint8(body + 2);
  return {
    kind: 'address',
    gone,
    index: view.getUint32(body + 4, true),
    address: formatAddress(bytes),
    bits,
    global: view.getUint8(body + 3) < scopeLink,
    usable: (flags & addressUnusable) === 0,
  };
}

function readRoute(view: DataView, body: number, end: number, gone: boolean): RouteMessage | 'damaged' {
  if (body + 12 > end) return 'damaged';
  const family = view.getUint8(body);
  const size = sizeOf(family);
  const bits = view.getUint8(body + 1);
  if (size === undefined || bits > size * 8) return 'damaged';
  const of = (type: number): Uint8Array | undefined => attribute(view, body + 12, end, type);
  const destination = of(1) ?? new Uint8Array(size);
  if (destination.length !== size) return 'damaged';
  const flags = view.getUint32(body + 8, true);
  const hop = hopIn(view, body + 12, end, flags);
  const gateway = hop.gateway === undefined ? {} : { gateway: hop.gateway };
  const source = addressIn(of(7));
  return {
    kind: 'route',
    gone,
    family: size === 4 ? 4 : 6,
    prefix: `${formatAddress(destination)}/${bits}`,
    bits,
    table: numberIn(of(15)) ?? view.getUint8(body + 4),
    unicast: view.getUint8(body + 7) === routeUnicast && (flags & routeCloned) === 0,
    alive: hop.alive,
    metric: numberIn(of(6)) ?? 0,
    index: hop.index,
    ...gateway,
    ...(source === undefined ? {} : { source }),
  };
}

function readRule(view: DataView, body: number, end: number, gone: boolean): RuleMessage | 'damaged' {
  if (body + 12 > end) return 'damaged';
  const size = sizeOf(view.getUint8(body));
  if (size === undefined) return 'damaged';
  return {
    kind: 'rule',
    gone,
    family: size === 4 ? 4 : 6,
    priority: numberIn(attribute(view, body + 12, end, 6)) ?? 0,
    table: numberIn(attribute(view, body + 12, end, 15)) ?? view.getUint8(body + 4),
  };
}

interface Hop {
  readonly index: number;
  readonly gateway: string | undefined;
  readonly alive: boolean;
}

/** Where a route leads; of several ways the first that lives, else the first. */
function hopIn(view: DataView, from: number, end: number, flags: number): Hop {
  const several = attribute(view, from, end, 9);
  if (several === undefined) return oneHop(view, from, end, { index: undefined, flags });
  const inner = new DataView(several.buffer, several.byteOffset, several.byteLength);
  let first: Hop | undefined;
  for (let at = 0; at + 8 <= several.length; ) {
    const length = inner.getUint16(at, true);
    if (length < 8 || at + length > several.length) break;
    const told = { index: inner.getInt32(at + 4, true), flags: inner.getUint8(at + 2) };
    const hop = oneHop(inner, at + 8, at + length, told);
    if (hop.alive) return hop;
    first ??= hop;
    at += (length + 3) & ~3;
  }
  return first ?? { index: 0, gateway: undefined, alive: false };
}

function oneHop(
  view: DataView,
  from: number,
  end: number,
  told: { readonly index: number | undefined; readonly flags: number },
): Hop {
  // An IPv4 route through an IPv6 router has its address behind two bytes of family.
  const via = attribute(view, from, end, 18);
  return {
    index: told.index ?? numberIn(attribute(view, from, end, 4)) ?? 0,
    gateway: addressIn(attribute(view, from, end, 5)) ?? addressIn(via?.subarray(2)),
    alive: (told.flags & hopDead) === 0,
  };
}

/** The payload of the first attribute of this type. */
function attribute(view: DataView, from: number, end: number, type: number): Uint8Array | undefined {
  for (let at = from; at + 4 <= end; ) {
    const length = view.getUint16(at, true);
    if (length < 4 || at + length > end) return undefined;
    // The two upper bits are flags.
    if ((view.getUint16(at + 2, true) & 0x3fff) === type) {
      return new Uint8Array(view.buffer, view.byteOffset + at + 4, length - 4);
    }
    at += (length + 3) & ~3;
  }
  return undefined;
}

function sizeOf(family: number): 4 | 16 | undefined {
  if (family === AF_INET) return 4;
  return family === AF_INET6 ? 16 : undefined;
}

function addressIn(bytes: Uint8Array | undefined): string | undefined {
  return bytes?.length === 4 || bytes?.length === 16 ? formatAddress(bytes) : undefined;
}

function numberIn(bytes: Uint8Array | undefined): number | undefined {
  if (bytes?.length !== 4) return undefined;
  return new DataView(bytes.buffer, bytes.byteOffset, 4).getUint32(0, true);
}

/** Names end with a zero; anything that would be odd in a log is replaced. */
function nameIn(bytes: Uint8Array): string {
  let name = '';
  for (const code of bytes.subarray(0, longestName)) {
    if (code === 0) break;
    name += code > 32 && code < 127 ? String.fromCharCode(code) : '?';
  }
  return name;
}
