// Which networks `culvert lan allow` may open.
import { expect, test } from 'vitest';
import { localNetworks, maxLocalNetworks } from '../../../../client/split/local-networks.ts';

function prefixes(name: string, ...addresses: string[]): string[] {
  return localNetworks([{ name, addresses }], new Set(['culvert0'])).map((one) => one.prefix);
}

test.each([
  ['a home network', '192.168.1.7/24', ['192.168.1.0/24']],
  ['a large private one', '10.1.2.3/8', ['10.0.0.0/8']],
  ['containers', '172.17.0.1/16', ['172.17.0.0/16']],
  ['a link without a router', '169.254.7.7/16', ['169.254.0.0/16']],
  ['unique local addresses', 'fd00:1::7/64', ['fd00:1::/64']],
  ['link-local addresses', 'fe80::7/64', ['fe80::/64']],
  ['no public network', '8.8.8.9/24', []],
  ['no network that is wider than the private range', '192.168.0.1/8', []],
  ['no public IPv6 network', '2001:db8:1::2/64', []],
  ['no single address', '10.64.0.2/32', []],
  ['no rubbish', 'rubbish', []],
])('are %s', (_title, address, wanted) => {
  expect(prefixes('wlan0', address)).toEqual(wanted);
});

test('are never our own, loopback, or an interface whose name the firewall cannot be told', () => {
  expect([
    prefixes('culvert0', '10.83.0.2/16'),
    prefixes('lo', '10.0.0.1/8'),
    prefixes('a b', '10.0.0.1/8'),
  ]).toEqual([[], [], []]);
});

test('are bounded, and each there once', () => {
  const many = Array.from({ length: 400 }, (_, i) => `10.${i % 250}.${Math.floor(i / 250)}.1/24`);

  expect(prefixes('wlan0', ...many, ...many)).toHaveLength(maxLocalNetworks);
  expect(prefixes('wlan0', '10.0.0.1/24', '10.0.0.2/24')).toEqual(['10.0.0.0/24']);
});
