// Datagrams that come twice, out of order, or again later, made by a seeded relay between the ends.
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { describeWith } from '../support/requires.ts';
import { Lab, type Running, sleep } from './support/hosts.ts';
import type { Kind } from './support/implementations.ts';
import { forgetSession, inner, outer, type Pair, ping, port, tunnelPair } from './support/pair.ts';
import {
  type Counted,
  exchange,
  replay,
  sendDatagrams,
  startDatagramCounter,
  startRelay,
  startStreamServer,
} from './support/programs.ts';

const needs = { namespaces: true, tools: ['ip', 'wg', 'wireguard-go', 'ping'] };
const datagrams = 2000;
/** Sockets of a busy machine may overflow; a tunnel that cannot bear the chances loses a third. */
const fewestArrivals = 0.97 * datagrams;
/** Milliseconds between groups of eight. */
const gapMs = 4;
const seed = 20_261_121;

describeWith(needs, 'a bad network', () => {
  describe.each<[Kind, Kind]>([
    ['ours', 'reference'],
    ['ours', 'ours'],
  ])('between %s and %s', (...kinds) => {
    let lab: Lab;
    let pair: Pair;
    let relay: Running | undefined;

    beforeAll(async () => {
      lab = new Lab();
      pair = await tunnelPair(lab, { kinds });
    });
    afterAll(async () => {
      await lab.close();
    });

    async function through(chances: Readonly<Record<string, number | boolean>>): Promise<Running> {
      await relay?.stop();
      relay = await startRelay(pair.b.host, {
        port: 7000,
        target: outer.b,
        targetPort: port,
        chances: { seed, ...chances },
      });
      await pair.a.set('peer', pair.keys.b.public, 'endpoint', `${outer.b}:7000`);
      await ping(pair.a.host, inner.b, 2);
      return relay;
    }

    /** Datagrams in both directions at once. */
    async function count(): Promise<readonly [Counted, Counted]> {
      const atA = await startDatagramCounter(pair.a.host);
      const atB = await startDatagramCounter(pair.b.host);
      await Promise.all([
        sendDatagrams(pair.a.host, inner.b, datagrams, gapMs),
        sendDatagrams(pair.b.host, inner.a, datagrams, gapMs),
      ]);
      await sleep(300);
      return [await atA.finish(), await atB.finish()];
    }

    test('every datagram doubled: each packet arrives once', async () => {
      await through({ duplicate: 1 });

      const counts = await count();

      for (const one of counts) expectEachOnce(one);
    });

    test('a third of the datagrams late: every packet arrives, once', async () => {
      await through({ delay: 0.33, delayMs: 40, duplicate: 0.1 });

      const counts = await count();

      for (const one of counts) {
        expectEachOnce(one);
        expect(one.inOrder).toBe(false);
      }
    });

    test('everything recorded and sent again: nothing arrives twice, and the tunnel goes on', async () => {
      const recorder = await through({ record: true });
      const counter = await startDatagramCounter(pair.b.host);
      await sendDatagrams(pair.a.host, inner.b, datagrams, gapMs);
      await sleep(200);

      const replayed = await replay(recorder);
      const counted = await counter.finish();

      expect(replayed).toBeGreaterThanOrEqual(fewestArrivals);
      expectEachOnce(counted);
      expect((await ping(pair.a.host, inner.b, 5)).received).toBe(5);
    });

    test('a replayed handshake changes nothing', async () => {
      const recorder = await through({ record: true });
      await forgetSession(pair, [], `${outer.b}:7000`);
      await ping(pair.a.host, inner.b, 2);
      const before = await pair.b.show('latest-handshakes');
      await sleep(1100);

      await replay(recorder);

      expect(await pair.b.show('latest-handshakes')).toBe(before);
      expect((await ping(pair.a.host, inner.b, 5)).received).toBe(5);
    });

    test('loss, reordering and doubles together: a stream arrives unchanged', async () => {
      await through({ drop: 0.01, delay: 0.05, delayMs: 5, duplicate: 0.05 });
      await startStreamServer(pair.b.host);

      expect(await exchange(pair.a.host, inner.b, 1_000_000)).toBe('ok');
    });
  });
});

function expectEachOnce({ total, distinct }: Counted): void {
  expect(total).toBe(distinct);
  expect(distinct).toBeGreaterThanOrEqual(fewestArrivals);
}
