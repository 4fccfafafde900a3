/** ReplyPort on node:dgram: a system call for every question and every answer. */

import { createSocket, type RemoteInfo, type Socket, type SocketOptions } from 'node:dgram';
import type { Span } from '../../core/base/span.ts';
import {
  maxQuestionBytes,
  maxReplyBytes,
  maxWaiting,
  type ReplyHandler,
  type ReplyPlace,
  type ReplyPort,
} from './reply-port.ts';

/** Bytes that a port may owe before answers are dropped. */
const maxOwedBytes = 4 * 1024 * 1024;
/** Askers come with numeric addresses: without this every answer would wait for a turn of its own. */
const numericLookup: SocketOptions['lookup'] = (address, _options, found) =>
  found(null, address, address.includes(':') ? 6 : 4);

/** Rejects with the system's error, which has a `code`. */
export function openReplyDgram(place: ReplyPlace, handler: ReplyHandler): Promise<ReplyPort> {
  const type = place.address.includes(':') ? 'udp6' : 'udp4';
  const socket = createSocket({ type, ipv6Only: type === 'udp6', lookup: numericLookup });
  return new Promise((resolve, reject) => {
    socket.once('error', (error) => {
      socket.close();
      reject(error);
    });
    socket.bind({ address: place.address, port: place.port, exclusive: true }, () => {
      socket.removeAllListeners('error');
      // Loopback reports askers that left before their answer.
      socket.on('error', () => undefined);
      resolve(new ReplyDgram(socket, handler));
    });
  });
}

class ReplyDgram implements ReplyPort {
  readonly description = 'dgram';
  readonly address: string;
  readonly port: number;
  drops = 0;
  readonly #socket: Socket;
  readonly #handler: ReplyHandler;
  readonly #question: Span = { bytes: new Uint8Array(0), at: 0, length: 0 };
  readonly #answer = { bytes: new Uint8Array(maxReplyBytes), at: 0, length: 0 };
  #waiting = 0;
  #closing: Promise<void> | undefined;

  constructor(socket: Socket, handler: ReplyHandler) {
    const { address, port } = socket.address();
    this.address = address;
    this.port = port;
    this.#socket = socket;
    this.#handler = handler;
    socket.on('message', (bytes, from) => this.#handle(bytes, from));
  }

  close(): Promise<void> {
    this.#closing ??= new Promise((resolve) => this.#socket.close(() => resolve()));
    return this.#closing;
  }

  #handle(bytes: Uint8Array, from: RemoteInfo): void {
    if (bytes.length > maxQuestionBytes || this.#waiting >= maxWaiting) {
      this.drops++;
      return;
    }
    const handler = this.#handler;
    const question = this.#question;
    const answer = this.#answer;
    question.bytes = bytes;
    question.length = bytes.length;
    answer.length = maxReplyBytes;
    const { address } = from;
    const asker = { key: address, address };
    handler.beginRound?.();
    if (handler.answerAtOnce?.(question, answer, asker) === true) {
      if (answer.length > 0) this.#send(answer.bytes.subarray(0, answer.length), from);
      return;
    }
    const reply = handler.answer(bytes, asker);
    if (reply instanceof Promise) void this.#sendLater(reply, from);
    else this.#send(reply, from);
  }

  async #sendLater(reply: Promise<Uint8Array | undefined>, from: RemoteInfo): Promise<void> {
    this.#waiting++;
    const bytes = await reply;
    this.#waiting--;
    this.#send(bytes, from);
  }

  #send(reply: Uint8Array | undefined, from: RemoteInfo): void {
    if (reply === undefined || this.#closing !== undefined) return;
    if (reply.length > maxReplyBytes || this.#socket.getSendQueueSize() > maxOwedBytes) {
      this.drops++;
      return;
    }
    // A buffer of Node's pool: sending a small array of its own makes the engine move it first, which costs more.
    const bytes = Buffer.allocUnsafe(reply.length);
    bytes.set(reply);
    // Without a callback: what goes wrong is an 'error' of the socket, and forgotten there.
    this.#socket.send(bytes, from.port, from.address);
  }
}
