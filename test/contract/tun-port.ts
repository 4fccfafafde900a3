// The contract of TunPort: every implementation runs this suite. "The system" is whatever is on the
// other side of the interface; it talks UDP from 10.77.0.1 port 4000 to 10.77.0.2 port 5000.

import { setImmediate as nextTurn } from 'node:timers/promises';
import { afterEach, describe, expect, test } from 'vitest';
import { headroom, PacketBatch, tailroom } from '../../shared/core/packet/batch.ts';
import type { TunPort } from '../../shared/node/tun/port.ts';
import { pattern } from './udp-port.ts';

export interface TunSide {
  readonly port: TunPort;
  /** The system sends UDP payloads from 10.77.0.1:4000 to 10.77.0.2:5000. */
  systemSends(payloads: readonly Uint8Array[]): Promise<void>;
  /** UDP payloads that the system got at 10.77.0.1:4000 since the last call. */
  systemReceived(): Promise<readonly Uint8Array[]>;
  systemSetsMtu(mtu: number): void;
  systemRemovesInterface(): void;
  close(): Promise<void>;
}

export interface TunPortSetup {
  readonly name: string;
  open(): Promise<TunSide>;
  readonly memory: { readonly bytes: Uint8Array; alloc(size: number, align?: number): number };
}

export const systemAddress = '10.77.0.1';
export const systemPort = 4000;
export const peerAddress = '10.77.0.2';
export const peerPort = 5000;
/** MTU of a new interface. */
export const contractMtu = 1420;

const udpHeaders = 28;
const patience = 500;

export function tunPortContract(setup: TunPortSetup): void {
  const newBatch = (bytes: number, capacity: number): PacketBatch => {
    const arenaStart = setup.memory.alloc(bytes, 64);
    const arenaEnd = arenaStart + bytes;
    return new PacketBatch({ bytes: setup.memory.bytes, arenaStart, arenaEnd, capacity, addressCapacity: 1 });
  };
  const batch = newBatch(1024 * 1024, 1024);
  let sides: TunSide[] = [];

  async function opened(): Promise<TunSide> {
    const side = await setup.open();
    sides.push(side);
    return side;
  }

  /** Reads packets of the conversation until `count` came or nothing more comes. */
  async function read(side: TunSide, count: number, into: PacketBatch = batch): Promise<Uint8Array[]> {
    const packets: Uint8Array[] = [];
    for (let turn = 0; turn < patience && packets.length < count; turn++) {
      into.clear();
      const got = side.port.readBatch(into);
      expect(got).toBe(into.count);
      for (let i = 0; i < into.count; i++) {
        const packet = into.bytes.slice(into.offset[i]!, into.offset[i]! + into.length[i]!);
        if (isConversation(packet)) packets.push(packet);
      }
      if (got === 0) await nextTurn();
    }
    return packets;
  }

  function write(side: TunSide, payloads: readonly Uint8Array[]): number {
    batch.clear();
    for (const [i, payload] of payloads.entries()) put(batch, inboundPacket(payload, i));
    return side.port.writeBatch(batch);
  }

  async function systemGets(side: TunSide, count: number): Promise<Uint8Array[]> {
    const payloads: Uint8Array[] = [];
    for (let turn = 0; turn < patience && payloads.length < count; turn++) {
      payloads.push(...(await side.systemReceived()));
      await nextTurn();
    }
    return payloads;
  }

  afterEach(async () => {
    for (const side of sides) await side.close();
    sides = [];
  });

  describe(setup.name, () => {
    test('a new interface has a name and the MTU asked for', async () => {
      const { port } = await opened();

      expect(port.name).toMatch(/^[a-z0-9]{1,15}$/);
      expect(port.mtu).toBe(contractMtu);
    });

    test('an idle interface reads nothing', async () => {
      const side = await opened();
      await read(side, 1);

      batch.clear();

      expect(side.port.readBatch(batch)).toBe(0);
    });

    test("the system's packets come out whole, in order, with correct checksums", async () => {
      const side = await opened();
      const payloads = [100, 1392, 0, 1, 700, 1392, 1392].map((size, i) => pattern(size, i));

      await side.systemSends(payloads);

      const packets = await read(side, payloads.length);
      expect(packets.map((packet) => packet.subarray(udpHeaders))).toEqual(payloads);
      for (const packet of packets) expect(checksumErrors(packet)).toBe('');
    });

    test('packets come with headroom and tailroom', async () => {
      const side = await opened();
      await side.systemSends([pattern(500, 1), pattern(500, 2)]);
      await read(side, 2);

      for (let i = 0; i < batch.count; i++) {
        const before = i === 0 ? batch.arenaStart : batch.offset[i - 1]! + batch.length[i - 1]! + tailroom;
        expect(batch.offset[i]! - before).toBeGreaterThanOrEqual(headroom);
      }
      const last = batch.count - 1;
      expect(batch.cursor).toBeGreaterThanOrEqual(batch.offset[last]! + batch.length[last]! + tailroom);
    });

    test('a small batch takes what fits, the next one the rest', async () => {
      const side = await opened();
      const payloads = Array.from({ length: 7 }, (_, i) => pattern(1000 + i, i));
      await side.systemSends(payloads);

      const packets = await read(side, 7, newBatch(128 * 1024, 3));

      expect(packets.map((packet) => packet.subarray(udpHeaders))).toEqual(payloads);
    });

    test('written packets reach the system whole and in order', async () => {
      const side = await opened();
      const sizes = [10, 1392, 1392, 1392, 1392, 600, 600, 1392, 1, 1, 1, 900];
      const payloads = sizes.map((size, i) => pattern(size, i));

      expect(write(side, payloads)).toBe(0);

      expect(await systemGets(side, payloads.length)).toEqual(payloads);
    });

    test('long runs of equal packets reach the system as they are', async () => {
      const side = await opened();
      const payloads = Array.from({ length: 100 }, (_, i) => pattern(300, i));

      expect(write(side, payloads)).toBe(0);

      expect(await systemGets(side, payloads.length)).toEqual(payloads);
    });

    test('bytes that are no IP packet never throw', async () => {
      const side = await opened();
      batch.clear();
      put(batch, new Uint8Array(0));
      put(batch, new Uint8Array(1));
      put(batch, new Uint8Array(40));
      put(
        batch,
        Uint8Array.from({ length: 60 }, () => 0xff),
      );
      put(batch, inboundPacket(pattern(20, 1), 1).subarray(0, 25));
      put(batch, inboundPacket(pattern(44, 2), 2));

      expect(() => side.port.writeBatch(batch)).not.toThrow();

      const got = await systemGets(side, 1);
      expect(got.at(-1)).toEqual(pattern(44, 2));
    });

    test('a changed MTU is seen when asked again', async () => {
      const side = await opened();
      side.systemSetsMtu(1300);
      expect(side.port.mtu).toBe(contractMtu);

      expect(side.port.refreshMtu()).toBe(true);

      expect(side.port.mtu).toBe(1300);
    });

    test('an interface that was removed says so', async () => {
      const side = await opened();
      side.systemRemovesInterface();
      batch.clear();

      expect(side.port.refreshMtu()).toBe(false);
      expect(side.port.readBatch(batch)).toBe(-1);
      expect(write(side, [pattern(10, 1)])).toBe(1);
    });

    test('a closed port reads as gone and drops what it is given', async () => {
      const side = await opened();
      side.port.close();
      batch.clear();

      expect(side.port.readBatch(batch)).toBe(-1);
      expect(write(side, [pattern(10, 1), pattern(10, 2)])).toBe(2);
      expect(() => side.port.close()).not.toThrow();
    });
  });
}

function put(batch: PacketBatch, packet: Uint8Array): void {
  const at = batch.reserve(packet.length);
  expect(at).toBeGreaterThan(0);
  batch.bytes.set(packet, at);
  batch.push(at, packet.length);
}

/** An IPv4 UDP packet from the peer to the system, checksums included. */
export function inboundPacket(payload: Uint8Array, id: number): Uint8Array {
  return udpPacket([10, 77, 0, 2, peerPort], [10, 77, 0, 1, systemPort], payload, id);
}

/** An IPv4 UDP packet from the system to the peer. */
export function outboundPacket(payload: Uint8Array, id: number): Uint8Array {
  return udpPacket([10, 77, 0, 1, systemPort], [10, 77, 0, 2, peerPort], payload, id);
}

type Socket = readonly [a: number, b: number, c: number, d: number, port: number];

function udpPacket(from: Socket, to: Socket, payload: Uint8Array, id: number): Uint8Array {
  const packet = new Uint8Array(udpHeaders + payload.length);
  const view = new DataView(packet.buffer);
  packet[0] = 0x45;
  view.setUint16(2, packet.length);
  view.setUint16(4, id);
  packet[6] = 0x40;
  packet[8] = 64;
  packet[9] = 17;
  packet.set(from.slice(0, 4), 12);
  packet.set(to.slice(0, 4), 16);
  view.setUint16(10, ~sum16(packet.subarray(0, 20), 0) & 0xffff);
  view.setUint16(20, from[4]);
  view.setUint16(22, to[4]);
  view.setUint16(24, packet.length - 20);
  packet.set(payload, udpHeaders);
  const transport = ~sum16(packet.subarray(12), 17 + packet.length - 20) & 0xffff;
  view.setUint16(26, transport === 0 ? 0xffff : transport);
  return packet;
}

/** Ones' complement sum, written out plainly so that it shares no code with what it checks. */
function sum16(bytes: Uint8Array, start: number): number {
  let sum = start;
  for (let i = 0; i < bytes.length; i++) sum += i % 2 === 0 ? bytes[i]! * 256 : bytes[i]!;
  while (sum > 0xffff) sum = (sum & 0xffff) + Math.floor(sum / 0x10000);
  return sum;
}

function checksumErrors(packet: Uint8Array): string {
  const header = sum16(packet.subarray(0, 20), 0) === 0xffff ? '' : 'header ';
  const transport = sum16(packet.subarray(12), 17 + packet.length - 20) === 0xffff ? '' : 'transport';
  return header + transport;
}

function isConversation(packet: Uint8Array): boolean {
  const port = packet[22]! * 256 + packet[23]!;
  return packet[0] === 0x45 && packet[9] === 17 && port === peerPort;
}
