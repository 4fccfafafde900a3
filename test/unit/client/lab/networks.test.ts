import { describe, expect, test } from 'vitest';
import { lostPlaces } from '../../../../client/lab/lost-packets.ts';
import {
  faultsAfter,
  labNetworks,
  networkNamed,
  parseTrace,
  routerRules,
  stepText,
  withSeed,
} from '../../../../client/lab/networks.ts';

test('has every bad network that the product names, each with a sentence', () => {
  const names = labNetworks.map(({ name }) => name);

  for (const name of [
    'portal',
    'udp-block',
    'udp-throttle',
    'big-udp-drop',
    'loss3',
    'mtu1280',
    'dns-hijack',
    'tls-intercept',
    'roam',
    'sleep',
    'edge-down',
  ]) {
    expect(names).toContain(name);
  }
  for (const { sentence } of labNetworks) expect(sentence).toMatch(/^[A-Z].*\.$/);
  expect(new Set(names).size).toBe(names.length);
});

test('a name that is not in the list is refused with the way to the list', () => {
  expect(() => networkNamed('moon')).toThrow(expect.objectContaining({ code: 'bad-usage' }));
});

test('a fault holds until it is cleared, and a sign-in ends the portal alone', () => {
  const lossy = { do: 'lose', percent: 3 } as const;

  expect(faultsAfter([{ do: 'portal' }, lossy, { do: 'sign-in' }])).toEqual([lossy]);
  expect(faultsAfter([lossy, { do: 'lose', percent: 5 }])).toEqual([{ do: 'lose', percent: 5 }]);
  expect(faultsAfter([{ do: 'portal' }, lossy, { do: 'clear' }])).toEqual([]);
  expect(faultsAfter([lossy, { do: 'kill-edge' }])).toEqual([lossy]);
});

test('the rules of the router are exactly the faults that hold', () => {
  expect(routerRules([])).not.toContain('drop');
  const rules = routerRules([
    { do: 'block-udp' },
    { do: 'lose', percent: 3 },
    { do: 'hijack-dns' },
    { do: 'portal' },
  ]);

  expect(rules).toContain('meta l4proto udp drop');
  expect(rules.match(/numgen inc mod 1000 vmap/g)).toHaveLength(2);
  expect(rules).toContain('iifname { "up0", "up1" } udp dport 53 redirect to :5354');
  expect(rules).toContain('iifname { "up0", "up1" } tcp dport 80 redirect to :8080');
  // It replaces what was there before.
  expect(rules.startsWith('table inet culvert_lab\ndelete table inet culvert_lab\n')).toBe(true);
});

test('every network can be written down as a trace and read again', () => {
  for (const network of labNetworks) {
    expect(parseTrace(JSON.stringify(network))).toEqual(network);
    for (const step of network.steps) expect(stepText(step).length).toBeGreaterThan(5);
  }
});

test.each([
  ['no JSON', '{'],
  ['no steps', '{"name":"x","sentence":"y"}'],
  ['an unknown step', '{"name":"x","sentence":"y","steps":[{"do":"burn","from":"start","atMs":0}]}'],
  [
    'a number out of range',
    '{"name":"x","sentence":"y","steps":[{"do":"lose","percent":101,"from":"start","atMs":0}]}',
  ],
  [
    'rules of its own',
    '{"name":"x","sentence":"y","steps":[{"do":"block-udp","nft":"flush","from":"start","atMs":0}]}',
  ],
])('refuses a trace with %s', (_what, text) => {
  expect(() => parseTrace(text)).toThrow(expect.objectContaining({ code: 'bad-usage' }));
});

describe('packets that are lost', () => {
  test('are the same ones for the same seed, and as many as was said', () => {
    const places = lostPlaces(3, 7);

    expect(places).toHaveLength(30);
    expect(new Set(places).size).toBe(30);
    expect(Math.min(...places)).toBeGreaterThanOrEqual(0);
    expect(Math.max(...places)).toBeLessThan(1000);
    expect(lostPlaces(3, 7)).toEqual(places);
    expect(lostPlaces(3, 8)).not.toEqual(places);
    expect([lostPlaces(0, 7).length, lostPlaces(100, 7).length]).toEqual([0, 1000]);
  });

  test('are others in each direction, and follow the seed of a trace', () => {
    const rules = (seed: number): readonly string[] =>
      routerRules([{ do: 'lose', percent: 1, seed }])
        .split('\n')
        .filter((line) => line.includes('numgen'));
    const [towards, back] = rules(5);

    expect(rules(5)).toHaveLength(2);
    expect(towards).toMatch(/^ +iifname .* numgen inc mod 1000 vmap \{ (\d+ : drop(, )?){10} \}$/);
    expect(back?.replace('oifname', 'iifname')).not.toBe(towards);
    expect(rules(6)).not.toEqual(rules(5));
  });

  test('a network with a seed is written down with it, and is read back', () => {
    const network = withSeed(networkNamed('loss3'), 42);

    expect(parseTrace(JSON.stringify(network)).steps).toEqual(network.steps);
    expect(network.steps[0]).toMatchObject({ do: 'lose', seed: 42 });
  });
});
