// The split tunnel as it is now: kept on disk, expiring by itself, followed by firewall and routes.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { SplitTunnel } from '../../../../client/host/split-tunnel.ts';
import { SplitFiles } from '../../../../client/settings/split-files.ts';
import { formatRules, maxRules, ruleOf, type SplitRule } from '../../../../client/split/rules.ts';
import { parseAddress } from '../../../../shared/core/base/ip.ts';
import { monoMs, unixMs } from '../../../../shared/core/base/time.ts';
import { silentLog } from '../../../../shared/node/silent-log.ts';

let folder = '';
beforeEach(() => {
  vi.useFakeTimers();
  folder = mkdtempSync(join(tmpdir(), 'culvert-split-'));
});
afterEach(() => {
  vi.useRealTimers();
  rmSync(folder, { recursive: true });
});

function rule(kind: 'ip' | 'host', target: string, mode: 'exclude' | 'include' = 'exclude'): SplitRule {
  const made = ruleOf(kind, target, mode);
  if (typeof made === 'string') throw new Error(made);
  return made;
}

function makeWorld() {
  let applied = 0;
  let addresses = ['192.168.1.7/24'];
  const begin = Date.now();
  const nowMs = (): number => Date.now() - begin;
  const split = new SplitTunnel({
    files: new SplitFiles(folder),
    clock: { kind: 'process', now: () => monoMs(nowMs()), unix: () => unixMs(1_000_000 + nowMs()) } as never,
    log: silentLog,
    own: () => ['culvert0'],
    apply: async () => {
      applied += 1;
    },
    interfaces: () => [{ name: 'wlan0', addresses }],
  });
  return {
    split,
    applied: () => applied,
    move: (address: string) => {
      addresses = [address];
    },
  };
}

const addressOf = (text: string): Uint8Array => parseAddress(text) ?? new Uint8Array(4);

describe('the split tunnel', () => {
  test('keeps its rules on disk, in words that people read, and has the machine follow', async () => {
    const { split, applied } = makeWorld();

    await split.add(rule('ip', '10.0.0.0/8'));
    await split.add(rule('host', '*.Bank.example'));

    expect(applied()).toBe(2);
    expect(readFileSync(join(folder, 'split-tunnel.rules'), 'utf8')).toBe(
      'exclude ip 10.0.0.0/8\nexclude host *.bank.example\n',
    );
    expect(formatRules(makeWorld().split.rules)).toBe(formatRules(split.rules));
  });

  test('knows no rule that it does not have, and takes no more than its bound', async () => {
    const { split } = makeWorld();
    const full = Array.from({ length: maxRules }, (_, i) => `exclude ip 10.${i >> 8}.${i & 255}.0/24\n`).join(
      '',
    );

    await expect(split.remove(rule('ip', '10.0.0.0/8'))).rejects.toMatchObject({ code: 'unknown-rule' });
    writeFileSync(join(folder, 'split-tunnel.rules'), full);
    await expect(makeWorld().split.add(rule('ip', '192.0.2.0/24'))).rejects.toMatchObject({
      code: 'too-many-rules',
    });
  });

  test('refuses a list that makes no sense instead of leaving a line out', () => {
    writeFileSync(join(folder, 'split-tunnel.rules'), 'exclude ip 10.0.0.0/8\nexclude everything\n');

    expect(() => makeWorld()).toThrow(expect.objectContaining({ code: 'settings-unreadable' }));
  });

  test('sends the addresses of a name around, until they are too old, and forgets them with the rule', async () => {
    const { split, applied } = makeWorld();
    await split.add(rule('host', 'bank.example'));
    const answer = { name: 'bank.example', addresses: [addressOf('203.0.113.1')], ttlMs: 1000 };

    await split.handleAnswer(answer);
    await split.handleAnswer(answer);
    const known = split.view.learned.exclude.length;
    const told = applied();
    await vi.advanceTimersByTimeAsync(11 * 60_000);
    const later = split.view.learned.exclude.length;
    await split.handleAnswer(answer);
    await split.remove(rule('host', 'bank.example'));

    // The same answer again changes nothing.
    expect([known, told, later]).toEqual([1, 2, 0]);
    expect(split.view.learned.exclude).toEqual([]);
    expect([split.wants('bank.example'), split.wants('shop.example')]).toEqual([false, false]);
  });

  test('opens the local network for a while, through a restart, and closes it by itself', async () => {
    const first = makeWorld();
    await first.split.openLan(60_000);
    first.split.close();
    const { split, applied } = makeWorld();

    const open = split.view.lanOpen;
    await vi.advanceTimersByTimeAsync(61_000);

    expect(open).toBe(true);
    expect(split.view.lanOpen).toBe(false);
    expect(applied()).toBe(1);
    expect(makeWorld().split.view.lanOpen).toBe(false);
  });

  test('stays open without a time until it is closed', async () => {
    const { split } = makeWorld();
    await split.openLan(undefined);

    await vi.advanceTimersByTimeAsync(24 * 3_600_000);
    const open = split.view.lanOpen;
    await split.closeLan();

    expect([open, split.view.lanOpen, makeWorld().split.view.lanOpen]).toEqual([true, false, false]);
  });

  test('follows the network around it, and only that', async () => {
    const { split, applied, move } = makeWorld();
    await split.openLan(undefined);

    split.handleNetworkNews();
    const still = applied();
    move('10.0.0.7/24');
    split.handleNetworkNews();

    expect([still, applied()]).toEqual([1, 2]);
    expect(split.view.local).toEqual([{ interfaceName: 'wlan0', prefix: '10.0.0.0/24' }]);
  });
});
