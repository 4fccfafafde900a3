import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { receivedFrom, writesOf } from '../../../../support/batches.ts';
import { icmpPacket, patternBytes, tcpPacket, udpPacket } from '../../../../support/packets.ts';

const ack = 0x10;
const psh = 0x08;

describe('any mixture of packets', () => {
  /** Mostly the first value, each of the others now and then. */
  const mostly = <T>(usual: T, ...rare: T[]): fc.Arbitrary<T> =>
    fc.oneof(
      { weight: 12, arbitrary: fc.constant(usual) },
      ...rare.map((value) => ({ weight: 1, arbitrary: fc.constant(value) })),
    );
  const step = fc.record({
    port: fc.constantFrom(1, 2),
    kind: mostly('tcp', 'udp', 'udp', 'udp', 'icmp'),
    version: mostly<4 | 6>(4, 6, 6, 6),
    size: mostly(100, 60, 0, 140),
    flags: mostly(ack, ack | psh, ack | 1, 2),
    fault: mostly('', 'gap', 'checksum', 'tos', 'window', 'fragmentable'),
  });

  test('arrives whole, and every flow in its order', () => {
    let merged = 0;
    fc.assert(
      fc.property(fc.array(step, { minLength: 10, maxLength: 60, size: 'max' }), (steps) => {
        const sequences = new Map<string, number>();
        const packets = steps.map(({ port, kind, version, size, flags, fault }, i) => {
          const parts = {
            version,
            sourcePort: port,
            id: i,
            payload: patternBytes(size, i),
            tos: fault === 'tos' ? 1 : 0,
            fragment: fault === 'fragmentable' ? 0 : 0x4000,
          };
          if (kind === 'icmp') return icmpPacket(8, 0, [0, 0, 0, i], parts);
          if (kind === 'udp') return damaged(udpPacket(parts), fault);
          const flow = `${version} ${port}`;
          const sequence = (sequences.get(flow) ?? 0xffff_ff00) + (fault === 'gap' ? 5 : 0);
          sequences.set(flow, sequence + size);
          const window = fault === 'window' ? 9 : 8;
          return damaged(tcpPacket({ ...parts, sequence, flags, window }), fault);
        });

        const writes = writesOf(packets);

        merged += packets.length - writes.length;
        const received = receivedFrom(writes);
        expect(received.length).toBe(packets.length);
        expect(byFlow(received)).toEqual(byFlow(packets));
      }),
      { seed: 61, numRuns: 200 },
    );
    // Else this test would say nothing.
    expect(merged).toBeGreaterThan(500);
  });

  test('even of arbitrary bytes never throws and loses nothing', () => {
    const first = fc.constantFrom(0x45, 0x46, 0x60, 0);
    const packet = fc.tuple(first, fc.uint8Array({ maxLength: 90 })).map(([version, bytes]) => {
      if (bytes.length > 9) {
        bytes[0] = version;
        bytes.set(
          version === 0x60 ? [0, Math.max(0, bytes.length - 40), 6] : [0, 0],
          version === 0x60 ? 4 : 6,
        );
        if (version !== 0x60) bytes.set([0, bytes.length], 2);
        bytes[9] = bytes.length % 2 === 0 ? 6 : 17;
      }
      return bytes;
    });
    fc.assert(
      fc.property(fc.array(packet, { maxLength: 20 }), (packets) => {
        const writes = writesOf(packets);

        const sizes = writes.map((write) => write.length - 10).reduce((a, b) => a + b, 0);
        expect(sizes).toBeLessThanOrEqual(packets.reduce((a, b) => a + b.length, 0));
        if (writes.length === packets.length) {
          expect(writes.map((write) => write.subarray(10))).toEqual(packets);
        }
      }),
      { seed: 62, numRuns: 500 },
    );
  });
});

function damaged(packet: Uint8Array, fault: string): Uint8Array {
  return fault === 'checksum' ? packet.with(packet.length - 1, packet.at(-1)! ^ 0x55) : packet;
}

/** Packets by version, protocol and source port, with the identification that may be renumbered blanked. */
function byFlow(packets: readonly Uint8Array[]): Map<string, Uint8Array[]> {
  const flows = new Map<string, Uint8Array[]>();
  for (const packet of packets) {
    const version4 = packet[0]! >> 4 === 4;
    const at = version4 ? 20 : 40;
    const comparable = packet.slice();
    if (version4 && (packet[6]! & 0x40) !== 0) comparable.fill(0, 4, 6).fill(0, 10, 12);
    const flow = `${at} ${packet[version4 ? 9 : 6]} ${packet[at]} ${packet[at + 1]}`;
    flows.set(flow, [...(flows.get(flow) ?? []), comparable]);
  }
  return flows;
}
