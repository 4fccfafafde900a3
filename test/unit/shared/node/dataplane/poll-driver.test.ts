// One turn after the other of a packet worker, with a poll that only notes what it was asked.
import { describe, expect, it } from 'vitest';
import { monoMs, unixMs } from '../../../../../shared/core/base/time.ts';
import type { DataplaneLoop } from '../../../../../shared/node/dataplane/loop.ts';
import { PollDriver, type SpareStep } from '../../../../../shared/node/dataplane/poll-driver.ts';
import type { Libc } from '../../../../../shared/node/ffi/libc.ts';
import { WorkerMemory } from '../../../../../shared/node/ffi/memory.ts';
import { POLLIN, pollfd } from '../../../../../shared/node/ffi/structs.ts';

const eventFd = 9;
const farAway = 30_000;

function world(spare?: Iterator<SpareStep, unknown>) {
  const network = { now: 0, ready: 0 };
  const memory = new WorkerMemory(65_536, undefined);
  const polls: { timeoutMs: number; events: readonly number[] }[] = [];
  const loop = {
    isResting: false,
    lastPackets: 1,
    nextTimeoutAt: () => network.now + farAway,
    prepare: () => undefined,
    step: () => 'ok',
  };
  const libc = {
    poll: (address: number, count: number, timeoutMs: number) => {
      const at = address - memory.base;
      const events = Array.from({ length: count }, (_, i) =>
        memory.view.getInt16(at + i * pollfd.size + pollfd.events, true),
      );
      polls.push({ timeoutMs, events });
      memory.view.setInt16(at + pollfd.size + pollfd.revents, network.ready === 0 ? 0 : POLLIN, true);
      return network.ready;
    },
  };
  const driver = new PollDriver({
    loop: loop as unknown as DataplaneLoop,
    libc: libc as unknown as Libc,
    memory,
    clock: { kind: 'process', now: () => monoMs(network.now), unix: () => unixMs(0) },
    ports: [{ pollFds: [5] }, { pollFds: [6, 7] }],
    eventFd,
    takeMessages: () => true,
    outbox: { waiting: false, send: () => undefined },
    spare,
  });
  return { driver, loop, polls, network };
}

describe('a driver that polls', () => {
  it('does what may be done at any time, a step a turn, and sleeps once that is over', () => {
    let steps = 0;
    const spare = (function* (): Generator<SpareStep> {
      for (; steps < 2; steps++) yield 'soon';
    })();
    const { driver, polls } = world(spare);

    for (let turn = 0; turn < 5; turn++) driver.turn();

    expect(steps).toBe(2);
    expect(polls.map(({ timeoutMs }) => timeoutMs)).toEqual([0, 0, 0, farAway, farAway]);
  });

  it('does what wants quiet when no packet has come for a tenth of a second', () => {
    let steps = 0;
    const spare = (function* (): Generator<SpareStep> {
      for (; steps < 2; steps++) yield 'quiet';
    })();
    const { driver, polls, network } = world(spare);
    driver.turn();
    network.ready = 1;
    network.now = 1000;
    driver.turn();
    network.ready = 0;

    driver.turn();
    expect([steps, polls.at(-1)?.timeoutMs]).toEqual([0, 100]);
    network.now = 1099;
    driver.turn();
    expect([steps, polls.at(-1)?.timeoutMs]).toEqual([0, 1]);
    network.now = 1100;
    driver.turn();
    expect([steps, polls.at(-1)?.timeoutMs]).toEqual([1, 0]);
  });

  it('hears of the inside only that it is gone while the loop rests', () => {
    const { driver, polls } = world();

    driver.turn();
    const resting = world();
    resting.loop.isResting = true;
    resting.driver.turn();

    expect(polls[0]?.events).toEqual([POLLIN, POLLIN, POLLIN, POLLIN]);
    expect(resting.polls[0]?.events).toEqual([0, POLLIN, POLLIN, POLLIN]);
  });
});
