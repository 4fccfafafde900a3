// Waking up, by two clocks that a test can move. No machine was put to sleep for this.
import { describe, expect, test } from 'vitest';
import { type SleepFact, SleepGauge, SleepWatch } from '../../../../../client/host/network/sleep.ts';
import { ssidIn, systemWifi } from '../../../../../client/host/network/wifi.ts';

describe('the gauge of sleep', () => {
  test.each([
    ['an hour of being awake', { awake: 3_600_000, asleep: 0 }, 0],
    ['a nap of a second', { awake: 10, asleep: 1000 }, 1000],
    ['less than a second', { awake: 10, asleep: 900 }, 0],
    ['a night', { awake: 5, asleep: 28_800_000 }, 28_800_000],
  ])('takes %s for what it is', (_, { awake, asleep }, sleptMs) => {
    const gauge = new SleepGauge();
    gauge.handle({ bootMs: 5000, awakeMs: 4000 });

    expect(gauge.handle({ bootMs: 5000 + awake + asleep, awakeMs: 4000 + awake })).toBe(sleptMs);
  });

  test('tells of each sleep once, and of the next one again', () => {
    const gauge = new SleepGauge();
    gauge.handle({ bootMs: 0, awakeMs: 0 });

    const told = [10, 10, 25, 25].map((seconds) => gauge.handle({ bootMs: seconds * 1000, awakeMs: 0 }));

    expect(told).toEqual([10_000, 0, 15_000, 0]);
  });

  test('is not deceived by being interrupted between the two readings', () => {
    const gauge = new SleepGauge();
    gauge.handle({ bootMs: 0, awakeMs: 0 });

    expect(gauge.handle({ bootMs: 10, awakeMs: 30_010 })).toBe(0);
    expect(gauge.handle({ bootMs: 60_000, awakeMs: 60_000 })).toBe(0);
  });
});

describe('the watch of sleep', () => {
  function world(hasSignal: boolean) {
    const state = { boot: 0, awake: 0, closed: 0 };
    let onSet = (): void => undefined;
    const facts: SleepFact[] = [];
    const watch = new SleepWatch({
      onFact: (fact) => facts.push(fact),
      calls: {
        bootMs: () => state.boot,
        awakeMs: () => state.awake,
        watchWallClock: (call) => {
          onSet = call;
          return hasSignal ? { close: () => void state.closed++ } : undefined;
        },
      },
    });
    return { watch, state, facts, signal: () => onSet() };
  }

  test('compares when the kernel says that the wall clock was set', () => {
    const { watch, state, facts, signal } = world(true);
    watch.start();
    state.boot += 90_000;

    signal();

    expect(facts).toEqual([{ kind: 'woke', sleptMs: 90_000 }]);
    watch.close();
    expect(state.closed).toBe(1);
  });

  test('takes a wall clock that was merely set for no sleep', () => {
    const { watch, state, facts, signal } = world(true);
    watch.start();
    state.boot += 50;
    state.awake += 50;

    signal();

    expect(facts).toEqual([]);
    watch.close();
  });

  test('has no timer where the kernel helps, and one where it does not', () => {
    const helped = world(true).watch;
    const alone = world(false).watch;
    helped.start();
    alone.start();

    expect([helped.kind, alone.kind]).toEqual(['kernel', 'compare']);
    helped.close();
    alone.close();
  });

  test('compares whenever it is asked', () => {
    const { watch, state, facts } = world(false);
    watch.start();
    state.boot += 5000;

    watch.check();
    watch.check();

    expect(facts).toEqual([{ kind: 'woke', sleptMs: 5000 }]);
    watch.close();
  });
});

describe('the name of the Wi-Fi', () => {
  test.each([
    ['Connected to 02:00:00:00:00:01 (on wlan0)\n\tSSID: Café du Monde\n\tfreq: 2437\n', 'Café du Monde'],
    ['Connected to x\n\tSSID: Caf\\xc3\\xa9 \\x20\n', 'Café  '],
    ['Not connected.\n', undefined],
    ['\tSSID: \n', undefined],
    ['', undefined],
  ])('is read from %j as %j', (output, ssid) => {
    expect(ssidIn(output)).toBe(ssid);
  });
});

test('an interface that is no Wi-Fi has no name, and nobody is asked', async () => {
  const wifi = systemWifi(() => Promise.reject(new Error('asked')));

  expect(wifi.isWifi('lo')).toBe(false);
  expect(await wifi.ssid('lo')).toBeUndefined();
});
