/**
 * Does the network slow UDP down? Told what came and what was lost in each second in which something was, says when TLS
 * is worth a trial, and then which of the two carried more. Pure. Loss alone proves nothing: a full link loses packets
 * too, and carries no more over TLS. So what people really load is compared, and nothing is sent for it.
 */

import { unreachable } from '../../shared/core/base/assert.ts';
import { after, type MonoMs, minuteMs, secondMs } from '../../shared/core/base/time.ts';
import type { Transport } from './race.ts';

/** Of the tunnel; they only grow until there is another tunnel. */
export interface Arrivals {
  readonly rxBytes: number;
  readonly received: number;
  readonly lost: number;
}

/**
 * `try-tls`: the tunnel is to move there, and what it carries counts; `keep-tls`: it carries clearly more;
 * `back-to-udp`: it does not; `give-up`: TLS could not be had.
 */
export type SlowVerdict = 'nothing' | 'try-tls' | 'keep-tls' | 'back-to-udp' | 'give-up';

export const slotMs: number = secondMs;
/** A slot that took longer tells of a program that stood still. */
const longestSlotMs = 2500;
/** Fewer datagrams in a slot say nothing. */
const activePackets = 3;
/** What a slot and all of them must lose. One burst at the start of a download is usual everywhere. */
const slotLoss = 0.03;
const lossyLoss = 0.05;
const lostPackets = 6;
const slotsKept = 4;
const lossySlots = 3;
/** Slots that are older are of another time. */
const slotsLastMs: number = 10 * secondMs;
/** Nothing lost for so long: nobody looks any more. */
const calmMs: number = 6 * secondMs;
/** TLS must be there after this, and have carried more after that. */
const openMs: number = 4 * secondMs;
const trialSlots = 5;
/** At once, and at the end of the trial. */
const clearlyMore = 2;
const more = 1.5;
/** After a trial that showed nothing; twice as long each time. */
export const firstRestMs: number = minuteMs;
const longestRestMs: number = 32 * minuteMs;

interface Slot {
  readonly at: MonoMs;
  readonly rate: number;
  readonly received: number;
  readonly lost: number;
}

type Phase =
  | { readonly kind: 'calm' }
  | {
      readonly kind: 'watching';
      readonly lossAt: MonoMs;
      readonly slots: readonly Slot[];
      readonly looks: number;
    }
  | {
      readonly kind: 'trying';
      readonly since: MonoMs;
      /** Bytes in a millisecond that UDP carried. */
      readonly udpRate: number;
      readonly tlsRates: readonly number[];
    };

export interface SlowUdpWatchOptions {
  /** Who is told by questions asks so many, and rests where they showed nothing. Absent: looking costs nothing. */
  readonly mostLooks?: number;
}

export class SlowUdpWatch {
  readonly #mostLooks: number;
  #phase: Phase = { kind: 'calm' };
  #last: { readonly at: MonoMs; readonly arrivals: Arrivals } | undefined;
  #restUntil = Number.NEGATIVE_INFINITY;
  #vain = 0;

  constructor({ mostLooks = Number.POSITIVE_INFINITY }: SlowUdpWatchOptions = {}) {
    this.#mostLooks = mostLooks;
  }

  /** TLS is on trial. */
  get isTrying(): boolean {
    return this.#phase.kind === 'trying';
  }

  /** Whether `tick` is to be called, once in `slotMs`. */
  get isAwake(): boolean {
    return this.#phase.kind !== 'calm';
  }

  /** The tunnel announced loss, or that much is sent. */
  handleLoss(now: MonoMs): void {
    const phase = this.#phase;
    if (phase.kind === 'trying' || now < this.#restUntil) return;
    const { slots, looks } = phase.kind === 'watching' ? phase : { slots: [], looks: 0 };
    this.#phase = { kind: 'watching', lossAt: now, slots, looks };
  }

  /** Nobody can look now. */
  giveUp(now: MonoMs): void {
    this.#rest(now);
  }

  /** There is no tunnel any more, or another one. */
  stop(): void {
    this.#phase = { kind: 'calm' };
    this.#last = undefined;
  }

  /** Another network: what the one before did says nothing. */
  handleMove(): void {
    this.stop();
    this.#restUntil = Number.NEGATIVE_INFINITY;
    this.#vain = 0;
  }

  tick(arrivals: Arrivals, transport: Transport, now: MonoMs): SlowVerdict {
    const slot = this.#slot(arrivals, now);
    this.#last = { at: now, arrivals };
    const phase = this.#phase;
    switch (phase.kind) {
      case 'calm':
        return 'nothing';
      case 'watching':
        return this.#watch(phase, slot, transport, now);
      case 'trying':
        return this.#try(phase, slot, transport, now);
      default:
        return unreachable(phase);
    }
  }

  /** Undefined where it is not one slot of one tunnel. One in which the transport changed says less than TLS carried. */
  #slot(arrivals: Arrivals, now: MonoMs): Slot | undefined {
    const last = this.#last;
    if (last === undefined) return undefined;
    const tookMs = now - last.at;
    const bytes = arrivals.rxBytes - last.arrivals.rxBytes;
    const received = arrivals.received - last.arrivals.received;
    if (bytes < 0 || received < 0 || tookMs <= 0 || tookMs > longestSlotMs) return undefined;
    const lost = Math.max(0, arrivals.lost - last.arrivals.lost);
    return { at: now, rate: bytes / tookMs, received, lost };
  }

  #watch(
    phase: Extract<Phase, { kind: 'watching' }>,
    slot: Slot | undefined,
    transport: Transport,
    now: MonoMs,
  ): SlowVerdict {
    const looks = phase.looks + 1;
    if (transport !== 'udp' || now >= after(phase.lossAt, calmMs) || looks > this.#mostLooks) {
      this.stop();
      // It was asked for nothing, and may be worth it later.
      if (this.#mostLooks !== Number.POSITIVE_INFINITY) this.#restUntil = after(now, firstRestMs);
      return 'nothing';
    }
    const isActive = slot !== undefined && slot.received + slot.lost >= activePackets;
    const fresh = phase.slots.filter(({ at }) => now <= after(at, slotsLastMs));
    const slots = (isActive ? [...fresh, slot] : fresh).slice(-slotsKept);
    this.#phase = { ...phase, slots, looks };
    if (!isActive || !isLossy(slots)) return 'nothing';
    // The best but one: the best may be from before it began.
    const [best = 0, second = best] = slots.map(({ rate }) => rate).toSorted((a, b) => b - a);
    this.#phase = { kind: 'trying', since: now, udpRate: second, tlsRates: [] };
    return 'try-tls';
  }

  #try(
    phase: Extract<Phase, { kind: 'trying' }>,
    slot: Slot | undefined,
    transport: Transport,
    now: MonoMs,
  ): SlowVerdict {
    if (transport !== 'tls') {
      const hadIt = phase.tlsRates.length > 0;
      if (!hadIt && now < after(phase.since, openMs)) return 'nothing';
      this.#rest(now);
      return hadIt ? 'nothing' : 'give-up';
    }
    if (slot === undefined) return 'nothing';
    const tlsRates = [...phase.tlsRates, slot.rate];
    const times = Math.max(...tlsRates) / Math.max(phase.udpRate, Number.MIN_VALUE);
    if (times >= clearlyMore || (tlsRates.length >= trialSlots && times >= more)) {
      this.stop();
      this.#vain = 0;
      return 'keep-tls';
    }
    this.#phase = { ...phase, tlsRates };
    if (tlsRates.length < trialSlots) return 'nothing';
    this.#rest(now);
    return 'back-to-udp';
  }

  #rest(now: MonoMs): void {
    this.stop();
    this.#restUntil = after(now, Math.min(firstRestMs * 2 ** Math.min(this.#vain, 16), longestRestMs));
    this.#vain++;
  }
}

function isLossy(slots: readonly Slot[]): boolean {
  const lost = slots.reduce((sum, one) => sum + one.lost, 0);
  const all = slots.reduce((sum, one) => sum + one.lost + one.received, 0);
  const lossy = slots.filter((one) => one.lost >= (one.lost + one.received) * slotLoss && one.lost > 0);
  return lossy.length >= lossySlots && lost >= lostPackets && lost >= all * lossyLoss;
}
