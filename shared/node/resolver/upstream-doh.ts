/**
 * DNS over HTTPS (RFC 8484) on HTTP/2: POST, one session at a time. A session that was idle is tested by a PING
 * beside the question; GOAWAY, idle close and reset are survived without a failed query.
 */

import { type ClientHttp2Session, type ClientHttp2Stream, connect, constants } from 'node:http2';
import { isIP } from 'node:net';
import type { TLSSocket } from 'node:tls';
import { readU16BE, writeU16BE, writeU32BE } from '../../core/base/bytes.ts';
import type { MonoMs } from '../../core/base/time.ts';
import { OpenQuestions } from '../../core/dns/open-questions.ts';
import { readMessage } from '../../core/dns/reader.ts';
import { headerSize, maxMessageSize, recordType } from '../../core/dns/types.ts';
import { noStats, recordAnswer, type UpstreamStats } from './latency.ts';
import { connectFailure, TlsDialer } from './tls-dial.ts';
import {
  maxInFlight,
  type Upstream,
  UpstreamError,
  type UpstreamParts,
  type UpstreamTarget,
} from './upstream.ts';

/** A question is sent on two sessions at most. */
const maxAttempts = 2;
/** A session that was silent for so long is tested before it is trusted. */
const pingAfterMs = 5000;
const contentType = 'application/dns-message';
const sessionWindow = 1024 * 1024;

/** One session with what we know about it. */
interface Session {
  readonly http: ClientHttp2Session;
  isReady: boolean;
  /** No new questions: GOAWAY came, or it is silent. */
  isRetired: boolean;
  lastReadAt: MonoMs;
  /** Since when questions wait without any sign of life; undefined: none waits. */
  waitingSince: MonoMs | undefined;
  openStreams: number;
  error: unknown;
}

interface Exchange {
  readonly message: Uint8Array;
  readonly startedAt: MonoMs;
  attempts: number;
  isDone: boolean;
  stream: ClientHttp2Stream | undefined;
  settle(answer: Uint8Array | undefined, error?: unknown): void;
}

export function createDohUpstream(target: UpstreamTarget, parts: UpstreamParts): Upstream {
  return new DohUpstream(target, parts);
}

class DohUpstream implements Upstream {
  readonly name: string;
  readonly isEncrypted = true;
  readonly stats: UpstreamStats = noStats();
  readonly #parts: UpstreamParts;
  readonly #dialer: TlsDialer;
  readonly #authority: string;
  /** Of every request, names and values by turns: an object of them would be taken apart each time. */
  readonly #fields: readonly string[];
  #session: Session | undefined;
  readonly #sessions = new Set<Session>();
  /** In the order of asking. */
  readonly #open = new OpenQuestions<Exchange>(0);
  #timer: NodeJS.Timeout | undefined;
  #isClosed = false;

  constructor(target: UpstreamTarget, parts: UpstreamParts) {
    this.name = target.name;
    this.#parts = parts;
    this.#dialer = new TlsDialer(target, parts, 'h2');
    const host = isIP(target.identity) === 6 ? `[${target.identity}]` : target.identity;
    this.#authority = target.port === 443 ? host : `${host}:${target.port}`;
    const { path } = target;
    const named = [':method', 'POST', ':scheme', 'https', ':authority', this.#authority, ':path', path];
    this.#fields = [...named, 'content-type', contentType, 'accept', contentType];
  }

  query(message: Uint8Array, signal?: AbortSignal): Promise<Uint8Array> {
    return new Promise((resolve, reject) => {
      signal?.throwIfAborted();
      if (this.#isClosed) throw new UpstreamError('closed', `${this.name} is closed.`);
      if (this.#open.size >= maxInFlight) throw new UpstreamError('full', `${this.name} has too much to do.`);
      this.stats.queries++;
      const { clock } = this.#parts;
      const onAbort = (): void => exchange.settle(undefined, signal?.reason);
      const exchange: Exchange = {
        message,
        startedAt: clock.now(),
        attempts: 0,
        isDone: false,
        stream: undefined,
        settle: (answer, error) => {
          if (exchange.isDone) return;
          exchange.isDone = true;
          this.#open.remove(number);
          if (this.#open.size === 0) this.#rest();
          signal?.removeEventListener('abort', onAbort);
          exchange.stream?.close(constants.NGHTTP2_CANCEL);
          if (answer !== undefined) {
            const now = clock.now();
            recordAnswer(this.stats, now - exchange.startedAt, now);
            resolve(answer);
            return;
          }
          if (error !== signal?.reason) this.stats.failures++;
          reject(error);
        },
      };
      const number = this.#open.add(exchange);
      if (this.#timer === undefined) this.#watch(exchange.startedAt);
      signal?.addEventListener('abort', onAbort, { once: true });
      this.#send(exchange);
    });
  }

  /** One timer for all, since all have the same time: for the one that was asked first. */
  #watch(startedAt: MonoMs): void {
    const { clock, times } = this.#parts;
    const waitMs = startedAt + times.queryMs - clock.now();
    this.#timer = setTimeout(() => this.#handleTimer(), Math.max(1, Math.ceil(waitMs)));
  }

  #rest(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  #handleTimer(): void {
    this.#timer = undefined;
    const now = this.#parts.clock.now();
    for (;;) {
      const { oldest } = this.#open;
      if (oldest === undefined) return;
      if (now - oldest.startedAt < this.#parts.times.queryMs) {
        if (this.#timer === undefined) this.#watch(oldest.startedAt);
        return;
      }
      oldest.settle(undefined, new UpstreamError('timeout', `${this.name} does not answer.`));
    }
  }

  reset(): void {
    for (const session of this.#sessions) session.http.destroy();
  }

  close(): void {
    this.#isClosed = true;
    for (const exchange of this.#open.list()) {
      exchange.settle(undefined, new UpstreamError('closed', `${this.name} is closed.`));
    }
    this.reset();
  }

  #send(exchange: Exchange): void {
    const now = this.#parts.clock.now();
    exchange.attempts++;
    const session = this.#usableSession(now);
    session.waitingSince ??= now;
    session.openStreams++;
    const stream = session.http.request([...this.#fields]);
    exchange.stream = stream;
    this.#listen(session, stream, exchange);
    stream.end(withoutId(exchange.message));
  }

  #listen(session: Session, stream: ClientHttp2Stream, exchange: Exchange): void {
    const chunks: Buffer[] = [];
    let length = 0;
    let status = 0;
    let type = '';
    let age = 0;
    stream.on('response', (headers) => {
      status = headers[':status'] ?? 0;
      type = headers['content-type'] ?? '';
      age = Number(headers['age'] ?? 0);
      this.#handleSign(session);
    });
    stream.on('data', (chunk: Buffer) => {
      length += chunk.length;
      if (length <= maxMessageSize) chunks.push(chunk);
      else exchange.settle(undefined, new UpstreamError('bad-answer', `${this.name} sent too much.`));
    });
    let error: unknown;
    stream.on('error', (cause) => {
      error = cause;
    });
    stream.once('close', () => {
      session.openStreams--;
      if (session.openStreams === 0) session.waitingSince = undefined;
      this.#disposeIfDone(session);
      if (exchange.isDone || exchange.stream !== stream) return;
      if (status === 0 || stream.rstCode !== constants.NGHTTP2_NO_ERROR) {
        this.#handleBroken(session, exchange, error);
        return;
      }
      const isAnswer = status === 200 && type.startsWith(contentType);
      const answer = isAnswer ? joined(chunks, length) : undefined;
      if (answer === undefined || length < headerSize) {
        exchange.settle(
          undefined,
          new UpstreamError('bad-answer', `${this.name} answered with status ${status}.`),
        );
        return;
      }
      exchange.settle(finish(answer, exchange.message, age));
    });
  }

  /** The stream ended without an answer: refused, GOAWAY, reset, or the session never came about. */
  #handleBroken(session: Session, exchange: Exchange, error: unknown): void {
    if (!session.isReady) {
      exchange.settle(undefined, connectFailure(this.name, session.error ?? error));
    } else if (this.#isClosed || exchange.attempts >= maxAttempts) {
      exchange.settle(undefined, new UpstreamError('closed', `${this.name} closed the connection.`, error));
    } else {
      this.stats.retried++;
      this.#retire(session);
      this.#send(exchange);
    }
  }

  #usableSession(now: MonoMs): Session {
    const session = this.#session;
    if (session === undefined) return this.#connect(now);
    const { http } = session;
    const silentMs = now - session.lastReadAt;
    const suspect =
      session.waitingSince !== undefined && now - Math.max(session.waitingSince, session.lastReadAt);
    const isSilent = suspect !== false && session.isReady && suspect >= this.#parts.times.suspectMs;
    const isIdle = session.openStreams === 0 && session.isReady && silentMs >= this.#parts.times.idleMs;
    if (http.closed || http.destroyed || session.isRetired || isSilent || isIdle) {
      this.#retire(session);
      return this.#connect(now);
    }
    if (session.isReady && session.openStreams === 0 && silentMs >= pingAfterMs) this.#ping(session);
    return session;
  }

  #connect(now: MonoMs): Session {
    const { clock, times } = this.#parts;
    let socket: TLSSocket | undefined;
    this.stats.connects++;
    const http = connect(`https://${this.#authority}`, {
      createConnection: () => {
        socket = this.#dialer.open();
        // The session tells its streams that it is over before it tells why.
        socket.once('error', (error) => {
          session.error ??= error;
        });
        return socket;
      },
      settings: { enablePush: false, initialWindowSize: maxMessageSize },
    });
    const session: Session = {
      http,
      isReady: false,
      isRetired: false,
      lastReadAt: now,
      waitingSince: undefined,
      openStreams: 0,
      error: undefined,
    };
    const slow = setTimeout(() => {
      session.error = new UpstreamError('timeout', `${this.name} does not answer.`);
      http.destroy();
    }, times.connectMs);
    slow.unref();
    http.once('connect', () => {
      clearTimeout(slow);
      if (socket?.alpnProtocol !== 'h2') {
        session.error = new UpstreamError('bad-answer', `${this.name} does not speak HTTP/2.`);
        http.destroy();
        return;
      }
      session.isReady = true;
      session.lastReadAt = clock.now();
      http.setLocalWindowSize(sessionWindow);
      if (socket.isSessionReused()) this.stats.resumed++;
    });
    http.on('error', (error) => {
      session.error ??= error;
    });
    http.once('goaway', () => this.#retire(session));
    http.once('close', () => {
      clearTimeout(slow);
      this.#sessions.delete(session);
      if (this.#session === session) this.#session = undefined;
      if (!session.isReady) this.#dialer.forgetSession();
    });
    this.#session = session;
    this.#sessions.add(session);
    return session;
  }

  /** A session without an echo in time is dead: destroying it hands its questions to a new one. */
  #ping(session: Session): void {
    const dead = setTimeout(() => session.http.destroy(), this.#parts.times.suspectMs);
    dead.unref();
    session.http.ping((error) => {
      clearTimeout(dead);
      if (error === null) this.#handleSign(session);
    });
  }

  #handleSign(session: Session): void {
    session.lastReadAt = this.#parts.clock.now();
    if (session.waitingSince !== undefined) session.waitingSince = session.lastReadAt;
  }

  #retire(session: Session): void {
    session.isRetired = true;
    if (this.#session === session) this.#session = undefined;
    this.#disposeIfDone(session);
  }

  #disposeIfDone(session: Session): void {
    if (session.isRetired && session.openStreams === 0) session.http.destroy();
  }
}

/** RFC 8484 §4.1: the id is zero, so that caches on the way see equal questions as equal. */
function withoutId(message: Uint8Array): Uint8Array {
  if (readU16BE(message, 0) === 0) return message;
  const body = message.slice();
  writeU16BE(body, 0, 0);
  return body;
}

/** No Buffer: its slices are no copies, and whoever gets this does not expect that. */
function joined(chunks: readonly Buffer[], length: number): Uint8Array {
  const [whole = Buffer.alloc(0)] = chunks.length > 1 ? [Buffer.concat(chunks, length)] : chunks;
  return new Uint8Array(whole.buffer, whole.byteOffset, whole.length);
}

/** The answer with the id that was asked with, and its TTLs less the time in HTTP caches (RFC 8484 §5.1). */
function finish(answer: Uint8Array, message: Uint8Array, age: number): Uint8Array {
  answer[0] = message[0] ?? 0;
  answer[1] = message[1] ?? 0;
  if (!Number.isSafeInteger(age) || age <= 0) return answer;
  for (const record of readMessage(answer)?.records() ?? []) {
    if (record.type !== recordType.opt) writeU32BE(answer, record.ttlAt, Math.max(0, record.ttl - age));
  }
  return answer;
}
