// The worker that a daemon keeps ready while it is off: the next connection is made of it, and until then it has neither
// interface nor socket.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { describeWith } from '../support/requires.ts';
import { MovingWorld } from './support/moving-world.ts';

const needs = { namespaces: true, tools: ['ip', 'nft'] };
const patience = { timeout: 40_000, interval: 200 };

describeWith(needs, 'the worker that is kept ready', () => {
  const world = new MovingWorld((process.pid % 90_000) + 2);

  beforeAll(async () => {
    await world.open();
    world.startDaemon();
    world.enroll();
  });

  afterAll(() => world.close());

  /** Each worker of a tunnel says once which cryptography it has. */
  function workers(): number {
    const text = readFileSync(join(world.folder, 'client', 'daemon.log'), 'utf8');
    return text.split('"crypto suite chosen"').length - 1;
  }

  /** Of UDP, in the network of the daemon, which has it for itself. */
  function sockets(): readonly string[] {
    const tables = ['udp', 'udp6'].map((name) => readFileSync(`/proc/${world.daemon}/net/${name}`, 'utf8'));
    return tables.flatMap((text) => text.trim().split('\n').slice(1));
  }

  test.each(['proxy', 'tunnel'])(
    'mode %s: is taken, and followed by another',
    { timeout: 200_000 },
    async (mode) => {
      world.ok('disconnect');
      world.ok('mode', mode);
      await world.endDaemon();
      const before = workers();
      world.startDaemon();
      await expect.poll(workers, patience).toBe(before + 1);
      await expect.poll(sockets, patience).toEqual([]);
      const ready = workers();
      const links = world.inLaptop('ip', '-o', 'link').out;

      world.ok('connect', '--wait', '--timeout', '60s');
      const taken = workers();
      world.ok('disconnect');

      expect(links).not.toContain('culvert');
      expect(taken).toBe(ready);
      await expect.poll(workers, patience).toBe(ready + 1);
    },
  );
});
