/**
 * Ties a socket of Node to a network interface, so that it leaves there whatever the default route is. Linux lets
 * any program do that (since 5.7) by a native call on the socket's descriptor.
 */

import type { Socket as UdpSocket } from 'node:dgram';
import type { Socket } from 'node:net';
import { ffiAvailable } from '../../shared/node/ffi/libc.ts';
import { SOL_SOCKET } from '../../shared/node/ffi/structs.ts';

/** From asm-generic/socket.h: the same on all systems that we run on. */
const SO_BINDTODEVICE = 25;
/** With its final zero (linux/if.h). */
const interfaceNameSize = 16;

/** Room for a name. The engine keeps arrays of this size at one place, out of its own heap. */
const value = new Uint8Array(256);

export function canBindDevice(): boolean {
  return process.platform === 'linux' && ffiAvailable().ok;
}

/** The socket has begun to connect in this turn of the event loop. False where that cannot be done. */
export function bindTcpToDevice(socket: Socket, name: string, address: string): boolean {
  const handle = Reflect.get(socket, '_handle') as TcpHandle | null | undefined;
  // Only a bound socket has a descriptor already; this must happen before its first packet.
  const isBound = (address.includes(':') ? handle?.bind6?.(address, 0, 0) : handle?.bind?.(address, 0)) === 0;
  return isBound && bindDescriptor(handle?.fd, name);
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

/** What Node has behind a socket; it has no public name. */
interface TcpHandle {
  readonly fd?: number;
  bind?(address: string, port: number): number;
  bind6?(address: string, port: number, flags: number): number;
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
