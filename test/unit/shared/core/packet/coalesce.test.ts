import { describe, expect, test } from 'vitest';
import { Coalescer, maxOpenFlows, maxSegments } from '../../../../../shared/core/packet/coalesce.ts';
import { segment } from '../../../../../shared/core/packet/segment.ts';
import { gsoTcp4, gsoTcp6, gsoUdp } from '../../../../../shared/core/packet/virtio-header.ts';
import {
  allClasses,
  batchOf,
  emptyBatch,
  packetsOf,
  receivedFrom,
  superPacket,
  writesOf,
} from '../../../../support/batches.ts';
import { patternBytes, type TcpParts, tcpPacket, udpPacket } from '../../../../support/packets.ts';

const ack = 0x10;
const psh = 0x08;

/** TCP packets of one flow in order: sizes of payloads, then what they share. */
function tcpRun(sizes: readonly number[], parts: TcpParts = {}): Uint8Array[] {
  let sequence = parts.sequence ?? 5000;
  return sizes.map((size, i) => {
    const packet = tcpPacket({ id: i, ...parts, sequence, payload: patternBytes(size, i) });
    sequence += size;
    return packet;
  });
}

function udpRun(sizes: readonly number[], version: 4 | 6 = 4): Uint8Array[] {
  return sizes.map((size, i) => udpPacket({ version, id: i, payload: patternBytes(size, i) }));
}

describe('packets of one flow become one super-packet', () => {
  test.each([
    ['TCP over IPv4', tcpRun([100, 100, 100]), gsoTcp4, 40, 20, 16],
    ['TCP over IPv6', tcpRun([100, 100, 100], { version: 6 }), gsoTcp6, 60, 40, 16],
    ['UDP over IPv4', udpRun([100, 100, 100]), gsoUdp, 28, 20, 6],
    ['UDP over IPv6', udpRun([100, 100, 100], 6), gsoUdp, 48, 40, 6],
  ])('%s', (_name, packets, type, headers, start, field) => {
    const writes = writesOf(packets);

    expect(writes.length).toBe(1);
    expect([...writes[0]!.subarray(0, 10)]).toEqual([1, type, headers, 0, 100, 0, start, 0, field, 0]);
    expect(writes[0]!.length).toBe(10 + headers + 300);
    expect(receivedFrom(writes)).toEqual(packets);
  });

  test('with a smaller last packet, which ends it', () => {
    const packets = tcpRun([100, 100, 60, 60]);

    const writes = writesOf(packets);

    expect(writes.map((write) => write.length - 50)).toEqual([260, 60]);
    expect(receivedFrom(writes)).toEqual(packets);
  });

  test('but not with a larger one', () => {
    const writes = writesOf(tcpRun([60, 100, 100]));

    expect(writes.map((write) => write.length - 50)).toEqual([60, 200]);
  });

  test('up to a push, which shows in the first header', () => {
    const [a, b] = tcpRun([100, 100]);
    const pushed = tcpPacket({ id: 2, sequence: 5200, flags: ack | psh, payload: patternBytes(100) });
    const later = tcpPacket({ id: 3, sequence: 5300, payload: patternBytes(100) });

    const writes = writesOf([a!, b!, pushed, later]);

    expect(writes.map((write) => write.length - 50)).toEqual([300, 100]);
    expect(writes[0]![10 + 33]).toBe(ack | psh);
    expect(receivedFrom(writes)).toEqual([a, b, pushed, later]);
  });

  test('but nothing follows a first packet with a push', () => {
    const first = tcpPacket({ sequence: 5000, flags: ack | psh, payload: patternBytes(100) });
    const later = tcpPacket({ id: 2, sequence: 5100, payload: patternBytes(100) });

    expect(writesOf([first, later]).length).toBe(2);
  });

  test('of a bounded number of segments', () => {
    const writes = writesOf(tcpRun(Array.from({ length: maxSegments + 1 }, () => 10)));

    expect(writes.map((write) => (write.length - 50) / 10)).toEqual([maxSegments, 1]);
  });

  test('of at most 65535 bytes', () => {
    const writes = writesOf(tcpRun(Array.from({ length: 10 }, () => 8000)));

    expect(writes.map((write) => (write.length - 50) / 8000)).toEqual([8, 2]);
  });

  test('through interleaved flows, each in its own order', () => {
    const a = tcpRun([100, 100, 100], { sourcePort: 1 });
    const b = tcpRun([100, 100, 100], { sourcePort: 2 });

    const writes = writesOf([a[0]!, b[0]!, a[1]!, b[1]!, a[2]!, b[2]!]);

    expect(receivedFrom(writes)).toEqual([...a, ...b]);
    expect(writes.length).toBe(2);
  });

  test('where fragments are forbidden, whatever the identification', () => {
    const packets = tcpRun([100, 100]).map((_, i) =>
      tcpPacket({ id: 77, sequence: 5000 + 100 * i, payload: patternBytes(100) }),
    );

    expect(writesOf(packets).length).toBe(1);
  });
});

describe('packets stay single where', () => {
  const next: TcpParts = { id: 2, sequence: 1100, payload: patternBytes(100) };
  const first: TcpParts = { id: 1, sequence: 1000, payload: patternBytes(100) };
  const good = tcpPacket(next);

  test('nothing is wrong with this table: its base merges', () => {
    expect(writesOf([tcpPacket(first), good]).length).toBe(1);
  });

  test.each<[string, Uint8Array]>([
    ['the source port differs', tcpPacket({ ...next, sourcePort: 5 })],
    ['the destination differs', tcpPacket({ ...next, destination: [10, 0, 0, 5] })],
    ['bytes are missing between', tcpPacket({ ...next, sequence: 1101 })],
    ['bytes come again', tcpPacket({ ...next, sequence: 1000 })],
    ['the acknowledgement differs', tcpPacket({ ...next, acknowledgement: 2 })],
    ['the window differs', tcpPacket({ ...next, window: 501 })],
    ['options are more', tcpPacket({ ...next, options: [1, 1, 1, 1] })],
    ['the type of service differs', tcpPacket({ ...next, tos: 0x10 })],
    ['congestion is marked', tcpPacket({ ...next, tos: 3 })],
    ['the time to live differs', tcpPacket({ ...next, ttl: 63 })],
    ['fragments are allowed in one', tcpPacket({ ...next, fragment: 0 })],
    ['the urgent pointer is set', withByte(good, 39, 1)],
    ['a reserved flag is set', tcpPacket({ ...next, flags: ack | 0x40 })],
    ['the sender closes', tcpPacket({ ...next, flags: ack | 0x01 })],
    ['there is no payload', tcpPacket({ ...next, payload: new Uint8Array(0) })],
    ['the TCP checksum is wrong', withByte(good, 36, good[36]! ^ 1)],
    ['a payload byte is wrong', withByte(good, 100, good[100]! ^ 1)],
    ['the IP checksum is wrong', withByte(good, 10, good[10]! ^ 1)],
    ['there is padding', Uint8Array.from([...good, 0])],
    ['it is a fragment', tcpPacket({ ...next, fragment: 0x2000 })],
  ])('%s', (_name, packet) => {
    const packets = [tcpPacket(first), packet];

    const writes = writesOf(packets);

    expect(writes).toEqual(packets.map((single) => Uint8Array.from([...new Uint8Array(10), ...single])));
  });

  test('the checksum of the first is wrong', () => {
    const broken = tcpPacket(first);
    broken[50]! ^= 1;

    expect(writesOf([broken, good]).length).toBe(2);
  });

  test('options differ in their bytes', () => {
    const options = [1, 1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 1];
    const packets = [tcpPacket({ ...first, options }), tcpPacket({ ...next, options: options.with(7, 2) })];

    expect(writesOf(packets).length).toBe(2);
    expect(writesOf([packets[0]!, tcpPacket({ ...next, options })]).length).toBe(1);
  });

  test('the identification does not count up although fragments are allowed', () => {
    const run = (id: number) => [
      tcpPacket({ ...first, fragment: 0, id: 0xffff }),
      tcpPacket({ ...next, fragment: 0, id }),
    ];

    expect(writesOf(run(0)).length).toBe(1);
    expect(writesOf(run(1)).length).toBe(2);
  });

  test('the flow label differs', () => {
    const run = (flowLabel: number) => [
      tcpPacket({ ...first, version: 6, flowLabel: 1 }),
      tcpPacket({ ...next, version: 6, flowLabel }),
    ];

    expect(writesOf(run(1)).length).toBe(1);
    expect(writesOf(run(2)).length).toBe(2);
  });

  test('a datagram has no checksum', () => {
    const packets = udpRun([100, 100]).map((packet) => withByte(withByte(packet, 26, 0), 27, 0));

    expect(writesOf(packets).length).toBe(2);
  });

  test('TCP and UDP have the same ports', () => {
    const packets = [
      tcpPacket({ ...first, destinationPort: 53 }),
      udpPacket({ id: 2, payload: patternBytes(100) }),
    ];

    expect(writesOf(packets).length).toBe(2);
  });

  test.each([
    ['tcp4', tcpRun([100, 100])],
    ['tcp6', tcpRun([100, 100], { version: 6 })],
    ['udp4', udpRun([100, 100])],
    ['udp6', udpRun([100, 100], 6)],
  ])('the kernel does not take %s', (name, packets) => {
    expect(writesOf(packets, { ...allClasses, [name]: false }).length).toBe(2);
    expect(writesOf(packets).length).toBe(1);
  });
});

describe('order', () => {
  test('is kept where a packet that cannot be merged comes between', () => {
    const [a, b, c, d] = tcpRun([100, 100, 100, 100]);
    const pureAck = tcpPacket({ sequence: 5200, id: 9 });

    const writes = writesOf([a!, b!, pureAck, c!, d!]);

    expect(writes.length).toBe(3);
    expect(receivedFrom(writes)).toEqual([a, b, pureAck, c, d]);
  });

  test('is kept where the same bytes come twice', () => {
    const [a, b] = tcpRun([100, 100]);

    expect(receivedFrom(writesOf([a!, b!, a!, b!]))).toEqual([a, b, a, b]);
  });

  test('is kept where more flows are open than are watched', () => {
    const ports = Array.from({ length: maxOpenFlows + 5 }, (_, i) => i + 1);
    const runs = ports.map((sourcePort) => tcpRun([50, 50], { sourcePort }));
    const packets = [...runs.map((run) => run[0]!), ...runs.map((run) => run[1]!)];

    const received = receivedFrom(writesOf(packets));

    for (const run of runs) {
      expect(received.filter((packet) => packet[21] === run[0]![21] && packet[20] === run[0]![20])).toEqual(
        run,
      );
    }
  });
});

test('serves one batch after the other', () => {
  const coalescer = new Coalescer({ capacity: 8, ...allClasses });
  coalescer.plan(batchOf(tcpRun([100, 100, 100])));
  expect([coalescer.groupCount, coalescer.groupStart[1], coalescer.groupPackets[0]]).toEqual([1, 3, 3]);

  // The continuation of a flow from the batch before begins anew.
  coalescer.plan(batchOf(tcpRun([100], { sequence: 5300 })));
  expect([coalescer.groupCount, coalescer.groupStart[1], coalescer.groupPackets[0]]).toEqual([1, 1, 1]);

  coalescer.plan(batchOf([]));
  expect([coalescer.groupCount, coalescer.groupStart[0]]).toEqual([0, 0]);
});

test('undoes what segmentation does', () => {
  for (const version of [4, 6] as const) {
    const start = version === 4 ? 20 : 40;
    const type = version === 4 ? gsoTcp4 : gsoTcp6;
    const whole = tcpPacket({ version, flags: ack | psh, payload: patternBytes(9999) });
    const batch = emptyBatch();
    expect(segment(batch, superPacket(whole, { type, size: 1200, start, field: 16 }), 0, whole.length)).toBe(
      'ok',
    );

    const writes = writesOf(packetsOf(batch));

    expect(writes.length).toBe(1);
    // All but the checksum, which the kernel is asked to finish.
    const joined = writes[0]!.slice(10);
    joined.set(whole.subarray(start + 16, start + 18), start + 16);
    expect(joined).toEqual(whole);
  }
});

function withByte(packet: Uint8Array, at: number, value: number): Uint8Array {
  return packet.with(at, value);
}
