// What a daemon costs while nobody uses it: how often its threads wake up, connected and without a network, and how much
// memory it holds. Numbers are printed. The limits keep them from growing; they are not yet what a battery asks for.
import { readdirSync, readFileSync } from 'node:fs';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { describeWith } from '../support/requires.ts';
import { MovingWorld } from './support/moving-world.ts';

const needs = { namespaces: true, tools: ['ip', 'nft'] };
const windowMs = 20_000;
/** The engine tidies its heap up after a start; then it rests. */
const windows = 4;
/** Wanted: 1 of all threads together. What is here keeps it from growing: a probe that is answered by a probe makes 5. */
const connectedPerSecond = 3;
/** Wanted: 0.1 of all threads together. */
const offlinePerSecond = 0.75;
/** As it is started by a command. */
const mostMegabytes = 140;

/** Voluntary switches of each thread, by its number. */
function switches(pid: number): ReadonlyMap<string, number> {
  const threads = readdirSync(`/proc/${pid}/task`);
  return new Map(
    threads.map((thread) => {
      const text = readFileSync(`/proc/${pid}/task/${thread}/status`, 'utf8');
      return [thread, Number(/^voluntary_ctxt_switches:\s+(\d+)/m.exec(text)?.[1])];
    }),
  );
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/** Of the thread that wakes most often. */
async function busiest(pid: number): Promise<number> {
  const before = switches(pid);
  await pause(windowMs);
  const after = switches(pid);
  const rates = [...after].map(([thread, count]) => (count - (before.get(thread) ?? 0)) / (windowMs / 1000));
  return Math.max(...rates);
}

function megabytes(pid: number): number {
  const text = readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8');
  return Math.round(Number(/^Rss:\s+(\d+)/m.exec(text)?.[1]) / 1024);
}

describeWith(needs, 'a daemon that nobody uses', () => {
  const world = new MovingWorld((process.pid % 90_000) + 2);

  beforeAll(async () => {
    await world.open();
    world.startDaemon();
    world.enroll();
  });

  afterAll(() => world.close());

  test.each(['tunnel', 'proxy'] as const)(
    '%s: sleeps while it is connected, and more without a network',
    { timeout: 400_000 },
    async (mode) => {
      world.ok('mode', mode);
      world.ok('connect', '--wait', '--timeout', '60s');
      const connected: number[] = [];
      while (connected.length < windows && !connected.some((rate) => rate < connectedPerSecond)) {
        connected.push(await busiest(world.daemon));
      }
      const size = megabytes(world.daemon);
      world.ip('link', 'set', 'up0', 'down');
      await expect.poll(() => world.status().state, { timeout: 20_000, interval: 500 }).toBe('waiting');
      const offline: number[] = [];
      while (offline.length < windows && !offline.some((rate) => rate < offlinePerSecond)) {
        offline.push(await busiest(world.daemon));
      }
      world.goHome();

      process.stdout.write(`${JSON.stringify({ mode, connected, offline, megabytes: size })}\n`);
      expect(Math.min(...connected)).toBeLessThan(connectedPerSecond);
      expect(Math.min(...offline)).toBeLessThan(offlinePerSecond);
      expect(size).toBeLessThan(mostMegabytes);
    },
  );
});
