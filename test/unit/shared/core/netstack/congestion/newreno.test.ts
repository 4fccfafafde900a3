import { describe, expect, test } from 'vitest';
import { monoMs } from '../../../../../../shared/core/base/time.ts';
import type { AckSample } from '../../../../../../shared/core/netstack/congestion/congestion.ts';
import { NewReno } from '../../../../../../shared/core/netstack/congestion/newreno.ts';

const mss = 1000;

function ack(acked: number, more: Partial<AckSample> = {}): AckSample {
  return {
    now: monoMs(1),
    acked,
    lost: 0,
    inFlight: 0,
    priorInFlight: acked,
    rttMs: 10,
    deliveryRate: 0,
    priorDelivered: 0,
    delivered: 0,
    appLimited: false,
    windowLimited: true,
    inRecovery: false,
    ...more,
  };
}

describe('NewReno', () => {
  test('begins with ten segments and doubles each round trip', () => {
    const control = new NewReno(mss);
    expect(control.windowBytes).toBe(10 * mss);

    control.handleAck(ack(10 * mss));

    expect(control.windowBytes).toBe(20 * mss);
  });

  test('halves on loss, then grows by a segment each round trip', () => {
    const control = new NewReno(mss);
    control.handleLoss(5 * mss, 20 * mss);
    expect(control.windowBytes).toBe(10 * mss);
    control.handleAck(ack(3 * mss, { inRecovery: true }));
    expect(control.windowBytes).toBe(10 * mss);

    for (let i = 0; i < 10; i++) control.handleAck(ack(mss));

    expect(control.windowBytes).toBe(11 * mss);
  });

  test('a timeout leaves one segment, then doubling up to half of what was in flight', () => {
    const control = new NewReno(mss);
    control.handleTimeout(20 * mss);
    expect([control.windowBytes, control.threshold]).toEqual([mss, 10 * mss]);

    for (let i = 0; i < 9; i++) control.handleAck(ack(mss));

    expect(control.windowBytes).toBe(10 * mss);
    control.handleAck(ack(mss));
    expect(control.windowBytes).toBe(10 * mss);
  });

  test('does not grow while the window is not used', () => {
    const control = new NewReno(mss);
    for (let i = 0; i < 50; i++) control.handleAck(ack(mss, { windowLimited: false }));

    expect(control.windowBytes).toBe(10 * mss);
  });

  test('never goes below two segments on loss', () => {
    const control = new NewReno(mss);
    control.handleLoss(mss, mss);

    expect(control.windowBytes).toBe(2 * mss);
  });

  test('after silence begins anew', () => {
    const control = new NewReno(mss);
    control.handleAck(ack(10 * mss));
    control.handleIdle(monoMs(5));

    expect(control.windowBytes).toBe(10 * mss);
  });
});
