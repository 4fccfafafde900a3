// Where paths lead on a host: routes of each path's own table, from what the host has.
import { describe, expect, test } from 'vitest';
import {
  type HostFacts,
  type HostRoute,
  type PathWay,
  planPathRoutes,
} from '../../../../edge/host/kernel-path-routes.ts';

const slot = 5;
const refusing = 'unreachable default table 1083005 metric 4294967295';

function route(to: string, more: Partial<HostRoute> = {}): HostRoute {
  const family = to.includes(':') || more.gateway?.includes(':') === true ? 'v6' : 'v4';
  return { family, to, interfaceName: 'eth1', gateway: undefined, metric: undefined, isMain: true, ...more };
}

const facts: HostFacts = {
  addresses: [
    { interfaceName: 'eth0', address: '198.51.100.1' },
    { interfaceName: 'eth1', address: '192.0.2.7' },
    { interfaceName: 'eth1', address: '2001:db8::7' },
    { interfaceName: 'lo', address: '203.0.113.99' },
    { interfaceName: 'eth2', address: '192.0.2.130' },
  ],
  routes: [
    route('default', { interfaceName: 'eth0', gateway: '198.51.100.254' }),
    route('default', { gateway: '192.0.2.1', metric: 100 }),
    route('192.0.2.0/25'),
    route('default', { gateway: '2001:db8::1', metric: 1024 }),
    route('default', { interfaceName: 'eth2', gateway: '192.0.2.129', isMain: false }),
  ],
  dead: new Set(['eth3']),
};

const source = (address: string | undefined, interfaceName: string | undefined): PathWay => ({
  kind: 'source',
  address,
  interfaceName,
});

describe('a path by an interface', () => {
  test('takes over its routes of the main table, in both families', () => {
    expect(planPathRoutes(source(undefined, 'eth1'), slot, facts)).toEqual({
      lines: {
        v4: [
          refusing,
          'default via 192.0.2.1 dev eth1 onlink table 1083005 metric 100',
          '192.0.2.0/25 dev eth1 table 1083005',
        ],
        v6: [refusing, 'default via 2001:db8::1 dev eth1 onlink table 1083005 metric 1024'],
      },
      families: new Set(['v4', 'v6']),
      interfaceName: 'eth1',
      trouble: undefined,
    });
  });

  test('takes the default route of another table where the main one has none', () => {
    expect(planPathRoutes(source(undefined, 'eth2'), slot, facts).lines?.v4).toEqual([
      refusing,
      'default via 192.0.2.129 dev eth2 onlink table 1083005',
    ]);
  });

  test.each([
    ['that is not there', 'eth9', 'there is no interface eth9 with an address'],
    ['without a default route', 'lo', 'there is no default route by lo'],
  ])('%s leads nowhere', (_what, name, trouble) => {
    const planned = planPathRoutes(source(undefined, name), slot, facts);

    expect(planned).toMatchObject({ lines: { v4: [refusing], v6: [refusing] }, trouble });
    expect(planned.families.size).toBe(0);
  });

  test('without a link leads nowhere', () => {
    const dead = { ...facts, dead: new Set(['eth1']) };

    expect(planPathRoutes(source(undefined, 'eth1'), slot, dead)).toMatchObject({
      lines: { v4: [refusing] },
      trouble: 'eth1 has no link',
    });
  });
});

describe('a path by an address', () => {
  test('leaves by the interface that has it, in the family of the address alone', () => {
    const planned = planPathRoutes(source('192.0.2.7', undefined), slot, facts);

    expect(planned.lines).toEqual({
      v4: [
        refusing,
        'default via 192.0.2.1 dev eth1 onlink src 192.0.2.7 table 1083005 metric 100',
        '192.0.2.0/25 dev eth1 src 192.0.2.7 table 1083005',
      ],
      v6: [refusing],
    });
    expect([...planned.families]).toEqual(['v4']);
  });

  test('that stands on no uplink follows the main table', () => {
    expect(planPathRoutes(source('203.0.113.99', undefined), slot, facts)).toEqual({
      lines: undefined,
      families: new Set(['v4']),
      interfaceName: undefined,
      trouble: undefined,
    });
  });

  test.each([
    [undefined, 'this machine does not have 192.0.2.250'],
    ['eth1', 'this machine does not have 192.0.2.250'],
  ])('that this machine does not have leads nowhere (interface %s)', (name, trouble) => {
    expect(planPathRoutes(source('192.0.2.250', name), slot, facts)).toMatchObject({
      lines: { v4: [refusing], v6: [refusing] },
      trouble,
    });
  });
});

test('a tunnel leads to what its peers take, and nowhere else', () => {
  const way: PathWay = { kind: 'hop', interfaceName: 'cvhop5', allowed: ['0.0.0.0/0', '10.9.0.0/16'] };

  expect(planPathRoutes(way, slot, facts)).toEqual({
    lines: {
      v4: [refusing, '0.0.0.0/0 dev cvhop5 table 1083005', '10.9.0.0/16 dev cvhop5 table 1083005'],
      v6: [refusing],
    },
    families: new Set(['v4']),
    interfaceName: 'cvhop5',
    trouble: undefined,
  });
});

describe('the default route', () => {
  test('needs no table', () => {
    expect(planPathRoutes({ kind: 'direct' }, slot, facts)).toMatchObject({
      lines: undefined,
      families: new Set(['v4', 'v6']),
      trouble: undefined,
    });
  });

  test('whose interfaces have no link is in trouble', () => {
    const dead = { ...facts, dead: new Set(['eth0', 'eth1']) };

    expect(planPathRoutes({ kind: 'direct' }, slot, dead).trouble).toBe(
      'the interface of the default route has no link',
    );
  });
});
