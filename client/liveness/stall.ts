/**
 * Does the tunnel still answer? Told the tunnel's counters and the time, says when to send a probe into it and whether
 * a send went unanswered for too long (product.md §4: within three seconds). Pure. Silence alone is no fault: who
 * sends nothing gets nothing. WireGuard itself promises an answer only within ten seconds (its keepalive), so the
 * probe, which the far end answers at once, is what makes three possible.
 */

import { unreachable } from '../../shared/core/base/assert.ts';
import { after, type MonoMs, secondMs } from '../../shared/core/base/time.ts';

/** A tunnel's counters; of several peers the sums, and the latest handshake. They only grow until `restart`. */
export interface TunnelCounters {
  readonly txBytes: number;
  /** Authenticated bytes only. */
  readonly rxBytes: number;
  readonly lastHandshakeMs: number;
}

export type Liveness = 'fine' | 'stalled';

export interface StallVerdict {
  readonly verdict: Liveness;
  /** Send one probe into the tunnel now. */
  readonly probe: boolean;
  /** Call `tick` again then, at the latest. */
  readonly nextAt: MonoMs;
}

export interface StallOptions {
  /**
   * Whether the far end answers probes at once: our own edge does. A stock server that drops them answers by a
   * keepalive after ten seconds, and is given that time until it once answered sooner.
   */
  readonly answersProbes: boolean;
  /** More peers send more keepalives between two ticks. */
  readonly peers: number;
  /** What one probe adds to `txBytes`, at most. */
  readonly probeBytes: number;
  /** The device itself announces a send that was not answered for a second: then nobody need look while it is quiet. */
  readonly announced?: boolean;
  /** A round trip through the tunnel, where one was measured: a slow link is given more time. */
  readonly rttMs?: number;
}

/** While nothing is owed. What was sent since the tick before is taken for as old as that tick. */
export const idleTickMs: number = secondMs;
/** Likewise, where the device announces. */
export const announcedTickMs: number = 60 * secondMs;
export const askAfterMs: number = secondMs;
export const stalledAfterAskingMs: number = 2 * secondMs;
/** On a slow link an answer may take two round trips, and some more. */
const slowLinkSlackMs = 500;
/** A lost packet is no lost tunnel: so often until then. */
export const probeEveryMs = 500;
/** The paper's keepalive, and a round trip. */
export const stockAnswerMs: number = 12 * secondMs;
/** Nothing heard for so long: ask once, also where nobody sends. `connected` is re-earned. */
export const reassureAfterMs: number = 120 * secondMs;
/** While there is traffic: its last packet may be the one that nobody answers. */
const mixedAgeMs = 750;
/** A tick that comes so late tells of a program that was stopped, not of the network. */
const frozenMs: number = 2 * secondMs;
/** Who is always late is not forgiven for ever. */
const maxThaws = 2;
const longestStalledPauseMs: number = 8 * secondMs;
/** After a probe into the silence: so long until somebody looks whether it was answered. */
const listenMs: number = secondMs;
/** A keepalive: a sealed packet of nothing. It wants no answer. */
const keepaliveBytes = 32;

type Phase =
  | { readonly kind: 'quiet' }
  /** Something was sent, at `since` at the earliest. */
  | { readonly kind: 'owed'; readonly since: MonoMs }
  | {
      readonly kind: 'asking';
      readonly probeAt: MonoMs;
      readonly stalledAt: MonoMs;
      readonly thaws: number;
    }
  | {
      readonly kind: 'stalled';
      readonly probeAt: MonoMs;
      readonly pauseMs: number;
      readonly listenAt: MonoMs;
    };

export class StallWatch {
  readonly #peers: number;
  readonly #probeBytes: number;
  readonly #idleMs: number;
  readonly #patienceMs: number;
  #answersProbes: boolean;
  #phase: Phase = { kind: 'quiet' };
  #last: TunnelCounters | undefined;
  #lastTickAt: MonoMs;
  #expectedAt: MonoMs;
  #heardAt: MonoMs;
  #askedAt: MonoMs | undefined;
  /** The tick before asked for a probe. */
  #probed = false;
  #wantsCheck = false;

  constructor(options: StallOptions, now: MonoMs) {
    this.#peers = Math.max(1, options.peers);
    this.#probeBytes = options.probeBytes;
    this.#idleMs = options.announced === true ? announcedTickMs : idleTickMs;
    const { rttMs = 0 } = options;
    this.#patienceMs = Math.max(stalledAfterAskingMs, rttMs * 2 + slowLinkSlackMs);
    this.#answersProbes = options.answersProbes;
    this.#lastTickAt = now;
    this.#expectedAt = now;
    this.#heardAt = now;
  }

  get verdict(): Liveness {
    return this.#phase.kind === 'stalled' ? 'stalled' : 'fine';
  }

  /** When something authenticated last came, as far as ticks saw. */
  get heardAt(): MonoMs {
    return this.#heardAt;
  }

  /**
   * There is reason for doubt: the machine woke, moved to another network, or the device announced an unanswered send.
   * Asks at the next tick, which should be now.
   */
  handleDoubt(): void {
    this.#wantsCheck = true;
  }

  /** A new tunnel counts from zero. */
  restart(now: MonoMs): void {
    this.#phase = { kind: 'quiet' };
    this.#last = undefined;
    this.#lastTickAt = now;
    this.#expectedAt = now;
    this.#heardAt = now;
    this.#askedAt = undefined;
    this.#probed = false;
  }

  tick(counters: TunnelCounters, now: MonoMs): StallVerdict {
    const last = this.#last ?? counters;
    const lastTickAt = this.#lastTickAt;
    const lateMs = now - this.#expectedAt;
    this.#last = counters;
    this.#lastTickAt = now;
    const heard = counters.rxBytes > last.rxBytes || counters.lastHandshakeMs > last.lastHandshakeMs;
    const ownBytes = keepaliveBytes * this.#peers + (this.#probed ? this.#probeBytes : 0);
    const wantsAnswer = counters.txBytes - last.txBytes > ownBytes;
    if (heard) this.#hear(wantsAnswer, lastTickAt, now);
    if (this.#wantsCheck) {
      this.#wantsCheck = false;
      return this.#ask(now);
    }
    if (heard) return this.#say(false, now);
    if (this.#phase.kind === 'quiet') {
      if (wantsAnswer) this.#phase = { kind: 'owed', since: notOlder(lastTickAt, now, idleTickMs) };
      else if (now - this.#heardAt >= reassureAfterMs) return this.#ask(now);
    }
    return this.#silent(lateMs, now);
  }

  #hear(wantsAnswer: boolean, lastTickAt: MonoMs, now: MonoMs): void {
    this.#heardAt = now;
    if (this.#askedAt !== undefined && now - this.#askedAt <= this.#patienceMs) this.#answersProbes = true;
    this.#askedAt = undefined;
    // What was sent meanwhile may have been sent after that, and be unanswered.
    const since = notOlder(lastTickAt, now, mixedAgeMs);
    this.#phase = wantsAnswer ? { kind: 'owed', since } : { kind: 'quiet' };
  }

  #silent(lateMs: number, now: MonoMs): StallVerdict {
    const phase = this.#phase;
    switch (phase.kind) {
      case 'quiet':
        return this.#say(false, now);
      case 'owed':
        return now >= after(phase.since, askAfterMs) ? this.#ask(now) : this.#say(false, now);
      case 'asking':
        // Whoever was frozen has not listened either.
        if (lateMs >= frozenMs && phase.thaws < maxThaws) return this.#ask(now, phase.thaws + 1);
        if (now >= phase.stalledAt) {
          this.#phase = stalledFor(probeEveryMs, now);
          return this.#say(true, now);
        }
        if (now < phase.probeAt) return this.#say(false, now);
        this.#phase = { ...phase, probeAt: after(now, probeEveryMs) };
        return this.#say(true, now);
      case 'stalled': {
        if (now < phase.probeAt) return this.#say(false, now);
        this.#phase = stalledFor(Math.min(phase.pauseMs * 2, longestStalledPauseMs), now);
        return this.#say(true, now);
      }
      default:
        return unreachable(phase);
    }
  }

  #ask(now: MonoMs, thaws = 0): StallVerdict {
    // Where it is known to be silent it stays so until something is heard, but is asked at once.
    if (this.#phase.kind === 'stalled') {
      this.#phase = stalledFor(probeEveryMs, now);
    } else {
      const patienceMs = this.#answersProbes ? this.#patienceMs : Math.max(stockAnswerMs, this.#patienceMs);
      const stalledAt = after(now, patienceMs);
      this.#phase = { kind: 'asking', probeAt: after(now, probeEveryMs), stalledAt, thaws };
      this.#askedAt = now;
    }
    return this.#say(true, now);
  }

  #say(probe: boolean, now: MonoMs): StallVerdict {
    const nextAt = this.#nextAt(now);
    this.#probed = probe;
    this.#expectedAt = nextAt;
    return { verdict: this.verdict, probe, nextAt };
  }

  #nextAt(now: MonoMs): MonoMs {
    const phase = this.#phase;
    switch (phase.kind) {
      case 'quiet':
        return after(now, this.#idleMs);
      case 'owed':
        return after(phase.since, askAfterMs);
      case 'asking':
        return Math.min(phase.probeAt, phase.stalledAt) as MonoMs;
      case 'stalled':
        return now < phase.listenAt ? (Math.min(phase.listenAt, phase.probeAt) as MonoMs) : phase.probeAt;
      default:
        return unreachable(phase);
    }
  }
}

function stalledFor(pauseMs: number, now: MonoMs): Phase {
  return { kind: 'stalled', probeAt: after(now, pauseMs), pauseMs, listenAt: after(now, listenMs) };
}

/** The earliest time that something seen now can be of. */
function notOlder(lastTickAt: MonoMs, now: MonoMs, mostMs: number): MonoMs {
  return Math.max(lastTickAt, now - mostMs) as MonoMs;
}
