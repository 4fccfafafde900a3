// A laptop whose battery died believes in another year. It enrols and connects all the same: certificates of an edge are
// known by their key, not by their dates, and a tunnel needs no date.
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { describeWith } from '../support/requires.ts';
import { behind, MovingWorld } from './support/moving-world.ts';

const yearMs = 365.25 * 86_400_000;
const needs = { namespaces: true, tools: ['ip', 'nft', 'faketime', 'curl'] };

/** Where Debian keeps it. */
const folder = process.arch === 'arm64' ? 'aarch64-linux-gnu' : 'x86_64-linux-gnu';
const library = `/usr/lib/${folder}/faketime/libfaketimeMT.so.1`;

describeWith(needs, 'a laptop whose clock is wrong by years', () => {
  const world = new MovingWorld((process.pid % 90_000) + 3);

  beforeAll(() => world.open());

  afterEach(async () => {
    world.culvert('registration', 'delete', '--yes');
    await world.endDaemon();
  });

  afterAll(() => world.close());

  test.each([
    { words: 'five years behind', shift: '-5y', years: -5 },
    { words: 'five years ahead', shift: '+5y', years: 5 },
  ])('enrols and connects $words', async ({ shift, years }) => {
    world.startDaemon([`LD_PRELOAD=${library}`, `FAKETIME=${shift}`, 'FAKETIME_DONT_FAKE_MONOTONIC=1']);
    world.enroll();
    for (const mode of ['tunnel_only', 'proxy']) {
      world.ok('mode', mode);
      world.ok('connect', '--wait', '--timeout', '60s');
      const { since, proxy } = world.status();

      const way = mode === 'proxy' ? ['-x', `socks5h://${proxy?.address}`] : [];
      const url = `http://${behind}:9100/`;
      const { out } = world.inLaptop('curl', '-s', '--http0.9', '--max-time', '4', ...way, url);

      // The daemon really lives in another year.
      expect((Date.parse(since) - Date.now()) / (years * yearMs)).toBeGreaterThan(0.9);
      expect(out).not.toBe('');
    }
  });
});
