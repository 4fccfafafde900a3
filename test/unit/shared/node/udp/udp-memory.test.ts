import { describe, expect, test } from 'vitest';
import { endpointSize } from '../../../../../shared/core/base/endpoint.ts';
import { writeEndpoint } from '../../../../../shared/core/base/ip.ts';
import { monoMs } from '../../../../../shared/core/base/time.ts';
import { PacketBatch } from '../../../../../shared/core/packet/batch.ts';
import { type UdpMemory, UdpWire, type UdpWireOptions } from '../../../../../shared/node/udp/udp-memory.ts';

const datagrams = 400;

describe('the wire of memory ports', () => {
  test('loses about the share asked for, the same ones for the same seed', () => {
    const first = transmit({ random: seeded(1), loss: 0.25 });
    const again = transmit({ random: seeded(1), loss: 0.25 });

    expect(first).toEqual(again);
    expect(first.length).toBeGreaterThan(datagrams * 0.65);
    expect(first.length).toBeLessThan(datagrams * 0.85);
  });

  test('delivers doubles where asked', () => {
    const received = transmit({ random: seeded(2), duplication: 0.5 });

    expect(received.length).toBeGreaterThan(datagrams * 1.3);
    expect(new Set(received).size).toBe(datagrams);
  });

  test('keeps order under an even delay and loses it under an uneven one', () => {
    const even = transmit({ random: seeded(3), minDelayMs: 20 });
    const uneven = transmit({ random: seeded(3), minDelayMs: 1, maxDelayMs: 30 });

    expect(even).toEqual(Array.from({ length: datagrams }, (_, i) => i));
    expect(uneven).not.toEqual(even);
    expect(uneven.toSorted((a, b) => a - b)).toEqual(even);
  });

  test('delivers when the clock says so and not before', () => {
    const wire = new UdpWire({ random: seeded(4), minDelayMs: 10 });
    const [a, b] = pair(wire);
    send(a, b.localPort, 1);
    expect(wire.nextTimeout()).toBe(10);

    wire.advance(monoMs(9));
    const early = receive(b);
    wire.advance(monoMs(10));

    expect(early).toEqual([]);
    expect(receive(b)).toEqual([0]);
    expect(wire.nextTimeout()).toBeUndefined();
  });

  test('a port that moved is reached at its new address alone', () => {
    const wire = new UdpWire({ random: seeded(5) });
    const [a, b] = pair(wire);
    b.moveTo({ v4: Uint8Array.of(10, 0, 0, 9) });

    send(a, b.localPort, 1);

    expect(receive(b)).toEqual([]);
    expect(wire.lost).toBe(1);
  });

  test('tells when something arrives', () => {
    const wire = new UdpWire({ random: seeded(6) });
    const [a, b] = pair(wire);
    let calls = 0;
    b.onReadable = () => calls++;

    send(a, b.localPort, 3);

    expect(calls).toBe(3);
  });
});

function transmit(options: UdpWireOptions): number[] {
  const wire = new UdpWire(options);
  const [a, b] = pair(wire);
  send(a, b.localPort, datagrams);
  wire.advance(monoMs(1000));
  return receive(b);
}

function pair(wire: UdpWire): [UdpMemory, UdpMemory] {
  const a = wire.port({ v4: Uint8Array.of(10, 0, 0, 1) });
  const b = wire.port({ v4: Uint8Array.of(10, 0, 0, 2) });
  a.bind(0);
  b.bind(0);
  return [a, b];
}

function send(from: UdpMemory, port: number, count: number): void {
  const batch = newBatch();
  const record = new Uint8Array(endpointSize);
  writeEndpoint(record, 0, { address: '10.0.0.2', port });
  const address = batch.addAddress(record, 0);
  for (let i = 0; i < count; i++) {
    const at = batch.reserve(2);
    batch.bytes[at] = i >>> 8;
    batch.bytes[at + 1] = i;
    batch.push(at, 2, address);
  }
  expect(from.writeBatch(batch)).toBe(0);
}

function receive(port: UdpMemory): number[] {
  const batch = newBatch();
  port.readBatch(batch);
  return Array.from({ length: batch.count }, (_, i) => {
    const at = batch.offset[i]!;
    return batch.bytes[at]! * 256 + batch.bytes[at + 1]!;
  });
}

function newBatch(): PacketBatch {
  const bytes = new Uint8Array(128 * 1024);
  return new PacketBatch({
    bytes,
    arenaStart: 0,
    arenaEnd: bytes.length,
    capacity: 1000,
    addressCapacity: 8,
  });
}

function seeded(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
}
