/**
 * Sockets that leave with a given address, or by a given network interface, whatever the default route is. Linux lets
 * any program do that (interfaces since 5.7) by native calls on the socket's descriptor.
 */

import type { Socket as UdpSocket } from 'node:dgram';
import { ffiAvailable } from '../../shared/node/ffi/libc.ts';
import {
  AF_INET,
  AF_INET6,
  IPPROTO_IP,
  SOCK_CLOEXEC,
  SOCK_NONBLOCK,
  SOL_SOCKET,
} from '../../shared/node/ffi/structs.ts';

/** From asm-generic/socket.h: the same on all systems that we run on. */
const SO_BINDTODEVICE = 25;
const SOCK_STREAM = 1;
/** From linux/in.h; since Linux 4.2. */
const IP_BIND_ADDRESS_NO_PORT = 24;
/** With its final zero (linux/if.h). */
const interfaceNameSize = 16;

/** Room for a name or an address. The engine keeps arrays of this size at one place, out of its own heap. */
const value = new Uint8Array(256);

export function canBindDevice(): boolean {
  return process.platform === 'linux' && ffiAvailable().ok;
}

/**
 * The descriptor of a new TCP socket that will leave with this address, and by this interface where one is named; the
 * caller's. Its port is chosen when it connects, so that it may serve several destinations at once: bound to an address
 * in the usual way a machine has one connection for each of its ports, those included that ended a minute ago, and
 * searches long for the last ones. Undefined where that cannot be done.
 */
export function openBoundTcp(address: Uint8Array, interfaceName: string | undefined): number | undefined {
  const ffi = ffiAvailable();
  if (!ffi.ok) return undefined;
  const { libc } = ffi;
  const isFour = address.length === 4;
  const fd = libc.socket(isFour ? AF_INET : AF_INET6, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) return undefined;
  value.fill(0);
  value[0] = 1;
  libc.setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, libc.addressOf(value), 4);
  const isTied = interfaceName === undefined || bindDescriptor(fd, interfaceName);
  if (isTied && libc.bind(fd, libc.addressOf(value), writeAddress(address)) === 0) return fd;
  libc.close(fd);
  return undefined;
}

/** struct sockaddr_in or sockaddr_in6 without a port, at the start of `value`. Returns its size. */
function writeAddress(address: Uint8Array): number {
  const isFour = address.length === 4;
  value.fill(0);
  value[0] = isFour ? AF_INET : AF_INET6;
  value.set(address, isFour ? 4 : 8);
  return isFour ? 16 : 28;
}

/** A socket that is bound. */
export function bindUdpToDevice(socket: UdpSocket, name: string): boolean {
  const symbol = Object.getOwnPropertySymbols(socket).find((one) => one.description === 'state symbol');
  const state = symbol === undefined ? undefined : Reflect.get(socket, symbol);
  return bindDescriptor(
    (state as { readonly handle?: { readonly fd?: number } } | undefined)?.handle?.fd,
    name,
  );
}

/** A socket that was opened by native calls; also from within this file. */
export function bindDescriptor(fd: number | undefined, name: string): boolean {
  const ffi = ffiAvailable();
  const bytes = Buffer.from(name);
  if (!ffi.ok || fd === undefined || fd < 0 || bytes.length >= interfaceNameSize) return false;
  value.fill(0).set(bytes);
  const length = bytes.length + 1;
  return ffi.libc.setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, ffi.libc.addressOf(value), length) === 0;
}
