/**
 * An upstream known by a name that is not built in: its addresses are asked of another encrypted upstream,
 * never of this machine's resolver, which may be ourselves. They are asked again when their time is over or
 * none of them works.
 */

import type { MonoMs } from '../../core/base/time.ts';
import { after } from '../../core/base/time.ts';
import type { Clock } from '../clock.ts';
import { noStats, type UpstreamStats } from './latency.ts';
import { type Upstream, UpstreamError } from './upstream.ts';

export interface NamedAddresses {
  readonly addresses: readonly string[];
  /** Seconds. */
  readonly ttl: number;
}

export interface NamedOptions {
  readonly name: string;
  readonly clock: Clock;
  /** Rejects where nobody knows. */
  readonly lookUp: () => Promise<NamedAddresses>;
  readonly open: (address: string) => Upstream;
}

/** Addresses of a name that are used. */
const maxAddresses = 4;
const leastTtlSeconds = 60;
const mostTtlSeconds = 86_400;

export function createNamedUpstream(options: NamedOptions): Upstream {
  return new NamedUpstream(options);
}

class NamedUpstream implements Upstream {
  readonly name: string;
  readonly isEncrypted = true;
  readonly #options: NamedOptions;
  readonly #none = noStats();
  #byAddress = new Map<string, Upstream>();
  #current: Upstream | undefined;
  #goodUntil: MonoMs | undefined;
  #lookup: Promise<void> | undefined;
  #isClosed = false;

  constructor(options: NamedOptions) {
    this.#options = options;
    this.name = options.name;
  }

  get stats(): UpstreamStats {
    return this.#current?.stats ?? this.#none;
  }

  async query(message: Uint8Array, signal?: AbortSignal): Promise<Uint8Array> {
    const copy = new Uint8Array(message);
    const now = this.#options.clock.now();
    if (this.#goodUntil === undefined) await this.#refresh();
    // What is over still works while the name is asked again.
    else if (now >= this.#goodUntil) this.#refresh().catch(() => {});
    let last: unknown = new UpstreamError('unreachable', `${this.name} has no address.`);
    for (const upstream of this.#preferred()) {
      signal?.throwIfAborted();
      if (this.#isClosed) throw new UpstreamError('closed', `${this.name} is closed.`);
      try {
        const answer = await upstream.query(copy, signal);
        this.#current = upstream;
        return answer;
      } catch (error) {
        last = error;
      }
    }
    this.#goodUntil = undefined;
    throw last;
  }

  reset(): void {
    for (const upstream of this.#byAddress.values()) upstream.reset();
  }

  close(): void {
    this.#isClosed = true;
    for (const upstream of this.#byAddress.values()) upstream.close();
  }

  #preferred(): readonly Upstream[] {
    const all = [...this.#byAddress.values()];
    const current = this.#current;
    // An address that is gone may have answered last.
    if (current === undefined || !all.includes(current)) return all;
    return [current, ...all.filter((upstream) => upstream !== current)];
  }

  #refresh(): Promise<void> {
    this.#lookup ??= this.#lookUp().finally(() => {
      this.#lookup = undefined;
    });
    return this.#lookup;
  }

  async #lookUp(): Promise<void> {
    const { clock, lookUp, open } = this.#options;
    const found = await lookUp();
    if (this.#isClosed || found.addresses.length === 0) {
      throw new UpstreamError('unreachable', `${this.name} has no address.`);
    }
    const kept = new Map<string, Upstream>();
    for (const address of found.addresses.slice(0, maxAddresses)) {
      kept.set(address, this.#byAddress.get(address) ?? open(address));
    }
    for (const [address, upstream] of this.#byAddress) {
      if (kept.has(address)) continue;
      upstream.close();
      if (this.#current === upstream) this.#current = undefined;
    }
    this.#byAddress = kept;
    const seconds = Math.max(leastTtlSeconds, Math.min(found.ttl, mostTtlSeconds));
    this.#goodUntil = after(clock.now(), seconds * 1000);
  }
}
