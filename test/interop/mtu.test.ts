// Packets of every size that fits, at small and large MTUs: TCP with full segments and pings that may not be split.
import { expect, test } from 'vitest';
import { describeWith } from '../support/requires.ts';
import { Lab } from './support/hosts.ts';
import { pairings } from './support/implementations.ts';
import { inner, ping, tunnelPair } from './support/pair.ts';
import { exchange, startStreamServer } from './support/programs.ts';

const needs = { namespaces: true, tools: ['ip', 'wg', 'wireguard-go', 'ping'] };
const ipv4AndIcmp = 28;
const ipv6AndIcmp = 48;

const cases = pairings.flatMap((kinds) =>
  [
    [1280, 1500],
    [1420, 1500],
    [9000, 9100],
  ].map(([mtu = 0, underlay = 0]) => [mtu, underlay, ...kinds] as const),
);

describeWith(needs, 'full-size packets', () => {
  test.each(cases)('pass at MTU %i over %i: %s begins, %s answers', async (mtu, underlayMtu, ...kinds) => {
    const lab = new Lab();
    try {
      const pair = await tunnelPair(lab, { kinds, mtu, underlayMtu });
      await startStreamServer(pair.b.host);

      const full4 = await ping(pair.a.host, inner.b, 3, '-M', 'do', '-s', String(mtu - ipv4AndIcmp));
      const full6 = await ping(pair.a.host, inner.b6, 3, '-M', 'do', '-s', String(mtu - ipv6AndIcmp));
      const split = await ping(pair.a.host, inner.b, 2, '-M', 'dont', '-s', '20000');
      const small = await ping(pair.a.host, inner.b, 2, '-s', '0');

      expect([full4.received, full6.received, split.received, small.received]).toEqual([3, 3, 2, 2]);
      expect(await exchange(pair.a.host, inner.b, 5_000_000)).toBe('ok');
      expect(await exchange(pair.a.host, inner.b6, 5_000_000)).toBe('ok');
    } finally {
      await lab.close();
    }
  });
});
