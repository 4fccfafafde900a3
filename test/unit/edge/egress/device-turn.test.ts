/** From device to device inside a rootless edge: what an opening lets begin, and what may answer it. */

import { describe, expect, test } from 'vitest';
import { DeviceTurn, type TurnPlan } from '../../../../edge/egress/device-turn.ts';
import type { DeviceEntry } from '../../../../edge/egress/devices.ts';
import { parseAddress, parsePrefix } from '../../../../shared/core/base/ip.ts';
import { monoMs } from '../../../../shared/core/base/time.ts';
import { icmpPacket, ipPacket, type PacketParts, tcpPacket, udpPacket } from '../../../support/packets.ts';

const laptop = '10.83.0.2';
const phone = '10.83.0.3';
const laptop6 = 'fd7c::2';
const phone6 = 'fd7c::3';

function plan(allow: readonly string[], device: string | undefined = 'laptop'): TurnPlan {
  const entry = (name: string, ...addresses: readonly string[]) => ({
    name,
    key: name,
    prefixes: addresses.map((address) => parsePrefix(address)!),
  });
  return {
    network: [parsePrefix('10.83.0.0/16')!, parsePrefix('fd7c::/64')!],
    allow: allow.map((cidr) => ({ cidr: parsePrefix(cidr)!, device })),
    pairs: [],
    devices: [entry('laptop', laptop, laptop6), entry('phone', phone, phone6)],
  };
}

function parts(from: string, to: string): PacketParts {
  const bytes = (address: string): number[] => [...parseAddress(address)!];
  return { version: from.includes(':') ? 6 : 4, source: bytes(from), destination: bytes(to) };
}

const judge = (turn: DeviceTurn, packet: Uint8Array, now = 0): boolean =>
  turn.judge(packet, 0, packet.length, monoMs(now));
const udp = (from: string, to: string, here: number, there: number): Uint8Array =>
  udpPacket({ ...parts(from, to), sourcePort: here, destinationPort: there });

describe('between devices', () => {
  test('nothing passes without an opening, nor by one around the tunnel', () => {
    for (const allow of [[], ['10.0.0.0/8'], ['0.0.0.0/0'], ['192.168.1.0/24']]) {
      expect(judge(new DeviceTurn(plan(allow)), udp(laptop, phone, 1, 2))).toBe(false);
    }
  });

  test.each([
    ['IPv4', laptop, phone],
    ['IPv6', laptop6, phone6],
  ])('an opening lets that device begin, and the other answer it (%s)', (_, from, to) => {
    const turn = new DeviceTurn(plan([to]));

    expect(judge(turn, udp(to, from, 2, 1))).toBe(false);
    expect(judge(turn, udp(from, to, 1, 2))).toBe(true);
    expect(judge(turn, udp(to, from, 2, 1))).toBe(true);
    expect(judge(turn, udp(to, from, 2, 9))).toBe(false);
    expect(judge(turn, tcpPacket({ ...parts(to, from), sourcePort: 2, destinationPort: 1 }))).toBe(false);
  });

  test('is for the device that is named, to the address that is named', () => {
    const turn = new DeviceTurn(plan([phone], 'tablet'));
    expect(judge(turn, udp(laptop, phone, 1, 2))).toBe(false);

    const everybody = new DeviceTurn({
      ...plan([phone]),
      allow: [{ cidr: parsePrefix(phone)!, device: undefined }],
    });
    expect(judge(everybody, udp(laptop, phone, 1, 2))).toBe(true);
    expect(judge(everybody, udp(laptop6, phone6, 1, 2))).toBe(false);
  });

  test('never reaches the edge itself, an address that nobody has, or whoever asks', () => {
    const turn = new DeviceTurn(plan(['10.83.0.0/16']));

    expect(judge(turn, udp(laptop, phone, 1, 2))).toBe(true);
    expect(judge(turn, udp(laptop, '10.83.0.1', 1, 80))).toBe(false);
    expect(judge(turn, udp(laptop, '10.83.0.9', 1, 2))).toBe(false);
    expect(judge(turn, udp(laptop, laptop, 1, 2))).toBe(false);
    expect(judge(turn, udp(laptop, '203.0.113.1', 1, 2))).toBe(false);
  });

  test('pings are answered by their identifier, errors by the packet that they speak of', () => {
    const turn = new DeviceTurn(plan([phone]));
    const reply = (id: number): Uint8Array => icmpPacket(0, 0, [0, id, 0, 1], parts(phone, laptop));
    const asked = udp(laptop, phone, 5, 6);
    const other = udp(laptop, phone, 5, 7);
    const error = (about: Uint8Array): Uint8Array =>
      icmpPacket(3, 3, [0, 0, 0, 0, ...about.subarray(0, 28)], parts(phone, laptop));

    judge(turn, icmpPacket(8, 0, [0, 7, 0, 1], parts(laptop, phone)));
    judge(turn, asked);

    expect([judge(turn, reply(7)), judge(turn, reply(8))]).toEqual([true, false]);
    expect([judge(turn, error(asked)), judge(turn, error(other))]).toEqual([true, false]);
    expect(judge(turn, icmpPacket(8, 0, [0, 7, 0, 1], parts(phone, laptop)))).toBe(true);
  });

  test('no device tells another about routes', () => {
    const turn = new DeviceTurn(plan([phone, phone6]));

    expect(judge(turn, icmpPacket(5, 1, [10, 83, 0, 2], parts(laptop, phone)))).toBe(false);
    expect(judge(turn, icmpPacket(134, 0, [0, 0, 0, 0], parts(laptop6, phone6)))).toBe(false);
    expect(judge(turn, icmpPacket(128, 0, [0, 1, 0, 1], parts(laptop6, phone6)))).toBe(true);
  });

  test('later fragments pass where something was begun', () => {
    const turn = new DeviceTurn(plan([phone]));
    const later = (from: string, to: string): Uint8Array =>
      ipPacket(17, new Uint8Array(16), { ...parts(from, to), fragment: 2 });

    expect(judge(turn, later(phone, laptop))).toBe(false);
    expect(judge(turn, later(laptop, phone))).toBe(true);
    expect(judge(turn, later(phone, laptop))).toBe(true);
  });

  test('an answer comes too late after five minutes without a packet, of TCP after two hours', () => {
    const turn = new DeviceTurn(plan([phone]));
    const minutes = 60_000;
    const tcp = (from: string, to: string): Uint8Array =>
      tcpPacket({ ...parts(from, to), sourcePort: 9, destinationPort: 9 });

    judge(turn, udp(laptop, phone, 1, 2));
    judge(turn, tcp(laptop, phone));

    expect(judge(turn, udp(phone, laptop, 2, 1), 4.9 * minutes)).toBe(true);
    expect(judge(turn, udp(phone, laptop, 2, 1), 5 * minutes)).toBe(false);
    expect(judge(turn, tcp(phone, laptop), 123 * minutes)).toBe(true);
    expect(judge(turn, tcp(phone, laptop), 124 * minutes)).toBe(false);
  });

  test('a reload forgets what was begun', () => {
    const turn = new DeviceTurn(plan([phone]));
    judge(turn, udp(laptop, phone, 1, 2));

    turn.reload(plan([]));

    expect(judge(turn, udp(phone, laptop, 2, 1))).toBe(false);
    expect(judge(turn, udp(laptop, phone, 1, 2))).toBe(false);
  });

  test('a pair by name opens every address of the device that has the name now, and one way', () => {
    const { devices, network } = plan([]);
    const turn = new DeviceTurn({ network, devices, allow: [], pairs: [{ device: 'laptop', to: 'phone' }] });
    const [asker, asked] = devices as [DeviceEntry, DeviceEntry];

    expect(judge(turn, udp(phone, laptop, 2, 1))).toBe(false);
    expect(judge(turn, udp(laptop, phone, 1, 2))).toBe(true);
    expect(judge(turn, udp(laptop6, phone6, 1, 2))).toBe(true);
    expect(judge(turn, udp(phone, laptop, 2, 1))).toBe(true);

    // Whoever has another name is another, and answers nobody whom it may not hear.
    turn.follow({ set: [{ ...asked, name: 'guest' }], gone: [] });
    expect(judge(turn, udp(laptop, phone, 1, 2))).toBe(false);
    expect(judge(turn, udp(phone, laptop, 2, 1))).toBe(false);

    turn.follow({ set: [{ ...asker, name: 'phone', prefixes: asked.prefixes }], gone: ['phone'] });
    expect(judge(turn, udp(phone, laptop, 2, 1))).toBe(false);
    turn.follow({
      set: [asker, { name: 'phone', key: 'new', prefixes: [parsePrefix('10.83.0.9')!] }],
      gone: [],
    });
    expect(judge(turn, udp(laptop, '10.83.0.9', 1, 2))).toBe(true);
    expect(judge(turn, udp(laptop, phone, 1, 2))).toBe(false);
  });

  test('a pair without a first name is for every device', () => {
    const turn = new DeviceTurn({ ...plan([]), pairs: [{ device: undefined, to: 'phone' }] });

    expect(judge(turn, udp(laptop, phone, 1, 2))).toBe(true);
    expect(judge(turn, udp(phone, laptop, 7, 8))).toBe(false);
  });

  test('bytes that are no packet are not turned, and break nothing', () => {
    const turn = new DeviceTurn(plan([phone]));

    for (let size = 0; size < 60; size++) {
      const packet = udp(laptop, phone, 1, 2).slice(0, size);
      expect(judge(turn, packet)).toBe(packet.length >= 28);
    }
    expect(judge(turn, icmpPacket(3, 3, [0, 0, 0, 0, 0x4f], parts(phone, laptop)))).toBe(false);
  });
});
