// Two edges of an ordinary user and one client in mode proxy: programs through the proxy work again within seconds when
// the edge in use is killed, and at once when it says that it ends.
import { request } from 'node:http';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { describeWith } from '../support/requires.ts';
import { ProxyEdge, patience, proxyEdgeTools } from './support/proxy-edge.ts';

const askEveryMs = 25;
const giveUpMs = 700;
/** A loaded machine gets some more. */
const withinMs = process.env['CI'] === 'true' ? 15_000 : 8000;

describeWith({ tools: proxyEdgeTools }, 'two edges', () => {
  let first: ProxyEdge;
  let second: ProxyEdge;

  beforeAll(async () => {
    [first, second] = await Promise.all([
      ProxyEdge.start(),
      ProxyEdge.start((yaml) => yaml.replace(/^name: .*$/m, 'name: second')),
    ]);
    await first.runDaemon();
    first.culvert('enroll', first.invite());
    first.culvert('enroll', second.invite());
    first.culvert('connect', '--wait', '--timeout', '60s');
  }, 240_000);

  afterAll(async () => {
    await first.close();
    await second.close();
  }, 60_000);

  /** The name of the edge that a program through the proxy sees; undefined where it does not work. */
  function edgeSeen(port: number): Promise<string | undefined> {
    return new Promise((resolve) => {
      const signal = AbortSignal.timeout(giveUpMs);
      const path = 'http://edge.culvert/trace';
      const asked = request({ host: '127.0.0.1', port, path, agent: false, signal }, (response) => {
        let text = '';
        response.setEncoding('utf8').on('data', (chunk: string) => (text += chunk));
        response.on('error', () => resolve(undefined));
        response.on('end', () => resolve(/^edge=(.*)$/m.exec(text)?.[1]));
      });
      asked.on('error', () => resolve(undefined));
      asked.end();
    });
  }

  const proxyPort = (): number => Number(first.status().proxy?.address.split(':')[1]);

  /** Milliseconds until a program sees that edge. */
  async function untilSeen(name: string, port: () => number): Promise<number> {
    const begun = performance.now();
    while (performance.now() - begun < patience.timeout) {
      if ((await edgeSeen(port())) === name) return performance.now() - begun;
      await new Promise((resolve) => setTimeout(resolve, askEveryMs));
    }
    throw new Error(`${name} was never seen: ${first.log.slice(-2000)}`);
  }

  async function setPort(): Promise<number> {
    // A free one that stays: another tunnel would take any other.
    const port = proxyPort();
    first.culvert('proxy', 'port', String(port));
    await untilSeen('second', () => port);
    return port;
  }

  test('the edge in use is killed: programs go on through the other one', async () => {
    const port = await setPort();

    second.killEdge();
    const tookMs = await untilSeen('lab', () => port);
    process.stdout.write(`\nfailover after kill -9: ${Math.round(tookMs)} ms\n`);

    expect(tookMs).toBeLessThan(withinMs);
    expect(first.status().edge?.name).toBe('lab');
  }, 120_000);

  test('the edge in use says that it ends: programs go on through the other one', async () => {
    await second.runEdge();
    const port = proxyPort();
    await vi.waitFor(() => expect(first.status().state).toBe('connected'), patience);

    const ending = first.endEdge();
    const tookMs = await untilSeen('second', () => port);
    process.stdout.write(`\nfailover after a farewell: ${Math.round(tookMs)} ms\n`);
    await ending;

    expect(tookMs).toBeLessThan(withinMs);
  }, 120_000);

  test('who has chosen an edge by name stays with it', async () => {
    first.culvert('edge', 'use', 'second');
    await first.runEdge();
    const port = proxyPort();

    second.killEdge();
    await vi.waitFor(async () => {
      // Somebody has to send: silence alone is no fault.
      await edgeSeen(port);
      expect(first.status().state).toBe('connecting');
    }, patience);

    // Longer than it takes to move.
    for (let i = 0; i < 5; i++) expect(await edgeSeen(port)).not.toBe('lab');
    expect(first.status().edge?.name).toBe('second');
  }, 120_000);
});
