/**
 * Measures one place by several paths at once: a connection by each, as ../egress/probe.ts does to its targets, and
 * closed again. Who is connected tells how long it takes; who is not, where another is and the path works, does not
 * lead there.
 */

import type { FlowEnd } from '../../shared/core/netstack/events.ts';
import type { Timing } from '../egress/dial-race.ts';
import { type EgressPath, PathError } from '../egress/path.ts';
import type { PathReports } from '../egress/report.ts';
import { placeKey } from '../egress/site.ts';

export interface PlaceMeasureTools {
  readonly reports: PathReports;
  readonly timing: Timing;
  readonly maySpend: (bytes: number) => boolean;
  /** Asks the path's usual targets. */
  readonly probe: (id: string) => Promise<unknown>;
}

interface Attempt {
  readonly id: string;
  readonly startedAt: ReturnType<Timing['now']>;
  /** Undefined: it was not connected. */
  readonly ms: number | undefined;
}

/** SYN, SYN-ACK, ACK and RST with their headers, and repetitions. */
const attemptBytes = 400;
/** Whoever asks has waited for a second already; a far place may take longer. */
const leastPatienceMs = 700;
const mostPatienceMs = 3000;

/** Returns whether any path led there; undefined where the budget is spent. Never rejects. */
export async function measurePlace(
  end: FlowEnd,
  paths: readonly EgressPath[],
  tools: PlaceMeasureTools,
): Promise<boolean | undefined> {
  const { reports, timing, maySpend } = tools;
  if (!maySpend(attemptBytes * paths.length)) return undefined;
  const keys = [placeKey(end.address)];
  const attempts = await Promise.all(paths.map((path) => attempt(path, end, keys, tools)));
  const now = timing.now();
  for (const { id, ms } of attempts) if (ms !== undefined) reports.noteConnect(id, keys, ms, now);
  const lost = attempts.filter(({ ms }) => ms === undefined);
  if (lost.length === attempts.length) return false;
  await Promise.all(lost.map((one) => learnUnreached(one, keys, tools)));
  return true;
}

async function attempt(
  path: EgressPath,
  end: FlowEnd,
  keys: readonly string[],
  { reports, timing }: PlaceMeasureTools,
): Promise<Attempt> {
  const { id } = path;
  const startedAt = timing.now();
  const { connectMs, deviationMs } = reports.expect(id, keys, startedAt);
  const patienceMs = Math.min(mostPatienceMs, Math.max(leastPatienceMs, 2 * connectMs + 4 * deviationMs));
  const stop = new AbortController();
  const cancel = timing.after(patienceMs, () => stop.abort(unanswered));
  try {
    const stream = await path.dialTcp({ end }, stop.signal);
    stream.on('error', () => undefined);
    stream.destroy();
    return { id, startedAt, ms: timing.now() - startedAt };
  } catch {
    // Refused, unreachable or silent: what counts is that another led there.
    return { id, startedAt, ms: undefined };
  } finally {
    cancel();
  }
}

/** Only of a path that has just shown that it works: else it is no story of this place. */
async function learnUnreached(
  { id, startedAt }: Attempt,
  keys: readonly string[],
  { reports, timing, probe }: PlaceMeasureTools,
): Promise<void> {
  await probe(id);
  const { measuredAt } = reports.report(id, timing.now());
  if (measuredAt !== undefined && measuredAt >= startedAt) reports.noteUnreached(id, keys, timing.now());
}

const unanswered = new PathError('destination', 'timeout', 'The place does not answer.');
