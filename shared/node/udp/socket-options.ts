/**
 * Options of Node's own UDP sockets that Node cannot set: firewall mark, buffers beyond the system's
 * limit. Done by native calls on the socket's descriptor; where there are none, or Node hides the
 * descriptor, the answer is no.
 */

import type { Socket } from 'node:dgram';
import type { Socket as TcpSocket } from 'node:net';
import { ffiAvailable } from '../ffi/libc.ts';
import { SO_MARK, SO_RCVBUFFORCE, SO_SNDBUFFORCE, SOL_SOCKET } from '../ffi/structs.ts';

/** An int for setsockopt. The engine keeps arrays of this size at one place, out of its own heap. */
const value = new Int32Array(64);

/** Sets the mark of outgoing datagrams. False where that cannot be done. */
export function setSocketMark(socket: Socket, mark: number): boolean {
  return setOption(socket, SO_MARK, mark);
}

/** Asks for buffers of `bytes` whatever the system's limit is. False where that cannot be done. */
export function forceSocketBuffers(socket: Socket, bytes: number): boolean {
  return setOption(socket, SO_RCVBUFFORCE, bytes) && setOption(socket, SO_SNDBUFFORCE, bytes);
}

/**
 * Sets the mark of a connection to `address` that was begun in this turn of the event loop, so that its first packet
 * has it. False where that cannot be done.
 */
export function setConnectionMark(socket: TcpSocket, mark: number, address: string): boolean {
  const handle = Reflect.get(socket, '_handle') as TcpHandle | null | undefined;
  // Only a bound socket has a descriptor already.
  const isBound = (address.includes(':') ? handle?.bind6?.('::', 0, 0) : handle?.bind?.('0.0.0.0', 0)) === 0;
  return isBound && setDescriptorOption(handle?.fd, SO_MARK, mark);
}

/** What Node has behind a connection; it has no public name. */
interface TcpHandle {
  readonly fd?: number;
  bind?(address: string, port: number): number;
  bind6?(address: string, port: number, flags: number): number;
}

function setOption(socket: Socket, option: number, to: number): boolean {
  return setDescriptorOption(descriptorOf(socket), option, to);
}

function setDescriptorOption(fd: number | undefined, option: number, to: number): boolean {
  const ffi = ffiAvailable();
  if (!ffi.ok || fd === undefined || fd < 0) return false;
  value[0] = to;
  const address = ffi.libc.addressOf(new Uint8Array(value.buffer));
  return ffi.libc.setsockopt(fd, SOL_SOCKET, option, address, 4) === 0;
}

/** Node has no public name for it, and warns of the private one; the state behind a symbol has it, too. */
function descriptorOf(socket: Socket): number | undefined {
  const symbol = Object.getOwnPropertySymbols(socket).find((one) => one.description === 'state symbol');
  const state = symbol === undefined ? undefined : Reflect.get(socket, symbol);
  return (state as { readonly handle?: { readonly fd?: number } } | undefined)?.handle?.fd;
}
