/**
 * Names as the far end of the tunnel knows them: A and AAAA questions to the resolvers inside, by UDP, and TCP
 * where an answer is cut (RFC 1035 §4.2, RFC 7766). Keeps answers for as long as they say (RFC 2308 for "there
 * is nothing"). A name goes nowhere else: never to this machine's resolver.
 */

import type { Entropy } from '../../shared/core/base/ports.ts';
import { after, type MonoMs, secondMs } from '../../shared/core/base/time.ts';
import type { DnsMessage } from '../../shared/core/dns/reader.ts';
import { rcode, recordType } from '../../shared/core/dns/types.ts';
import type { StackHost } from '../../shared/node/flows/contract.ts';
import { DialError } from './dialer.ts';
import { askResolver, type ResolverAnswer } from './tunnel-question.ts';

export interface TunnelNamesOptions {
  readonly stack: Pick<StackHost, 'connectTcp' | 'openUdp'>;
  /** Addresses of resolvers inside the tunnel, the first is asked first. */
  readonly resolvers: readonly Uint8Array[];
  /** Families that our side of the tunnel has an address of, as sizes: 4, 16. */
  readonly families: readonly number[];
  readonly entropy: Entropy;
  readonly now: () => MonoMs;
}

type Family = 4 | 16;

/** What one question (name and type) came to. */
type Answer =
  | { readonly kind: 'addresses'; readonly addresses: readonly Uint8Array[] }
  | { readonly kind: 'nothing' }
  | { readonly kind: 'failed'; readonly error: DialError };

interface Kept {
  readonly answer: Answer;
  readonly until: MonoMs;
}

const types: Readonly<Record<Family, number>> = { 4: recordType.a, 16: recordType.aaaa };
/** Names and types that are kept; the oldest goes first. */
const maxKept = 4096;
/** Questions under way; the next ones fail at once. */
const maxAsking = 2048;
/** Addresses of one answer that are looked at. */
const maxAddresses = 16;
const longestTtlMs = 3600 * secondMs;
/** RFC 2308 §5 allows hours; a name that was just made should not be missed for so long. */
const longestNothingMs = 60 * secondMs;
/** RFC 8305 §3: how long the second family may be late before we go on without it. */
const resolutionDelayMs = 50;

export class TunnelNames {
  readonly #options: TunnelNamesOptions;
  readonly #kept = new Map<string, Kept>();
  readonly #asking = new Map<string, Promise<Answer>>();
  /** Index of the resolver that answered last. */
  #preferred = 0;

  constructor(options: TunnelNamesOptions) {
    this.#options = options;
  }

  /**
   * The addresses of a name, at least one, those of IPv6 first. Rejects with DialError: 'name-not-found',
   * or 'timeout' and 'unreachable' where nobody could say; or with the signal's reason.
   */
  async resolve(name: string, signal: AbortSignal): Promise<readonly Uint8Array[]> {
    signal.throwIfAborted();
    const families = ([16, 4] as const).filter((family) => this.#options.families.includes(family));
    const answers = families.map((family) => this.#lookUp(name, family));
    return within(signal, firstOf(answers, name));
  }

  #lookUp(name: string, family: Family): Promise<Answer> {
    const key = `${family} ${name.replace(/\.$/, '').toLowerCase()}`;
    const kept = this.#kept.get(key);
    if (kept !== undefined && kept.until > this.#options.now()) return Promise.resolve(kept.answer);
    const running = this.#asking.get(key);
    if (running !== undefined) return running;
    if (this.#asking.size >= maxAsking)
      return Promise.resolve(failed('unreachable', 'Too many names are being looked up.'));
    const asking = this.#ask(key, name, family).finally(() => this.#asking.delete(key));
    this.#asking.set(key, asking);
    return asking;
  }

  async #ask(key: string, name: string, family: Family): Promise<Answer> {
    const { stack, resolvers, entropy, now } = this.#options;
    if (isLocal(name)) return { kind: 'nothing' };
    if (resolvers.length === 0)
      return failed('name-not-found', 'This tunnel leads to no resolver for names.');
    const order = resolvers.map((_, i) => (this.#preferred + i) % resolvers.length);
    const reached = await askResolver({
      stack,
      entropy,
      resolvers: order.map((i) => resolvers[i] ?? new Uint8Array(4)),
      name,
      type: types[family],
    });
    if (reached.kind !== 'answer') return failureOf(reached, name);
    this.#preferred = order[reached.resolver] ?? 0;
    const { message } = reached;
    const answer = answerOf(message, name);
    const ttlMs = ttlOf(message, answer);
    if (ttlMs > 0) this.#keep(key, { answer, until: after(now(), ttlMs) });
    return answer;
  }

  #keep(key: string, kept: Kept): void {
    this.#kept.delete(key);
    this.#kept.set(key, kept);
    if (this.#kept.size <= maxKept) return;
    const oldest = this.#kept.keys().next();
    if (oldest.done !== true) this.#kept.delete(oldest.value);
  }
}

function answerOf(message: DnsMessage, name: string): Answer {
  const addresses = message.addresses().slice(0, maxAddresses);
  if (addresses.length > 0) return { kind: 'addresses', addresses: addresses.map((one) => one.address) };
  if (message.rcode === rcode.noError || message.rcode === rcode.nxDomain) return { kind: 'nothing' };
  return failed('unreachable', `The resolver at the far end cannot look up ${name}.`);
}

function ttlOf(message: DnsMessage, answer: Answer): number {
  switch (answer.kind) {
    case 'addresses':
      return Math.min(longestTtlMs, secondMs * Math.min(...message.addresses().map((one) => one.ttl)));
    case 'nothing':
      return Math.min(longestNothingMs, secondMs * (message.negativeTtl() ?? 0));
    default:
      return 0;
  }
}

/** Names of this machine itself; at the far end they would mean another one (RFC 6761 §6.3). */
function isLocal(name: string): boolean {
  return /(^|\.)localhost\.?$/i.test(name);
}

function failureOf(reached: Exclude<ResolverAnswer, { kind: 'answer' }>, name: string): Answer {
  if (reached.kind === 'no-name')
    return failed('name-not-found', `${name} is no name that can be looked up.`);
  return reached.kind === 'silent'
    ? failed('timeout', 'The resolver at the far end of the tunnel does not answer.')
    : failed('unreachable', 'The resolver at the far end of the tunnel cannot be reached.');
}

function failed(failure: DialError['failure'], sentence: string): Answer {
  return { kind: 'failed', error: new DialError(failure, sentence) };
}

/** The addresses of both answers, or of one where the other takes too long after it. */
function firstOf(asked: readonly Promise<Answer>[], name: string): Promise<readonly Uint8Array[]> {
  return new Promise((resolve, reject) => {
    const answers: (Answer | undefined)[] = asked.map(() => undefined);
    let timer: NodeJS.Timeout | undefined;
    const settle = (): void => {
      clearTimeout(timer);
      const found = answers.flatMap((answer) => (answer?.kind === 'addresses' ? answer.addresses : []));
      if (found.length > 0) return resolve(found);
      const failure = answers.find((answer) => answer?.kind === 'failed');
      reject(failure?.error ?? new DialError('name-not-found', `There is no address for ${name}.`));
    };
    if (asked.length === 0) return settle();
    for (const [i, promise] of asked.entries()) {
      void promise.then((answer) => {
        answers[i] = answer;
        if (answers.every((one) => one !== undefined)) return settle();
        if (answer.kind === 'addresses') timer = setTimeout(settle, resolutionDelayMs);
        return undefined;
      });
    }
  });
}

/** Rejects with the signal's reason as soon as it is aborted. */
async function within<T>(signal: AbortSignal, promise: Promise<T>): Promise<T> {
  const aborted = Promise.withResolvers<never>();
  const onAbort = (): void => aborted.reject(signal.reason as Error);
  signal.addEventListener('abort', onAbort, { once: true });
  try {
    return await Promise.race([promise, aborted.promise]);
  } finally {
    signal.removeEventListener('abort', onAbort);
  }
}
