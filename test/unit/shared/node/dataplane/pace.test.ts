import { describe, expect, it } from 'vitest';
import { type MonoMs, monoMs } from '../../../../../shared/core/base/time.ts';
import { Pace } from '../../../../../shared/node/dataplane/pace.ts';

/** A pace that was woken `count` times, `gapMs` apart; returns it and the time. */
function woken(count: number, gapMs: number): { pace: Pace; now: MonoMs } {
  const pace = new Pace();
  let now = 1000;
  for (let i = 0; i < count; i++) {
    now += gapMs;
    pace.woke(monoMs(now));
  }
  return { pace, now: monoMs(now) };
}

describe('the pace of a packet worker', () => {
  it('never waits where packets are far apart, such as pings', () => {
    const { pace, now } = woken(1000, 10);

    expect(pace.shouldLinger(now, 1)).toBe(false);
  });

  it('waits in a stream of single packets, once it has gone on for a while', () => {
    expect(woken(5, 0.06).pace.shouldLinger(monoMs(1001), 1)).toBe(false);
    const { pace, now } = woken(60, 0.06);
    expect(pace.shouldLinger(now, 1)).toBe(true);
  });

  it('does not wait after a step that moved much, or nothing', () => {
    const { pace, now } = woken(60, 0.06);

    expect([pace.shouldLinger(now, 45), pace.shouldLinger(now, 0)]).toEqual([false, false]);
  });

  it('stops where waits bring one packet each, and tries again ever more rarely', () => {
    const { pace, now } = woken(60, 0.06);
    let at: number = now;
    const pauses: number[] = [];
    for (let n = 0; n < 4; n++) {
      while (pace.shouldLinger(monoMs(at), 1)) {
        at += 0.2;
        pace.lingered(monoMs(at), 1);
      }
      const stopped = at;
      while (!pace.shouldLinger(monoMs(at), 1)) at += 1;
      pauses.push(Math.round((at - stopped) / 10) * 10);
    }

    expect(pauses).toEqual([20, 40, 80, 160]);
  });

  it('goes on where waits bring several packets', () => {
    const { pace, now } = woken(60, 0.06);
    let at: number = now;
    for (let n = 0; n < 1000; n++) {
      at += 0.2;
      pace.lingered(monoMs(at), 3);
    }

    expect(pace.shouldLinger(monoMs(at), 3)).toBe(true);
  });
});
