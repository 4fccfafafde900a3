/**
 * DNS over one stream (RFC 1035 §4.2.2, RFC 7766, RFC 7858): many questions in flight, answers in any order.
 * Ends itself when idle. What was not answered when it ends goes back to the owner, who may ask again.
 */

import type { Duplex } from 'node:stream';
import { readU16BE, writeU16BE } from '../../core/base/bytes.ts';
import type { MonoMs } from '../../core/base/time.ts';
import { OpenQuestions } from '../../core/dns/open-questions.ts';
import { headerSize } from '../../core/dns/types.ts';
import type { Clock } from '../clock.ts';
import { maxInFlight, UpstreamError, type UpstreamTimes } from './upstream.ts';

/** One question on its way. */
export interface Ticket {
  readonly message: Uint8Array;
  readonly startedAt: MonoMs;
  /** How often it was sent. */
  attempts: number;
  /** Set once it is answered, failed or given up. */
  isDone: boolean;
  settle(answer: Uint8Array | undefined, error?: unknown): void;
}

export interface PipelineOptions {
  readonly name: string;
  readonly clock: Clock;
  readonly times: UpstreamTimes;
  /** Event that says that the peer is the right one and writing may begin. */
  readonly readyEvent: 'secureConnect' | 'connect';
  readonly onReady: (stream: Duplex) => void;
  /** Once: the tickets that are open. `error` is undefined where the end was clean. */
  readonly onEnd: (open: readonly Ticket[], wasReady: boolean, error: unknown) => void;
}

const lengthSize = 2;
/** The longest message, with its length. */
const gatherBytes = lengthSize + 0xffff;
/** Timeouts in a row, without any answer, after which the connection is taken for dead. */
const deadAfterTimeouts = 3;

export class StreamPipeline {
  readonly #options: PipelineOptions;
  readonly #stream: Duplex;
  /** By the id on the wire; in the order of sending. */
  #open: OpenQuestions<Ticket>;
  #queued: Ticket[] = [];
  #isReady = false;
  #isEnded = false;
  /** Questions of this turn, ready to be sent. */
  #gather: Buffer = Buffer.allocUnsafeSlow(gatherBytes);
  #gathered = 0;
  readonly #flushLater = (): void => this.#flush();
  #timer: NodeJS.Timeout | undefined;
  #timerAt = Infinity;
  #partial: Buffer | undefined;
  #lastReadAt: MonoMs;
  #timeoutsInRow = 0;
  readonly #bornAt: MonoMs;

  constructor(stream: Duplex, firstId: number, options: PipelineOptions) {
    this.#options = options;
    this.#stream = stream;
    this.#open = new OpenQuestions(firstId);
    this.#lastReadAt = options.clock.now();
    this.#bornAt = this.#lastReadAt;
    stream.once(options.readyEvent, () => this.#handleReady());
    stream.on('data', (chunk: Buffer) => this.#handleChunk(chunk));
    stream.once('end', () => this.#end(undefined));
    stream.once('error', (error) => this.#end(error));
    stream.once('close', () => this.#end(undefined));
    this.#arm();
  }

  /** Whether new questions may go here: not ended, not silent for too long, not idle for so long that it may be gone. */
  isUsable(now: MonoMs): boolean {
    if (this.#isEnded || this.#open.size + this.#queued.length >= maxInFlight) return false;
    if (!this.#isReady) return true;
    const { idleMs, suspectMs } = this.#options.times;
    const { oldest } = this.#open;
    if (oldest === undefined) return now - this.#lastReadAt < idleMs;
    return now - Math.max(oldest.startedAt, this.#lastReadAt) < suspectMs;
  }

  send(ticket: Ticket): void {
    ticket.attempts++;
    if (!this.#isReady) {
      this.#queued.push(ticket);
      return;
    }
    this.#write(ticket);
    this.#arm();
  }

  /** Ends at once; open tickets go to onEnd. */
  close(): void {
    this.#end(undefined);
  }

  /** No new questions will come: ends when the open ones are done. */
  retire(): void {
    if (this.#open.size + this.#queued.length === 0) this.#end(undefined);
  }

  #handleReady(): void {
    if (this.#isEnded) return;
    this.#isReady = true;
    this.#lastReadAt = this.#options.clock.now();
    this.#options.onReady(this.#stream);
    const queued = this.#queued;
    this.#queued = [];
    for (const ticket of queued) if (!ticket.isDone) this.#write(ticket);
    this.#arm();
  }

  #write(ticket: Ticket): void {
    const { message } = ticket;
    const id = this.#open.add(ticket);
    const size = lengthSize + message.length;
    if (this.#gathered + size > this.#gather.length) this.#flush();
    // Nothing is longer than the room: a message has 64 KiB at most.
    const frame = this.#gathered;
    this.#gathered += size;
    writeU16BE(this.#gather, frame, message.length);
    this.#gather.set(message, frame + lengthSize);
    writeU16BE(this.#gather, frame + lengthSize, id);
    if (frame > 0) return;
    // All questions of one turn of the event loop leave in one write, and one record of TLS.
    process.nextTick(this.#flushLater);
  }

  #flush(): void {
    const { length } = this.#gather;
    const bytes = this.#gather.subarray(0, this.#gathered);
    this.#gathered = 0;
    if (this.#isEnded || bytes.length === 0) return;
    // The stream keeps what it was given until it is sent.
    if (bytes.length * 2 > length) this.#gather = Buffer.allocUnsafeSlow(length);
    this.#stream.write(bytes.length * 2 > length ? bytes : Buffer.from(bytes));
  }

  #handleChunk(chunk: Buffer): void {
    const bytes = this.#partial === undefined ? chunk : Buffer.concat([this.#partial, chunk]);
    this.#partial = undefined;
    this.#lastReadAt = this.#options.clock.now();
    let at = 0;
    while (at + lengthSize <= bytes.length) {
      const end = at + lengthSize + readU16BE(bytes, at);
      if (bytes.length < end) break;
      this.#handleAnswer(bytes, at + lengthSize, end);
      at = end;
    }
    // A frame has 64 KiB at most, so what is kept is bounded by that and one chunk.
    if (at < bytes.length) this.#partial = bytes.subarray(at);
    this.#arm();
  }

  #handleAnswer(bytes: Buffer, start: number, end: number): void {
    const id = end - start < headerSize ? -1 : readU16BE(bytes, start);
    const ticket = this.#open.get(id);
    if (ticket === undefined) return;
    this.#open.remove(id);
    this.#timeoutsInRow = 0;
    if (ticket.isDone) return;
    // No Buffer: its slices are no copies, and whoever gets this does not expect that.
    const answer = new Uint8Array(bytes.buffer, bytes.byteOffset + start, end - start);
    writeU16BE(answer, 0, readU16BE(ticket.message, 0));
    ticket.settle(answer);
  }

  /** One timer for whatever comes first: connecting, the oldest question, or idling. Moved only to be earlier. */
  #arm(): void {
    const at = this.#nextDeadline();
    if (this.#isEnded || this.#timerAt <= at) return;
    clearTimeout(this.#timer);
    this.#timerAt = at;
    const delayMs = Math.max(1, at - this.#options.clock.now());
    this.#timer = setTimeout(() => {
      this.#timerAt = Infinity;
      this.#handleTimer(this.#options.clock.now());
    }, delayMs);
    this.#timer.unref();
  }

  #nextDeadline(): number {
    const { connectMs, queryMs, idleMs } = this.#options.times;
    if (!this.#isReady) return this.#bornAt + connectMs;
    const { oldest } = this.#open;
    const idleAt = this.#lastReadAt + idleMs;
    return oldest === undefined ? idleAt : Math.min(oldest.startedAt + queryMs, idleAt);
  }

  #handleTimer(now: MonoMs): void {
    const { connectMs, queryMs, idleMs } = this.#options.times;
    const { name } = this.#options;
    if (!this.#isReady) {
      if (now - this.#bornAt >= connectMs)
        this.#end(new UpstreamError('timeout', `${name} does not answer.`));
      else this.#arm();
      return;
    }
    for (;;) {
      const { oldest: ticket, oldestNumber } = this.#open;
      if (ticket === undefined || now - ticket.startedAt < queryMs) break;
      this.#open.remove(oldestNumber);
      if (ticket.isDone) continue;
      this.#timeoutsInRow++;
      ticket.settle(undefined, new UpstreamError('timeout', `${name} does not answer.`));
    }
    if (this.#timeoutsInRow >= deadAfterTimeouts)
      this.#end(new UpstreamError('timeout', `${name} fell silent.`));
    else if (this.#open.size === 0 && now - this.#lastReadAt >= idleMs) this.#end(undefined);
    else this.#arm();
  }

  #end(error: unknown): void {
    if (this.#isEnded) return;
    this.#isEnded = true;
    clearTimeout(this.#timer);
    const open = [...this.#open.list(), ...this.#queued].filter((ticket) => !ticket.isDone);
    this.#open = new OpenQuestions(0);
    this.#queued = [];
    this.#stream.on('error', ignoreLateError);
    if (error === undefined) this.#stream.end();
    this.#stream.destroy();
    this.#options.onEnd(open, this.#isReady, error);
  }
}

/** The stream is given up already; what it still says changes nothing. */
function ignoreLateError(): void {}
