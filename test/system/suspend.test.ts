// A stand-in for sleep, since no machine is put to sleep in tests: the daemon is stopped for twenty seconds, its network
// goes meanwhile and comes back just before it goes on. The edge lives on, as it does for a laptop that sleeps.
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { describeWith } from '../support/requires.ts';
import { behind, MovingWorld } from './support/moving-world.ts';

const needs = { namespaces: true, tools: ['ip', 'nft', 'curl'] };
const asleepMs = 20_000;
/** Two seconds are promised; the rest is a slow machine's. */
const resumeMs = 2000 + 1500;

describeWith(needs, 'a daemon that was stopped for a while', () => {
  const world = new MovingWorld((process.pid % 90_000) + 4);

  beforeAll(async () => {
    await world.open();
    world.startDaemon();
    world.enroll();
  });

  afterEach(() => {
    process.kill(world.daemon, 'SIGCONT');
    world.goHome();
  });

  afterAll(() => world.close());

  test.each(['tunnel', 'proxy'] as const)('%s: carries again within two seconds', async (mode) => {
    world.ok('mode', mode);
    world.ok('connect', '--wait', '--timeout', '60s');
    const { proxy } = world.status();
    const way = mode === 'proxy' ? ['-x', `socks5h://${proxy?.address}`] : [];
    const url = `http://${behind}:9100/`;
    // What answers is an echo, which never ends by itself.
    const passes = (): boolean =>
      world.inLaptop('curl', '-s', '--http0.9', '--max-time', '0.4', ...way, url).out !== '';
    await expect.poll(passes, { timeout: 20_000 }).toBe(true);

    process.kill(world.daemon, 'SIGSTOP');
    world.ip('link', 'set', 'up0', 'down');
    await new Promise((resolve) => setTimeout(resolve, asleepMs));
    world.goHome();
    const awakeAt = performance.now();
    process.kill(world.daemon, 'SIGCONT');
    await expect.poll(passes, { timeout: 30_000, interval: 20 }).toBe(true);
    // The last look itself took until its end: an echo does not hang up.
    const resumedMs = performance.now() - awakeAt - 400;

    process.stdout.write(`${JSON.stringify({ mode, resumedMs: Math.round(resumedMs) })}\n`);
    expect(resumedMs).toBeLessThan(resumeMs);
    expect(world.status().state).toBe('connected');
  });
});
