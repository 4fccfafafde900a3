/**
 * Tells the edge, inside the tunnel, which addresses this machine was told for names that the edge's host rules mean:
 * where our own resolver answers, the edge would not know. Nothing about any other name leaves. A program gets its answer
 * when the edge has heard of it, or a little later in any case.
 */

import { formatAddress } from '../../shared/core/base/ip.ts';
import { type MonoMs, secondMs } from '../../shared/core/base/time.ts';
import { readMessage } from '../../shared/core/dns/reader.ts';
import type { HostRule } from '../../shared/core/registration/api.ts';
import { maxToldAddresses, maxToldNames, type ToldName } from '../../shared/core/registration/names-api.ts';
import type { EnrollmentDesk } from '../enroll/enrollment-desk.ts';
import type { AnswerWatch } from '../resolver/pipeline.ts';

export interface NameTellerParts {
  readonly enrollment: Pick<EnrollmentDesk, 'call'>;
  /** The edge to which all traffic of this machine goes; undefined while none takes it. */
  readonly connectedTo: () => string | undefined;
  /** Other names are watched than before. */
  readonly onChange: () => void;
  readonly now: () => MonoMs;
  /** Default: setTimeout. Returns what takes it back. */
  readonly after?: (ms: number, run: () => void) => () => void;
}

/** An answer waits so long for the edge at most. */
const patienceMs = 700;
/** The edge forgets later; what it knows it is not told again within this. */
const repeatMs = 60 * secondMs;
const maxWaiting = 256;
const maxTold = 1024;
const maxTtlSeconds = 86_400;
const maxRules = 2000;

interface Waiting {
  readonly told: ToldName;
  readonly done: () => void;
}

export class NameTeller {
  readonly #parts: NameTellerParts;
  readonly #rules: Map<string, readonly string[]> = new Map();
  /** What the edge was told, and when; the oldest first. */
  readonly #told: Map<string, MonoMs> = new Map();
  #waiting: Waiting[] = [];
  #isTelling = false;

  constructor(parts: NameTellerParts) {
    this.#parts = parts;
  }

  /** As the edge has just said. */
  setRules(edge: string, rules: readonly HostRule[]): void {
    const hosts = rules.slice(0, maxRules).map((rule) => rule.host);
    if (this.#rules.get(edge)?.join() === hosts.join()) return;
    this.#rules.set(edge, hosts);
    this.#parts.onChange();
  }

  /** Call at every change of the connection: another tunnel, and the edge may have started again. */
  handleChange(): void {
    this.#told.clear();
  }

  readonly watch: AnswerWatch = {
    wants: (name) => this.#wants(plain(name)),
    learn: (name, answer) => this.#learn(plain(name), answer),
  };

  #wants(name: string): boolean {
    const edge = this.#parts.connectedTo();
    const hosts = edge === undefined ? undefined : this.#rules.get(edge);
    return (
      hosts?.some((host) => (host.startsWith('*.') ? name.endsWith(host.slice(1)) : name === host)) === true
    );
  }

  #learn(name: string, answer: Uint8Array): Promise<void> {
    const message = readMessage(answer);
    const found = message?.isWellFormed === true ? message.addresses().slice(0, maxToldAddresses) : [];
    if (found.length === 0 || this.#waiting.length >= maxWaiting) return Promise.resolve();
    const told = {
      name,
      addresses: found.map(({ address }) => formatAddress(address)),
      ttlSeconds: Math.min(maxTtlSeconds, ...found.map(({ ttl }) => ttl)),
    };
    const toldAt = this.#told.get(keyOf(told));
    if (toldAt !== undefined && this.#parts.now() - toldAt < repeatMs) return Promise.resolve();
    return new Promise((resolve) => {
      const takeBack = (this.#parts.after ?? timer)(patienceMs, resolve);
      this.#waiting.push({
        told,
        done: () => {
          takeBack();
          resolve();
        },
      });
      if (!this.#isTelling) void this.#tell();
    });
  }

  /** One request at a time; what comes meanwhile goes with the next. */
  async #tell(): Promise<void> {
    this.#isTelling = true;
    while (this.#waiting.length > 0) {
      const edge = this.#parts.connectedTo();
      const batch = this.#waiting.splice(0, maxToldNames);
      const names = batch.map(({ told }) => told);
      try {
        if (edge !== undefined) await this.#parts.enrollment.call(edge, 'tellNames', { names });
        for (const told of names) this.#remember(told);
      } catch {
        // The rule is then judged by what the connection itself says.
      }
      for (const { done } of batch) done();
    }
    this.#isTelling = false;
  }

  #remember(told: ToldName): void {
    const key = keyOf(told);
    this.#told.delete(key);
    this.#told.set(key, this.#parts.now());
    for (const oldest of this.#told.keys()) {
      if (this.#told.size <= maxTold) return;
      this.#told.delete(oldest);
    }
  }
}

/** Each hears of what it wants. `second` is asked for when it is needed, since it may come later. */
export function bothWatches(first: AnswerWatch, second: () => AnswerWatch): AnswerWatch {
  return {
    wants: (name) => first.wants(name) || second().wants(name),
    learn: async (name, answer) => {
      const wanted = [first, second()].filter((watch) => watch.wants(name));
      await Promise.all(wanted.map((watch) => watch.learn(name, answer)));
    },
  };
}

function keyOf({ name, addresses }: ToldName): string {
  return `${name} ${addresses.toSorted().join(' ')}`;
}

function plain(name: string): string {
  return name.toLowerCase().replace(/\.$/, '');
}

function timer(ms: number, run: () => void): () => void {
  const handle = setTimeout(run, ms);
  handle.unref();
  return () => clearTimeout(handle);
}
