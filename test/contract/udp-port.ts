// The contract of UdpPort: every implementation runs this suite.

import { setImmediate as nextTurn } from 'node:timers/promises';
import { afterEach, describe, expect, test } from 'vitest';
import { endpointSize } from '../../shared/core/base/endpoint.ts';
import { readEndpoint, writeEndpoint } from '../../shared/core/base/ip.ts';
import { PacketBatch } from '../../shared/core/packet/batch.ts';
import type { UdpPort } from '../../shared/node/udp/port.ts';

export interface UdpPortSetup {
  readonly name: string;
  /** A new, closed port. All ports of one setup can reach each other at 127.0.0.1 and ::1 by their port numbers. */
  readonly open: () => UdpPort;
  /** Room for batches; the same memory that the ports were given. */
  readonly memory: { readonly bytes: Uint8Array; alloc(size: number, align?: number): number };
  /** Whether type-of-service bytes arrive. */
  readonly tos: boolean;
  /** Whether the address that a datagram came to is told. */
  readonly localAddress: boolean;
}

export interface Received {
  readonly bytes: Uint8Array;
  readonly from: string;
  readonly tos: number;
  readonly local: Uint8Array;
}

const loopback = { 4: '127.0.0.1', 6: '::1' } as const;
type Family = 4 | 6;
/** What an implementation cannot do is no test of it, which is not the same as a skipped one. */
function testIf(can: boolean): (title: string, act: () => Promise<void>) => void {
  return can ? (title, act) => test(title, act) : () => {};
}

/** Turns of the event loop after which nothing more is expected to come. */
const patience = 2000;
const arenaBytes = 6 * 1024 * 1024;

export function udpPortContract(makeSetup: () => UdpPortSetup): void {
  const setup = makeSetup();
  const newBatch = (bytes: number): PacketBatch => {
    const arenaStart = setup.memory.alloc(bytes, 64);
    return new PacketBatch({
      bytes: setup.memory.bytes,
      arenaStart,
      arenaEnd: arenaStart + bytes,
      capacity: 1024,
      addressCapacity: 64,
    });
  };
  const incoming = newBatch(arenaBytes);
  const outgoing = newBatch(arenaBytes);
  let ports: UdpPort[] = [];

  async function bound(): Promise<UdpPort> {
    const port = setup.open();
    ports.push(port);
    await port.bind(0);
    return port;
  }

  function fill(to: UdpPort, family: Family, packets: readonly Uint8Array[], tos = 0): void {
    const record = new Uint8Array(endpointSize);
    expect(writeEndpoint(record, 0, { address: loopback[family], port: to.localPort })).toBe(true);
    const address = outgoing.addAddress(record, 0);
    expect(address).toBeGreaterThanOrEqual(0);
    for (const packet of packets) {
      const at = outgoing.reserve(packet.length);
      expect(at).toBeGreaterThan(0);
      outgoing.bytes.set(packet, at);
      expect(outgoing.push(at, packet.length, address, tos)).toBe(true);
    }
  }

  function send(
    from: UdpPort,
    to: UdpPort,
    packets: readonly Uint8Array[],
    family: Family = 4,
    tos = 0,
  ): number {
    outgoing.clear();
    fill(to, family, packets, tos);
    return from.writeBatch(outgoing);
  }

  /** Reads until `count` datagrams came or nothing more comes. */
  async function receive(port: UdpPort, count: number): Promise<Received[]> {
    const received: Received[] = [];
    for (let turn = 0; turn < patience && received.length < count; turn++) {
      incoming.clear();
      const read = port.readBatch(incoming);
      expect(read).toBe(incoming.count);
      for (let i = 0; i < incoming.count; i++) received.push(take(incoming, i));
      if (read === 0) await nextTurn();
    }
    return received;
  }

  afterEach(() => {
    for (const port of ports) port.close();
    ports = [];
  });

  describe(setup.name, () => {
    test('a closed port has no number and reads nothing', () => {
      const port = setup.open();

      incoming.clear();

      expect(port.localPort).toBe(0);
      expect(port.readBatch(incoming)).toBe(0);
    });

    test('a closed port drops what it shall send', async () => {
      const port = setup.open();
      const other = await bound();

      expect(send(port, other, [pattern(10, 1)])).toBe(1);
    });

    test('port 0 picks a free port for both families', async () => {
      const a = await bound();
      const b = await bound();

      expect(a.localPort).toBeGreaterThan(0);
      expect(b.localPort).not.toBe(a.localPort);
      for (const family of [4, 6] as const) {
        send(b, a, [pattern(20, family)], family);
        const [datagram] = await receive(a, 1);
        expect(datagram?.bytes).toEqual(pattern(20, family));
        expect(datagram?.from).toBe(`${loopback[family]} ${b.localPort}`);
      }
    });

    test('answers reach the sender through the address record that came with its datagram', async () => {
      const a = await bound();
      const b = await bound();
      for (const family of [4, 6] as const) {
        send(a, b, [pattern(33, 1)], family);
        await receiveInto(b);
        outgoing.clear();
        const address = outgoing.addAddress(incoming.addresses, incoming.address[0]! * endpointSize);
        const at = outgoing.reserve(44);
        outgoing.bytes.set(pattern(44, 2), at);
        outgoing.push(at, 44, address);

        expect(b.writeBatch(outgoing)).toBe(0);

        expect((await receive(a, 1)).map((datagram) => datagram.bytes)).toEqual([pattern(44, 2)]);
      }
    });

    testIf(setup.localAddress)('the record names the local address that a datagram came to', async () => {
      const a = await bound();
      const b = await bound();
      send(a, b, [pattern(5, 1)], 4);
      send(a, b, [pattern(5, 1)], 6);

      const locals = (await receive(b, 2)).map((datagram) => datagram.local.join('.')).toSorted();

      expect(locals).toEqual(
        ['0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.1', '127.0.0.1.0.0.0.0.0.0.0.0.0.0.0.0'].toSorted(),
      );
    });

    test('a port that is taken is refused with errno 98, and the old sockets stay', async () => {
      const a = await bound();
      const b = await bound();
      const before = b.localPort;

      await expect((async () => b.bind(a.localPort))()).rejects.toMatchObject({
        code: 'port-in-use',
        errno: 98,
      });

      expect(b.localPort).toBe(before);
      send(a, b, [pattern(9, 9)]);
      expect(await receive(b, 1)).toHaveLength(1);
    });

    test('rebinding moves to the new port and frees the old one', async () => {
      const a = await bound();
      const old = a.localPort;
      await a.bind(0);
      const b = setup.open();
      ports.push(b);

      await b.bind(old);

      expect(b.localPort).toBe(old);
      expect(a.localPort).not.toBe(old);
      send(b, a, [pattern(7, 7)]);
      expect(await receive(a, 1)).toHaveLength(1);
    });

    test('binding the number that is bound already keeps the port working', async () => {
      const a = await bound();
      const b = await bound();

      await a.bind(a.localPort);

      send(b, a, [pattern(7, 7)]);
      expect(await receive(a, 1)).toHaveLength(1);
    });

    for (const family of [4, 6] as const) {
      test(`a batch of mixed sizes keeps contents and order over IPv${family}`, async () => {
        const a = await bound();
        const b = await bound();
        const sizes = [1452, 1452, 1452, 700, 1, 148, 32, 32, 1452, 9000, 2048, 2049, 2047, 64, 1452];
        const packets = sizes.map((size, i) => pattern(size, i));

        expect(send(a, b, packets, family)).toBe(0);

        expect((await receive(b, packets.length)).map((datagram) => datagram.bytes)).toEqual(packets);
      });

      test(`trains of more than 64 datagrams arrive whole over IPv${family}`, async () => {
        const a = await bound();
        const b = await bound();
        const packets = Array.from({ length: 150 }, (_, i) => pattern(i === 149 ? 100 : 300, i));

        expect(send(a, b, packets, family)).toBe(0);

        expect((await receive(b, packets.length)).map((datagram) => datagram.bytes)).toEqual(packets);
      });

      test(`a datagram of 65507 bytes arrives over IPv${family}`, async () => {
        const a = await bound();
        const b = await bound();

        expect(send(a, b, [pattern(65_507, 3), pattern(65_507, 4)], family)).toBe(0);

        const received = await receive(b, 2);
        expect(received.map((datagram) => datagram.bytes)).toEqual([pattern(65_507, 3), pattern(65_507, 4)]);
      });
    }

    test('an empty datagram arrives as an empty datagram, between others', async () => {
      const a = await bound();
      const b = await bound();
      const packets = [pattern(10, 1), pattern(0, 0), pattern(0, 0), pattern(10, 2)];

      expect(send(a, b, packets)).toBe(0);

      expect((await receive(b, 4)).map((datagram) => datagram.bytes)).toEqual(packets);
    });

    test('one batch reaches several receivers of both families', async () => {
      const [a, b, c] = [await bound(), await bound(), await bound()];
      outgoing.clear();
      for (let i = 0; i < 12; i++) fill(i % 2 === 0 ? b : c, i % 3 === 0 ? 6 : 4, [pattern(100, i)]);

      expect(a.writeBatch(outgoing)).toBe(0);

      const tags = async (port: UdpPort): Promise<number[]> =>
        (await receive(port, 6)).map((datagram) => datagram.bytes[0]!).toSorted((x, y) => x - y);
      const tagOf = (i: number): number => pattern(100, i)[0]!;
      const sorted = (list: number[]): number[] => list.map(tagOf).toSorted((x, y) => x - y);
      expect(await tags(b)).toEqual(sorted([0, 2, 4, 6, 8, 10]));
      expect(await tags(c)).toEqual(sorted([1, 3, 5, 7, 9, 11]));
    });

    testIf(setup.tos)('the type-of-service byte travels with a datagram', async () => {
      const a = await bound();
      const b = await bound();
      for (const family of [4, 6] as const) {
        send(a, b, [pattern(50, 1), pattern(50, 2)], family, 0xba);
        send(a, b, [pattern(50, 3)], family);

        const received = await receive(b, 3);

        expect(received.map((datagram) => datagram.tos)).toEqual([0xba, 0xba, 0]);
      }
    });

    test('datagrams come with the headroom and tailroom that a batch promises', async () => {
      const a = await bound();
      const b = await bound();
      send(a, b, [pattern(100, 1)]);

      await receiveInto(b);

      expect(incoming.offset[0]! - incoming.arenaStart).toBeGreaterThanOrEqual(32);
      expect(incoming.cursor).toBeGreaterThanOrEqual(incoming.offset[0]! + 100 + 32);
    });

    test('a second read appends to the batch and leaves its packets alone', async () => {
      const a = await bound();
      const b = await bound();
      send(a, b, [pattern(1452, 1), pattern(1452, 2), pattern(60_000, 3)]);
      await receiveInto(b, 3);
      send(a, b, [pattern(1452, 4), pattern(1000, 5)]);

      await receiveInto(b, 5, false);

      const packets = [0, 1, 2, 3, 4].map((i) => take(incoming, i).bytes);
      const expected = [
        pattern(1452, 1),
        pattern(1452, 2),
        pattern(60_000, 3),
        pattern(1452, 4),
        pattern(1000, 5),
      ];
      expect(packets).toEqual(expected);
    });

    test('a small batch takes what fits, the next one the rest', async () => {
      const a = await bound();
      const b = await bound();
      const packets = [3, 2, 5, 4, 1].map((size, i) => pattern(size * 10, i));
      send(a, b, packets);
      const small = smallBatch(3);
      const received: Uint8Array[] = [];

      for (let turn = 0; turn < patience && received.length < packets.length; turn++) {
        small.clear();
        if (b.readBatch(small) === 0) await nextTurn();
        expect(small.count).toBeLessThanOrEqual(3);
        for (let i = 0; i < small.count; i++) received.push(take(small, i).bytes);
      }

      expect(received).toEqual(packets);
    });

    test('sending to a port that nobody listens on is quiet', async () => {
      const a = await bound();
      const b = await bound();
      outgoing.clear();
      fill(b, 4, [pattern(10, 1)]);
      fill(b, 6, [pattern(10, 1)]);
      b.close();

      for (let i = 0; i < 3; i++) {
        expect(() => a.writeBatch(outgoing)).not.toThrow();
        await nextTurn();
        incoming.clear();
        expect(a.readBatch(incoming)).toBe(0);
      }
    });

    test('an address of no family is dropped and counted', async () => {
      const a = await bound();
      outgoing.clear();
      const address = outgoing.addAddress(new Uint8Array(endpointSize), 0);
      const at = outgoing.reserve(10);
      outgoing.push(at, 10, address);

      expect(a.writeBatch(outgoing)).toBe(1);
    });

    test('more than the receiver can hold is lost without an error', async () => {
      const a = await bound();
      const b = await bound();
      const packets = Array.from({ length: 900 }, (_, i) => pattern(1400, i));
      for (let i = 0; i < 12; i++) expect(() => send(a, b, packets)).not.toThrow();
      for (let i = 0; i < 50; i++) await nextTurn();

      const received = await receive(b, 1);

      expect(received.length).toBeGreaterThan(0);
      await receive(b, Number.POSITIVE_INFINITY);
      send(a, b, [pattern(77, 7)]);
      expect((await receive(b, 1)).map((datagram) => datagram.bytes)).toEqual([pattern(77, 7)]);
    });

    test('closing twice is harmless', async () => {
      const a = await bound();
      a.close();

      expect(() => a.close()).not.toThrow();
      expect(a.localPort).toBe(0);
      expect(a.pollFds).toEqual([]);
    });
  });

  async function receiveInto(port: UdpPort, count = 1, clear = true): Promise<void> {
    if (clear) incoming.clear();
    for (let turn = 0; turn < patience && incoming.count < count; turn++) {
      if (port.readBatch(incoming) === 0) await nextTurn();
    }
    expect(incoming.count).toBe(count);
  }

  function smallBatch(capacity: number): PacketBatch {
    const size = 512 * 1024;
    const arenaStart = setup.memory.alloc(size, 64);
    return new PacketBatch({
      bytes: setup.memory.bytes,
      arenaStart,
      arenaEnd: arenaStart + size,
      capacity,
      addressCapacity: capacity,
    });
  }
}

/** Bytes that tell size and seed apart. */
export function pattern(size: number, seed: number): Uint8Array {
  const bytes = new Uint8Array(size);
  for (let i = 0; i < size; i++) bytes[i] = i * 7 + seed * 31 + (i >>> 8) * 13 + 5;
  return bytes;
}

export function take(batch: PacketBatch, i: number): Received {
  const offset = batch.offset[i]!;
  const record = batch.address[i]! * endpointSize;
  const from = readEndpoint(batch.addresses, record);
  return {
    bytes: batch.bytes.slice(offset, offset + batch.length[i]!),
    from: `${from?.address} ${from?.port}`,
    tos: batch.tos[i]!,
    local: batch.addresses.slice(record + 24, record + 40),
  };
}
