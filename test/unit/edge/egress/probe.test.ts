// Measuring within a budget, races between paths, and names learnt from answers.
import { Duplex } from 'node:stream';
import { afterEach, describe, expect, test } from 'vitest';
import { race } from '../../../../edge/egress/dial-race.ts';
import { HostNames } from '../../../../edge/egress/host-name.ts';
import { namingAnswerer } from '../../../../edge/egress/naming-answerer.ts';
import { type EgressPath, PathError } from '../../../../edge/egress/path.ts';
import { ByteBudget, Prober } from '../../../../edge/egress/probe.ts';
import { PathReports } from '../../../../edge/egress/report.ts';
import { parseAddress } from '../../../../shared/core/base/ip.ts';
import { monoMs } from '../../../../shared/core/base/time.ts';
import { VirtualTime } from '../../../sim/paths/path-world.ts';
import { a, cname, testAnswer } from '../../../support/dns-messages.ts';

const target = { end: { address: Uint8Array.of(192, 0, 2, 1), port: 443 } };

class FakePath implements EgressPath {
  readonly id: string;
  readonly type = 'direct';
  readonly #time: VirtualTime;
  ms: number;
  readonly #failure: PathError | undefined;
  dialled = 0;
  running = 0;
  mostRunning = 0;
  aborted = 0;

  constructor(id: string, time: VirtualTime, ms: number, failure?: PathError) {
    this.id = id;
    this.#time = time;
    this.ms = ms;
    this.#failure = failure;
  }

  carries(): boolean {
    return true;
  }
  trouble(): string | undefined {
    return undefined;
  }
  dialTcp(_target: unknown, signal: AbortSignal): Promise<Duplex> {
    this.dialled++;
    this.running++;
    this.mostRunning = Math.max(this.running, this.mostRunning);
    return new Promise<Duplex>((resolve, reject) => {
      const cancel = this.#time.after(this.ms, () => {
        this.running--;
        if (this.#failure === undefined) resolve(new Duplex({ read: () => undefined }));
        else reject(this.#failure);
      });
      signal.addEventListener('abort', () => {
        cancel();
        this.running--;
        this.aborted++;
        reject(signal.reason);
      });
    });
  }
  openUdp(): Promise<never> {
    return Promise.reject(new PathError('path', 'unreachable', 'No.'));
  }
  close(): void {}
}

const refused = new PathError('destination', 'refused', 'Nobody listens there.');
const silent = new PathError('destination', 'timeout', 'No answer.');

const closers: (() => void)[] = [];

afterEach(() => {
  for (const close of closers.splice(0)) close();
});

describe('probing', () => {
  function prober(
    path: FakePath,
    time: VirtualTime,
    targets: readonly (typeof target.end)[],
    bytes = 100_000,
  ): PathReports {
    const reports = new PathReports([path.id]);
    const budget = new ByteBudget(1, bytes, () => time.now());
    const made = new Prober({
      plan: { everyMs: 1000, targets },
      paths: [path],
      reports,
      timing: time,
      random: () => 0.5,
      maySpend: (size) => budget.take(size),
    });
    closers.push(() => made.close());
    return reports;
  }

  test('asks nobody where there is no target', async () => {
    const time = new VirtualTime();
    const path = new FakePath('a', time, 20);
    prober(path, time, []);

    await time.runUntil(60_000);

    expect(path.dialled).toBe(0);
  });

  test('goes on, one at a time, also where the path never answers', async () => {
    const time = new VirtualTime();
    const path = new FakePath('a', time, 60_000);
    const reports = prober(path, time, [target.end]);

    await time.runUntil(60_000);

    expect(path.mostRunning).toBe(1);
    expect(path.dialled).toBeGreaterThan(10);
    expect(reports.health('a', time.now())).toBe('down');
  });

  test('notices within three intervals that a path has fallen silent, however short they are', async () => {
    const time = new VirtualTime();
    const path = new FakePath('a', time, 40);
    const reports = prober(path, time, [target.end]);
    await time.runUntil(20_000);
    expect(reports.health('a', time.now())).toBe('good');
    path.ms = 60_000;

    await time.runUntil(20_000 + 2600);

    expect(reports.health('a', time.now())).toBe('suspect');
  });

  test('waits for one lost packet that is repeated after a second', async () => {
    const time = new VirtualTime();
    const path = new FakePath('a', time, 90);
    const reports = prober(path, time, [target.end]);
    await time.runUntil(20_000);
    path.ms = 1090;

    await time.runUntil(30_000);

    expect(path.aborted).toBe(0);
    expect(reports.health('a', time.now())).toBe('good');
  });

  test('takes a refusal by the target for an answer', async () => {
    const time = new VirtualTime();
    const reports = prober(new FakePath('a', time, 30, refused), time, [target.end]);

    await time.runUntil(10_000);

    expect(reports.health('a', time.now())).toBe('good');
    expect(reports.report('a', time.now()).connectMs).toBeCloseTo(30, 0);
  });

  test('stops where its bytes are spent', async () => {
    const time = new VirtualTime();
    const path = new FakePath('a', time, 20);
    prober(path, time, [target.end], 1300);

    await time.runUntil(60_000);

    expect(path.dialled).toBe(2);
  });

  test('a clock that jumps back gives no bytes', () => {
    let now = 1_000_000;
    const budget = new ByteBudget(1000, 1000, () => monoMs(now));
    expect(budget.take(1000)).toBe(true);
    now = 0;
    expect(budget.take(1)).toBe(false);
    now = 500;
    expect([budget.take(500), budget.take(1)]).toEqual([true, false]);
  });
});

describe('a race', () => {
  async function run(paths: (time: VirtualTime) => readonly FakePath[], abortAt?: number) {
    const time = new VirtualTime();
    const made = paths(time);
    const stop = new AbortController();
    if (abortAt !== undefined) time.after(abortAt, () => stop.abort(new Error('gone')));
    const result = race({ paths: made, target, signal: stop.signal, patienceMs: 250, timing: time });
    await time.runUntil(30_000);
    const { stream, attempts, error } = await result;
    return {
      made,
      isConnected: stream !== undefined,
      outcomes: attempts.map((one) => `${one.path} ${one.outcome}`),
      error,
    };
  }

  test('dials one path where it answers in time', async () => {
    const { made, outcomes } = await run((time) => [
      new FakePath('a', time, 200),
      new FakePath('b', time, 1),
    ]);

    expect(outcomes).toEqual(['a connected']);
    expect(made[1]?.dialled).toBe(0);
  });

  test('adds the next after its patience, takes who is first and gives the other up', async () => {
    const { made, outcomes } = await run((time) => [
      new FakePath('a', time, 5000),
      new FakePath('b', time, 50),
    ]);

    expect(outcomes).toEqual(['a slow', 'b connected']);
    expect(made[0]?.aborted).toBe(1);
  });

  test('a slow first path still wins where the second is slower', async () => {
    const { outcomes } = await run((time) => [new FakePath('a', time, 300), new FakePath('b', time, 400)]);

    expect(outcomes).toEqual(['a connected', 'b slow']);
  });

  test('goes on at once where a path fails, and tells the first reason where all do', async () => {
    const down = new PathError('path', 'unreachable', 'Down.');
    const { outcomes, error } = await run((time) => [
      new FakePath('a', time, 1, silent),
      new FakePath('b', time, 1, down),
    ]);

    expect(outcomes).toEqual(['a failed', 'b failed']);
    expect(error).toBe(silent);
  });

  test('a refusal is not kept waiting by a path that hangs', async () => {
    const { outcomes, error } = await run((time) => [
      new FakePath('a', time, 10, refused),
      new FakePath('b', time, 20_000),
    ]);

    expect(outcomes).toEqual(['a failed', 'b given-up']);
    expect(error).toBe(refused);
  });

  test('two refusals are enough', async () => {
    const { made } = await run((time) => ['a', 'b', 'c'].map((id) => new FakePath(id, time, 10, refused)));

    expect(made.map((path) => path.dialled)).toEqual([1, 1, 0]);
  });

  test('an asker who gives up ends all of it', async () => {
    const { made, outcomes, error } = await run(
      (time) => ['a', 'b'].map((id) => new FakePath(id, time, 9000)),
      1000,
    );

    expect(outcomes).toEqual(['a given-up', 'b given-up']);
    expect(made.map((path) => path.aborted)).toEqual([1, 1]);
    expect(String(error)).toBe('Error: gone');
  });
});

test('an answer tells the way out under which name a device will go there, and passes unchanged', async () => {
  const names = new HostNames();
  const records = [cname('www.bank.example', 'cdn.example'), a('cdn.example', '203.0.113.9')];
  const answer = testAnswer({ name: 'WWW.bank.example', type: 1, answers: records });
  const answerer = namingAnswerer(
    { answer: () => Promise.resolve(answer), close: () => Promise.resolve() },
    names,
    () => monoMs(5),
  );
  const about = { overTcp: false, device: 'laptop', maxBytes: 1232 };

  expect(await answerer.answer(new Uint8Array(12), about)).toBe(answer);

  const known = names.find('laptop', parseAddress('203.0.113.9')!, monoMs(6));
  expect(known).toEqual({ name: 'www.bank.example', source: 'looked-up', others: [] });
});
