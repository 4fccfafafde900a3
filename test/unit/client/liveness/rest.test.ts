// When the tunnel rests, and when the name of the edge is looked up again.
import { describe, expect, test } from 'vitest';
import {
  lookedUp,
  lookupDue,
  movedToNetwork,
  noLookup,
  orderToTry,
  silenceBegan,
  wasHeard,
} from '../../../../client/liveness/re-resolve.ts';
import {
  addTrusted,
  beginPause,
  isSsid,
  maxTrusted,
  type RestFacts,
  restNow,
  resumePause,
} from '../../../../client/liveness/rest.ts';
import { monoMs, unixMs } from '../../../../shared/core/base/time.ts';

const facts: RestFacts = {
  pause: undefined,
  trust: { ssids: ['Home'], wired: true },
  around: { ssid: undefined, wired: false, network: 'n1' },
  insistedIn: undefined,
};

describe('the tunnel rests', () => {
  test.each<[string, Partial<RestFacts>, string]>([
    ['not, by default', {}, 'awake'],
    ['on a trusted Wi-Fi', { around: { ssid: 'Home', wired: false, network: 'n1' } }, 'trusted'],
    [
      'not on a Wi-Fi whose name only looks like it',
      { around: { ssid: 'home ', wired: false, network: 'n1' } },
      'awake',
    ],
    [
      'on a cable where cables are trusted',
      { around: { ssid: undefined, wired: true, network: 'n1' } },
      'trusted',
    ],
    [
      'not on a cable beside a strange Wi-Fi',
      { around: { ssid: 'Cafe', wired: true, network: 'n1' } },
      'awake',
    ],
    [
      'not where the name is unknown',
      { trust: { ssids: [''], wired: false }, around: { ssid: '', wired: false, network: 'n1' } },
      'awake',
    ],
    [
      'not where the user insisted in this network',
      { around: { ssid: 'Home', wired: false, network: 'n1' }, insistedIn: 'n1' },
      'awake',
    ],
    [
      'again in the next trusted one',
      { around: { ssid: 'Home', wired: false, network: 'n2' }, insistedIn: 'n1' },
      'trusted',
    ],
    ['while paused', { pause: { until: monoMs(1001) } }, 'paused'],
    ['no longer when the pause is over', { pause: { until: monoMs(1000) } }, 'awake'],
  ])('%s', (_, change, kind) => {
    expect(restNow({ ...facts, ...change }, monoMs(1000)).kind).toBe(kind);
  });
});

describe('a pause', () => {
  const [pause, stored] = beginPause(900_000, monoMs(5000), unixMs(1_000_000))!;

  test('ends by the clock that counts sleep', () => {
    expect(pause.until).toBe(905_000);
  });

  test.each([
    ['at once', 1_000_000, 900_000],
    ['later', 1_600_000, 300_000],
    ['with a wall clock set back by years', -9_000_000_000, 900_000],
  ])('goes on after a restart %s', (_, unix, leftMs) => {
    expect(resumePause(stored, monoMs(0), unixMs(unix))).toEqual({ until: leftMs });
  });

  test('is over after a restart that comes too late', () => {
    expect(resumePause(stored, monoMs(0), unixMs(1_900_000))).toBeUndefined();
  });

  test.each([0, -1, Number.NaN, Infinity, 24 * 3600_000 + 1])('of %d ms is none', (askedMs) => {
    expect(beginPause(askedMs, monoMs(0), unixMs(0))).toBeUndefined();
  });
});

test.each([
  ['Café du Monde', true],
  ['x'.repeat(32), true],
  ['x'.repeat(33), false],
  ['é'.repeat(17), false],
  ['', false],
  ['a\nb', false],
])('takes %j for the name of a Wi-Fi: %s', (text, fine) => {
  expect(isSsid(text)).toBe(fine);
});

describe('looking the edge up again', () => {
  test('begins after five seconds of silence, and backs off to five minutes', () => {
    let state = silenceBegan(noLookup, true, monoMs(0));
    const times: number[] = [];
    for (let now = 0; now < 3_600_000; now += 1000) {
      if (!lookupDue(state, monoMs(now))) continue;
      times.push(now / 1000);
      state = lookedUp(state, monoMs(now));
    }

    expect(times.slice(0, 7)).toEqual([5, 15, 35, 75, 155, 315, 615]);
    expect(times.length).toBeLessThan(20);
  });

  test('never begins for a numeric address, and ends when the edge is heard', () => {
    expect(lookupDue(silenceBegan(noLookup, false, monoMs(0)), monoMs(1e9))).toBe(false);
    const asked = lookedUp(silenceBegan(noLookup, true, monoMs(0)), monoMs(5000));

    expect(lookupDue(wasHeard(asked), monoMs(1e9))).toBe(false);
  });

  test('comes at once in another network, but not with every flicker of it', () => {
    const silent = lookedUp(silenceBegan(noLookup, true, monoMs(0)), monoMs(5000));

    expect(lookupDue(movedToNetwork(silent, monoMs(9000)), monoMs(9000))).toBe(true);
    expect(lookupDue(movedToNetwork(silent, monoMs(5100)), monoMs(5100))).toBe(false);
    expect(lookupDue(movedToNetwork(noLookup, monoMs(9000)), monoMs(1e9))).toBe(false);
  });

  test('begins once, however often silence is noticed', () => {
    const state = silenceBegan(noLookup, true, monoMs(0));

    expect(silenceBegan(state, true, monoMs(4000))).toBe(state);
  });

  test('tries the silent address last', () => {
    expect(orderToTry(['a', 'b', 'a', 'c'], 'a')).toEqual(['b', 'c', 'a']);
    expect(orderToTry([], 'a')).toEqual([]);
  });
});

test('the list of trusted names has each once, and an end', () => {
  const full = Array.from({ length: maxTrusted }, (_, i) => `n${i}`);

  expect(addTrusted(['a', 'b'], 'a')).toEqual(['b', 'a']);
  expect(addTrusted([], 'x'.repeat(40))).toBeUndefined();
  expect(addTrusted(full, 'new')).toBeUndefined();
  expect(addTrusted(full, 'n0')).toHaveLength(maxTrusted);
});
