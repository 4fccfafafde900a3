// Which places the edge has a look at where the kernel forwards: those in doubt and those that are worth it, and no more.
import { Duplex } from 'node:stream';
import { describe, expect, test } from 'vitest';
import { type EgressPath, PathError } from '../../../../edge/egress/path.ts';
import { PathReports } from '../../../../edge/egress/report.ts';
import { PathSelector } from '../../../../edge/egress/select.ts';
import { destinationKeys } from '../../../../edge/egress/site.ts';
import { FreeFlows } from '../../../../edge/host/free-flows.ts';
import { measurePlace } from '../../../../edge/host/place-measure.ts';
import { PlaceWatch, type PlaceWatchOptions } from '../../../../edge/host/place-watch.ts';
import { type Prefix, parseAddress, parsePrefix } from '../../../../shared/core/base/ip.ts';
import { type MonoMs, monoMs } from '../../../../shared/core/base/time.ts';
import { VirtualTime } from '../../../sim/paths/path-world.ts';

function line(address: string, port: number, state: 'waits' | 'open'): string {
  const unreplied = state === 'waits' ? ' [UNREPLIED]' : '';
  const word = state === 'waits' ? 'SYN_SENT' : 'ESTABLISHED';
  return `ipv4     2 tcp      6 118 ${word} src=10.83.0.2 dst=${address} sport=${port} dport=443${unreplied} src=${address} dst=198.18.5.1 sport=443 dport=${port} mark=16777216 use=2\n`;
}

class World {
  readonly measured: string[] = [];
  readonly used: string[] = [];
  readonly watch: PlaceWatch;
  list: string | undefined | Error = '';
  reads = 0;
  isThere = false;
  now: MonoMs = monoMs(1000);

  constructor(more: Partial<PlaceWatchOptions> = {}) {
    this.watch = new PlaceWatch({
      now: () => this.now,
      readList: () => this.#read(),
      isFree: () => true,
      onUse: (address) => this.used.push(address.join('.')),
      ageOf: () => Number.POSITIVE_INFINITY,
      measure: ({ address }) => {
        this.measured.push(address.join('.'));
        return Promise.resolve(this.isThere);
      },
      ...more,
    });
  }

  /** Looks twice a second for so long. */
  async for(ms: number): Promise<void> {
    for (let passed = 0; passed < ms; passed += 500) {
      await this.watch.look();
      this.now = monoMs(this.now + 500);
    }
  }

  #read(): Promise<string | undefined> {
    this.reads++;
    return this.list instanceof Error ? Promise.reject(this.list) : Promise.resolve(this.list);
  }
}

describe('a place whose flows nobody answers', () => {
  test('is measured within two seconds, and again after longer and longer where nobody leads there', async () => {
    const world = new World();
    world.list = line('203.0.113.10', 1, 'waits');

    await world.for(2000);
    expect(world.measured).toEqual(['203.0.113.10']);

    for (let i = 0; i < 20; i++) {
      // Whoever asks, asks again and again.
      world.list = line('203.0.113.10', i, 'waits');
      await world.for(30_000);
    }
    expect(world.measured.length).toBeLessThan(12);
  });

  test('is not measured where its path is asked for by name', async () => {
    const world = new World({ isFree: () => false });
    world.list = line('203.0.113.10', 1, 'waits');

    await world.for(10_000);

    expect(world.measured).toEqual([]);
  });

  test('is measured as soon as there is a budget for it, however often there was none', async () => {
    let budget = 0;
    const asked: string[] = [];
    const world = new World({
      measure: ({ address }) => {
        if (budget === 0) return Promise.resolve(undefined);
        asked.push(address.join('.'));
        return Promise.resolve(true);
      },
    });
    world.list = line('203.0.113.10', 1, 'waits');
    await world.for(10_000);

    budget = 1;
    await world.for(1000);

    expect(asked).toHaveLength(1);
  });

  test('is one of a few at a time', async () => {
    let running = 0;
    const world = new World({
      measure: () => {
        running++;
        return new Promise(() => undefined);
      },
    });
    world.list = Array.from({ length: 50 }, (_, i) => line(`198.18.${i}.1`, 1, 'waits')).join('');

    await world.for(20_000);

    expect(running).toBe(4);
  });
});

describe('a place that flows go to', () => {
  test('is measured when many do, for a small share of them', async () => {
    const world = new World();
    const flows = 1000;

    for (let i = 0; i < flows; i++) {
      world.list = line('203.0.113.10', i, 'open');
      await world.for(1000);
    }

    expect(world.used).toHaveLength(flows);
    expect(world.measured.length).toBeGreaterThan(5);
    expect(world.measured.length).toBeLessThanOrEqual(flows * 0.02 + 3);
  });

  test('is not measured for one flow alone, nor again within a minute', async () => {
    const world = new World();
    world.list = line('203.0.113.10', 1, 'open');
    await world.for(5000);
    expect(world.measured).toEqual([]);

    const known = new World({ ageOf: () => 59_000 });
    for (let i = 0; i < 50; i++) {
      known.list = line('203.0.113.10', i, 'open');
      await known.for(1000);
    }
    expect(known.measured).toEqual([]);
  });
});

describe('the list', () => {
  test('is read for a hundredth of the time at most', async () => {
    const world = new World();
    world.list = 'x'.repeat(4_000_000);

    await world.for(60_000);

    // 4 MB take about 52 ms.
    expect(world.reads).toBeGreaterThan(8);
    expect(world.reads * 52).toBeLessThanOrEqual(650);
  });

  test('that the kernel does not give, or that is too long, does no harm', async () => {
    const world = new World();
    world.list = new Error('no such file');
    await world.for(60_000);
    expect(world.reads).toBe(2);

    world.list = undefined;
    await world.for(60_000);
    expect(world.measured).toEqual([]);
  });
});

class FakePath implements EgressPath {
  readonly type = 'direct';
  readonly id: string;
  readonly #time: VirtualTime;
  readonly #ms: number | undefined;

  /** `ms`: until it is connected; undefined: never. */
  constructor(id: string, time: VirtualTime, ms: number | undefined) {
    this.id = id;
    this.#time = time;
    this.#ms = ms;
  }

  carries(): boolean {
    return true;
  }

  trouble(): string | undefined {
    return undefined;
  }

  dialTcp(_target: unknown, signal: AbortSignal): Promise<Duplex> {
    return new Promise((resolve, reject) => {
      signal.addEventListener('abort', () => reject(signal.reason));
      if (this.#ms === undefined) return;
      this.#time.after(this.#ms, () => resolve(new Duplex({ read: () => undefined })));
    });
  }

  openUdp(): Promise<never> {
    return Promise.reject(new PathError('path', 'unreachable', 'No.'));
  }

  close(): void {
    // Nothing is open.
  }
}

describe('a place', () => {
  const end = { address: Uint8Array.of(203, 0, 113, 10), port: 443 };
  const keys = destinationKeys(end.address, undefined);

  async function measure(
    ms: Readonly<Record<string, number | undefined>>,
    more: { readonly answersProbe?: boolean; readonly budget?: number } = {},
  ): Promise<{ readonly isThere: boolean | undefined; readonly reports: PathReports; readonly now: MonoMs }> {
    const time = new VirtualTime();
    const reports = new PathReports(['a', 'b']);
    for (const id of ['a', 'b']) reports.noteProbe(id, 20, time.now());
    await time.runUntil(100);
    const paths = Object.entries(ms).map(([id, one]) => new FakePath(id, time, one));
    const done = measurePlace(end, paths, {
      reports,
      timing: time,
      maySpend: (bytes) => bytes <= (more.budget ?? 10_000),
      probe: (id) => {
        if (more.answersProbe !== false) reports.noteProbe(id, 20, time.now());
        return Promise.resolve();
      },
    });
    await time.runUntil(5000);
    return { isThere: await done, reports, now: time.now() };
  }

  test('is not reached by a path that is silent there, while it answers elsewhere, and another leads there', async () => {
    const { isThere, reports, now } = await measure({ a: undefined, b: 30 });

    expect(isThere).toBe(true);
    expect(reports.fails('a', keys, now)).toBe(true);
    expect(reports.fails('b', keys, now)).toBe(false);
    expect(reports.report('a', now).lossPercent).toBe(0);
  });

  test('says nothing of a path that answers nowhere: that is no story of the place', async () => {
    const { reports, now } = await measure({ a: undefined, b: 30 }, { answersProbe: false });

    expect(reports.fails('a', keys, now)).toBe(false);
  });

  test('that no path leads to says nothing of any', async () => {
    const { isThere, reports, now } = await measure({ a: undefined, b: undefined });

    expect(isThere).toBe(false);
    expect(reports.fails('a', keys, now)).toBe(false);
  });

  test('is measured with what the budget has left, or not at all', async () => {
    const { isThere, reports, now } = await measure({ a: undefined, b: 30 }, { budget: 700 });

    expect(isThere).toBeUndefined();
    expect(reports.ageAt('b', keys[0] ?? '', now)).toBe(Number.POSITIVE_INFINITY);
  });
});

describe('a flow that may be learnt from', () => {
  const prefix = (text: string): Prefix => parsePrefix(text) as Prefix;
  const selector = new PathSelector({
    paths: ['a', 'b'].map((id) => ({ id, type: 'direct', carries: () => true, trouble: () => undefined })),
    rules: [{ match: { port: 25 }, use: 'b' }],
    reports: new PathReports(['a', 'b']),
  });
  selector.setDevices(new Map([['phone', { pin: 'b' }]]));
  const free = new FreeFlows(() => [
    { name: 'laptop', key: 'l', prefixes: [prefix('10.83.0.2/32')] },
    { name: 'phone', key: 'p', prefixes: [prefix('10.83.0.3/32')] },
  ]);
  const isFree = (from: string, to: string, port = 443): boolean =>
    free.isFree(
      {
        slot: 1,
        source: parseAddress(from) as Uint8Array,
        destination: { address: parseAddress(to) as Uint8Array, port },
      },
      { selector, nameOf: () => undefined, now: monoMs(0) },
    );

  test.each([
    ['is one whose path the edge chose', '10.83.0.2', '203.0.113.10', 443, true],
    ['is none that a rule ties to a path', '10.83.0.2', '203.0.113.10', 25, false],
    ['is none of a device with a pin', '10.83.0.3', '203.0.113.10', 443, false],
    ['is none of a device that is not known', '10.83.0.4', '203.0.113.10', 443, false],
    ["is none to the owner's own networks", '10.83.0.2', '192.168.1.7', 443, false],
  ])('%s', (_, from, to, port, expected) => {
    expect(isFree(from, to, port)).toBe(expected);
  });
});
