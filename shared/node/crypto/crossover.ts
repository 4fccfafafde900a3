/**
 * From which packet size on one suite is faster than another, by measurement on packets of worker
 * memory. Measures long enough for the compilers to have done their work, and takes the best round:
 * whatever else the machine does only makes rounds slower.
 */

import { type CryptoSuite, keySize } from '../../core/crypto/suite.ts';
import type { WorkerMemory } from '../ffi/memory.ts';

export interface CrossoverOptions {
  /** Expected to win on large packets. */
  readonly large: CryptoSuite;
  /** Expected to win on small packets. */
  readonly small: CryptoSuite;
  readonly memory: WorkerMemory;
  /** Offset of memory for the largest packet and its tag. Overwritten. */
  readonly at: number;
}

export interface Crossover {
  /** `large` is faster from this packet length on; 0 = always, Infinity = never. */
  readonly fromBytes: number;
  /** Nanoseconds per packet, for the log. */
  readonly figures: string;
}

/** Nanoseconds to seal a packet of each size of `sampleSizes`. */
export type Timings = readonly number[];

export const sampleSizes: readonly number[] = [64, 512, 1420];
/** Packets between two readings of the clock. */
const chunk = 16;
const budgetNs = 8_000_000;
const mostRounds = 400;
const roundUpTo = 64;

export function measureCrossover(options: CrossoverOptions): Crossover {
  const { memory, at } = options;
  const suites = [options.large, options.small];
  const keys = suites.map((suite) => suite.transportKey(new Uint8Array(keySize)));
  const best = suites.map(() => sampleSizes.map(() => Infinity));
  const start = process.hrtime.bigint();
  let counter = 0;
  for (let round = 0; round < mostRounds; round++) {
    for (const [k, key] of keys.entries()) {
      for (const [s, size] of sampleSizes.entries()) {
        const before = process.hrtime.bigint();
        for (let i = 0; i < chunk; i++) key.seal(memory.bytes, at, size, counter++);
        const took = Number(process.hrtime.bigint() - before) / chunk;
        best[k]![s] = Math.min(best[k]![s]!, took);
      }
    }
    if (Number(process.hrtime.bigint() - start) > budgetNs) break;
  }
  for (const key of keys) key.wipe();
  const [large = [], small = []] = best;
  const figure = (size: number, s: number): string =>
    `${size} B ${Math.round(large[s]!)}/${Math.round(small[s]!)}`;
  return {
    fromBytes: crossoverOf(large, small),
    figures: `${sampleSizes.map(figure).join(', ')} ns (${options.large.name}/${options.small.name})`,
  };
}

/** The length where two lines of timings cross, rounded up to a multiple of 64; 0 or Infinity where they do not. */
export function crossoverOf(large: Timings, small: Timings): number {
  const lead = sampleSizes.map((_, s) => small[s]! - large[s]!);
  if (lead[0]! > 0) return 0;
  const next = lead.findIndex((ns) => ns > 0);
  if (next < 1) return Infinity;
  const from = sampleSizes[next - 1]!;
  const share = -lead[next - 1]! / (lead[next]! - lead[next - 1]!);
  const crossing = from + share * (sampleSizes[next]! - from);
  return Math.ceil(crossing / roundUpTo) * roundUpTo;
}
