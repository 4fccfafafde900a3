// When the window asks and when it is silent: a second apart while it is seen, never while it is hidden.
import { describe, expect, test } from 'vitest';
import type { Bridge, Outcome, Snapshot } from '../../../../desktop/bridge/ipc.ts';
import { Feed, type Page, type View } from '../../../../desktop/view/feed.ts';
import { results, scenes } from '../../../desktop/support/scenes.ts';

class FakePage implements Page {
  isOut = false;
  time = 0;
  readonly ticks: Set<() => void> = new Set();
  #changed: (() => void) | undefined;

  isHidden(): boolean {
    return this.isOut;
  }

  onVisibility(changed: () => void): () => void {
    this.#changed = changed;
    return () => (this.#changed = undefined);
  }

  now(): number {
    return this.time;
  }

  wall(): number {
    return this.time;
  }

  every(_: number, tick: () => void): () => void {
    this.ticks.add(tick);
    return () => this.ticks.delete(tick);
  }

  hide(isOut: boolean): void {
    this.isOut = isOut;
    this.#changed?.();
  }

  async second(): Promise<void> {
    this.time += 1000;
    for (const tick of this.ticks) tick();
    await answered();
  }
}

class FakeBridge implements Bridge {
  snapshot: Snapshot | undefined = scenes['off'];
  asked = 0;
  readonly sent: string[] = [];
  listener: ((snapshot: Snapshot) => void) | undefined;

  async get(): Promise<Snapshot> {
    this.asked++;
    if (this.snapshot === undefined) throw new Error('main is gone');
    return this.snapshot;
  }

  subscribe(listener: (snapshot: Snapshot) => void): () => void {
    this.listener = listener;
    return () => (this.listener = undefined);
  }

  send: Bridge['send'] = async (name) => {
    this.sent.push(name);
    return { ok: true, result: results[name] } as Outcome<never>;
  };
}

async function answered(): Promise<void> {
  for (let turn = 0; turn < 5; turn++) await Promise.resolve();
}

function started() {
  const page = new FakePage();
  const bridge = new FakeBridge();
  const views: View[] = [];
  const feed = new Feed(bridge, page, (view) => views.push(view));
  feed.start();
  return { page, bridge, feed, last: () => views.at(-1) };
}

describe('the feed of snapshots', () => {
  test('asks once a second while the window is seen', async () => {
    const { page, bridge } = started();
    await answered();

    await page.second();
    await page.second();

    expect(bridge.asked).toBe(3);
  });

  test('has no timer and asks nothing while the window is hidden', async () => {
    const { page, bridge, feed } = started();
    feed.watchPaths(true);
    await answered();
    const before = bridge.asked + bridge.sent.length;

    page.hide(true);
    await page.second();

    expect(page.ticks.size).toBe(0);
    expect(bridge.asked + bridge.sent.length).toBe(before);
    page.hide(false);
    expect(page.ticks.size).toBe(1);
  });

  test('leaves nothing behind when it stops', async () => {
    const { page, bridge, feed } = started();
    await answered();

    feed.stop();

    expect(page.ticks.size).toBe(0);
    expect(bridge.listener).toBeUndefined();
  });

  test('forgets what it knew when main does not answer', async () => {
    const { page, bridge, last } = started();
    await answered();
    expect(last()?.snapshot).toBeDefined();

    bridge.snapshot = undefined;
    await page.second();

    expect(last()?.snapshot).toBeUndefined();
    expect(last()?.isLost).toBe(true);
  });

  test('does not let an old answer stand while main is silent', async () => {
    const { page, bridge, last } = started();
    await answered();

    bridge.get = () => new Promise(() => {});
    for (let second = 0; second < 7; second++) await page.second();

    expect(last()?.snapshot).toBeUndefined();
    expect(last()?.isLost).toBe(true);
    bridge.listener?.(scenes['connected'] as Snapshot);
    expect(last()?.isLost).toBe(false);
  });

  test('shows what a click asked for, for three seconds at most', async () => {
    const { page, feed, last } = started();
    await answered();

    feed.expect('connecting');
    await page.second();
    expect(last()?.expected?.key).toBe('connecting');
    await page.second();
    await page.second();

    expect(last()?.expected).toBeUndefined();
  });

  test('drops it as soon as the daemon states something else', async () => {
    const { bridge, feed, last } = started();
    await answered();

    feed.expect('connecting');
    bridge.listener?.(scenes['portal'] as Snapshot);

    expect(last()?.expected).toBeUndefined();
  });

  test('asks for ways out only while somebody watches them', async () => {
    const { page, bridge, feed, last } = started();
    await answered();
    await page.second();
    expect(bridge.sent).toEqual([]);

    feed.watchPaths(true);
    await page.second();
    await page.second();
    feed.watchPaths(false);
    await page.second();

    expect(bridge.sent.length).toBeGreaterThanOrEqual(2);
    expect(last()?.history.get('frankfurt')?.at(-1)).toBe(14.2);
    expect(last()?.history.get('office')?.at(-1)).toBeUndefined();
  });
});
