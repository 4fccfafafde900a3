// What the window remembers of the numbers it saw: the last minute, one sample a second at most. Pure: told the time.
import type { PathList } from '../../shared/core/control/paths-api.ts';
import type { TrafficStatus } from '../../shared/core/control/status.ts';

/** As many as are drawn. */
export const kept = 60;
/** More than an edge may have paths. */
const mostNames = 256;
const secondMs = 1000;
/** Two snapshots that come closer together say nothing about speed. */
const shortestS = 0.5;

/** Milliseconds, or undefined where no answer came: a gap, never a zero. */
export type Sample = number | undefined;

/** Per name, oldest first. */
export type History = ReadonlyMap<string, readonly Sample[]>;

/** The history with one more sample of each path; paths that are gone are forgotten. */
export function withPaths(history: History, list: PathList): History {
  const next = new Map<string, readonly Sample[]>();
  for (const { id, state, rttMs } of list.paths.slice(0, mostNames)) {
    next.set(id, [...(history.get(id) ?? []), state === 'down' ? undefined : rttMs].slice(-kept));
  }
  return next;
}

/** Bytes per second in both directions, and what the next rates are computed from. */
export interface Rates {
  readonly down: readonly number[];
  readonly up: readonly number[];
  readonly last?: TrafficStatus & { readonly atMs: number };
}

export const noRates: Rates = { down: [], up: [] };

/** `atMs` on a clock that never goes back. Counters that went back (a new tunnel) begin anew. */
export function withTraffic(rates: Rates, { rxBytes, txBytes }: TrafficStatus, atMs: number): Rates {
  const { last } = rates;
  const now = { rxBytes, txBytes, atMs };
  if (last === undefined || rxBytes < last.rxBytes || txBytes < last.txBytes)
    return { ...noRates, last: now };
  const seconds = (atMs - last.atMs) / secondMs;
  if (seconds < shortestS) return rates;
  return {
    down: [...rates.down, (rxBytes - last.rxBytes) / seconds].slice(-kept),
    up: [...rates.up, (txBytes - last.txBytes) / seconds].slice(-kept),
    last: now,
  };
}

/** Where lines are drawn. Lines that are to be compared have the same `top`. */
export interface Box {
  readonly width: number;
  readonly height: number;
  readonly top: number;
}

/** The largest of all samples, as the common top of their boxes. */
export function topOf(series: Iterable<readonly Sample[]>): number {
  return Math.max(
    0,
    ...Array.from(series, (samples) => Math.max(0, ...samples.map((sample) => sample ?? 0))),
  );
}

/**
 * The pieces of a line through the samples as `points` of SVG polylines, in a box of the given size, newest at the
 * right. A gap ends a piece. The scale goes from zero to `top`, or to the largest where that is more.
 */
export function linesOf(samples: readonly Sample[], { width, height, top }: Box): readonly string[] {
  const shown = samples.slice(-kept);
  const most = Math.max(1, top, ...shown.map((sample) => sample ?? 0));
  const step = width / (kept - 1);
  const first = kept - shown.length;
  const lines: string[][] = [[]];
  for (const [index, sample] of shown.entries()) {
    if (sample === undefined) {
      lines.push([]);
      continue;
    }
    const x = (first + index) * step;
    const y = height - 1 - (sample / most) * (height - 2);
    lines.at(-1)?.push(`${x.toFixed(1)},${y.toFixed(1)}`);
  }
  // A line needs two ends: a single sample is drawn as a short dash.
  return lines
    .filter((line) => line.length > 0)
    .map((line) => (line.length === 1 ? `${line[0]} ${dashTo(line[0] ?? '')}` : line.join(' ')));
}

function dashTo(point: string): string {
  const [x = '0', y = '0'] = point.split(',');
  return `${(Number(x) + 1).toFixed(1)},${y}`;
}
