/**
 * ReplyPort on Linux: questions by recvmmsg(2), many a call, answers by sendmmsg(2). What can be answered at once is
 * written into the memory that it leaves from; a question costs no object then. Never blocks.
 */

import { formatAddress, parseAddress } from '../../core/base/ip.ts';
import { errno, errnoName } from '../ffi/errno.ts';
import type { Libc } from '../ffi/libc.ts';
import { WorkerMemory } from '../ffi/memory.ts';
import type { FdWatcher, Native } from '../ffi/native.ts';
import * as abi from '../ffi/structs.ts';
import {
  type Asker,
  maxQuestionBytes,
  maxReplyBytes,
  maxWaiting,
  type ReplyHandler,
  type ReplyPlace,
  type ReplyPort,
  wantedBufferBytes,
} from './reply-port.ts';

/** Most datagrams of one call. */
const maxMessages = 32;
/** Calls in a row before other work of the thread has its turn. */
const maxRounds = 8;
const nameStride = 32;
const headersSize = maxMessages * abi.mmsghdr.size;
const vectorsSize = maxMessages * abi.iovec.size;
const memoryBytes =
  1024 +
  2 * (headersSize + vectorsSize + maxMessages * nameStride) +
  maxMessages * (maxQuestionBytes + maxReplyBytes);

export interface ReplyLinuxParts {
  readonly libc: Libc;
  readonly watch: Native['watch'];
}

interface Late {
  readonly bytes: Uint8Array;
  /** The sender's socket address. */
  readonly name: Uint8Array;
}

/** Throws an Error with the `code` of the system where the place cannot be had. */
export function openReplyLinux(place: ReplyPlace, handler: ReplyHandler, parts: ReplyLinuxParts): ReplyPort {
  return new ReplyLinux(place, handler, parts);
}

/** A header, vector and name for each message of a call. */
interface Messages {
  readonly headers: number;
  readonly vectors: number;
  readonly names: number;
  readonly slots: number;
}

/** The sender of the datagram that is looked at. */
class Sender implements Asker {
  /** Where its socket address stands. */
  at = 0;
  readonly #memory: WorkerMemory;
  readonly #is4: boolean;

  constructor(memory: WorkerMemory, is4: boolean) {
    this.#memory = memory;
    this.#is4 = is4;
  }

  get key(): number | string {
    return this.#is4 ? this.#memory.words[(this.at + abi.sockaddrIn.address) >>> 2]! : this.address;
  }

  get address(): string {
    const offset = this.#is4 ? abi.sockaddrIn.address : abi.sockaddrIn6.address;
    return formatAddress(this.#memory.bytes, this.at + offset, this.#is4 ? 4 : 16);
  }
}

class ReplyLinux implements ReplyPort {
  readonly description = 'linux';
  readonly address: string;
  readonly port: number;
  drops = 0;
  readonly #libc: Libc;
  readonly #handler: ReplyHandler;
  readonly #memory: WorkerMemory;
  readonly #is4: boolean;
  readonly #fd: number;
  readonly #watcher: FdWatcher;
  readonly #questions: Messages;
  readonly #replies: Messages;
  readonly #sender: Sender;
  readonly #question;
  readonly #answer;
  /** Answers that came later and leave with the next call. */
  #late: Late[] = [];
  #waiting = 0;
  #flush: NodeJS.Immediate | undefined;
  #isClosed = false;

  constructor(place: ReplyPlace, handler: ReplyHandler, parts: ReplyLinuxParts) {
    const { libc, watch } = parts;
    this.#libc = libc;
    this.#handler = handler;
    this.#is4 = !place.address.includes(':');
    this.#memory = new WorkerMemory(memoryBytes, libc);
    this.address = place.address;
    this.#questions = this.#lay(maxQuestionBytes);
    this.#replies = this.#lay(maxReplyBytes);
    this.#sender = new Sender(this.#memory, this.#is4);
    this.#question = { bytes: this.#memory.bytes, at: 0, length: 0 };
    this.#answer = { bytes: this.#memory.bytes, at: 0, length: 0 };
    try {
      this.#fd = this.#open(place);
    } catch (error) {
      this.#memory.close();
      throw error;
    }
    this.port = this.#boundPort();
    this.#watcher = watch(this.#fd, () => this.#handleReadable());
  }

  close(): Promise<void> {
    if (this.#isClosed) return Promise.resolve();
    this.#isClosed = true;
    clearImmediate(this.#flush);
    this.#late = [];
    this.#watcher.close();
    this.#libc.close(this.#fd);
    this.#memory.close();
    return Promise.resolve();
  }

  get #nameSize(): number {
    return this.#is4 ? abi.sockaddrIn.size : abi.sockaddrIn6.size;
  }

  #lay(slotBytes: number): Messages {
    const memory = this.#memory;
    const messages: Messages = {
      headers: memory.alloc(headersSize),
      vectors: memory.alloc(vectorsSize),
      names: memory.alloc(maxMessages * nameStride),
      slots: memory.alloc(maxMessages * slotBytes),
    };
    for (let i = 0; i < maxMessages; i++) {
      const header = messages.headers + i * abi.mmsghdr.size;
      const vector = messages.vectors + i * abi.iovec.size;
      memory.putPointer(header + abi.mmsghdr.name, messages.names + i * nameStride);
      memory.putSize(header + abi.mmsghdr.nameLength, this.#nameSize);
      memory.putPointer(header + abi.mmsghdr.vectors, vector);
      memory.putSize(header + abi.mmsghdr.vectorCount, 1);
      memory.putPointer(vector, messages.slots + i * slotBytes);
      memory.putSize(vector + abi.iovec.length, slotBytes);
    }
    return messages;
  }

  #open(place: ReplyPlace): number {
    const libc = this.#libc;
    const { view, bytes, base } = this.#memory;
    const domain = this.#is4 ? abi.AF_INET : abi.AF_INET6;
    const fd = libc.socket(domain, abi.SOCK_DGRAM | abi.SOCK_NONBLOCK | abi.SOCK_CLOEXEC, 0);
    if (fd < 0) throw systemError(libc.errno(), place);
    if (!this.#is4) this.#setOption(fd, abi.IPPROTO_IPV6, abi.IPV6_V6ONLY, 1);
    const name = this.#questions.names;
    view.setUint16(name, domain, true);
    view.setUint16(name + abi.sockaddrIn.port, place.port);
    const offset = this.#is4 ? abi.sockaddrIn.address : abi.sockaddrIn6.address;
    bytes.set(parseAddress(place.address) ?? [], name + offset);
    if (libc.bind(fd, base + name, this.#nameSize) !== 0) {
      const number = libc.errno();
      libc.close(fd);
      throw systemError(number, place);
    }
    // FORCE passes the system's limit and needs a right; without it the limit applies.
    for (const option of [abi.SO_RCVBUF, abi.SO_RCVBUFFORCE, abi.SO_SNDBUF, abi.SO_SNDBUFFORCE]) {
      this.#setOption(fd, abi.SOL_SOCKET, option, wantedBufferBytes);
    }
    return fd;
  }

  #setOption(fd: number, level: number, name: number, value: number): void {
    const at = this.#replies.slots;
    this.#memory.view.setUint32(at, value, true);
    this.#libc.setsockopt(fd, level, name, this.#memory.base + at, 4);
  }

  #boundPort(): number {
    const { base, view } = this.#memory;
    const name = this.#questions.names;
    const length = this.#replies.slots;
    view.setUint32(length, nameStride, true);
    if (this.#libc.getsockname(this.#fd, base + name, base + length) !== 0) return 0;
    return view.getUint16(name + abi.sockaddrIn.port);
  }

  #handleReadable(): void {
    const libc = this.#libc;
    const headers = this.#memory.base + this.#questions.headers;
    for (let round = 0; round < maxRounds && !this.#isClosed; round++) {
      const received = libc.recvmmsg(this.#fd, headers, maxMessages, 0, 0);
      // EAGAIN is the normal end. Anything else is an event of the network, over with this call.
      if (received <= 0) return;
      this.#handler.beginRound?.();
      const ready = this.#answerRound(received);
      if (ready > 0) this.#send(ready);
      if (received < maxMessages) return;
    }
  }

  /** Answers what can be answered at once into the first slots; returns how many. */
  #answerRound(received: number): number {
    const { words } = this.#memory;
    const { headers, names, slots } = this.#questions;
    const question = this.#question;
    const answer = this.#answer;
    const handler = this.#handler;
    const nameSize = this.#nameSize;
    let ready = 0;
    for (let i = 0; i < received; i++) {
      const header = headers + i * abi.mmsghdr.size;
      const isCut = (words[(header + abi.mmsghdr.flags) >>> 2]! & abi.MSG_TRUNC) !== 0;
      const name = names + i * nameStride;
      // The kernel overwrites it on receipt.
      words[(header + abi.mmsghdr.nameLength) >>> 2] = nameSize;
      words[(header + abi.mmsghdr.flags) >>> 2] = 0;
      if (isCut) {
        this.drops++;
        continue;
      }
      question.at = slots + i * maxQuestionBytes;
      question.length = words[(header + abi.mmsghdr.moved) >>> 2]!;
      answer.at = this.#replies.slots + ready * maxReplyBytes;
      answer.length = maxReplyBytes;
      this.#sender.at = name;
      if (handler.answerAtOnce?.(question, answer, this.#sender) !== true) this.#askLater(name);
      else if (answer.length > 0) this.#aim(ready++, answer.length, name);
    }
    return ready;
  }

  /** Reply `i` has so many bytes and goes to the socket address at `name`. */
  #aim(i: number, length: number, name: number): void {
    const { headers, vectors } = this.#replies;
    this.#memory.putPointer(headers + i * abi.mmsghdr.size + abi.mmsghdr.name, name);
    this.#memory.putSize(vectors + i * abi.iovec.size + abi.iovec.length, length);
  }

  #askLater(name: number): void {
    if (this.#waiting >= maxWaiting) {
      this.drops++;
      return;
    }
    const { at, length } = this.#question;
    const { bytes } = this.#memory;
    const sender = bytes.slice(name, name + nameStride);
    const reply = this.#handler.answer(bytes.slice(at, at + length), this.#sender);
    if (!(reply instanceof Promise)) {
      this.#sendLater(reply, sender);
      return;
    }
    this.#waiting++;
    void reply.then((late) => {
      this.#waiting--;
      return this.#sendLater(late, sender);
    });
  }

  /** With others that come in this turn. */
  #sendLater(bytes: Uint8Array | undefined, name: Uint8Array): void {
    if (bytes === undefined || this.#isClosed) return;
    if (bytes.length > maxReplyBytes) {
      this.drops++;
      return;
    }
    this.#late.push({ bytes, name });
    this.#flush ??= setImmediate(() => this.#sendLate());
  }

  #sendLate(): void {
    this.#flush = undefined;
    const late = this.#late;
    this.#late = [];
    const { names, slots } = this.#replies;
    const { bytes } = this.#memory;
    for (let from = 0; from < late.length; from += maxMessages) {
      const count = Math.min(maxMessages, late.length - from);
      for (let i = 0; i < count; i++) {
        const reply = late[from + i]!;
        bytes.set(reply.bytes, slots + i * maxReplyBytes);
        bytes.set(reply.name, names + i * nameStride);
        this.#aim(i, reply.bytes.length, names + i * nameStride);
      }
      this.#send(count);
    }
  }

  /** The first `count` replies. What the system refuses is lost, as on the way. */
  #send(count: number): void {
    const headers = this.#memory.base + this.#replies.headers;
    let sent = 0;
    // Each turn sends, or gives up at least one.
    while (sent < count) {
      const result = this.#libc.sendmmsg(this.#fd, headers + sent * abi.mmsghdr.size, count - sent, 0);
      if (result > 0) {
        sent += result;
        continue;
      }
      const isFull = this.#libc.errno() === errno.EAGAIN;
      this.drops += isFull ? count - sent : 1;
      sent = isFull ? count : sent + 1;
    }
  }
}

function systemError(number: number, place: ReplyPlace): Error {
  const code = errnoName(number);
  return Object.assign(new Error(`bind ${code} ${place.address}:${place.port}`), { code });
}
