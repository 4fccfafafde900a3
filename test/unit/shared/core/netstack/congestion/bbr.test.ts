import { describe, expect, test } from 'vitest';
import { monoMs } from '../../../../../../shared/core/base/time.ts';
import { Bbr } from '../../../../../../shared/core/netstack/congestion/bbr.ts';
import type { AckSample } from '../../../../../../shared/core/netstack/congestion/congestion.ts';

const mss = 1250;
/** Ten Mbit/s. */
const rate = 1250;

/** A path that delivers one segment a millisecond, acknowledgement by acknowledgement. */
class Path {
  readonly bbr = new Bbr(mss);
  now = 1000;
  delivered = 0;
  rttMs = 20;
  /** What the pace puts in and the path takes out, as far as the window allows. */
  inFlight = 20 * rate;
  readonly modes = new Set<string>();

  run(ms: number, more: Partial<AckSample> = {}): void {
    for (let i = 0; i < ms; i++) {
      this.now++;
      const priorDelivered = Math.max(0, this.delivered - this.rttMs * rate);
      this.delivered += mss;
      const paced = this.inFlight + Math.min(this.bbr.pacingRate, 10 * rate) - rate;
      this.inFlight = Math.max(mss, Math.min(paced, this.bbr.windowBytes));
      this.bbr.handleAck({
        now: monoMs(this.now),
        acked: mss,
        lost: 0,
        inFlight: this.inFlight,
        priorInFlight: this.inFlight + mss,
        rttMs: this.rttMs,
        deliveryRate: rate,
        priorDelivered,
        delivered: this.delivered,
        appLimited: false,
        windowLimited: true,
        inRecovery: false,
        ...more,
      });
      this.modes.add(this.bbr.model.mode);
    }
  }
}

describe('BBR', () => {
  test('learns the rate and the round trip, and leaves start-up when the rate grows no more', () => {
    const path = new Path();
    expect(path.bbr.pacingRate).toBe(Number.POSITIVE_INFINITY);
    path.run(20);
    expect(path.bbr.pacingRate).toBeGreaterThan(2 * rate);

    path.run(500);

    expect([...path.modes]).toEqual(['startup', 'drain', 'probe-bw']);
    expect(path.bbr.model).toMatchObject({ bandwidth: rate, minRttMs: 20 });
  });

  test('keeps about twice of what the path holds in flight', () => {
    const path = new Path();
    path.run(2000);

    const content = rate * 20;
    expect(path.bbr.windowBytes).toBeGreaterThan(2 * content);
    expect(path.bbr.windowBytes).toBeLessThan(3 * content);
  });

  test('probes upwards, drains, and cruises', () => {
    const path = new Path();
    path.run(1000);
    const paces = new Set<number>();
    for (let i = 0; i < 400; i++) {
      path.run(1);
      paces.add(Math.round((path.bbr.pacingRate / rate) * 100));
    }

    expect(paces).toEqual(new Set([99, 124, 74]));
  });

  test('random loss does not slow it down', () => {
    const path = new Path();
    path.run(1000);
    for (let i = 0; i < 50; i++) {
      path.bbr.handleLoss(20 * rate);
      path.run(25, { lost: 125, inRecovery: true });
      path.bbr.handleRecovered();
      path.run(5);
    }

    expect(path.bbr.model.bandwidth).toBe(rate);
    expect(path.bbr.pacingRate).toBeGreaterThan(0.7 * rate);
    expect(path.bbr.windowBytes).toBeGreaterThan(20 * rate);
  });

  test('looks for a shorter round trip every ten seconds, with less in flight for a moment', () => {
    const path = new Path();
    path.run(1000);
    path.rttMs = 30;
    path.modes.clear();
    let least = Number.POSITIVE_INFINITY;
    for (let i = 0; i < 110; i++) {
      path.run(100);
      least = Math.min(least, path.bbr.windowBytes);
    }

    expect(path.modes).toContain('probe-rtt');
    expect(path.bbr.model.mode).toBe('probe-bw');
    expect(path.bbr.model.minRttMs).toBe(30);
    expect(least).toBeLessThan(30 * rate);
    expect(path.bbr.windowBytes).toBeGreaterThan(60 * rate);
  });

  test('forgets a rate that the path has no more within ten rounds', () => {
    const path = new Path();
    path.run(1000);
    path.run(1000, { deliveryRate: rate / 2 });

    expect(path.bbr.model.bandwidth).toBe(rate / 2);
  });

  test('a rate that only the sender limited is not believed to be less', () => {
    const path = new Path();
    path.run(1000);
    path.run(1000, { deliveryRate: rate / 2, appLimited: true });

    expect(path.bbr.model.bandwidth).toBe(rate);
  });

  test('a timeout leaves four segments, and the end of the loss gives the window back', () => {
    const path = new Path();
    path.run(1000);
    const before = path.bbr.windowBytes;
    path.bbr.handleTimeout(20 * rate);
    expect(path.bbr.windowBytes).toBe(4 * mss);
    path.bbr.handleRecovered();

    expect(path.bbr.windowBytes).toBe(before);
  });
});
