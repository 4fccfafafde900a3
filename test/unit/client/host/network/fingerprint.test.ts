// Which network are we in, and what a move means.
import { describe, expect, test } from 'vitest';
import { collisions, factBetween, fingerprint } from '../../../../../client/host/network/fingerprint.ts';
import { lossIn } from '../../../../../client/host/network/lost.ts';
import type {
  AddressMessage,
  LinkMessage,
  RouteMessage,
} from '../../../../../client/host/network/rtnetlink.ts';
import type { NetworkSnapshot, Way } from '../../../../../client/host/network/snapshot.ts';

const own = new Set(['culvert0']);

function link(index: number, name: string, change: Partial<LinkMessage> = {}): LinkMessage {
  return { kind: 'link', gone: false, index, name, up: true, running: true, loopback: false, ...change };
}

function address(index: number, text: string, change: Partial<AddressMessage> = {}): AddressMessage {
  const [bare = '', bits = ''] = text.split('/');
  const base = { kind: 'address', gone: false, index, address: bare, bits: Number(bits) } as const;
  return { ...base, global: true, usable: true, ...change };
}

function route(prefix: string, index: number, change: Partial<RouteMessage> = {}): RouteMessage {
  return {
    kind: 'route',
    gone: false,
    family: prefix.includes(':') ? 6 : 4,
    prefix,
    bits: Number(prefix.split('/')[1]),
    table: 254,
    unicast: true,
    alive: true,
    metric: 0,
    index,
    ...change,
  };
}

const wifi: NetworkSnapshot = {
  links: [link(1, 'lo', { loopback: true }), link(2, 'wlan0'), link(3, 'docker0', { running: false })],
  addresses: [address(2, '192.168.1.7/24'), address(2, '2001:db8:1::7/64'), address(3, '172.17.0.1/16')],
  routes: [
    route('0.0.0.0/0', 2, { gateway: '192.168.1.1', metric: 600 }),
    route('::/0', 2, { gateway: 'fe80::1', metric: 1024 }),
    route('192.168.1.0/24', 2, { source: '192.168.1.7' }),
  ],
  ways: [],
  truncated: false,
};
const here = fingerprint(wifi, own);

function but(change: Partial<NetworkSnapshot>): string {
  return fingerprint({ ...wifi, ...change }, own);
}

describe('the fingerprint stays the same', () => {
  test.each<[string, Partial<NetworkSnapshot>]>([
    [
      'a container starts',
      {
        links: [...wifi.links, link(9, 'veth1')],
        addresses: [...wifi.addresses, address(9, '172.18.0.1/16')],
      },
    ],
    [
      'our own tunnel comes up with its default route',
      {
        links: [...wifi.links, link(8, 'culvert0')],
        routes: [route('0.0.0.0/0', 8, { metric: 0 }), ...wifi.routes],
      },
    ],
    [
      'IPv6 makes a new privacy address',
      { addresses: [...wifi.addresses, address(2, '2001:db8:1::abcd/64')] },
    ],
    [
      'a second way out has a worse metric',
      {
        links: [...wifi.links, link(5, 'wwan0')],
        addresses: [...wifi.addresses, address(5, '10.64.0.9/30')],
        routes: [...wifi.routes, route('0.0.0.0/0', 5, { metric: 700 })],
      },
    ],
    [
      'another address is only being tried',
      { addresses: [...wifi.addresses, address(2, '192.168.1.8/24', { usable: false })] },
    ],
    [
      'the kernel tells things in another order',
      { addresses: wifi.addresses.toReversed(), routes: wifi.routes.toReversed() },
    ],
  ])('when %s', (_, change) => {
    expect(but(change)).toBe(here);
  });
});

describe('the fingerprint is another', () => {
  test.each<[string, Partial<NetworkSnapshot>]>([
    ['our IPv4 address changed', { addresses: [address(2, '192.168.1.9/24'), wifi.addresses[1]!] }],
    [
      'the router changed',
      { routes: [route('0.0.0.0/0', 2, { gateway: '192.168.1.254' }), wifi.routes[1]!] },
    ],
    [
      'a cable was plugged in',
      {
        links: [...wifi.links, link(5, 'eth0')],
        addresses: [...wifi.addresses, address(5, '192.168.1.70/24')],
        routes: [...wifi.routes, route('0.0.0.0/0', 5, { gateway: '192.168.1.1', metric: 100 })],
      },
    ],
    ['IPv4 is gone and IPv6 stays', { routes: [wifi.routes[1]!] }],
    ['the IPv6 network changed', { addresses: [wifi.addresses[0]!, address(2, '2001:db8:2::7/64')] }],
  ])('when %s', (_, change) => {
    expect(but(change)).not.toBe(here);
    expect(but(change)).not.toBe('none');
  });
});

describe('there is no network', () => {
  const away = link(2, 'wlan0', { running: false });
  test.each<[string, Partial<NetworkSnapshot>]>([
    ['without a default route', { routes: [wifi.routes[2]!] }],
    ['when the carrier is lost, although routes stay', { links: [wifi.links[0]!, away] }],
    [
      'when the kernel knows the routes to be dead',
      { routes: wifi.routes.map((one) => ({ ...one, alive: false })) },
    ],
    ['while no address was given to us yet', { addresses: [] }],
    [
      'when only our own tunnel has a default route',
      { links: [link(8, 'culvert0')], routes: [route('0.0.0.0/0', 8)] },
    ],
    [
      'when only a container bridge is left',
      { links: [link(3, 'docker0')], routes: [route('172.17.0.0/16', 3)] },
    ],
  ])('%s', (_, change) => {
    expect(but(change)).toBe('none');
  });

  test('but an edge next door needs no default route', () => {
    const way: Way = { target: '192.168.1.200', index: 2, source: '192.168.1.7' };

    expect(but({ routes: [], ways: [way] })).toMatch(/^to wlan0 /);
  });

  test('and a way through our own tunnel is none', () => {
    const way: Way = { target: '192.168.1.200', index: 8 };

    expect(but({ links: [link(8, 'culvert0')], routes: [], ways: [way] })).toBe('none');
  });
});

test.each([
  ['a', 'a', undefined],
  ['a', 'b', 'network-changed'],
  ['a', 'none', 'network-gone'],
  ['none', 'b', 'network-back'],
  ['none', 'none', undefined],
])('going from %s to %s is %s', (from, to, kind) => {
  expect(factBetween(from, to)?.kind).toBe(kind);
});

describe('collisions', () => {
  test('names the hotel that uses our range, in both directions of width', () => {
    expect(collisions(wifi, ['192.168.0.0/16', '0.0.0.0/0'], own)).toEqual([
      { tunnelPrefix: '192.168.0.0/16', localPrefix: '192.168.1.0/24', interfaceName: 'wlan0' },
    ]);
    expect(collisions(wifi, ['192.168.1.128/25'], own)).toHaveLength(1);
  });

  test('finds none in our own interface, in default routes and between families', () => {
    const mine = { ...wifi, links: [link(2, 'culvert0')] };

    expect(collisions(mine, ['192.168.0.0/16'], own)).toEqual([]);
    expect(collisions(wifi, ['10.0.0.0/8', 'fd00::/8', '::/0'], own)).toEqual([]);
  });
});

describe('what somebody took away', () => {
  const ours = { interfaceName: 'culvert0', table: 8383, priorities: [8381, 8382, 8383] };
  const rule = { kind: 'rule', gone: true, family: 4, priority: 8382, table: 254 } as const;
  const gone = { ...route('0.0.0.0/0', 8), table: 8383, gone: true };

  test.each([
    ['a rule of ours by its priority', [rule], 'rule'],
    ['a route in our table', [gone], 'route'],
    ['our interface switched off', [link(8, 'culvert0', { up: false })], 'link'],
    ['our interface removed', [link(8, 'culvert0', { gone: true })], 'link'],
    [
      'what we put there ourselves',
      [{ ...gone, gone: false }, { ...rule, gone: false }, link(8, 'culvert0')],
      undefined,
    ],
    [
      'what belongs to others',
      [{ ...rule, priority: 5, table: 51820 }, route('10.0.0.0/8', 2, { gone: true })],
      undefined,
    ],
  ] as const)('%s', (_, messages, loss) => {
    expect(lossIn({ messages, missed: false }, ours)).toBe(loss);
  });

  test('is unknown where news were lost', () => {
    expect(lossIn({ messages: [], missed: true }, ours)).toBe('unknown');
  });
});
