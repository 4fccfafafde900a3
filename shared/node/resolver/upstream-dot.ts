/**
 * DNS over TLS (RFC 7858, strict profile of RFC 8310) and, for upstreams that were asked for as plain, the same
 * over bare TCP: one connection at a time, opened when needed, replaced without a failed query.
 */

import type { Duplex } from 'node:stream';
import { TLSSocket } from 'node:tls';
import { readU16BE } from '../../core/base/bytes.ts';
import type { Entropy } from '../../core/base/ports.ts';
import type { MonoMs } from '../../core/base/time.ts';
import type { Clock } from '../clock.ts';
import { noStats, recordAnswer, type UpstreamStats } from './latency.ts';
import { StreamPipeline, type Ticket } from './stream-pipeline.ts';
import { connectFailure, TlsDialer } from './tls-dial.ts';
import { type Upstream, UpstreamError, type UpstreamParts, type UpstreamTarget } from './upstream.ts';

/** A question is sent on two connections at most. */
const maxAttempts = 2;
/** Connections that are on their way out, with questions still open. */
const maxRetiring = 4;

/** DNS over TLS. */
export function createDotUpstream(target: UpstreamTarget, parts: UpstreamParts, entropy: Entropy): Upstream {
  const dialer = new TlsDialer(target, parts, 'dot');
  const open = (): Duplex => dialer.open();
  const onRefused = (): void => dialer.forgetSession();
  return new StreamUpstream({ target, parts, entropy, open, onRefused, isEncrypted: true });
}

/** Plain DNS over TCP. */
export function createTcpUpstream(target: UpstreamTarget, parts: UpstreamParts, entropy: Entropy): Upstream {
  const open = (): Duplex => parts.dial(target.address, target.port);
  return new StreamUpstream({ target, parts, entropy, open, onRefused: () => {}, isEncrypted: false });
}

interface StreamUpstreamOptions {
  readonly target: UpstreamTarget;
  readonly parts: UpstreamParts;
  readonly entropy: Entropy;
  readonly open: () => Duplex;
  /** The connection did not come about. */
  readonly onRefused: () => void;
  readonly isEncrypted: boolean;
}

interface AskedParts {
  readonly clock: Clock;
  readonly stats: UpstreamStats;
  readonly resolve: (answer: Uint8Array) => void;
  readonly reject: (error: unknown) => void;
}

/** One question. A class: closures of its own would cost more than what they do. */
class Asked implements Ticket {
  readonly message: Uint8Array;
  readonly startedAt: MonoMs;
  attempts = 0;
  isDone = false;
  readonly #parts: AskedParts;
  #abort: { readonly signal: AbortSignal; readonly handle: () => void } | undefined;

  constructor(message: Uint8Array, parts: AskedParts) {
    this.message = message;
    this.startedAt = parts.clock.now();
    this.#parts = parts;
  }

  endWith(signal: AbortSignal): void {
    const handle = (): void => this.settle(undefined, signal.reason);
    this.#abort = { signal, handle };
    signal.addEventListener('abort', handle, { once: true });
  }

  settle(answer: Uint8Array | undefined, error?: unknown): void {
    if (this.isDone) return;
    this.isDone = true;
    const { clock, stats, resolve, reject } = this.#parts;
    const signal = this.#abort?.signal;
    if (this.#abort !== undefined) signal?.removeEventListener('abort', this.#abort.handle);
    if (answer === undefined) {
      if (error !== signal?.reason) stats.failures++;
      reject(error);
      return;
    }
    const now = clock.now();
    recordAnswer(stats, now - this.startedAt, now);
    resolve(answer);
  }
}

class StreamUpstream implements Upstream {
  readonly name: string;
  readonly isEncrypted: boolean;
  readonly stats: UpstreamStats = noStats();
  readonly #options: StreamUpstreamOptions;
  #current: StreamPipeline | undefined;
  readonly #retiring = new Set<StreamPipeline>();
  #isClosed = false;

  constructor(options: StreamUpstreamOptions) {
    this.#options = options;
    this.name = options.target.name;
    this.isEncrypted = options.isEncrypted;
  }

  query(message: Uint8Array, signal?: AbortSignal): Promise<Uint8Array> {
    return new Promise((resolve, reject) => {
      signal?.throwIfAborted();
      if (this.#isClosed) throw new UpstreamError('closed', `${this.name} is closed.`);
      this.stats.queries++;
      const { clock } = this.#options.parts;
      const ticket = new Asked(message, { clock, stats: this.stats, resolve, reject });
      if (signal !== undefined) ticket.endWith(signal);
      this.#send(ticket);
    });
  }

  reset(): void {
    this.#current?.close();
    for (const pipeline of this.#retiring) pipeline.close();
  }

  close(): void {
    this.#isClosed = true;
    this.reset();
  }

  #send(ticket: Ticket): void {
    const now = this.#options.parts.clock.now();
    if (this.#current !== undefined && !this.#current.isUsable(now)) this.#retire(this.#current);
    this.#current ??= this.#connect();
    this.#current.send(ticket);
  }

  /** It may only be slow: its open questions stay, new ones go elsewhere. */
  #retire(pipeline: StreamPipeline): void {
    this.#current = undefined;
    this.#retiring.add(pipeline);
    pipeline.retire();
    for (const oldest of this.#retiring) {
      if (this.#retiring.size <= maxRetiring) break;
      oldest.close();
    }
  }

  #connect(): StreamPipeline {
    const { parts, entropy, open } = this.#options;
    const firstId = new Uint8Array(2);
    entropy.fill(firstId);
    this.stats.connects++;
    const pipeline: StreamPipeline = new StreamPipeline(open(), readU16BE(firstId, 0), {
      name: this.name,
      clock: parts.clock,
      times: parts.times,
      readyEvent: this.isEncrypted ? 'secureConnect' : 'connect',
      onReady: (stream) => {
        if (stream instanceof TLSSocket && stream.isSessionReused()) this.stats.resumed++;
      },
      onEnd: (tickets, wasReady, error) => {
        if (this.#current === pipeline) this.#current = undefined;
        this.#retiring.delete(pipeline);
        this.#handleEnd(tickets, wasReady, error);
      },
    });
    return pipeline;
  }

  /** A connection that worked and ended is an everyday thing: what it left open is asked once more. */
  #handleEnd(tickets: readonly Ticket[], wasReady: boolean, error: unknown): void {
    if (!wasReady && !this.#isClosed) this.#options.onRefused();
    for (const ticket of tickets) {
      if (wasReady && !this.#isClosed && ticket.attempts < maxAttempts) {
        this.stats.retried++;
        this.#send(ticket);
      } else if (wasReady || this.#isClosed) {
        ticket.settle(undefined, new UpstreamError('closed', `${this.name} closed the connection.`, error));
      } else ticket.settle(undefined, connectFailure(this.name, error));
    }
  }
}
