/**
 * UdpPort on node:dgram: correct on any system that Node runs on, and slow. One datagram a call; no
 * type-of-service bytes, no choice of the source address; a firewall mark only where native calls work.
 */

import { createSocket, type RemoteInfo, type Socket } from 'node:dgram';
import { networkInterfaces } from 'node:os';
import { endpointSize, sameRemote } from '../../core/base/endpoint.ts';
import { readEndpoint, writeEndpoint } from '../../core/base/ip.ts';
import type { Log } from '../../core/base/ports.ts';
import { CulvertError } from '../../core/control/codes.ts';
import type { PacketBatch } from '../../core/packet/batch.ts';
import type { UdpPort } from './port.ts';
import { forceSocketBuffers, setSocketMark } from './socket-options.ts';

interface Waiting {
  readonly bytes: Uint8Array;
  readonly record: Uint8Array;
}

interface Pair {
  readonly port: number;
  readonly v4: Socket | undefined;
  readonly v6: Socket | undefined;
}

/** Datagrams that wait for `readBatch`, by number and by bytes. More are dropped and counted. */
const maxWaiting = 2048;
const maxWaitingBytes = 8 * 1024 * 1024;
/** Bytes that Node may hold back for a socket that is full. Datagrams beyond are dropped. */
const maxSendQueueBytes = 1024 * 1024;
const freePortTries = 32;
const operationNotSupported = 95;
/** The system grants less where its limit is lower. */
const socketBufferBytes = 7 * 1024 * 1024;

export class UdpDgram implements UdpPort {
  readonly description = 'dgram';
  readonly pollFds: readonly number[] = [];
  onReadable: (() => void) | undefined;
  /** Datagrams lost on receipt because nobody read. */
  receiveDrops = 0;
  readonly #log: Log;
  #pair: Pair | undefined;
  #mark = 0;
  readonly #waiting: Waiting[] = [];
  #waitingBytes = 0;
  /** The last address written as text: trains go to one peer. */
  readonly #lastRecord = new Uint8Array(endpointSize);
  #lastAddress = '';
  readonly #scratch = new Uint8Array(endpointSize);

  constructor(options: { readonly log: Log }) {
    this.#log = options.log;
  }

  get localPort(): number {
    return this.#pair?.port ?? 0;
  }

  async bind(port: number): Promise<void> {
    if (this.#pair !== undefined && port === this.#pair.port) return;
    const pair = await openPair(port);
    try {
      if (this.#mark !== 0) markPair(pair, this.#mark);
    } catch (error) {
      closePair(pair);
      throw error;
    }
    this.close();
    this.#pair = pair;
    for (const socket of [pair.v4, pair.v6]) {
      socket?.on('message', (bytes, from) => this.#arrive(bytes, from));
      socket?.on('error', (error) => this.#log.debug('udp socket error', { why: error.message }));
    }
  }

  /** Throws where it cannot be had: without it the tunnel's own packets could enter the tunnel. */
  setMark(mark: number): void {
    if (mark === this.#mark) return;
    if (this.#pair !== undefined) markPair(this.#pair, mark);
    this.#mark = mark;
  }

  readBatch(batch: PacketBatch): number {
    let count = 0;
    for (const { bytes, record } of this.#waiting) {
      if (batch.count === batch.capacity) break;
      const start = batch.cursor;
      const at = batch.reserve(bytes.length);
      const address = at < 0 ? -1 : batch.addAddress(record, 0);
      if (address < 0) {
        batch.cursor = start;
        break;
      }
      batch.bytes.set(bytes, at);
      batch.push(at, bytes.length, address);
      this.#waitingBytes -= bytes.length;
      count++;
    }
    this.#waiting.splice(0, count);
    return count;
  }

  writeBatch(batch: PacketBatch): number {
    let dropped = 0;
    for (let i = 0; i < batch.count; i++) {
      if (!this.#send(batch, i)) dropped++;
    }
    return dropped;
  }

  close(): void {
    if (this.#pair !== undefined) closePair(this.#pair);
    this.#pair = undefined;
    this.#waiting.length = 0;
    this.#waitingBytes = 0;
  }

  #send(batch: PacketBatch, i: number): boolean {
    const recordAt = batch.address[i]! * endpointSize;
    const family = batch.addresses[recordAt];
    const socket = family === 4 ? this.#pair?.v4 : family === 6 ? this.#pair?.v6 : undefined;
    if (socket === undefined || socket.getSendQueueSize() > maxSendQueueBytes) return false;
    if (!sameRemote(batch.addresses, recordAt, this.#lastRecord, 0)) {
      const endpoint = readEndpoint(batch.addresses, recordAt);
      if (endpoint === undefined) return false;
      this.#lastRecord.set(batch.addresses.subarray(recordAt, recordAt + endpointSize));
      this.#lastAddress = endpoint.address;
    }
    const port = this.#lastRecord[2]! * 256 + this.#lastRecord[3]!;
    if (port === 0) return false;
    const offset = batch.offset[i]!;
    // Node may send later, and the batch is only lent to us: the bytes must be our own.
    const bytes = batch.bytes.slice(offset, offset + batch.length[i]!);
    socket.send(bytes, port, this.#lastAddress, ignoreOutcome);
    return true;
  }

  #arrive(bytes: Uint8Array, from: RemoteInfo): void {
    const full = this.#waiting.length === maxWaiting || this.#waitingBytes + bytes.length > maxWaitingBytes;
    if (full || !this.#recordOf(from)) {
      this.receiveDrops++;
      return;
    }
    this.#waiting.push({ bytes, record: this.#scratch.slice() });
    this.#waitingBytes += bytes.length;
    this.onReadable?.();
  }

  #recordOf(from: RemoteInfo): boolean {
    if (writeEndpoint(this.#scratch, 0, from)) return true;
    // A link-local sender: Node names the interface, an endpoint numbers it.
    const [address = '', name = ''] = from.address.split('%');
    const scope = networkInterfaces()[name]?.find((entry) => entry.family === 'IPv6')?.scopeid ?? 0;
    return writeEndpoint(this.#scratch, 0, { address: `${address}%${scope}`, port: from.port });
  }
}

function closePair(pair: Pair): void {
  pair.v4?.close();
  pair.v6?.close();
}

function markPair(pair: Pair, mark: number): void {
  for (const socket of [pair.v4, pair.v6]) {
    if (socket === undefined || setSocketMark(socket, mark)) continue;
    const text = 'The firewall mark of the UDP sockets cannot be set here.';
    throw new CulvertError('ffi-unavailable', { text, errno: operationNotSupported });
  }
}

/** A datagram that fails is lost, as datagrams are; with a callback Node raises no error event. */
function ignoreOutcome(): void {}

async function openPair(port: number): Promise<Pair> {
  for (let tries = 1; ; tries++) {
    const v4 = await openOne('udp4', port);
    if ('code' in v4 && v4.code !== 'EAFNOSUPPORT') throw bindError(v4, port);
    const first = 'code' in v4 ? undefined : v4;
    const chosen = first?.address().port ?? port;
    const v6 = await openOne('udp6', chosen);
    if (!('code' in v6)) return { port: v6.address().port, v4: first, v6 };
    const noFamily = v6.code === 'EAFNOSUPPORT' || v6.code === 'EADDRNOTAVAIL';
    if (noFamily && first !== undefined) return { port: chosen, v4: first, v6: undefined };
    first?.close();
    if (v6.code === 'EADDRINUSE' && port === 0 && tries < freePortTries) continue;
    throw bindError(v6, port);
  }
}

/** What Node adds to an Error that the system caused. */
interface SystemError extends Error {
  readonly code: string;
  readonly errno?: number;
}

function openOne(type: 'udp4' | 'udp6', port: number): Promise<Socket | SystemError> {
  return new Promise((resolve) => {
    const socket = createSocket({ type, ipv6Only: type === 'udp6' });
    socket.once('error', (error: Error) => {
      socket.close();
      resolve(error as Error & SystemError);
    });
    socket.bind({ port, exclusive: true }, () => {
      socket.removeAllListeners('error');
      enlargeBuffers(socket);
      resolve(socket);
    });
  });
}

function enlargeBuffers(socket: Socket): void {
  if (forceSocketBuffers(socket, socketBufferBytes)) return;
  try {
    socket.setRecvBufferSize(socketBufferBytes);
    socket.setSendBufferSize(socketBufferBytes);
  } catch {
    // Some systems refuse what is beyond their limit: the default then stays.
  }
}

function bindError(error: SystemError, port: number): CulvertError {
  const options = { cause: error, ...(error.errno === undefined ? {} : { errno: Math.abs(error.errno) }) };
  if (error.code === 'EADDRINUSE') {
    const text = `The UDP port ${port} is in use by another program.`;
    return new CulvertError('port-in-use', { ...options, text });
  }
  if (error.code === 'EACCES' || error.code === 'EPERM') {
    return new CulvertError('not-root', {
      ...options,
      text: `The UDP port ${port} may only be opened by root.`,
    });
  }
  return new CulvertError('udp-unavailable', {
    ...options,
    text: `The UDP sockets cannot be opened (${error.code}).`,
  });
}
