// Two stacks behind their ports; the test carries packets between them by hand.

import { describe, expect, test } from 'vitest';
import { type MonoMs, monoMs, unixMs } from '../../../../../shared/core/base/time.ts';
import type { NetEvent, TcpConnection } from '../../../../../shared/core/netstack/events.ts';
import { NetStack } from '../../../../../shared/core/netstack/stack.ts';
import { headroom, PacketBatch, tailroom } from '../../../../../shared/core/packet/batch.ts';
import type { Clock } from '../../../../../shared/node/clock.ts';
import { TunNetstack } from '../../../../../shared/node/tun/tun-netstack.ts';
import { seededEntropy } from '../../../../support/seeded.ts';

const addresses = [Uint8Array.of(10, 0, 0, 1), Uint8Array.of(10, 0, 0, 2)] as const;
const arenaBytes = 512 * 1024;

class HandClock implements Clock {
  readonly kind = 'process';
  at: MonoMs = monoMs(1);
  now(): MonoMs {
    return this.at;
  }
  unix(): ReturnType<Clock['unix']> {
    return unixMs(0);
  }
}

function world(repliesCapacity = 256) {
  const bytes = new Uint8Array(4 * arenaBytes);
  const clock = new HandClock();
  let carved = 0;
  const batch = (capacity: number): PacketBatch => {
    const arenaStart = carved;
    carved += arenaBytes;
    return new PacketBatch({ bytes, arenaStart, arenaEnd: carved, capacity, addressCapacity: 1 });
  };
  const side = (index: 0 | 1) => {
    const stack = new NetStack({ entropy: seededEntropy(index), addresses: [addresses[index]], mtu: 1420 });
    const events: NetEvent[] = [];
    const replies = batch(repliesCapacity);
    const onEvents = (list: readonly NetEvent[]): void => void events.push(...list);
    return { stack, events, port: new TunNetstack({ stack, clock, mtu: 1420, replies, onEvents }) };
  };
  const [a, b] = [side(0), side(1)];
  return { a, b, clock, batch };
}

type World = ReturnType<typeof world>;

/** Carries what one side has to the other; returns how many packets that were. */
function carry(from: World['a'], to: World['a'], batch: PacketBatch): number {
  batch.clear();
  const count = from.port.readBatch(batch);
  expect(count).toBe(batch.count);
  if (count > 0) expect(to.port.writeBatch(batch)).toBe(0);
  return count;
}

function carryAll({ a, b }: World, batch: PacketBatch): void {
  for (let turn = 0; turn < 1000; turn++) {
    if (carry(a, b, batch) + carry(b, a, batch) === 0) return;
  }
  throw new Error('the stacks do not come to rest');
}

function connect(all: World, batch: PacketBatch): readonly [TcpConnection, TcpConnection] {
  const { a, b } = all;
  b.stack.listenTcp(80);
  const near = a.stack.connectTcp({ destination: addresses[1], port: 80 })!;
  carryAll(all, batch);
  const asked = b.events.find((event) => event.kind === 'tcp-incoming');
  const far = asked?.kind === 'tcp-incoming' ? asked.connection : undefined;
  b.stack.accept(far!);
  carryAll(all, batch);
  return [near, far!];
}

describe('the port of a userspace stack', () => {
  test('carries a connection, and hands on what happens at once', () => {
    const all = world();
    const batch = all.batch(256);
    const [near, far] = connect(all, batch);

    near.write(Buffer.from('hello'));
    carryAll(all, batch);

    const read = new Uint8Array(10);
    expect(all.a.events.map((event) => event.kind)).toEqual(['tcp-opened']);
    expect(all.b.events.map((event) => event.kind)).toEqual(['tcp-incoming', 'tcp-opened', 'tcp-readable']);
    expect(Buffer.from(read.subarray(0, far.read(read))).toString()).toBe('hello');
  });

  test.each([
    ['the batch', 2, 256],
    ['the room for replies', 256, 1],
  ])('loses nothing where %s is small', (_, capacity, repliesCapacity) => {
    const all = world(repliesCapacity);
    const batch = all.batch(capacity);
    const [near, far] = connect(all, batch);
    const size = 100_000;
    const read = new Uint8Array(size);
    let received = 0;

    near.write(new Uint8Array(size).fill(7));
    for (let turn = 0; turn < 10_000 && received < size; turn++) {
      all.clock.at = monoMs(all.clock.at + 1);
      carryAll(all, batch);
      received += far.read(read);
    }

    expect(received).toBe(size);
    expect(near.counts.segmentsRepeated).toBe(0);
  });

  test('says when it wants to be read: at once after a command, later for a timer', () => {
    const all = world();
    const { a, clock } = all;
    const batch = all.batch(256);
    let woken = 0;
    a.port.onReadable = () => woken++;
    expect(a.port.nextTimeoutAt()).toBe(Number.POSITIVE_INFINITY);

    a.stack.connectTcp({ destination: addresses[1], port: 80 });
    a.port.wake();
    expect(woken).toBe(1);
    expect(a.port.nextTimeoutAt()).toBeLessThanOrEqual(clock.at);

    batch.clear();
    expect(a.port.readBatch(batch)).toBe(1);
    expect(a.port.nextTimeoutAt()).toBeGreaterThan(clock.at);
    clock.at = monoMs(a.port.nextTimeoutAt());
    batch.clear();
    expect(a.port.readBatch(batch)).toBe(1);
  });

  test('gives packets the headroom and tailroom that a batch promises', () => {
    const all = world();
    const batch = all.batch(256);
    const [near] = connect(all, batch);
    near.write(new Uint8Array(5000));
    batch.clear();

    all.a.port.readBatch(batch);

    expect(batch.count).toBeGreaterThan(1);
    for (let i = 0; i < batch.count; i++) {
      const before = i === 0 ? batch.arenaStart : batch.offset[i - 1]! + batch.length[i - 1]! + tailroom;
      expect(batch.offset[i]! - before).toBeGreaterThanOrEqual(headroom);
    }
  });

  test('takes nothing and has nothing once it is closed', () => {
    const all = world();
    const batch = all.batch(256);
    const [near] = connect(all, batch);
    near.write(new Uint8Array(10));
    batch.clear();
    all.a.port.readBatch(batch);

    all.b.port.close();

    expect(all.b.port.writeBatch(batch)).toBe(batch.count);
    expect(all.b.port.nextTimeoutAt()).toBe(Number.POSITIVE_INFINITY);
    all.a.port.close();
    expect(all.a.port.readBatch(batch)).toBe(0);
  });
});
