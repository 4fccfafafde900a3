/**
 * A series of echo requests to one numeric address by a socket of the system that may send nothing else: an ICMP
 * datagram socket, which Linux gives to groups in net.ipv4.ping_group_range, or a raw one for whoever may have that.
 * The system numbers the requests' series itself; sequence and payload are the asker's. Decides nothing.
 */

import { foldSum, readU16, sumRange, writeU16 } from '../../shared/core/packet/checksum.ts';
import { protocolIcmp, protocolIcmp6 } from '../../shared/core/packet/transport.ts';
import { errno, errnoName } from '../../shared/node/ffi/errno.ts';
import { ffiAvailable, type Libc, requireLibc } from '../../shared/node/ffi/libc.ts';
import { type FdWatcher, loadNative, type Native } from '../../shared/node/ffi/native.ts';
import {
  AF_INET,
  AF_INET6,
  IPPROTO_IP,
  IPPROTO_IPV6,
  iovec,
  mmsghdr,
  SOCK_CLOEXEC,
  SOCK_DGRAM,
  SOCK_NONBLOCK,
  sockaddrIn,
  sockaddrIn6,
} from '../../shared/node/ffi/structs.ts';
import type { FarUdp } from '../../shared/node/flows/contract.ts';
import { bindDescriptor } from './bind-device.ts';
import { PathError } from './path.ts';

/** Where requests leave; nothing: by the default route. Addresses have 4 or 16 bytes. */
export interface EchoOrigin {
  readonly address?: Uint8Array | undefined;
  readonly interfaceName?: string | undefined;
}

/** Whether this program may send echo requests, and if not, why and what to do. */
export type PingVerdict =
  | { readonly isAllowed: true }
  | { readonly isAllowed: false; readonly why: string; readonly remedy: string };

interface Descriptor {
  readonly fd: number;
  /** A raw socket sees the IPv4 header and every ICMP message, and numbers nothing. */
  readonly isRaw: boolean;
}

const SOCK_RAW = 3;
const IP_RECVERR = 11;
const IPV6_RECVERR = 25;
const MSG_ERRQUEUE = 0x2000;
const headerSize = 8;
/** Messages that are read in one turn of the event loop. */
const maxReads = 32;

const optionAt = 0;
const peerAt = 32;
const vectorAt = 64;
const headAt = 96;
const messageAt = 192;
const largestMessage = 65_535;
/** Used within one call. The engine keeps arrays of this size at one place, out of its own heap. */
const scratch = new Uint8Array(messageAt + largestMessage);
const view = new DataView(scratch.buffer);

/** Asks the system anew each time: the setting can be changed while we run. */
export function askPing(family: 4 | 16 = 4): PingVerdict {
  const ffi = ffiAvailable();
  if (!ffi.ok) {
    return {
      isAllowed: false,
      why: `native calls do not work here: ${ffi.reason}`,
      remedy: 'Use the kernel backend, or run the edge on Linux with glibc.',
    };
  }
  const opened = open(ffi.libc, family);
  if (opened !== undefined) {
    ffi.libc.close(opened.fd);
    return { isAllowed: true };
  }
  return {
    isAllowed: false,
    why: 'net.ipv4.ping_group_range of this machine leaves out the group of this program',
    remedy: 'Allow it: sysctl -w net.ipv4.ping_group_range="0 2147483647"',
  };
}

export class EchoSocket implements FarUdp {
  readonly #libc: Libc;
  readonly #native: Native;
  readonly #fd: number;
  readonly #to: Uint8Array;
  /** Of our requests where we number them; -1 where the system does. */
  readonly #identifier: number;
  #watcher: FdWatcher | undefined;
  #onMessage: (bytes: Uint8Array) => void = () => undefined;
  #onClose: () => void = () => undefined;
  #isOpen = true;

  /** Throws PathError, or an error with the system's `code`. */
  constructor(to: Uint8Array, origin: EchoOrigin = {}) {
    const loaded = loadNative();
    if (!loaded.ok) throw notAllowed();
    const libc = requireLibc();
    const opened = open(libc, to.length);
    if (opened === undefined) throw notAllowed();
    this.#libc = libc;
    this.#native = loaded.native;
    this.#fd = opened.fd;
    this.#to = to.slice();
    this.#identifier = opened.isRaw ? nextIdentifier() : -1;
    try {
      prepare(libc, opened.fd, to, origin);
    } catch (cause) {
      libc.close(opened.fd);
      throw cause;
    }
    this.#watch();
  }

  /** An ICMP message from its type on. Borrowed until return; what cannot be sent is lost. */
  send(message: Uint8Array): void {
    if (!this.#isOpen || message.length < headerSize || message.length > largestMessage) return;
    scratch.set(message, messageAt);
    scratch[messageAt] = this.#to.length === 4 ? 8 : 128;
    scratch[messageAt + 1] = 0;
    if (this.#identifier >= 0) this.#number(message.length);
    const sent = this.#libc.write(this.#fd, addressAt(this.#libc, messageAt), message.length);
    if (sent < 0) this.#failed(this.#libc.errno());
  }

  onMessage(listener: (bytes: Uint8Array) => void): void {
    this.#onMessage = listener;
  }

  onClose(listener: () => void): void {
    this.#onClose = listener;
  }

  close(): void {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    this.#watcher?.close();
    this.#libc.close(this.#fd);
  }

  #watch(): void {
    this.#watcher = this.#native.watch(this.#fd, () => this.#read());
  }

  /** Raw sockets of IPv4 leave identifier and checksum to us, those of IPv6 the identifier. */
  #number(length: number): void {
    writeU16(scratch, messageAt + 4, this.#identifier);
    writeU16(scratch, messageAt + 2, 0);
    writeU16(scratch, messageAt + 2, ~foldSum(sumRange(scratch, messageAt, length)) & 0xffff);
  }

  #read(): void {
    for (let i = 0; i < maxReads && this.#isOpen; i++) {
      const length = receive(this.#libc, this.#fd, this.#to.length);
      if (length < 0) {
        this.#failed(this.#libc.errno());
        if (i === 0) this.#forgetErrors();
        return;
      }
      const message = this.#replyIn(length);
      if (message !== undefined) this.#onMessage(message);
    }
  }

  /** The event loop stops watching where an error waits; such as were about one request are thrown away. */
  #forgetErrors(): void {
    if (!this.#isOpen) return;
    let count = 0;
    while (count < maxReads && receive(this.#libc, this.#fd, this.#to.length, MSG_ERRQUEUE) >= 0) count++;
    if (count === 0) return;
    this.#watcher?.close();
    this.#watch();
  }

  /** What was read, where it is a reply of whom we asked. */
  #replyIn(length: number): Uint8Array | undefined {
    const isV4 = this.#to.length === 4;
    const from = peerAt + (isV4 ? sockaddrIn.address : sockaddrIn6.address);
    if (!this.#to.every((byte, i) => scratch[from + i] === byte)) return undefined;
    const start = messageAt + (isV4 && this.#identifier >= 0 ? (view.getUint8(messageAt) & 15) << 2 : 0);
    const end = messageAt + Math.min(length, largestMessage);
    if (start + headerSize > end || scratch[start] !== (isV4 ? 0 : 129)) return undefined;
    if (this.#identifier >= 0 && readU16(scratch, start + 4) !== this.#identifier) return undefined;
    return scratch.subarray(start, end);
  }

  #failed(code: number): void {
    if (!this.#isOpen || !fatal.has(code)) return;
    this.close();
    this.#onClose();
  }
}

/** A router or the destination says that nobody is there. Anything else was about one request. */
const fatal: ReadonlySet<number> = new Set([
  errno.ECONNREFUSED,
  errno.EHOSTUNREACH,
  errno.ENETUNREACH,
  errno.ENETDOWN,
  errno.EACCES,
]);

let lastIdentifier = 0;

/** Random where it begins, so that a series of a program before us is not continued. */
function nextIdentifier(): number {
  if (lastIdentifier === 0) lastIdentifier = process.pid & 0xffff;
  lastIdentifier = (lastIdentifier + 1) & 0xffff;
  return lastIdentifier;
}

/** Undefined where the system does not allow it. */
function open(libc: Libc, family: number): Descriptor | undefined {
  const domain = family === 4 ? AF_INET : AF_INET6;
  const protocol = family === 4 ? protocolIcmp : protocolIcmp6;
  const flags = SOCK_NONBLOCK | SOCK_CLOEXEC;
  const fd = libc.socket(domain, SOCK_DGRAM | flags, protocol);
  if (fd >= 0) return { fd, isRaw: false };
  const raw = libc.socket(domain, SOCK_RAW | flags, protocol);
  return raw < 0 ? undefined : { fd: raw, isRaw: true };
}

/** Ties the socket to its origin and its destination. Throws an error with `code`. */
function prepare(libc: Libc, fd: number, to: Uint8Array, origin: EchoOrigin): void {
  if (origin.interfaceName !== undefined && !bindDescriptor(fd, origin.interfaceName)) {
    throw new PathError('path', 'unreachable', 'The interface of this path cannot be used.');
  }
  if (origin.address !== undefined) {
    check(libc, libc.bind(fd, addressAt(libc, peerAt), putAddress(origin.address)));
  }
  // Errors that routers send are told at once, not only those that end everything.
  view.setInt32(optionAt, 1, true);
  const [level, name] = to.length === 4 ? [IPPROTO_IP, IP_RECVERR] : [IPPROTO_IPV6, IPV6_RECVERR];
  libc.setsockopt(fd, level, name, addressAt(libc, optionAt), 4);
  check(libc, libc.connect(fd, addressAt(libc, peerAt), putAddress(to)));
}

/** Returns the length of the message that was read to `messageAt`, -1 where there is none. */
function receive(libc: Libc, fd: number, family: number, flags = 0): number {
  scratch.fill(0, peerAt, messageAt);
  putPointer(libc, vectorAt + iovec.base, messageAt);
  view.setBigUint64(vectorAt + iovec.length, BigInt(largestMessage), true);
  putPointer(libc, headAt + mmsghdr.name, peerAt);
  view.setUint32(headAt + mmsghdr.nameLength, family === 4 ? sockaddrIn.size : sockaddrIn6.size, true);
  putPointer(libc, headAt + mmsghdr.vectors, vectorAt);
  view.setBigUint64(headAt + mmsghdr.vectorCount, 1n, true);
  const count = libc.recvmmsg(fd, addressAt(libc, headAt), 1, flags, 0);
  return count < 1 ? -1 : view.getUint32(headAt + mmsghdr.moved, true);
}

/** Writes a sockaddr at `peerAt` and returns its size. */
function putAddress(address: Uint8Array): number {
  const isV4 = address.length === 4;
  const layout = isV4 ? sockaddrIn : sockaddrIn6;
  scratch.fill(0, peerAt, peerAt + layout.size);
  view.setUint16(peerAt + layout.family, isV4 ? AF_INET : AF_INET6, true);
  scratch.set(address, peerAt + layout.address);
  return layout.size;
}

function putPointer(libc: Libc, at: number, target: number): void {
  view.setBigUint64(at, BigInt(addressAt(libc, target)), true);
}

let base = 0;

function addressAt(libc: Libc, offset: number): number {
  if (base === 0) base = libc.addressOf(scratch);
  return base + offset;
}

function check(libc: Libc, result: number): void {
  if (result >= 0) return;
  const code = errnoName(libc.errno());
  throw Object.assign(new Error(`The system says ${code}.`), { code });
}

/** Of the destination: the path may well carry everything else. */
function notAllowed(): PathError {
  return new PathError('destination', 'unreachable', 'The system does not let this program ping.');
}
