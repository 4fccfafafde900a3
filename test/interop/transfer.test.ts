// Bulk traffic: iperf3 in both directions and protocols, files compared by hash, and counters that cross 2^32.
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { describeWith } from '../support/requires.ts';
import { countDatagrams } from './support/counting.ts';
import { Lab, sleep } from './support/hosts.ts';
import { oursIsCulvert, pairings } from './support/implementations.ts';
import { inner, type Pair, ping, tunnelPair } from './support/pair.ts';
import { exchange, sendDatagrams, startDatagramCounter, startStreamServer } from './support/programs.ts';

const needs = { namespaces: true, tools: ['ip', 'wg', 'wireguard-go', 'nft', 'ping', 'iperf3'] };
const seconds = 2;
const fileBytes = 30_000_000;
/** Counter value at which new sessions start: 2^32 comes after ten datagrams. */
const lateCounter = 2 ** 32 - 10;
/** Several datagrams may leave as one train, which nft counts once. */
const fewestTrains = 30;

interface IperfReport {
  readonly error?: string;
  readonly end: {
    readonly sum_received?: { readonly bytes: number };
    readonly sum?: { readonly packets: number; readonly lost_packets: number };
  };
}

describeWith(needs, 'bulk transfer', () => {
  describe.each(pairings)('%s begins, %s answers', (initiator, responder) => {
    let lab: Lab;
    let pair: Pair;

    beforeAll(async () => {
      lab = new Lab();
      pair = await tunnelPair(lab, { kinds: [initiator, responder] });
      await ping(pair.a.host, inner.b, 1);
      await startStreamServer(pair.b.host);
    });
    afterAll(async () => {
      await lab.close();
    });

    async function iperf(...words: string[]): Promise<IperfReport> {
      const server = pair.b.host.start(['iperf3', '-s', '-1']);
      await sleep(200);
      const argv = ['iperf3', '-c', inner.b, '-J', '-t', String(seconds), ...words];
      const { out } = await pair.a.host.try(argv, { timeoutMs: 20_000 });
      await server.stop();
      return JSON.parse(out) as IperfReport;
    }

    test.each([
      ['up', []],
      ['down', ['-R']],
    ])('four TCP streams %s come to their end', async (_direction, words) => {
      const report = await iperf('-P', '4', '-C', 'cubic', ...words);

      expect(report.error).toBeUndefined();
      expect(report.end.sum_received?.bytes).toBeGreaterThan(10_000_000);
    });

    test.each([
      ['up', []],
      ['down', ['-R']],
    ])('UDP %s at a modest rate loses next to nothing', async (_direction, words) => {
      const report = await iperf('-u', '-b', '10M', '-l', '1200', '-w', '1M', ...words);

      expect(report.error).toBeUndefined();
      expect(report.end.sum?.packets).toBeGreaterThan(1500);
      expect(report.end.sum?.lost_packets).toBeLessThan(100);
    });

    test('a file arrives unchanged in both directions', async () => {
      expect(await exchange(pair.a.host, inner.b, fileBytes)).toBe('ok');
      expect(await exchange(pair.a.host, inner.b6, fileBytes)).toBe('ok');
    });
  });

  test.each(pairings)('goes on across the 2^32nd datagram: %s begins, %s answers', async (...kinds) => {
    const lab = new Lab();
    try {
      const pair = await tunnelPair(lab, { kinds, env: { CULVERT_TEST_COUNTER: String(lateCounter) } });
      await startStreamServer(pair.b.host);
      // the upper half of the counter, little-endian, is 1
      const beyond = '@th,64,8 4 @th,160,32 0x01000000';
      const beyondA = await countDatagrams(pair.a.host, 'output', beyond);
      const beyondB = await countDatagrams(pair.b.host, 'output', beyond);
      const counter = await startDatagramCounter(pair.b.host);
      await ping(pair.a.host, inner.b, 1);

      await sendDatagrams(pair.a.host, inner.b, 500);
      const tcp = await exchange(pair.a.host, inner.b, 3_000_000);

      expect(await counter.finish()).toEqual({ total: 500, distinct: 500, inOrder: true });
      expect(tcp).toBe('ok');
      if (oursIsCulvert && kinds[0] === 'ours') expect(await beyondA()).toBeGreaterThan(fewestTrains);
      if (oursIsCulvert && kinds[1] === 'ours') expect(await beyondB()).toBeGreaterThan(fewestTrains);
    } finally {
      await lab.close();
    }
  });
});
