import { describe, expect, test } from 'vitest';
import type { PathConfig } from '../../../../edge/config-paths.ts';
import { exitAddresses } from '../../../../edge/gateway/exit-address.ts';
import { monoMs } from '../../../../shared/core/base/time.ts';

const paths: readonly PathConfig[] = [
  { id: 'direct', type: 'direct' },
  { id: 'second', type: 'source', address: '198.51.100.7', interfaceName: 'eth1' },
  { id: 'wire', type: 'source', address: undefined, interfaceName: 'eth2' },
  {
    id: 'corp',
    type: 'socks5',
    server: { address: Uint8Array.of(10, 1, 2, 3), port: 1080 },
    login: undefined,
    tellNames: true,
  },
  { id: 'none', type: 'block', how: 'drop' },
];

function world(own: readonly string[], endpoint: string | undefined = 'edge.example') {
  const time = { ms: 0, looks: 0 };
  const exitOf = exitAddresses({
    paths,
    endpoint,
    now: () => monoMs(time.ms),
    look: async () => {
      time.looks++;
      return own;
    },
  });
  return { exitOf, time };
}

describe('the address that places outside see', () => {
  test('is the own one towards the Internet, or that of the path', async () => {
    const { exitOf } = world(['203.0.113.5', '2001:db8::5']);

    expect(await exitOf('direct')).toBe('203.0.113.5');
    expect(await exitOf('second')).toBe('198.51.100.7');
  });

  test('is not known beyond a proxy, by another interface, through a block, or by no path', async () => {
    const { exitOf } = world(['203.0.113.5']);

    expect(await Promise.all(['corp', 'wire', 'none', 'gone'].map(exitOf))).toEqual([
      undefined,
      undefined,
      undefined,
      undefined,
    ]);
  });

  test('is never one that only this network knows: behind a translator it is the endpoint, if that is an address', async () => {
    const own = ['10.0.0.7', 'fd00::7'];

    expect(await world(own).exitOf('direct')).toBeUndefined();
    expect(await world(own, '203.0.113.9').exitOf('direct')).toBe('203.0.113.9');
    expect(await world(own, '192.168.1.4').exitOf('direct')).toBeUndefined();
    expect(await world(own, '127.0.0.1').exitOf('direct')).toBeUndefined();
  });

  test('is none where no way leads to the Internet', async () => {
    expect(await world([], '203.0.113.9').exitOf('direct')).toBeUndefined();
  });

  test('is looked for again after half a minute', async () => {
    const { exitOf, time } = world(['203.0.113.5']);

    await Promise.all([exitOf('direct'), exitOf('direct')]);
    time.ms = 29_999;
    await exitOf('direct');
    const before = time.looks;
    time.ms = 30_000;
    await exitOf('direct');

    expect([before, time.looks]).toEqual([1, 2]);
  });
});
