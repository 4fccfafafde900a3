/**
 * Opens the pair of UDP sockets of a tunnel, IPv4 and IPv6 on one port, with every option that the
 * batched paths want. Options that a kernel lacks only cost speed; they never fail the opening.
 */

import { CulvertError } from '../../core/control/codes.ts';
import { errno, errnoName } from '../ffi/errno.ts';
import type { Libc } from '../ffi/libc.ts';
import type { WorkerMemory } from '../ffi/memory.ts';
import * as abi from '../ffi/structs.ts';

export type Family = 4 | 6;

/** A bound, non-blocking socket. `gso` is cleared at run time where the device cannot do it. */
export interface LinuxSocket {
  readonly fd: number;
  readonly family: Family;
  gso: boolean;
  readonly gro: boolean;
}

export interface SocketPair {
  readonly port: number;
  readonly v4: LinuxSocket | undefined;
  readonly v6: LinuxSocket | undefined;
}

/** What opening needs. `scratch` is `socketScratchSize` bytes of the memory, free for use in every call. */
export interface SocketContext {
  readonly libc: Libc;
  readonly memory: WorkerMemory;
  readonly scratch: number;
}

export const socketScratchSize = 48;
/** Room for about 50 ms at 1 Gbit/s; the kernel may grant less. */
const bufferBytes = 7 * 1024 * 1024;
/** How often a port that is free for IPv4 may turn out to be taken for IPv6. */
const freePortTries = 32;

/**
 * Opens both families on `port`, 0 = any that is free for both. One family may be missing from the
 * kernel. Throws CulvertError with `errno`; nothing stays open then.
 */
export function openPair(context: SocketContext, port: number): SocketPair {
  for (let tries = 1; ; tries++) {
    const v4 = openOne(context, 4, port);
    if (typeof v4 === 'number' && v4 !== errno.EAFNOSUPPORT) throw bindError(v4, port);
    const first = typeof v4 === 'number' ? undefined : v4;
    const chosen = first === undefined ? port : portOf(context, first.fd);
    const v6 = openOne(context, 6, chosen);
    if (typeof v6 !== 'number') {
      return { port: portOf(context, v6.fd), v4: first, v6 };
    }
    if (v6 === errno.EAFNOSUPPORT && first !== undefined) return { port: chosen, v4: first, v6: undefined };
    if (first !== undefined) context.libc.close(first.fd);
    if (v6 === errno.EADDRINUSE && port === 0 && tries < freePortTries) continue;
    throw bindError(v6, port);
  }
}

export function closePair(libc: Libc, pair: SocketPair): void {
  if (pair.v4 !== undefined) libc.close(pair.v4.fd);
  if (pair.v6 !== undefined) libc.close(pair.v6.fd);
}

/** One IPv4 socket on this loopback address and any port; or the errno of the step that failed. */
export function openLoopbackSocket(
  context: SocketContext,
  address: Uint8Array,
): (LinuxSocket & { readonly port: number }) | number {
  const socket = openOne(context, 4, 0, address);
  return typeof socket === 'number' ? socket : { ...socket, port: portOf(context, socket.fd) };
}

/** Sets the firewall mark of both sockets. Throws CulvertError 'not-root' where that is not allowed. */
export function markPair(context: SocketContext, pair: SocketPair, mark: number): void {
  for (const socket of [pair.v4, pair.v6]) {
    if (socket === undefined) continue;
    if (setOption(context, socket.fd, [abi.SOL_SOCKET, abi.SO_MARK], mark)) continue;
    const number = context.libc.errno();
    throw new CulvertError('not-root', {
      text: `The firewall mark cannot be set (${errnoName(number)}).`,
      errno: number,
    });
  }
}

/** A socket, or the errno of the step that failed. */
function openOne(
  context: SocketContext,
  family: Family,
  port: number,
  address?: Uint8Array,
): LinuxSocket | number {
  const { libc } = context;
  const domain = family === 4 ? abi.AF_INET : abi.AF_INET6;
  const fd = libc.socket(domain, abi.SOCK_DGRAM | abi.SOCK_NONBLOCK | abi.SOCK_CLOEXEC, 0);
  if (fd < 0) return libc.errno();
  if (family === 6) setOption(context, fd, [abi.IPPROTO_IPV6, abi.IPV6_V6ONLY], 1);
  if (bindTo(context, fd, { domain, port, address }) !== 0) {
    const number = libc.errno();
    libc.close(fd);
    return number;
  }
  setBuffers(context, fd);
  setFamilyOptions(context, fd, family);
  const gro = setOption(context, fd, [abi.IPPROTO_UDP, abi.UDP_GRO], 1);
  const gso = getOption(context, fd, [abi.IPPROTO_UDP, abi.UDP_SEGMENT]) !== undefined;
  return { fd, family, gso, gro };
}

/** Absent address: all of them. It is IPv4 alone. */
interface BindPlace {
  readonly domain: number;
  readonly port: number;
  readonly address: Uint8Array | undefined;
}

function bindTo(context: SocketContext, fd: number, { domain, port, address }: BindPlace): number {
  const { libc, memory, scratch } = context;
  const size = domain === abi.AF_INET ? abi.sockaddrIn.size : abi.sockaddrIn6.size;
  memory.bytes.fill(0, scratch, scratch + size);
  memory.view.setUint16(scratch, domain, true);
  memory.view.setUint16(scratch + abi.sockaddrIn.port, port);
  if (address !== undefined) memory.bytes.set(address, scratch + abi.sockaddrIn.address);
  return libc.bind(fd, memory.base + scratch, size);
}

function portOf(context: SocketContext, fd: number): number {
  const { libc, memory, scratch } = context;
  const length = scratch + 32;
  memory.view.setUint32(length, abi.sockaddrIn6.size, true);
  if (libc.getsockname(fd, memory.base + scratch, memory.base + length) !== 0) return 0;
  return memory.view.getUint16(scratch + abi.sockaddrIn.port);
}

function setBuffers(context: SocketContext, fd: number): void {
  // FORCE passes the system's limit and needs CAP_NET_ADMIN; without it the limit applies.
  if (!setOption(context, fd, [abi.SOL_SOCKET, abi.SO_RCVBUFFORCE], bufferBytes)) {
    setOption(context, fd, [abi.SOL_SOCKET, abi.SO_RCVBUF], bufferBytes);
  }
  if (!setOption(context, fd, [abi.SOL_SOCKET, abi.SO_SNDBUFFORCE], bufferBytes)) {
    setOption(context, fd, [abi.SOL_SOCKET, abi.SO_SNDBUF], bufferBytes);
  }
}

/**
 * Datagrams go out without "don't fragment", as the kernel's WireGuard sends them: on a path that is
 * narrower than the tunnel assumes, packets arrive in fragments instead of vanishing.
 */
function setFamilyOptions(context: SocketContext, fd: number, family: Family): void {
  if (family === 4) {
    setOption(context, fd, [abi.IPPROTO_IP, abi.IP_MTU_DISCOVER], abi.PMTUDISC_DONT);
    setOption(context, fd, [abi.IPPROTO_IP, abi.IP_PKTINFO], 1);
    setOption(context, fd, [abi.IPPROTO_IP, abi.IP_RECVTOS], 1);
  } else {
    setOption(context, fd, [abi.IPPROTO_IPV6, abi.IPV6_MTU_DISCOVER], abi.PMTUDISC_DONT);
    setOption(context, fd, [abi.IPPROTO_IPV6, abi.IPV6_RECVPKTINFO], 1);
    setOption(context, fd, [abi.IPPROTO_IPV6, abi.IPV6_RECVTCLASS], 1);
  }
}

type OptionName = readonly [level: number, name: number];

function setOption(context: SocketContext, fd: number, option: OptionName, value: number): boolean {
  const { libc, memory, scratch } = context;
  memory.view.setUint32(scratch, value, true);
  return libc.setsockopt(fd, option[0], option[1], memory.base + scratch, 4) === 0;
}

function getOption(context: SocketContext, fd: number, option: OptionName): number | undefined {
  const { libc, memory, scratch } = context;
  memory.view.setUint32(scratch + 8, 4, true);
  const result = libc.getsockopt(fd, option[0], option[1], memory.base + scratch, memory.base + scratch + 8);
  return result === 0 ? memory.view.getInt32(scratch, true) : undefined;
}

function bindError(number: number, port: number): CulvertError {
  const options = { errno: number };
  if (number === errno.EADDRINUSE) {
    return new CulvertError('port-in-use', {
      ...options,
      text: `The UDP port ${port} is in use by another program.`,
    });
  }
  if (number === errno.EACCES || number === errno.EPERM) {
    return new CulvertError('not-root', {
      ...options,
      text: `The UDP port ${port} may only be opened by root.`,
    });
  }
  return new CulvertError('udp-unavailable', {
    ...options,
    text: `The UDP sockets cannot be opened (${errnoName(number)}).`,
  });
}
