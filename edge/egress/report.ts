/**
 * What is known of every path: time to connect, loss, health; and per destination how much longer it takes there
 * than the path usually does, where traffic goes. Running estimates, bounded. Pure: told every result and the time.
 *
 * A connection's time is the path's own plus what the destination adds on that path. The path's part follows probes
 * and all flows, so that a wave is seen by the first that meets it; the destination's part is learnt by its flows.
 */

import type { MonoMs } from '../../shared/core/base/time.ts';
import { Estimate, LossWindow } from './estimate.ts';
import { type PathHealth, PathHealthState } from './path-health.ts';
import { RecentMap } from './recent-map.ts';

/** What one lost packet of a connection's beginning costs: the first timeout of TCP (RFC 6298 §2). */
export const lossCostMs = 1000;
/** A connection that took so much longer than usual has lost its first packet. */
const lostPacketMs = 900;
/** No attempt is waited for so long: the machine slept meanwhile, and the time says nothing. */
const longestAttemptMs = 30_000;
/** Flows of one destination say less about a path than a probe does. */
const flowWeight = 0.25;
const probeWeight = 0.4;
const destinationWeight = 0.3;
/** How likely a place fails again on a path after one failure more, and what an answer leaves of it. */
const failureWeight = 0.35;
const answerForgives = 0.4;
/** Half of it is forgotten in this time. */
const failingHalfMs = 2 * 60_000;
/** What a flow loses that must be saved by another path. */
const failingCostMs = 600;
/** From here on it is that place, not the path. */
const failingThere = 0.3;
/** How far one flow may pull a path: its deviation times this, and a little. */
const pullDeviations = 2;
const pullMs = 10;
/** Destinations with estimates of their own: /24, /48 and names. */
const maxDestinations = 8192;
/** After this silence a destination's part says nothing any more. */
const destinationLifeMs = 30 * 60_000;
/** Time to connect of a path that nobody has tried: neither tempting nor frightening. */
const unknownConnectMs = 150;

/** How a path stands, for people and programs. */
export interface PathReport {
  readonly health: PathHealth;
  /** Of its probes, and of flows compared with their destination's usual; undefined where nothing was measured. */
  readonly connectMs: number | undefined;
  readonly deviationMs: number | undefined;
  readonly firstByteMs: number | undefined;
  /** Of the last attempts, 0 to 100. */
  readonly lossPercent: number;
  /** Segments that were sent again, 0 to 100; undefined where no connection told. */
  readonly retransmitPercent: number | undefined;
  readonly samples: number;
  readonly measuredAt: MonoMs | undefined;
}

/** What a flow by a path is expected to cost. */
export interface Expectation {
  /** Milliseconds until it is connected, losses included. */
  readonly costMs: number;
  /** The same without losses. */
  readonly connectMs: number;
  /** How much single connections differ. */
  readonly deviationMs: number;
  /** 'destination': measured there on this path; 'path': derived; 'none': a guess. */
  readonly from: 'destination' | 'path' | 'none';
}

/** Who failed, when the attempt began, and whether the path itself said so. */
export interface FailedAttempt {
  readonly path: string;
  /** Keys of the destination; none for a probe. */
  readonly keys: readonly string[];
  readonly startedAt: MonoMs;
  /** The path's own trouble; false: it only did not answer where another did. */
  readonly isCertain: boolean;
}

interface PathState {
  readonly connect: Estimate;
  readonly firstByte: Estimate;
  readonly retransmits: Estimate;
  readonly loss: LossWindow;
  readonly health: PathHealthState;
  measuredAt: MonoMs | undefined;
}

/** What a destination adds, by path. */
interface Destination {
  readonly paths: Map<string, { readonly added: Estimate; failing: number; at: MonoMs }>;
}

export class PathReports {
  readonly #paths: ReadonlyMap<string, PathState>;
  /** Makes each failed probe a place of its own. */
  #failures = 0;
  readonly #destinations = new RecentMap<Destination>(maxDestinations);

  constructor(ids: readonly string[]) {
    this.#paths = new Map(ids.map((id) => [id, newState()]));
  }

  get destinations(): number {
    return this.#destinations.size;
  }

  /** A probe was answered after so long. */
  noteProbe(path: string, ms: number, now: MonoMs): void {
    const state = this.#paths.get(path);
    if (state === undefined || ms > longestAttemptMs) return;
    const { rtt, lost } = withoutLoss(ms, state.connect);
    this.#noteAnswer(state, lost, now);
    state.connect.add(rtt, probeWeight);
  }

  /** A flow, or a measurement beside one, was connected after so long. `keys`: the most exact first. */
  noteConnect(path: string, keys: readonly string[], ms: number, now: MonoMs): void {
    const state = this.#paths.get(path);
    if (state === undefined || ms > longestAttemptMs) return;
    const expected = this.#connectOf(state, path, keys, now);
    const { rtt, lost } = withoutLoss(ms, { mean: expected.ms, samples: state.connect.samples });
    this.#noteAnswer(state, lost, now);
    const before = state.connect.samples === 0 ? rtt : state.connect.mean;
    if (state.connect.samples === 0) state.connect.add(rtt);
    else if (expected.from === 'destination') {
      const most = pullDeviations * state.connect.deviation + pullMs;
      const error = Math.max(-most, Math.min(most, rtt - expected.ms));
      state.connect.add(before + error, flowWeight);
    }
    for (const key of keys) {
      const there = this.#entry(key, path, now);
      there.added.add(rtt - before, destinationWeight);
      there.failing *= answerForgives;
      there.at = now;
    }
  }

  /** The destination itself has refused: the path works. */
  noteAnswered(path: string, now: MonoMs): void {
    const state = this.#paths.get(path);
    if (state !== undefined) this.#noteAnswer(state, false, now);
  }

  /** Only what is the path's fault, or did not come by it though it came by another. */
  noteFailure(failed: FailedAttempt, now: MonoMs): void {
    const state = this.#paths.get(failed.path);
    if (state === undefined) return;
    const { startedAt, isCertain, keys } = failed;
    if (!isCertain && now - startedAt > longestAttemptMs) return;
    // A place that has failed on this path before is a story of its own, one that has never answered may be.
    const isKnownThere = !isCertain && this.#failing(failed.path, keys, now) > failingThere;
    if (!isKnownThere) {
      if (isCertain || keys.length === 0 || this.#hasAnswered(failed.path, keys)) state.loss.add(true, now);
      const place = keys[0] ?? `probe ${this.#failures++}`;
      state.health.handleFailure({ startedAt, isCertain, place }, now);
    }
    for (const key of keys) this.#noteFailing(failed.path, key, now);
  }

  /** The path does not lead there though another does, and has just shown that it works: that place's story alone. */
  noteUnreached(path: string, keys: readonly string[], now: MonoMs): void {
    for (const key of keys) this.#noteFailing(path, key, now);
  }

  /** Whether the path did not lead to the place lately, though another did. */
  fails(path: string, keys: readonly string[], now: MonoMs): boolean {
    return this.#failing(path, keys, now) > failingThere;
  }

  noteFirstByte(path: string, ms: number): void {
    this.#paths.get(path)?.firstByte.add(ms);
  }

  /** `share`: 0 to 1 of a connection's segments. */
  noteRetransmits(path: string, share: number): void {
    this.#paths.get(path)?.retransmits.add(share, flowWeight);
  }

  health(path: string, now: MonoMs): PathHealth {
    return this.#paths.get(path)?.health.at(now) ?? 'unknown';
  }

  /** How often its time to connect was measured. */
  samples(path: string): number {
    return this.#paths.get(path)?.connect.samples ?? 0;
  }

  expect(path: string, keys: readonly string[], now: MonoMs): Expectation {
    const state = this.#paths.get(path);
    if (state === undefined) return { ...guess };
    const { ms, from } = this.#connectOf(state, path, keys, now);
    const loss = Math.min(0.9, state.loss.share(now));
    const failing = from === 'none' ? 0 : this.#failing(path, keys, now);
    const connectMs = Math.max(1, ms);
    const lossMs = (loss / (1 - loss)) * lossCostMs;
    const costMs = connectMs + lossMs + failing * failingCostMs;
    return { costMs, connectMs, deviationMs: state.connect.deviation, from };
  }

  /** How old the newest measurement of this destination on this path is; Infinity where there is none. */
  ageAt(path: string, key: string, now: MonoMs): number {
    const there = this.#destinations.peek(key)?.paths.get(path);
    return there === undefined ? Number.POSITIVE_INFINITY : Math.max(0, now - there.at);
  }

  report(path: string, now: MonoMs): PathReport {
    const state = this.#paths.get(path) ?? newState();
    const { connect, firstByte, loss, retransmits } = state;
    return {
      health: state.health.at(now),
      connectMs: known(connect, connect.mean),
      deviationMs: known(connect, connect.deviation),
      firstByteMs: known(firstByte, firstByte.mean),
      lossPercent: loss.seen(now) * 100,
      retransmitPercent: known(retransmits, retransmits.mean * 100),
      samples: connect.samples,
      measuredAt: state.measuredAt,
    };
  }

  #noteAnswer(state: PathState, isLost: boolean, now: MonoMs): void {
    if (isLost) state.loss.add(true, now);
    state.loss.add(false, now);
    state.health.handleAnswer(now);
    state.measuredAt = now;
  }

  /** Without losses. */
  #connectOf(
    state: PathState,
    path: string,
    keys: readonly string[],
    now: MonoMs,
  ): { readonly ms: number; readonly from: Expectation['from'] } {
    if (state.connect.samples === 0) return { ms: unknownConnectMs, from: 'none' };
    const own = state.connect.mean;
    let elsewhere: number | undefined;
    for (const key of keys) {
      const destination = this.#destinations.peek(key);
      if (destination === undefined) continue;
      const there = destination.paths.get(path);
      if (there !== undefined && there.added.samples > 0 && now - there.at < destinationLifeMs) {
        return { ms: own + there.added.mean, from: 'destination' };
      }
      elsewhere ??= leastAdded(destination);
    }
    return { ms: own + (elsewhere ?? 0), from: 'path' };
  }

  #hasAnswered(path: string, keys: readonly string[]): boolean {
    return keys.some((key) => (this.#destinations.peek(key)?.paths.get(path)?.added.samples ?? 0) > 0);
  }

  #failing(path: string, keys: readonly string[], now: MonoMs): number {
    for (const key of keys) {
      const there = this.#destinations.peek(key)?.paths.get(path);
      if (there !== undefined) return fading(there, now);
    }
    return 0;
  }

  #noteFailing(path: string, key: string, now: MonoMs): void {
    const there = this.#entry(key, path, now);
    const before = fading(there, now);
    there.failing = before + failureWeight * (1 - before);
    there.at = now;
  }

  #entry(key: string, path: string, now: MonoMs): { readonly added: Estimate; failing: number; at: MonoMs } {
    const { paths } = this.#destinations.ensure(key, () => ({ paths: new Map() }));
    const found = paths.get(path);
    if (found !== undefined) return found;
    const made = { added: new Estimate(), failing: 0, at: now };
    paths.set(path, made);
    return made;
  }
}

const guess: Expectation = {
  costMs: unknownConnectMs,
  connectMs: unknownConnectMs,
  deviationMs: unknownConnectMs / 4,
  from: 'none',
};

function fading(there: { readonly failing: number; readonly at: MonoMs }, now: MonoMs): number {
  return there.failing * 0.5 ** (Math.max(0, now - there.at) / failingHalfMs);
}

function newState(): PathState {
  return {
    connect: new Estimate(),
    firstByte: new Estimate(),
    retransmits: new Estimate(),
    loss: new LossWindow(),
    health: new PathHealthState(),
    measuredAt: undefined,
  };
}

function known(estimate: Estimate, value: number): number | undefined {
  return estimate.samples === 0 ? undefined : value;
}

/** A first packet that was lost shows as a second more (RFC 6298 §5.5: then three). */
function withoutLoss(
  ms: number,
  usual: { readonly mean: number; readonly samples: number },
): { readonly rtt: number; readonly lost: boolean } {
  if (usual.samples === 0 || ms < usual.mean + lostPacketMs) return { rtt: ms, lost: false };
  const waited = ms >= usual.mean + 3 * lostPacketMs ? 3 * lossCostMs : lossCostMs;
  return { rtt: Math.max(usual.mean, ms - waited), lost: true };
}

/** What a far destination adds by any way: the least that was seen. */
function leastAdded(destination: Destination): number | undefined {
  let least: number | undefined;
  for (const { added } of destination.paths.values()) {
    if (added.samples > 0 && (least === undefined || added.mean < least)) least = added.mean;
  }
  return least;
}
