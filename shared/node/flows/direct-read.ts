/**
 * Sockets that read into one memory of their thread: whoever joins them to a stream of the stack takes the bytes from
 * there at once, where they would otherwise be fresh memory for each read. Everybody else has an ordinary socket.
 */

import type { OnReadOpts, Socket } from 'node:net';
import type { Readable } from 'node:stream';

/** Takes bytes before it returns, or copies them. False: no more now; `resume` of the socket goes on. */
export type DirectSink = (bytes: Uint8Array) => boolean;

const readBytes = 64 * 1024;
let shared: Uint8Array | undefined;
const sinks = new WeakMap<Readable, DirectSink>();
const direct = new WeakSet<Readable>();

/** For the options of `connect` of node:net: `onread`. */
export function directRead(): OnReadOpts {
  shared ??= new Uint8Array(readBytes);
  return { buffer: shared, callback: take };
}

/** The socket was made with directRead. */
export function markDirect(socket: Socket): void {
  direct.add(socket);
}

/** From now on `sink` has what is read. False, and nothing changes, where the stream is not such a socket. */
export function sinkDirectly(stream: Readable, sink: DirectSink): boolean {
  if (!direct.has(stream)) return false;
  sinks.set(stream, sink);
  return true;
}

/** Node calls it as a method of the socket. */
function take(this: unknown, count: number, buffer: Uint8Array): boolean {
  const socket = this as Socket;
  const bytes = buffer.subarray(0, count);
  const sink = sinks.get(socket);
  // What an earlier reader left comes first.
  if (sink === undefined || socket.readableLength > 0) return socket.push(Buffer.from(bytes));
  return sink(bytes);
}
