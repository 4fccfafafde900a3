/**
 * Plain DNS: UDP, and TCP where the answer was cut (RFC 1035 §4.2, RFC 7766 §5). Only for upstreams that were
 * asked for in this form. A socket, a port and an id of its own for every question (RFC 5452).
 */

import { createSocket, type Socket } from 'node:dgram';
import { isIPv6 } from 'node:net';
import { readU16BE, writeU16BE } from '../../core/base/bytes.ts';
import type { Entropy } from '../../core/base/ports.ts';
import { answersQuestion } from '../../core/dns/edns.ts';
import { type DnsMessage, readMessage } from '../../core/dns/reader.ts';
import { setConnectionMark, setSocketMark } from '../udp/socket-options.ts';
import { noStats, recordAnswer, type UpstreamStats } from './latency.ts';
import { systemDial } from './tls-dial.ts';
import {
  type Dial,
  type Upstream,
  UpstreamError,
  type UpstreamParts,
  type UpstreamTarget,
} from './upstream.ts';
import { createTcpUpstream } from './upstream-dot.ts';

/** Sockets at a time. */
const maxSockets = 512;
/** A lost datagram is sent again after this, once. */
const resendMs = 800;

export function createPlainUpstream(
  target: UpstreamTarget,
  parts: UpstreamParts,
  entropy: Entropy,
): Upstream {
  return new PlainUpstream(target, parts, entropy);
}

class PlainUpstream implements Upstream {
  readonly name: string;
  readonly isEncrypted = false;
  readonly stats: UpstreamStats = noStats();
  readonly #target: UpstreamTarget;
  readonly #parts: UpstreamParts;
  readonly #entropy: Entropy;
  readonly #tcp: Upstream;
  readonly #open = new Set<(error: unknown) => void>();
  #isClosed = false;

  constructor(target: UpstreamTarget, parts: UpstreamParts, entropy: Entropy) {
    this.name = target.name;
    this.#target = target;
    this.#parts = parts;
    this.#entropy = entropy;
    const { plainMark, needsMark = false } = parts;
    const dial = plainMark === undefined ? parts.dial : markedDial(plainMark, needsMark);
    this.#tcp = createTcpUpstream(target, { ...parts, dial }, entropy);
  }

  async query(message: Uint8Array, signal?: AbortSignal): Promise<Uint8Array> {
    signal?.throwIfAborted();
    if (this.#isClosed) throw new UpstreamError('closed', `${this.name} is closed.`);
    if (this.#open.size >= maxSockets) throw new UpstreamError('full', `${this.name} has too much to do.`);
    this.stats.queries++;
    const startedAt = this.#parts.clock.now();
    try {
      const { bytes, isTruncated } = await this.#ask(new Uint8Array(message), signal);
      const answer = isTruncated ? await this.#tcp.query(message, signal) : bytes;
      const now = this.#parts.clock.now();
      recordAnswer(this.stats, now - startedAt, now);
      return answer;
    } catch (error) {
      if (signal === undefined || error !== signal.reason) this.stats.failures++;
      throw error;
    }
  }

  reset(): void {
    this.#tcp.reset();
  }

  close(): void {
    this.#isClosed = true;
    for (const fail of this.#open) fail(new UpstreamError('closed', `${this.name} is closed.`));
    this.#tcp.close();
  }

  #ask(message: Uint8Array, signal: AbortSignal | undefined): Promise<DnsMessage> {
    const { address, port } = this.#target;
    const asked = readMessage(message);
    const sent = new Uint8Array(message);
    const id = new Uint8Array(2);
    this.#entropy.fill(id);
    sent.set(id);
    return new Promise((resolve, reject) => {
      const socket = createSocket(isIPv6(address) ? 'udp6' : 'udp4');
      const settle = (answer: DnsMessage | undefined, error?: unknown): void => {
        if (!this.#open.delete(fail)) return;
        clearTimeout(resend);
        clearTimeout(deadline);
        signal?.removeEventListener('abort', onAbort);
        socket.close();
        if (answer === undefined) reject(error);
        else resolve(answer);
      };
      const fail = (error: unknown): void => settle(undefined, error);
      const onAbort = (): void => fail(signal?.reason);
      const transmit = (): void => send(socket, sent);
      const resend = setTimeout(transmit, resendMs);
      const silent = (): void => fail(new UpstreamError('timeout', `${this.name} does not answer.`));
      const deadline = setTimeout(silent, this.#parts.times.queryMs);
      this.#open.add(fail);
      signal?.addEventListener('abort', onAbort, { once: true });
      socket.on('error', (cause) =>
        fail(new UpstreamError('unreachable', `${this.name} is not there.`, cause)),
      );
      socket.on('message', (bytes) => {
        const answer = readMessage(new Uint8Array(bytes));
        // What does not fit exactly may be forged: the right one may still come.
        if (answer === undefined || asked === undefined || answer.id !== readU16BE(id, 0)) return;
        if (!answersQuestion(asked, answer)) return;
        writeU16BE(answer.bytes, 0, asked.id);
        settle(answer);
      });
      const { plainMark, needsMark = false } = this.#parts;
      // Connected: datagrams of others do not arrive, and "port unreachable" does.
      const connect = (): void => socket.connect(port, address, transmit);
      if (plainMark === undefined) return connect();
      // The mark before the connection: our own address is chosen there, by the way that the mark has.
      socket.bind(0, () => {
        if (!this.#open.has(fail)) return;
        if (setSocketMark(socket, plainMark) || !needsMark) connect();
        else fail(unmarked(this.name));
      });
    });
  }
}

function markedDial(mark: number, needsMark: boolean): Dial {
  return (address, port) => {
    const socket = systemDial(address, port);
    const isMarked = setConnectionMark(socket, mark, address);
    if (!isMarked && needsMark) socket.destroy(unmarked(address));
    return socket;
  };
}

function unmarked(name: string): UpstreamError {
  return new UpstreamError('unreachable', `${name} cannot be asked beside the tunnel here.`);
}

function send(socket: Socket, bytes: Uint8Array): void {
  try {
    socket.send(bytes);
  } catch {
    // not connected any more: its question has ended
  }
}
