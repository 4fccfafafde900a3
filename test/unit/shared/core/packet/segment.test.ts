import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { headroom, tailroom } from '../../../../../shared/core/packet/batch.ts';
import { segment } from '../../../../../shared/core/packet/segment.ts';
import {
  gsoEcn,
  gsoTcp4,
  gsoTcp6,
  gsoUdp,
  virtioHeaderSize,
} from '../../../../../shared/core/packet/virtio-header.ts';
import { batchOf, emptyBatch, packetsOf, type SuperParts, superPacket } from '../../../../support/batches.ts';
import { ipPacket, patternBytes, tcpPacket, transportError, udpPacket } from '../../../../support/packets.ts';

const timestamps = [1, 1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 2];

const fin = 0x01;
const psh = 0x08;
const ack = 0x10;
const ece = 0x40;
const cwr = 0x80;

/** Segments a super-packet that lies in a memory of its own. */
function segmentsOf(bytes: Uint8Array): Uint8Array[] {
  const batch = emptyBatch();
  expect(segment(batch, bytes, 0, bytes.length - virtioHeaderSize)).toBe('ok');
  return packetsOf(batch);
}

function slices(payload: Uint8Array, size: number): Uint8Array[] {
  const count = Math.ceil(payload.length / size);
  return Array.from({ length: count }, (_, i) => payload.subarray(i * size, (i + 1) * size));
}

describe('TCP', () => {
  test.each([
    [4, gsoTcp4, 20],
    [6, gsoTcp6, 40],
  ] as const)('over IPv%i becomes the packets that the sender would have sent', (version, type, start) => {
    const payload = patternBytes(3001);
    const parts = { version, id: 0xfffe, sequence: 0xffff_ff00, options: timestamps, flags: ack | psh | fin };
    const whole = tcpPacket({ ...parts, payload });

    const packets = segmentsOf(superPacket(whole, { type, size: 1000, start, field: 16, headers: 7 }));

    const expected = slices(payload, 1000).map((slice, i) =>
      tcpPacket({
        ...parts,
        payload: slice,
        id: (0xfffe + i) & 0xffff,
        sequence: 0xffff_ff00 + i * 1000,
        flags: i === 3 ? ack | psh | fin : ack,
      }),
    );
    expect(packets).toEqual(expected);
  });

  test('tells of a reduced window on the first segment only, and of congestion on all', () => {
    const whole = tcpPacket({ payload: patternBytes(30), flags: ack | cwr | ece });

    const packets = segmentsOf(
      superPacket(whole, { type: gsoTcp4 | gsoEcn, size: 10, start: 20, field: 16 }),
    );

    expect(packets.map((packet) => packet[33])).toEqual([ack | cwr | ece, ack | ece, ack | ece]);
  });

  test('with less payload than a segment stays one packet', () => {
    const whole = tcpPacket({ payload: patternBytes(30), flags: ack | psh });
    const empty = tcpPacket({ flags: ack | fin });

    expect(segmentsOf(superPacket(whole, { type: gsoTcp4, size: 1000, start: 20, field: 16 }))).toEqual([
      whole,
    ]);
    expect(segmentsOf(superPacket(empty, { type: gsoTcp4, size: 1000, start: 20, field: 16 }))).toEqual([
      empty,
    ]);
  });

  test('of the largest size comes out whole', () => {
    const payload = patternBytes(65_535 - 40);
    const whole = tcpPacket({ payload });

    const packets = segmentsOf(superPacket(whole, { type: gsoTcp4, size: 1400, start: 20, field: 16 }));

    expect(packets.length).toBe(47);
    expect(packets.every((packet) => transportError(packet, 20) === 0)).toBe(true);
    expect(Uint8Array.from(packets.flatMap((packet) => [...packet.subarray(40)]))).toEqual(payload);
  });
});

describe('UDP', () => {
  test.each([
    [4, 20],
    [6, 40],
  ] as const)('over IPv%i becomes datagrams of equal size', (version, start) => {
    const payload = patternBytes(2500);
    const whole = udpPacket({ version, id: 7, payload });

    const packets = segmentsOf(superPacket(whole, { type: gsoUdp, size: 1000, start, field: 6 }));

    const expected = slices(payload, 1000).map((slice, i) =>
      udpPacket({ version, id: 7 + i, payload: slice }),
    );
    expect(packets).toEqual(expected);
  });
});

describe('a packet that is no super-packet', () => {
  test('is copied as it is', () => {
    const packet = udpPacket({ payload: patternBytes(11) });
    const bytes = Uint8Array.from([...new Uint8Array(virtioHeaderSize), ...packet]);

    expect(segmentsOf(bytes)).toEqual([packet]);
  });

  test.each([
    ['TCP over IPv4', tcpPacket({ payload: patternBytes(33) }), 20, 16],
    ['UDP over IPv6', udpPacket({ version: 6, payload: patternBytes(33) }), 40, 6],
  ])('gets its checksum finished (%s)', (_name, packet, start, field) => {
    const unfinished = packet.slice();
    // What the kernel leaves in the field: the pseudo-header sum, not complemented.
    unfinished.fill(0, start + field, start + field + 2);
    const addresses = start === 20 ? packet.subarray(12, 20) : packet.subarray(8, 40);
    const protocol = start === 20 ? packet[9]! : packet[6]!;
    let pseudo = protocol + packet.length - start;
    for (let i = 0; i < addresses.length; i += 2) pseudo += addresses[i]! * 256 + addresses[i + 1]!;
    while (pseudo > 0xffff) pseudo = (pseudo & 0xffff) + (pseudo >> 16);
    new DataView(unfinished.buffer).setUint16(start + field, pseudo);

    expect(segmentsOf(superPacket(unfinished, { type: 0, size: 0, start, field }))).toEqual([packet]);
  });

  test('never gets the UDP checksum that means "none"', () => {
    const packet = udpPacket({ payload: Uint8Array.of(0, 0) });
    // The payload that makes the sum all ones.
    const rest = packet[26]! * 256 + packet[27]!;
    const zeroSum = udpPacket({ payload: Uint8Array.of(rest >> 8, rest & 255) });

    expect([zeroSum[26], zeroSum[27]]).toEqual([0xff, 0xff]);
    expect(segmentsOf(superPacket(zeroSum, { type: gsoUdp, size: 100, start: 20, field: 6 }))).toEqual([
      zeroSum,
    ]);
  });
});

describe('memory', () => {
  test('is left alone around every packet, and shared memory serves as source', () => {
    const batch = emptyBatch({ arenaSize: 20_000 });
    const shared = emptyBatch({ arenaSize: 20_000 });
    const whole = tcpPacket({ payload: patternBytes(3000) });
    const bytes = superPacket(whole, { type: gsoTcp4, size: 1000, start: 20, field: 16 });
    const small = Object.assign(shared, { arenaEnd: 10_000 });
    small.bytes.set(bytes, 12_345);

    expect(segment(batch, bytes, 0, whole.length)).toBe('ok');
    expect(segment(small, small.bytes, 12_345, whole.length)).toBe('ok');

    expect(packetsOf(small)).toEqual(packetsOf(batch));
    expect(small.bytes.subarray(12_345, 12_345 + bytes.length)).toEqual(bytes);
    for (let i = 0; i < batch.count; i++) {
      const end = batch.offset[i]! + batch.length[i]!;
      const next = i + 1 < batch.count ? batch.offset[i + 1]! : batch.arenaEnd + headroom;
      expect(next - end).toBeGreaterThanOrEqual(headroom + tailroom);
    }
  });

  test.each([
    ['packets', { capacity: 2 }],
    ['bytes', { arenaSize: 2500 }],
  ])('that has too few %s left takes nothing', (_name, shape) => {
    const batch = emptyBatch(shape);
    const whole = tcpPacket({ payload: patternBytes(3000) });
    const bytes = superPacket(whole, { type: gsoTcp4, size: 1000, start: 20, field: 16 });

    expect(segment(batch, bytes, 0, whole.length)).toBe('batch-full');

    expect(batch.count).toBe(0);
    expect(batch.cursor).toBe(0);
  });

  test('that is full takes no single packet either', () => {
    const packet = udpPacket();
    const batch = batchOf([packet], { capacity: 1 });
    const bytes = Uint8Array.from([...new Uint8Array(virtioHeaderSize), ...packet]);

    expect(segment(batch, bytes, 0, packet.length)).toBe('batch-full');

    expect(batch.count).toBe(1);
  });
});

describe('a virtio header that its packet does not confirm', () => {
  const tcp = tcpPacket({ payload: patternBytes(100) });
  const udp = udpPacket({ payload: patternBytes(100) });
  const good: SuperParts = { type: gsoTcp4, size: 50, start: 20, field: 16 };
  const cut = tcp.slice();
  cut[32] = 0xf0;

  test.each<[string, Uint8Array, SuperParts]>([
    ['of the other version', tcp, { ...good, type: gsoTcp6 }],
    ['of another protocol', tcp, { ...good, type: gsoUdp }],
    ['of TCP over UDP', udp, good],
    ['of an unknown kind', tcp, { ...good, type: 3 }],
    ['of UDP with congestion marks', udp, { ...good, type: gsoUdp | gsoEcn, field: 6 }],
    ['with segments of nothing', tcp, { ...good, size: 0 }],
    ['with its checksum elsewhere', tcp, { ...good, start: 24 }],
    ['over a fragment', tcpPacket({ payload: patternBytes(100), fragment: 0x2000 }), good],
    ['over padding', Uint8Array.from([...tcp, 0]), good],
    [
      'over a TCP header that reaches too far',
      tcpPacket({ payload: new Uint8Array(0), options: [] }).map((byte, i) => (i === 32 ? 0xf0 : byte)),
      good,
    ],
    [
      'over half a UDP datagram',
      ipPacket(17, Uint8Array.of(0, 1, 0, 2, 0, 50, 0, 0, 1, 2)),
      { ...good, type: gsoUdp, field: 6 },
    ],
    ['over no IP packet', new Uint8Array(60), good],
    ['with a checksum behind the packet', tcp, { type: 0, size: 0, start: 130, field: 16 }],
  ])('is malformed: %s', (_name, packet, parts) => {
    const batch = emptyBatch();
    const bytes = superPacket(packet, parts);

    expect(segment(batch, bytes, 0, packet.length)).toBe('malformed-packet');

    expect(batch.count).toBe(0);
    expect(batch.cursor).toBe(0);
  });

  test('is malformed where the length passes the memory', () => {
    const bytes = superPacket(tcp, good);
    const batch = emptyBatch();

    expect(segment(batch, bytes, 0, tcp.length + 1)).toBe('malformed-packet');
    expect(segment(batch, bytes, bytes.length - 4, 1)).toBe('malformed-packet');
    expect(segment(batch, bytes, 0, 0)).toBe('malformed-packet');
    expect(segment(batch, new Uint8Array(70_000), 0, 69_000)).toBe('malformed-packet');
  });
});

describe('arbitrary bytes', () => {
  const verdicts = ['ok', 'malformed-packet', 'batch-full'];

  test('never throw', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 120 }), fc.nat(130), fc.nat(130), (bytes, at, length) => {
        expect(verdicts).toContain(segment(emptyBatch({ arenaSize: 5000 }), bytes, at, length));
      }),
      { seed: 51, numRuns: 1000 },
    );
  });

  test('in place of some bytes of a good super-packet never throw, nor append half of it', () => {
    const changes = fc.array(fc.tuple(fc.nat(90), fc.nat(255)), { minLength: 1, maxLength: 4 });
    fc.assert(
      fc.property(changes, fc.constantFrom(4, 6), fc.boolean(), (list, version, tcp) => {
        const start = version === 4 ? 20 : 40;
        const payload = patternBytes(300);
        const packet = tcp ? tcpPacket({ version, payload }) : udpPacket({ version, payload });
        const type = tcp ? (version === 4 ? gsoTcp4 : gsoTcp6) : gsoUdp;
        const bytes = superPacket(packet, { type, size: 100, start, field: tcp ? 16 : 6 });
        for (const [at, value] of list) bytes[at] = value;
        const batch = emptyBatch({ arenaSize: 5000 });

        const verdict = segment(batch, bytes, 0, packet.length);

        expect(verdicts).toContain(verdict);
        if (verdict !== 'ok') expect(batch.count).toBe(0);
        else expect(batch.count).toBeGreaterThan(0);
      }),
      { seed: 52, numRuns: 1500 },
    );
  });
});
