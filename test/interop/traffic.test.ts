// Packets through a tunnel between our program and the reference, in both roles: inner and outer IPv4 and IPv6,
// preshared keys, and wrong configuration that must let nothing through and be curable.
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { describeWith } from '../support/requires.ts';
import { eventually, Lab } from './support/hosts.ts';
import { type Kind, pairings } from './support/implementations.ts';
import {
  forgetSession,
  inner,
  newKey,
  newSharedSecret,
  outer,
  type Pair,
  ping,
  port,
  reaches,
  secretFile,
  tunnelPair,
} from './support/pair.ts';
import { exchange, startStreamServer } from './support/programs.ts';

const needs = { namespaces: true, tools: ['ip', 'wg', 'wireguard-go', 'ping'] };
const megabytes = 1_000_000;
const none = '/dev/null';

describeWith(needs, 'traffic', () => {
  describe.each(pairings)('%s begins, %s answers', (initiator, responder) => {
    let lab: Lab;
    let pair: Pair;

    beforeAll(async () => {
      lab = new Lab();
      pair = await tunnelPair(lab, { kinds: [initiator, responder] });
      await startStreamServer(pair.b.host);
    });
    afterAll(async () => {
      await lab.close();
    });
    afterEach(() => {
      expect(pair.a.process.hasEnded(), pair.a.process.text()).toBe(false);
      expect(pair.b.process.hasEnded(), pair.b.process.text()).toBe(false);
    });

    test.each([
      ['IPv4', `${outer.b}:${port}`],
      ['IPv6', `[${outer.b6}]:${port}`],
    ])('carries both families over an %s underlay', async (_family, endpoint) => {
      await pair.a.set('peer', pair.keys.b.public, 'endpoint', endpoint);

      const v4 = await ping(pair.a.host, inner.b, 10);
      const v6 = await ping(pair.a.host, inner.b6, 10);
      const tcp4 = await exchange(pair.a.host, inner.b, 2 * megabytes);
      const tcp6 = await exchange(pair.a.host, inner.b6, 2 * megabytes);

      expect([v4.received, v6.received]).toEqual([10, 10]);
      expect([tcp4, tcp6]).toEqual(['ok', 'ok']);
      expect(await pair.a.show('endpoints')).toContain(endpoint);
      expect(await pair.b.show('endpoints')).toContain(endpoint.startsWith('[') ? `[${outer.a6}]` : outer.a);
    });

    test('counts what it carried', async () => {
      await ping(pair.a.host, inner.b, 3);
      const [, received = 0, sent = 0] = (await pair.a.show('transfer')).trim().split('\t').map(Number);

      expect(received).toBeGreaterThan(4 * megabytes);
      expect(sent).toBeGreaterThan(4 * megabytes);
    });

    test('needs the preshared key on both sides, and recovers when it is right again', async () => {
      const secret = secretFile(lab, newSharedSecret());
      const other = secretFile(lab, newSharedSecret());
      const agree = async (mine: string, theirs: string): Promise<void> => {
        await startAfresh(pair, ['preshared-key', mine], ['preshared-key', theirs]);
      };

      await agree(secret, secret);
      expect(await reaches(pair.a.host, inner.b)).toBe(true);
      await agree(secret, other);
      expect(await reaches(pair.a.host, inner.b, 1)).toBe(false);
      expect(await pair.a.show('latest-handshakes')).toMatch(/\t0\n/);
      await agree(none, secret);
      expect(await reaches(pair.a.host, inner.b, 1)).toBe(false);
      await agree(secret, secret);
      expect(await reaches(pair.a.host, inner.b)).toBe(true);
      await agree(none, none);
    });

    test('lets nothing through with a wrong public key, and recovers', async () => {
      const stranger = newKey().public;
      await pair.a.set('peer', pair.keys.b.public, 'remove');
      await pair.a.set('peer', stranger, 'endpoint', `${outer.b}:${port}`, 'allowed-ips', `${inner.b}/32`);

      expect(await reaches(pair.a.host, inner.b, 1)).toBe(false);
      expect(await pair.a.show('latest-handshakes')).toMatch(/\t0\n/);

      await pair.a.set('peer', stranger, 'remove');
      await startAfresh(pair, [], []);
      expect(await reaches(pair.a.host, inner.b)).toBe(true);
    });

    test('lets nothing through for a peer that the other side does not know, and recovers', async () => {
      await pair.b.set('peer', pair.keys.a.public, 'remove');
      await forgetSession(pair);

      expect(await reaches(pair.a.host, inner.b, 1)).toBe(false);
      expect(await pair.b.show('peers')).toBe('');

      await startAfresh(pair, [], []);
      expect(await reaches(pair.a.host, inner.b)).toBe(true);
    });

    test('drops packets from an inner address that the peer may not use, and recovers', async () => {
      await pair.b.set('peer', pair.keys.a.public, 'allowed-ips', '10.99.0.0/24');

      expect(await reaches(pair.a.host, inner.b, 1)).toBe(false);
      const before = await inboundPackets(pair);
      await ping(pair.a.host, inner.b, 3, '-W', '1');
      expect(await inboundPackets(pair)).toBe(before);

      await pair.b.set('peer', pair.keys.a.public, 'allowed-ips', `${inner.a}/32,${inner.a6}/128`);
      expect(await eventually(async () => await reaches(pair.a.host, inner.b, 1))).toBe(true);
    });

    test('answers "no route" with an ICMP error or nothing, but sends nothing, for an address of no peer', async () => {
      const before = (await pair.a.show('transfer')).trim().split('\t')[2];

      expect(await reaches(pair.a.host, '10.77.0.200', 1)).toBe(false);
      expect((await pair.a.show('transfer')).trim().split('\t')[2]).toBe(before);
    });
  });

  test.each(pairings)('works where the underlay has IPv6 only: %s begins, %s answers', async (...kinds) => {
    const lab = new Lab();
    try {
      const pair = await tunnelPair(lab, { kinds, ipv6Only: true });
      await startStreamServer(pair.b.host);

      expect((await ping(pair.a.host, inner.b, 5)).received).toBe(5);
      expect(await exchange(pair.a.host, inner.b6, megabytes)).toBe('ok');
    } finally {
      await lab.close();
    }
  });

  test.each<Kind>(['ours', 'reference'])(
    '%s answers on IPv4 where IPv6 is switched off',
    async (responder) => {
      const lab = new Lab();
      try {
        const pair = await tunnelPair(lab, { kinds: ['ours', responder] });
        for (const { host } of [pair.a, pair.b])
          await host.run('sysctl', '-qw', 'net.ipv6.conf.all.disable_ipv6=1');

        expect((await ping(pair.a.host, inner.b, 5)).received).toBe(5);
      } finally {
        await lab.close();
      }
    },
  );
});

/** Packets that `b` gave to its system. */
async function inboundPackets(pair: Pair): Promise<number> {
  return Number(await pair.b.host.run('cat', `/sys/class/net/${pair.b.name}/statistics/rx_packets`));
}

/** Both ends forget each other and meet anew with these further settings. */
async function startAfresh(pair: Pair, wordsA: readonly string[], wordsB: readonly string[]): Promise<void> {
  await pair.b.set('peer', pair.keys.a.public, 'remove');
  await pair.b.set('peer', pair.keys.a.public, 'allowed-ips', `${inner.a}/32,${inner.a6}/128`, ...wordsB);
  await forgetSession(pair, wordsA);
}
