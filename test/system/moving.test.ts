// What the state says while the edge dies, the path breaks and the laptop moves, for the whole device and for the proxy:
// the truth within seconds, nothing lost that need not be lost.
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import type { Status } from '../../shared/core/control/status.ts';
import { describeWith } from '../support/requires.ts';
import {
  behind,
  edgeName,
  edgeV4,
  edgeV6,
  MovingWorld,
  type SteadyFlow,
  sh,
} from './support/moving-world.ts';
import type { Story } from './support/status-story.ts';

const needs = { namespaces: true, tools: ['ip', 'nft'] };
/** Three seconds are promised; the rest is a slow machine's. */
const stallMs = 3000 + 1000;
/** A connection that was promised to be silent for a second at most. */
const roamMs = 1000 + 500;

const isConnected = ({ state }: Status): boolean => state === 'connected';
const isNot = ({ state }: Status): boolean => state !== 'connected';
const codes = (status: Status | undefined): readonly string[] =>
  (status?.health ?? []).map(({ code }) => code);

describeWith(needs, 'a laptop that moves', () => {
  const world = new MovingWorld(process.pid % 100_000);
  let story: Story;
  let flow: SteadyFlow | undefined;

  beforeAll(async () => {
    await world.open();
    world.startDaemon();
    world.enroll();
  });

  afterEach(() => {
    flow?.close();
    flow = undefined;
    story.close();
    world.mend();
    world.goHome();
  });

  afterAll(() => world.close());

  async function connected(
    mode: 'tunnel' | 'proxy',
    how: 'connect' | 'reconnect' = 'reconnect',
  ): Promise<void> {
    world.ok('mode', mode);
    if (how === 'connect') world.ok('disconnect');
    world.ok(how, '--wait');
    story = world.story();
    await story.until(0, isConnected, 5000);
    const { proxy } = world.status();
    flow = await world.flow(mode === 'proxy' ? Number(proxy?.address.split(':')[1]) : undefined);
  }

  test.each(['tunnel', 'proxy'] as const)(
    '%s: is not connected to an edge that was killed, and is again soon after it is back',
    async (mode) => {
      await connected(mode);

      const killedAt = performance.now();
      world.killEdge();
      const noticedMs = await story.until(killedAt, isNot, 10_000);
      const stalled = story.last;
      await world.startEdge();
      const backAt = performance.now();
      const againMs = await story.until(backAt, isConnected, 15_000);

      expect(noticedMs).toBeLessThan(stallMs);
      expect(stalled?.state).toBe('connecting');
      expect(codes(stalled)).toContain('stalled');
      expect(againMs).toBeLessThan(6000);
    },
  );

  test.each(['tunnel', 'proxy'] as const)(
    '%s: stalls while the path is broken and keeps what runs inside',
    async (mode) => {
      await connected(mode);

      const cutAt = performance.now();
      world.cut();
      const noticedMs = await story.until(cutAt, isNot, 10_000);
      const outside = world.inLaptop('ping', '-c1', '-W1', '203.0.113.254').code;
      const mendedAt = performance.now();
      world.mend();
      const againMs = await story.until(mendedAt, isConnected, 10_000);
      await flow?.take();
      const after = await flow?.take();

      expect(noticedMs).toBeLessThan(stallMs);
      if (mode === 'tunnel') expect(outside).not.toBe(0);
      expect(againMs).toBeLessThan(5000);
      expect(after?.alive).toBe(true);
    },
  );

  test.each(['tunnel', 'proxy'] as const)(
    '%s: a new address in the same network breaks nothing',
    async (mode) => {
      await connected(mode);
      await flow?.take();

      world.readdress('192.0.2.77');
      await new Promise((resolve) => setTimeout(resolve, 2500));
      const there = await flow?.take();
      world.readdress('192.0.2.2');
      await new Promise((resolve) => setTimeout(resolve, 2500));
      const back = await flow?.take();

      expect([there?.alive, back?.alive]).toEqual([true, true]);
      expect(Math.max(there?.longestMs ?? 9999, back?.longestMs ?? 9999)).toBeLessThan(roamMs);
      expect(story.states).toEqual(['connected']);
    },
  );

  test.each(['tunnel', 'proxy'] as const)(
    '%s: another interface in another network breaks nothing',
    async (mode) => {
      await connected(mode);
      await flow?.take();

      world.goAway();
      await new Promise((resolve) => setTimeout(resolve, 2500));
      const there = await flow?.take();
      world.goHome();
      await new Promise((resolve) => setTimeout(resolve, 2500));
      const back = await flow?.take();

      expect([there?.alive, back?.alive]).toEqual([true, true]);
      expect(Math.max(there?.longestMs ?? 9999, back?.longestMs ?? 9999)).toBeLessThan(roamMs);
    },
  );

  test.each(['tunnel', 'proxy'] as const)('%s: goes from IPv4 to IPv6 and back', async (mode) => {
    // Anew: who connects again may go on where it was a moment ago, on IPv6.
    await connected(mode, 'connect');
    const first = world.status().edge?.endpoint;
    await flow?.take();

    world.ip('addr', 'del', '192.0.2.2/24', 'dev', 'up0');
    await expect.poll(() => world.status().edge?.endpoint, { timeout: 10_000 }).toBe(`[${edgeV6}]:51820`);
    await new Promise((resolve) => setTimeout(resolve, 1500));
    const there = await flow?.take();
    world.goHome();

    expect(first).toBe(`${edgeV4}:51820`);
    expect(there?.alive).toBe(true);
    expect(there?.longestMs).toBeLessThan(roamMs);
  });

  test.each(['tunnel', 'proxy'] as const)(
    '%s: says that there is no network, waits for one, and goes on',
    async (mode) => {
      await connected(mode);

      world.ip('link', 'set', 'up0', 'down');
      const goneAt = performance.now();
      await story.until(goneAt - 500, ({ state }) => state === 'waiting', 5000);
      const waiting = story.last;
      world.goHome();
      const backMs = await story.until(performance.now(), isConnected, 10_000);
      await flow?.take();
      await new Promise((resolve) => setTimeout(resolve, 2000));
      const after = await flow?.take();

      expect(codes(waiting)).toContain('no-network');
      expect(backMs).toBeLessThan(2000);
      expect(after?.alive).toBe(true);
    },
  );

  test('looks the name up again where the edge moved, with questions that no other program may send', async () => {
    await connected('tunnel');
    const moved = '203.0.113.9';

    world.name({ [edgeName]: [moved] });
    const lines = ['addr flush dev out0 scope global', `addr add ${moved}/24 dev out0`];
    sh('ip', ['-n', world.far, '-batch', '-'], [...lines, `route add default via ${behind}`, ''].join('\n'));
    await expect.poll(() => world.status().edge?.endpoint, { timeout: 20_000 }).toBe(`${moved}:51820`);
    await story.until(performance.now() - 1, isConnected, 15_000);
    const before = world.questions();
    world.inLaptop('dig', '+time=1', '+tries=1', '@192.0.2.1', edgeName);

    expect(before).toBeGreaterThan(0);
    expect(world.questions()).toBe(before);
  });

  test('finds what a narrow path carries, says so, and large transfers pass', async () => {
    world.narrow(1400);
    await connected('tunnel');

    await story.until(0, (status) => codes(status).includes('mtu-reduced'), 20_000).catch(() => undefined);
    await expect.poll(() => codes(world.status()), { timeout: 20_000 }).toContain('mtu-reduced');
    const link = world.inLaptop('ip', '-o', 'link', 'show', 'culvert0').out;
    const mtu = Number(/mtu (\d+)/.exec(link)?.[1]);
    world.narrow(0);

    expect(mtu).toBeGreaterThanOrEqual(1280);
    expect(mtu).toBeLessThanOrEqual(1340);
  });

  test('pauses for a while, also through a restart of the daemon, and comes back by itself', async () => {
    await connected('proxy');

    world.ok('pause', '20s');
    const paused = world.status();
    await world.endDaemon();
    world.startDaemon();
    const after = world.status();
    story.close();
    story = world.story();
    await story.until(0, isConnected, 40_000);

    expect(paused).toMatchObject({ state: 'off', reason: 'paused' });
    expect(Math.abs(Date.parse(paused.resumesAt ?? '') - Date.parse(after.resumesAt ?? ''))).toBeLessThan(
      1000,
    );
    expect(after).toMatchObject({ state: 'off', reason: 'paused' });
  });

  test('ends a pause where the user connects, and forgets it where the user disconnects', async () => {
    await connected('proxy');

    world.ok('pause', '1h');
    world.ok('connect', '--wait');
    const again = world.status();
    world.ok('pause', '1h');
    world.ok('disconnect');
    const off = world.status();
    const refused = world.culvert('pause', '5m', '--json');

    expect(again.state).toBe('connected');
    expect(again).not.toHaveProperty('resumesAt');
    expect(off.state).toBe('off');
    expect(off).not.toHaveProperty('resumesAt');
    expect(JSON.parse(refused.err)).toMatchObject({ code: 'not-connected' });
  });

  test('in lockdown lets nothing out while it is off, goes on through a kill, and opens when lockdown ends', async () => {
    const outside = (): boolean => world.inLaptop('ping', '-c1', '-W1', '192.0.2.1').code === 0;
    await connected('tunnel');

    world.ok('settings', 'set', 'lockdown', 'on');
    const off = JSON.parse(world.ok('disconnect', '--json')) as Status;
    const closed = [outside()];
    await world.endDaemon('SIGKILL');
    closed.push(outside());
    world.startDaemon();
    closed.push(outside());
    world.ok('mode', 'proxy');
    world.ok('connect', '--wait');
    const asProxy = outside();
    world.ok('disconnect');
    closed.push(outside());
    world.ok('mode', 'tunnel');
    world.ok('connect', '--wait');
    world.ok('disconnect');
    closed.push(outside());
    world.ok('settings', 'set', 'lockdown', 'off');

    expect(off.state).toBe('off');
    expect(codes(off)).toContain('lockdown');
    expect(closed).toEqual([false, false, false, false, false]);
    expect(asProxy).toBe(true);
    await expect.poll(outside, { timeout: 5000 }).toBe(true);
    expect(world.inLaptop('nft', 'list', 'tables').out).not.toContain('culvert');
  });
});
