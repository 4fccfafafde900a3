/**
 * An upstream that is known by nothing but its address: DoT there, and where that is not offered the way that it tells
 * itself (DDR, RFC 9462 §4). Whatever it tells, its certificate must cover the address that the user wrote, so a lie
 * costs nothing but the answer; there is no way from here to plain DNS for the questions themselves.
 */

import { after, type MonoMs } from '../../core/base/time.ts';
import type { Clock } from '../clock.ts';
import type { UpstreamStats } from './latency.ts';
import type { Upstream } from './upstream.ts';

export interface DesignatedOptions {
  /** DoT at the address itself. */
  readonly direct: Upstream;
  readonly clock: Clock;
  /** Asks the address where it wants to be asked, and opens that. Empty: it tells nothing. */
  readonly discover: () => Promise<readonly Upstream[]>;
}

/** Where nothing was told, or it did not work, it is asked again only after so long. */
const askAgainMs = 60_000;

export function createDesignatedUpstream(options: DesignatedOptions): Upstream {
  return new DesignatedUpstream(options);
}

class DesignatedUpstream implements Upstream {
  readonly name: string;
  readonly isEncrypted = true;
  readonly #options: DesignatedOptions;
  #designated: readonly Upstream[] = [];
  #current: Upstream;
  #askAfter: MonoMs | undefined;
  #discovery: Promise<void> | undefined;
  #isClosed = false;

  constructor(options: DesignatedOptions) {
    this.name = options.direct.name;
    this.#options = options;
    this.#current = options.direct;
  }

  get stats(): UpstreamStats {
    return this.#current.stats;
  }

  async query(message: Uint8Array, signal?: AbortSignal): Promise<Uint8Array> {
    const copy = new Uint8Array(message);
    try {
      return await this.#current.query(copy, signal);
    } catch (error) {
      if (this.#isClosed || signal?.aborted === true) throw error;
      await this.#learn();
      const others = [this.#options.direct, ...this.#designated].filter((one) => one !== this.#current);
      for (const other of others) {
        try {
          const answer = await other.query(copy, signal);
          this.#current = other;
          return answer;
        } catch {
          // The next one; what is told at the end is how the first failed.
        }
      }
      throw error;
    }
  }

  reset(): void {
    this.#askAfter = undefined;
    for (const upstream of this.#all()) upstream.reset();
  }

  close(): void {
    this.#isClosed = true;
    for (const upstream of this.#all()) upstream.close();
  }

  #all(): readonly Upstream[] {
    return [this.#options.direct, ...this.#designated];
  }

  #learn(): Promise<void> {
    this.#discovery ??= this.#discover().finally(() => {
      this.#discovery = undefined;
    });
    return this.#discovery;
  }

  async #discover(): Promise<void> {
    const now = this.#options.clock.now();
    if (this.#askAfter !== undefined && now < this.#askAfter) return;
    this.#askAfter = after(now, askAgainMs);
    // Nobody who answers there: that is what the question's own failure says already.
    const found = await this.#options.discover().catch((): readonly Upstream[] => []);
    if (found.length === 0 || this.#isClosed) {
      for (const upstream of found) upstream.close();
      return;
    }
    for (const upstream of this.#designated) if (upstream !== this.#current) upstream.close();
    this.#designated = this.#designated.includes(this.#current) ? [this.#current, ...found] : found;
  }
}
