// The tunnel on networks that let no UDP through: the same datagrams inside TLS, soon, alone, and no longer than needed.
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import type { Status } from '../../shared/core/control/status.ts';
import { describeWith } from '../support/requires.ts';
import { edgeV4, edgeV6, MovingWorld, type SteadyFlow } from './support/moving-world.ts';
import type { Story } from './support/status-story.ts';

const needs = { namespaces: true, tools: ['ip', 'nft'] };
/** Five seconds are promised at first, one and a half where the network is known; the rest is a slow machine's. */
const firstMs = 5000 + 2000;
const knownMs = 1500 + 2000;

const isConnected = ({ state }: Status): boolean => state === 'connected';
const isOver =
  (transport: 'udp' | 'tls') =>
  ({ state, edge }: Status): boolean =>
    state === 'connected' && edge?.transport === transport;

describeWith(needs, 'a network that lets no UDP through', () => {
  const world = new MovingWorld(process.pid % 100_000);
  let story: Story | undefined;
  let flow: SteadyFlow | undefined;

  beforeAll(async () => {
    await world.open();
    world.startDaemon();
    world.enroll();
  });

  afterEach(() => {
    flow?.close();
    flow = undefined;
    story?.close();
    block('');
  });

  afterAll(() => world.close());

  /** Between laptop and edge, beside what the world itself does. */
  function block(rule: string): void {
    const chain = rule === '' ? '' : `chain f { type filter hook forward priority 2; ${rule}\n}`;
    const text = `add table inet block\ndelete table inet block\ntable inet block {\n${chain}\n}\n`;
    world.inMiddle('nft', ['-f', '-'], text);
  }

  /** What came from the laptop and is neither the edge's HTTPS port, nor a try at its UDP port, nor a question for its name. */
  function watchStrangers(): () => number {
    const edge = (protocol: string, port: number): string =>
      [`ip daddr ${edgeV4}`, `ip6 daddr ${edgeV6}`]
        .map((to) => `iifname "up0" ${to} ${protocol} dport ${port} return`)
        .join('\n');
    const rules = [
      edge('tcp', 8443),
      edge('udp', 51820),
      'iifname "up0" udp dport 53 return',
      'iifname "up0" meta l4proto ipv6-icmp return',
      'iifname "up0" counter',
    ];
    const chain = `chain s { type filter hook prerouting priority -299;\n${rules.join('\n')}\n}`;
    world.inMiddle('nft', ['-f', '-'], `table inet strangers {\n${chain}\n}\n`);
    return () => {
      const listing = world.inMiddle('nft', ['list', 'table', 'inet', 'strangers']);
      world.inMiddle('nft', ['delete', 'table', 'inet', 'strangers']);
      return Number(/counter packets (\d+)/.exec(listing)?.[1]);
    };
  }

  async function begin(mode: 'tunnel' | 'proxy'): Promise<void> {
    world.ok('mode', mode);
    world.ok('disconnect');
    story = world.story();
    await story.until(0, ({ state }) => state === 'off', 20_000);
  }

  /** As the daemon saw it: how long its own command line takes to start is another matter. */
  async function connectTook(askedAt: number): Promise<number> {
    const beganAt = await story?.until(askedAt, ({ state }) => state === 'connecting', 20_000);
    const doneAt = await story?.until(askedAt, isConnected, 20_000);
    return (doneAt ?? Number.POSITIVE_INFINITY) - (beganAt ?? 0);
  }

  async function open(): Promise<void> {
    const { mode, proxy } = world.status();
    flow = await world.flow(mode === 'proxy' ? Number(proxy?.address.split(':')[1]) : undefined);
  }

  test.each(['tunnel', 'proxy'] as const)(
    '%s: connects by TLS within seconds, faster the second time, and lets nothing else out',
    async (mode) => {
      await begin(mode);
      block('meta l4proto udp drop');
      const strangers = mode === 'tunnel' ? watchStrangers() : () => 0;

      const startedAt = performance.now();
      world.ok('connect');
      const firstTook = await connectTook(startedAt);
      const status = world.status();
      await open();
      await flow?.take();
      const pulse = await flow?.take();
      flow?.close();
      world.ok('disconnect');
      await story?.until(performance.now(), ({ state }) => state === 'off', 20_000).catch(() => undefined);
      const againAt = performance.now();
      world.ok('connect');
      const againTook = await connectTook(againAt);

      expect(status.edge).toMatchObject({ transport: 'tls', endpoint: expect.stringMatching(/:8443$/) });
      expect(status.health.map(({ code }) => code)).toContain('udp-blocked');
      expect(pulse?.alive).toBe(true);
      expect(firstTook).toBeLessThan(firstMs);
      expect(againTook).toBeLessThan(knownMs);
      expect(strangers()).toBe(0);
    },
    90_000,
  );

  test('tunnel: leaves a UDP that loses large datagrams', async () => {
    await begin('tunnel');
    block('meta l4proto udp meta length > 900 drop');

    const startedAt = performance.now();
    world.ok('connect');
    const movedMs = await story?.until(startedAt, isOver('tls'), 60_000);
    await open();
    await flow?.take();
    const pulse = await flow?.take();

    expect(movedMs).toBeLessThan(30_000);
    expect(pulse?.alive).toBe(true);
    expect(world.status().edge?.transport).toBe('tls');
  }, 120_000);

  test.each(['tunnel', 'proxy'] as const)(
    '%s: goes back to UDP by itself once that passes, and what runs inside goes on',
    async (mode) => {
      await begin(mode);
      block('meta l4proto udp drop');
      world.ok('connect', '--wait');
      await open();

      block('');
      const restoredAt = performance.now();
      const backMs = await story?.until(restoredAt, isOver('udp'), 60_000);
      const pulse = await flow?.take();

      expect(backMs).toBeLessThan(45_000);
      expect(pulse?.alive).toBe(true);
      expect(pulse?.longestMs).toBeLessThan(1500);
      expect(story?.states.slice(story.states.indexOf('connected'))).toEqual(['connected']);
    },
    120_000,
  );

  test.each(['tunnel', 'proxy'] as const)(
    '%s: a tunnel over UDP that the network begins to block goes on by TLS',
    async (mode) => {
      await begin(mode);
      world.ok('connect', '--wait');
      await open();
      expect(world.status().edge?.transport).toBe('udp');

      const blockedAt = performance.now();
      block('meta l4proto udp drop');
      const movedMs = await story?.until(blockedAt, isOver('tls'), 30_000);
      await flow?.take();
      const pulse = await flow?.take();

      expect(movedMs).toBeLessThan(10_000);
      expect(pulse?.alive).toBe(true);
    },
    90_000,
  );

  test('tunnel: is inside TLS from the start where the user wants it, also where UDP passes', async () => {
    await begin('tunnel');
    world.ok('settings', 'set', 'transport', 'tls');

    try {
      world.ok('connect', '--wait');
      const { edge, health } = world.status();

      expect(edge?.transport).toBe('tls');
      expect(health.map(({ code }) => code)).toContain('tls-chosen');
    } finally {
      world.ok('settings', 'reset', 'transport');
    }
  }, 60_000);
});
