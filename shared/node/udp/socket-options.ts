/**
 * Options of Node's own UDP sockets that Node cannot set: firewall mark, buffers beyond the system's
 * limit. Done by native calls on the socket's descriptor; where there are none, or Node hides the
 * descriptor, the answer is no.
 */

import type { Socket } from 'node:dgram';
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

function setOption(socket: Socket, option: number, to: number): boolean {
  const ffi = ffiAvailable();
  const fd = descriptorOf(socket);
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
