// The bad link of the lab between two real network namespaces: what it does to real packets of both families, and
// that nothing of it stays.
import { createHash } from 'node:crypto';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { endsBetween, RelayChild, relayAddresses } from '../../shared/node/lab/relay-child.ts';
import { Lab } from '../../shared/node/lab/topology.ts';
import { describeWith } from '../support/requires.ts';

const needs = { root: true, namespaces: true, ffi: true, tools: ['ip', 'nft', 'ping'] };
const bytes = 5_000_000;
const port = 7000;
/** Sends so many bytes to whoever connects; the content depends on the place. */
const sender = `
  const block = Buffer.alloc(${bytes}, 'byte for byte, ');
  require('net').createServer((socket) => socket.end(block)).listen(${port}, '::', () => console.log('listening'));`;
const receiver = `
  const hash = require('crypto').createHash('sha256');
  const socket = require('net').connect(${port}, '${relayAddresses.second}');
  socket.on('data', (chunk) => hash.update(chunk));
  socket.on('end', () => { console.log(hash.digest('hex')); process.exit(0); });`;

describeWith(needs, 'a relay between two namespaces', () => {
  let lab: Lab;
  let relay: RelayChild | undefined;

  beforeAll(async () => {
    lab = await Lab.up({ label: 'relay-test' });
  });
  afterAll(async () => {
    await relay?.end();
    await lab.down();
  });

  const begin = async (impairment: object): Promise<RelayChild> => {
    await relay?.end();
    const ends = endsBetween(lab.client.namespace, lab.edge.namespace);
    relay = await RelayChild.start({ seed: 1, ...ends, forward: impairment, backward: impairment });
    return relay;
  };
  /** Round trips in milliseconds of the pings that came back. */
  const ping = async (address: string, count: number): Promise<number[]> => {
    const words = ['-c', String(count), '-i', '0.02', '-W', '1', address];
    const { stdout } = await lab.client.run('ping', words, { allowFailure: true });
    return [...stdout.matchAll(/time=([\d.]+) ms/g)].map((match) => Number(match[1]));
  };

  test('delays packets of both families, each way by as much as it is told', async () => {
    await begin({ delayMs: 15 });

    for (const address of [relayAddresses.second, relayAddresses.secondV6]) {
      const times = await ping(address, 10);
      expect(times).toHaveLength(10);
      expect(Math.min(...times)).toBeGreaterThanOrEqual(30);
      // The machine may be busy, but not all the time.
      expect(Math.min(...times)).toBeLessThan(35);
    }
  });

  test('changes while it runs, and counts what it did', async () => {
    const one = await begin({});
    expect(await ping(relayAddresses.second, 5)).toHaveLength(5);

    const before = await one.change({ forward: { lossPercent: 100 } });
    expect(await ping(relayAddresses.second, 5)).toHaveLength(0);
    const after = await one.change({ forward: {} });

    expect(after.forward.lost - before.forward.lost).toBeGreaterThanOrEqual(5);
    expect(after.backward.lost).toBe(0);
    expect(await ping(relayAddresses.second, 5)).toHaveLength(5);
  });

  test('lets TCP get through whole, whatever it does to the packets', async () => {
    const one = await begin({
      delayMs: 2,
      jitterMs: 1,
      lossPercent: 1,
      duplicatePercent: 2,
      reorderPercent: 2,
      reorderMs: 2,
    });
    const server = await lab.edge.start('the sender', [process.execPath, '-e', sender]);
    await server.waitFor(/listening/, 10_000);

    const { stdout } = await lab.client.run(process.execPath, ['-e', receiver], { timeoutMs: 60_000 });
    const { backward, refused } = await one.counts();
    await server.end();

    const expected = createHash('sha256').update(Buffer.alloc(bytes, 'byte for byte, ')).digest('hex');
    expect(stdout.trim()).toBe(expected);
    expect([backward.lost, backward.duplicated, backward.reordered].every((count) => count > 0)).toBe(true);
    expect(refused).toBe(0);
  });

  test('takes its interfaces with it', async () => {
    const one = await begin({});
    const links = async (): Promise<boolean[]> =>
      Promise.all(
        [lab.client, lab.edge].map(async (host) =>
          (await host.run('ip', ['-brief', 'link'])).stdout.includes('relay'),
        ),
      );
    const during = await links();
    await one.end();
    relay = undefined;

    expect([during, await links()]).toEqual([
      [true, true],
      [false, false],
    ]);
  });
});
