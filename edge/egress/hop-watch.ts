/**
 * Whether the other side of a path's tunnel is there. What was sent and not answered raises a doubt; the other side is
 * then asked for a new session, which it answers at once where it lives, whatever becomes of the traffic. Pure: told
 * what was counted, and the time. A tunnel that nobody uses is never asked.
 */

import { after, type MonoMs } from '../../shared/core/base/time.ts';

/** Packets or bytes, growing. */
export interface HopCounts {
  readonly received: number;
  readonly sent: number;
}

/** What was sent may be unanswered for so long without a doubt. */
const doubtMs = 800;
/** After the first question; the second is asked in between. */
const verdictMs = 1200;
const againMs = 600;
/** Traffic that goes one way only must not turn into questions. */
const leastBetweenMs = 5000;
/** A silent side is asked so often, and for a new flow sooner. */
const silentAskMs = 5000;
const newFlowAskMs = 1000;
/** Who did not look for so long slept or was busy, and may not have read an answer yet. */
const missedMs = 700;

export class HopWatch {
  #received = 0;
  #sent = 0;
  #isBegun = false;
  #lookedAt: MonoMs | undefined;
  /** Since when what was sent is unanswered. */
  #waitingSince: MonoMs | undefined;
  /** The first question of this doubt, and the latest of all. */
  #askedFrom: MonoMs | undefined;
  #askedAt: MonoMs | undefined;
  #silentSince: MonoMs | undefined;

  /** What was sent waits for an answer: look again soon. */
  get isWaiting(): boolean {
    return this.#waitingSince !== undefined;
  }

  get isSilent(): boolean {
    return this.#silentSince !== undefined;
  }

  /** 'ask': ask for a new session now. Call every half second, every tenth where it waits. */
  look(counts: HopCounts, now: MonoMs): 'nothing' | 'ask' {
    const { received, sent } = counts;
    const hasReceived = this.#isBegun && received > this.#received;
    const hasSent = this.#isBegun && sent > this.#sent;
    [this.#received, this.#sent, this.#isBegun] = [received, sent, true];
    if (hasReceived) this.handleAnswer();
    else if (hasSent) this.#waitingSince ??= now;
    const missed = now - (this.#lookedAt ?? now);
    this.#lookedAt = now;
    if (missed > missedMs && this.#askedFrom !== undefined) this.#askedFrom = after(this.#askedFrom, missed);
    if (this.#waitingSince === undefined || now - this.#waitingSince < doubtMs) return 'nothing';
    if (this.#silentSince !== undefined) return this.#askAfter(silentAskMs, now);
    if (this.#askedFrom === undefined) {
      const step = this.#askAfter(leastBetweenMs, now);
      if (step === 'ask') this.#askedFrom = now;
      return step;
    }
    if (now - this.#askedFrom < verdictMs) return this.#askAfter(againMs, now);
    this.#silentSince = this.#waitingSince;
    return 'nothing';
  }

  /** A flow that is known of wants to go out, and may find nobody there. */
  handleFlow(now: MonoMs): 'nothing' | 'ask' {
    this.#waitingSince ??= now;
    return this.isSilent ? this.#askAfter(newFlowAskMs, now) : 'nothing';
  }

  /** Anything came from the other side. */
  handleAnswer(): void {
    this.#waitingSince = undefined;
    this.#askedFrom = undefined;
    this.#silentSince = undefined;
  }

  /** Half a sentence where the other side does not answer. */
  trouble(now: MonoMs): string | undefined {
    if (this.#silentSince === undefined) return undefined;
    const seconds = Math.max(1, Math.round((now - this.#silentSince) / 1000));
    return `the other side of its tunnel has not answered for ${seconds} s`;
  }

  #askAfter(ms: number, now: MonoMs): 'nothing' | 'ask' {
    if (this.#askedAt !== undefined && now - this.#askedAt < ms) return 'nothing';
    this.#askedAt = now;
    return 'ask';
  }
}
