import { expect, test } from 'vitest';
import {
  faultsAfter,
  labNetworks,
  networkNamed,
  parseTrace,
  routerRules,
  stepText,
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
  expect(rules).toContain('numgen random mod 1000 < 30 drop');
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
