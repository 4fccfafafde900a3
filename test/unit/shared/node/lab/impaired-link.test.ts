/** A bad link in virtual time: what it does to packets, and that the same seed does it again. */

import { describe, expect, test } from 'vitest';
import { type MonoMs, monoMs } from '../../../../../shared/core/base/time.ts';
import { ImpairedLink, type Impairment } from '../../../../../shared/node/lab/impaired-link.ts';
import { seededChance } from '../../../../../shared/node/lab/seeded-chance.ts';

const slots = 512;
const size = 1500;

interface Arrival {
  readonly packet: number;
  readonly at: number;
}

function link(impairment: Impairment, seed = 1): ImpairedLink {
  return new ImpairedLink(impairment, slots, seededChance(seed));
}

/** Sends packets 0 to count - 1, one every `everyMs`, and lets the link deliver each exactly when it is due. */
function send(through: ImpairedLink, count: number, everyMs: number): Arrival[] {
  const arrivals: Arrival[] = [];
  const free = Array.from({ length: slots }, (_, i) => i);
  const packetIn = new Map<number, number>();
  const deliverUntil = (limit: number): void => {
    for (let due = through.nextTimeout(); due !== undefined && due <= limit; due = through.nextTimeout()) {
      const slot = through.takeDue(due);
      for (let i = 0; i < through.copies; i++) arrivals.push({ packet: packetIn.get(slot) ?? -1, at: due });
      free.push(slot);
    }
  };
  for (let packet = 0; packet < count; packet++) {
    const now = packet * everyMs;
    deliverUntil(now);
    const slot = free.pop() ?? -1;
    packetIn.set(slot, packet);
    if (through.handlePacket(slot, size, monoMs(now)) !== 'ok') free.push(slot);
  }
  deliverUntil(Number.POSITIVE_INFINITY);
  return arrivals;
}

const numbersOf = (arrivals: readonly Arrival[]): number[] => arrivals.map((one) => one.packet);
const inOrder = (numbers: readonly number[]): boolean =>
  numbers.every((n, i) => i === 0 || n >= (numbers[i - 1] ?? 0));

describe('a link', () => {
  test('that is perfect delivers at once and in order', () => {
    expect(send(link({}), 3, 1)).toEqual([
      { packet: 0, at: 0 },
      { packet: 1, at: 1 },
      { packet: 2, at: 2 },
    ]);
  });

  test('delays every packet by the same time', () => {
    const arrivals = send(link({ delayMs: 10 }), 50, 0.5);

    expect(arrivals.map(({ packet, at }) => at - packet * 0.5)).toEqual(Array(50).fill(10));
  });

  test('holds a packet back until it is due', () => {
    const slow = link({ delayMs: 10 });
    slow.handlePacket(3, size, monoMs(5));

    expect([slow.nextTimeout(), slow.takeDue(monoMs(14.999)), slow.size]).toEqual([15, -1, 1]);
    expect([slow.takeDue(monoMs(15)), slow.nextTimeout(), slow.size]).toEqual([3, undefined, 0]);
  });

  test('varies the delay without changing the order', () => {
    const arrivals = send(link({ delayMs: 10, jitterMs: 4 }), 400, 0.1);
    const delays = arrivals.map(({ packet, at }) => at - packet * 0.1);

    expect(inOrder(numbersOf(arrivals))).toBe(true);
    expect(Math.min(...delays)).toBeGreaterThanOrEqual(10);
    expect(Math.max(...delays)).toBeLessThanOrEqual(14 + 1e-9);
    expect(new Set(delays.map((one) => one.toFixed(1))).size).toBeGreaterThan(10);
  });

  test.each([0, 1, 20, 100])('loses %s % of the packets', (lossPercent) => {
    const count = 20_000;
    const lossy = link({ lossPercent });
    const arrivals = send(lossy, count, 1);

    const expected = (count * lossPercent) / 100;
    const spread = 4 * Math.sqrt(expected * (1 - lossPercent / 100));
    expect(Math.abs(lossy.counts.lost - expected)).toBeLessThanOrEqual(spread);
    expect(arrivals.length).toBe(count - lossy.counts.lost);
  });

  test('loses the same packets with the same seed, and others with another', () => {
    const run = (impairment: Impairment, seed: number): number[] =>
      numbersOf(send(link(impairment, seed), 2000, 1));

    expect(run({ lossPercent: 5 }, 7)).toEqual(run({ lossPercent: 5 }, 7));
    expect(run({ lossPercent: 5 }, 7)).not.toEqual(run({ lossPercent: 5 }, 8));
    // Another setting leaves the fate of each packet alone.
    expect(run({ lossPercent: 5, jitterMs: 3, delayMs: 1 }, 7)).toEqual(run({ lossPercent: 5 }, 7));
  });

  test('lets some packets arrive twice', () => {
    const twice = link({ duplicatePercent: 10, delayMs: 2 });
    const numbers = numbersOf(send(twice, 1000, 1));

    expect(twice.counts.duplicated).toBeGreaterThan(60);
    expect(twice.counts.duplicated).toBeLessThan(140);
    expect([numbers.length, twice.counts.delivered]).toEqual(Array(2).fill(1000 + twice.counts.duplicated));
    expect(new Set(numbers).size).toBe(1000);
  });

  test('lets later packets overtake some', () => {
    const late = link({ reorderPercent: 10, reorderMs: 3, delayMs: 2 });
    const arrivals = send(late, 1000, 1);
    const behind = arrivals.filter(({ packet, at }) => at - packet > 2.5);

    expect(inOrder(numbersOf(arrivals))).toBe(false);
    expect(behind.length).toBe(late.counts.reordered);
    expect(late.counts.reordered).toBeGreaterThan(60);
    expect(numbersOf(arrivals).toSorted((a, b) => a - b)).toEqual(Array.from({ length: 1000 }, (_, i) => i));
  });

  test('sends no faster than its line, and drops what does not fit its queue', () => {
    // 12 Mbit/s is one packet of 1500 bytes a millisecond.
    const line = link({ rateMbit: 12, queueMs: 20, delayMs: 5 });
    const arrivals = send(line, 1000, 0.5);

    const gaps = arrivals.slice(1).map(({ at }, i) => at - (arrivals[i]?.at ?? 0));
    expect(Math.min(...gaps)).toBeGreaterThan(0.999);
    // Half of what comes is too much, once the queue is full.
    expect(line.counts.queueFull).toBeGreaterThan(450);
    expect(arrivals.length + line.counts.queueFull).toBe(1000);
    const waited = arrivals.map(({ packet, at }) => at - packet * 0.5 - 5);
    expect(Math.max(...waited)).toBeLessThanOrEqual(21.001);
  });

  test('an idle line saves nothing up for later', () => {
    const line = link({ rateMbit: 12 });
    line.handlePacket(0, size, monoMs(0));
    line.handlePacket(1, size, monoMs(1000));
    line.handlePacket(2, size, monoMs(1000));

    expect(drain(line)).toEqual([
      [0, 1],
      [1, 1001],
      [2, 1002],
    ]);
  });

  test('changes while packets are under way', () => {
    const changing = link({ delayMs: 100 });
    changing.handlePacket(0, size, monoMs(0));
    changing.change({ lossPercent: 100 });
    const verdict = changing.handlePacket(1, size, monoMs(1));

    expect([verdict, drain(changing)]).toEqual(['lost', [[0, 100]]]);
  });

  test('counts what came when nobody had a place for it', () => {
    const full = link({});
    full.handleOverflow(900);

    expect([full.counts.packets, full.counts.bytes, full.counts.linkFull]).toEqual([1, 900, 1]);
  });
});

function drain(from: ImpairedLink): [slot: number, at: MonoMs][] {
  const found: [number, MonoMs][] = [];
  for (let due = from.nextTimeout(); due !== undefined; due = from.nextTimeout()) {
    found.push([from.takeDue(due), due]);
  }
  return found;
}
