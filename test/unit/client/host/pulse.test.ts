// The finger on the tunnel: facts when the verdict changes, and silence after its end. Clock and timers are given.
import { beforeEach, describe, expect, test } from 'vitest';
import { Pulse, type PulseFact } from '../../../../client/host/pulse.ts';
import { monoMs, unixMs } from '../../../../shared/core/base/time.ts';
import type { DeviceStatus } from '../../../../shared/core/tunnel/config.ts';

const options = { answersProbes: true, peers: 1, probeBytes: 96 };
const silent = { debug() {}, info() {}, warn() {}, error() {} };

let now = 0;
let counters = { txBytes: 0, rxBytes: 0, lastHandshakeMs: 1 };
let answers = true;
let broken = false;
let probes = 0;
let looks = 0;
let facts: PulseFact[] = [];
let timers: { at: number; work: () => void }[] = [];

function make(): Pulse {
  return new Pulse({
    status: async () => {
      looks++;
      if (broken) throw new Error('the worker is gone');
      return { peers: [{ ...counters }] } as unknown as DeviceStatus;
    },
    probe: async () => {
      probes++;
      counters.txBytes += 96;
      if (answers) counters.rxBytes += 96;
    },
    clock: { kind: 'process', now: () => monoMs(now), unix: () => unixMs(0) },
    log: silent,
    onFact: (fact) => facts.push(fact),
    schedule: (work, delayMs) => {
      const timer = { at: now + delayMs, work };
      timers.push(timer);
      return () => void (timers = timers.filter((one) => one !== timer));
    },
  });
}

async function settle(): Promise<void> {
  for (let i = 0; i < 20; i++) await Promise.resolve();
}

async function run(until: number): Promise<void> {
  await settle();
  for (;;) {
    const next = timers.toSorted((a, b) => a.at - b.at)[0];
    if (next === undefined || next.at > until) break;
    now = Math.max(now, next.at);
    timers = timers.filter((one) => one !== next);
    next.work();
    await settle();
  }
  now = until;
}

beforeEach(() => {
  now = 0;
  counters = { txBytes: 0, rxBytes: 0, lastHandshakeMs: 1 };
  answers = true;
  broken = false;
  probes = 0;
  looks = 0;
  facts = [];
  timers = [];
});

describe('the pulse', () => {
  test('says nothing of a tunnel that answers', async () => {
    const pulse = make();
    pulse.start(options);
    await run(1000);
    pulse.doubt();
    await run(10_000);

    expect(facts).toEqual([]);
    expect(probes).toBe(1);
  });

  test('says when it stalls and when it recovers, each once', async () => {
    const pulse = make();
    pulse.start(options);
    await run(1000);
    answers = false;
    counters.txBytes += 5000;
    await run(4100);
    expect(facts).toEqual([{ kind: 'stalled' }]);

    answers = true;
    await run(20_000);

    expect(facts).toEqual([{ kind: 'stalled' }, { kind: 'recovered' }]);
  });

  test('never has more than one timer, however often it is doubted', async () => {
    const pulse = make();
    pulse.start(options);
    for (let i = 0; i < 10; i++) pulse.doubt();
    await settle();

    expect(timers).toHaveLength(1);
    expect(looks).toBeLessThanOrEqual(3);
  });

  test('goes on looking where looking failed', async () => {
    const pulse = make();
    broken = true;
    pulse.start(options);
    await run(3000);
    broken = false;
    const before = looks;

    await run(6000);

    expect(looks).toBeGreaterThan(before);
    expect(facts).toEqual([]);
  });

  test('is silent after its end, also in the middle of a look', async () => {
    const pulse = make();
    pulse.start(options);
    pulse.stop();
    answers = false;
    counters.txBytes += 5000;

    await run(60_000);

    expect(timers).toEqual([]);
    expect(facts).toEqual([]);
  });

  test('can begin again for the next tunnel while the last look is still on its way', async () => {
    const pulse = make();
    pulse.start(options);
    pulse.start(options);
    await run(5000);

    expect(timers).toHaveLength(1);
  });

  test('says that large packets may be among what was not answered, where so much was sent, and once', async () => {
    const pulse = make();
    const told: number[] = [];
    pulse.start({ ...options, announced: true });
    await run(10_000);

    counters.txBytes += 300;
    pulse.doubt(() => told.push(1));
    await run(20_000);
    counters.txBytes += 1300;
    pulse.doubt(() => told.push(2));
    await run(30_000);
    counters.txBytes += 5000;
    pulse.doubt();
    await run(40_000);

    expect(told).toEqual([2]);
    pulse.stop();
  });
});
