/**
 * DNS for a program in its own network: questions to the address of its resolv.conf go on, byte for byte, to
 * a resolver inside the tunnel (RFC 1035 §4.2). All share one flow for a while, told apart by message ids of
 * our own choice.
 */

import { randomInt } from 'node:crypto';
import { formatAddress, parseAddress } from '../../shared/core/base/ip.ts';
import { minuteMs, secondMs } from '../../shared/core/base/time.ts';
import type { UdpChannel } from '../../shared/node/flows/contract.ts';
import type { Dialer, UdpFlow, UdpMessage } from '../proxy/dialer.ts';
import { dnsPort } from './settings.ts';

/** Questions without an answer yet; the oldest is forgotten for a new one. */
const maxQuestions = 1024;
const headerBytes = 12;
const idDraws = 16;
/** A flow is one source port at the far end, and a fresh one now and then is harder to guess. */
const flowLifeMs: number = minuteMs / 2;
/** A resolver that was silent for so long is passed over. */
const silenceMs: number = 3 * secondMs;

interface Question {
  readonly channel: UdpChannel;
  readonly id: number;
}

export class NameRelay {
  readonly #dialer: Dialer;
  readonly #resolvers: readonly string[];
  readonly #now: () => number;
  /** By the id that we gave. */
  readonly #questions = new Map<number, Question>();
  #flow: UdpFlow | undefined;
  #flowBegan = 0;
  #choice = 0;
  /** When the first question left that nobody answered since; undefined = all is well. */
  #silentSince: number | undefined;

  /** Without `resolvers` every question is refused; `now` counts milliseconds. */
  constructor(dialer: Dialer, resolvers: readonly string[], now: () => number) {
    this.#dialer = dialer;
    const addresses = resolvers.map((text) => parseAddress(text)).filter((address) => address !== undefined);
    this.#resolvers = addresses.map((address) => formatAddress(address));
    this.#now = now;
  }

  /** The resolver in use now: also for questions over TCP. Undefined where there is none. */
  get resolver(): string | undefined {
    return this.#resolvers[this.#choice % this.#resolvers.length];
  }

  /** Takes over a flow to our port 53. */
  serve(channel: UdpChannel): void {
    if (this.#resolvers.length === 0) channel.refuse('unreachable');
    else channel.onMessage((bytes) => this.#ask(channel, bytes));
  }

  #ask(channel: UdpChannel, bytes: Uint8Array): void {
    const now = this.#now();
    if (this.#silentSince !== undefined && now - this.#silentSince > silenceMs) {
      this.#choice++;
      this.#silentSince = undefined;
    }
    const { resolver } = this;
    const id = bytes.length < headerBytes || resolver === undefined ? undefined : this.#freeId();
    if (id === undefined || resolver === undefined) return;
    this.#silentSince ??= now;
    this.#questions.set(id, { channel, id: (bytes[0] ?? 0) * 256 + (bytes[1] ?? 0) });
    const question = bytes.slice();
    putId(question, id);
    this.#currentFlow(now)?.send(resolver, dnsPort, question);
  }

  #answer(message: UdpMessage): void {
    const { host, port, bytes } = message;
    if (port !== dnsPort || bytes.length < headerBytes || !this.#resolvers.includes(host)) return;
    const id = (bytes[0] ?? 0) * 256 + (bytes[1] ?? 0);
    const question = this.#questions.get(id);
    if (question === undefined) return;
    this.#questions.delete(id);
    this.#silentSince = undefined;
    const answer = bytes.slice();
    putId(answer, question.id);
    question.channel.send(answer);
  }

  #freeId(): number | undefined {
    const oldest = this.#questions.size < maxQuestions ? undefined : this.#questions.keys().next().value;
    if (oldest !== undefined) this.#questions.delete(oldest);
    for (let i = 0; i < idDraws; i++) {
      const id = randomInt(0x1_0000);
      if (!this.#questions.has(id)) return id;
    }
    return undefined;
  }

  #currentFlow(now: number): UdpFlow | undefined {
    if (this.#flow !== undefined && now - this.#flowBegan < flowLifeMs) return this.#flow;
    const old = this.#flow;
    // Answers that are on their way still count.
    if (old !== undefined) setTimeout(() => old.close(), silenceMs).unref();
    try {
      this.#flow = this.#dialer.openUdp();
    } catch {
      this.#flow = undefined; // No tunnel now: the question is lost, as on any network that is down.
      return undefined;
    }
    this.#flowBegan = now;
    this.#flow.onMessage((message) => this.#answer(message));
    return this.#flow;
  }
}

function putId(bytes: Uint8Array, id: number): void {
  bytes[0] = id >>> 8;
  bytes[1] = id & 0xff;
}
