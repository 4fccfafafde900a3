/**
 * One client's connection through its phases: its deadline, its dial, the stream to the destination,
 * how it is refused, and how it is cut when the gate closes. Knows no protocol.
 */

import type { Duplex } from 'node:stream';
import { assert } from '../../shared/core/base/assert.ts';
import { breakOff, splice } from '../../shared/node/flows/splice.ts';
import type { Wait } from '../../shared/node/flows/wait-queue.ts';
import { isSelf } from './access.ts';
import type { ProxyContext } from './context.ts';
import { DialError } from './dialer.ts';
import { asDialError } from './failures.ts';
import { type MessageRead, MessageReader, type Parser } from './message.ts';
import type { Target } from './target.ts';

/** Both ends of a client's connection, as numeric addresses. */
export interface ConnectionAddresses {
  readonly peer: string;
  readonly local: string;
}

/**
 * talking: a handshake, or HTTP between and in requests; we can still answer in words.
 * joined: the stream is a tunnel, an association, or something else that can only be cut.
 */
type Phase = 'talking' | 'joined' | 'leaving';

export class ClientConnection {
  readonly stream: Duplex;
  readonly addresses: ConnectionAddresses;
  readonly #context: ProxyContext;
  readonly #upstreams = new Set<Duplex>();
  readonly #onDone: () => void;
  readonly #reader: MessageReader;
  #phase: Phase = 'talking';
  #halfClosed = false;
  #deadline: Wait | undefined;
  #dialing: AbortController | undefined;
  #touchedAt: number;

  /** `onDone` is called once: the client's stream and all that were dialled for it are closed. */
  constructor(stream: Duplex, addresses: ConnectionAddresses, context: ProxyContext, onDone: () => void) {
    this.stream = stream;
    this.addresses = addresses;
    this.#context = context;
    this.#onDone = onDone;
    this.#reader = new MessageReader(stream);
    this.#touchedAt = context.sweeps();
    stream.on('error', ignore); // 'close' follows and says the same.
    stream.once('close', () => this.#onClose());
    this.expectWithin(context.limits.greetingMs);
  }

  read<T>(parse: Parser<T>): Promise<MessageRead<T>> {
    return this.#reader.read(parse);
  }

  /** For others to read the stream: what was not read as a message is theirs. */
  release(): void {
    this.#reader.release();
  }

  /** The client must bring us to the next `expectNothing` in that time, however busily it sends. */
  expectWithin(durationMs: number): void {
    this.expectNothing();
    this.#deadline = this.#context.waits.after(durationMs, this.#onLate);
  }

  readonly #onLate = (): void => {
    this.#context.counters.timedOut++;
    this.stream.destroy();
  };

  expectNothing(): void {
    this.#deadline?.cancel();
    this.#deadline = undefined;
  }

  /**
   * Dials, unless gate or access forbid it. Rejects with DialError. The stream is destroyed with the
   * client's, and when the gate closes. One dial at a time.
   */
  async dial(target: Target): Promise<Duplex> {
    assert(this.#dialing === undefined, 'one dial at a time');
    const { dialer, limits, counters, log } = this.#context;
    const abort = new AbortController();
    const patience = this.#context.waits.after(limits.dialMs, () => abort.abort(slow()));
    this.#dialing = abort;
    try {
      this.#checkAllowed(target);
      const upstream = await dialer.dialTcp({ host: target.host, port: target.port, signal: abort.signal });
      upstream.on('error', ignore);
      if (abort.signal.aborted) {
        upstream.destroy();
        throw asDialError(abort.signal.reason);
      }
      counters.dialed++;
      this.#adopt(upstream);
      return upstream;
    } catch (error) {
      const failure = asDialError(error);
      counters.failed[failure.failure]++;
      log.debug('dial failed', { host: target.host, port: target.port, failure: failure.failure });
      throw failure;
    } finally {
      patience.cancel();
      this.#dialing = undefined;
    }
  }

  /** Joins client and destination until both directions have ended. Answers must be written before. */
  join(upstream: Duplex): void {
    this.hold();
    splice(this.stream, upstream, {
      onForth: (bytes) => this.countUp(bytes),
      onBack: (bytes) => this.countDown(bytes),
      onHalfClosed: () => {
        this.#halfClosed = true;
      },
    });
  }

  /** No words fit into this stream any more: when the gate closes it is cut. */
  hold(): void {
    this.expectNothing();
    this.release();
    this.#phase = 'joined';
  }

  countUp(bytes: number): void {
    this.#context.counters.bytesUp += bytes;
    this.touch();
  }

  countDown(bytes: number): void {
    this.#context.counters.bytesDown += bytes;
    this.touch();
  }

  /** Not idle. */
  touch(): void {
    this.#touchedAt = this.#context.sweeps();
  }

  /** Sends the last words, if any, and closes once they were read, or after a while. */
  leave(words?: Uint8Array): void {
    if (this.#phase === 'leaving') return;
    this.#phase = 'leaving';
    this.expectNothing();
    this.release();
    const { stream } = this;
    if (stream.destroyed) return;
    // Unread input would turn our close into a reset, which could overtake the words.
    stream.on('data', ignore).resume();
    if (words !== undefined && !stream.writableEnded) stream.write(words);
    stream.end();
    this.#deadline = this.#context.waits.after(this.#context.limits.lingerMs, () => void stream.destroy());
  }

  /** The client spoke nonsense. */
  leaveMalformed(words?: Uint8Array): void {
    if (this.#phase !== 'leaving') this.#context.counters.malformed++;
    this.leave(words);
  }

  /** The gate closed: dials end with `reason`, what runs is cut. */
  cut(reason: string): void {
    const failure = new DialError('tunnel-down', reason);
    this.#dialing?.abort(failure);
    if (this.#phase === 'joined' || this.#upstreams.size > 0) this.#context.counters.cut++;
    if (this.#phase === 'joined') breakOff(this.stream);
    for (const upstream of this.#upstreams) upstream.destroy(failure);
  }

  /** Called with every sweep: ends what has been idle for too long. */
  sweep(): void {
    if (this.#deadline !== undefined) return; // Its own clock runs already.
    const { limits, counters } = this.#context;
    const idleMs = (this.#context.sweeps() - this.#touchedAt) * limits.sweepMs;
    if (idleMs <= (this.#halfClosed ? limits.halfClosedIdleMs : limits.idleMs)) return;
    counters.timedOut++;
    breakOff(this.stream);
    for (const upstream of this.#upstreams) breakOff(upstream);
  }

  /** Throws the DialError that a request to `target` has earned whatever the dialer would say. */
  #checkAllowed(target: Target): void {
    const gate = this.#context.gate();
    if (gate.kind === 'closed') throw new DialError('tunnel-down', gate.reason);
    if (isSelf(target, this.#context.ownPort())) {
      throw new DialError('denied', 'The proxy does not connect to itself.');
    }
  }

  #adopt(upstream: Duplex): void {
    this.#upstreams.add(upstream);
    upstream.once('close', () => {
      this.#upstreams.delete(upstream);
      this.#checkDone();
    });
    this.touch();
  }

  #onClose(): void {
    this.expectNothing();
    this.#dialing?.abort(new DialError('unreachable', 'The client has gone.'));
    // A tunnel's other side may still have to send what it holds: splice decides there.
    if (this.#phase !== 'joined') for (const upstream of this.#upstreams) upstream.destroy();
    this.#checkDone();
  }

  #checkDone(): void {
    if (this.stream.closed && this.#upstreams.size === 0) this.#onDone();
  }
}

function slow(): DialError {
  return new DialError('timeout', 'The destination did not answer in time.');
}

function ignore(): void {}
