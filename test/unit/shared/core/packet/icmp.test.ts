import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  type IcmpErrorRequest,
  maxIcmpErrorSize,
  turnIntoEchoReply,
  writeTooBig,
  writeUnreachable,
} from '../../../../../shared/core/packet/icmp.ts';
import {
  icmpPacket,
  ipPacket,
  naiveChecksum,
  patternBytes,
  tcpPacket,
  transportError,
  udpPacket,
} from '../../../../support/packets.ts';

const own4 = Uint8Array.of(10, 9, 9, 9);
const own6 = Uint8Array.of(0xfd, 9, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9);

/** The request to answer `packet`, with everything at odd offsets. */
function about(packet: Uint8Array, source?: Uint8Array): IcmpErrorRequest {
  const bytes = new Uint8Array(packet.length + 3);
  bytes.set(packet, 3);
  const to = new Uint8Array(maxIcmpErrorSize + 1).fill(0xee);
  return { bytes, offset: 3, length: packet.length, to, toOffset: 1, source };
}

function unreachable(packet: Uint8Array, source?: Uint8Array): Uint8Array {
  const request = about(packet, source);
  const length = writeUnreachable(request);
  return request.to.slice(1, 1 + length);
}

function tooBig(packet: Uint8Array, mtu: number): Uint8Array {
  const request = about(packet);
  const length = writeTooBig(request, mtu);
  return request.to.slice(1, 1 + length);
}

describe('an error', () => {
  test('about IPv4 says "host unreachable" to the sender, from our address', () => {
    const packet = udpPacket({ payload: patternBytes(50) });

    const reply = unreachable(packet, own4);

    expect([...reply.subarray(12, 20)]).toEqual([...own4, 10, 0, 0, 1]);
    expect([...reply.subarray(20, 22)]).toEqual([3, 1]);
    expect([...reply.subarray(24, 28)]).toEqual([0, 0, 0, 0]);
    expect(reply.subarray(28)).toEqual(packet);
    expect(reply[2]! * 256 + reply[3]!).toBe(reply.length);
    expect(naiveChecksum(reply.subarray(0, 20))).toBe(0);
    expect(naiveChecksum(reply.subarray(20))).toBe(0);
  });

  test('about IPv6 says "address unreachable" to the sender, from our address', () => {
    const packet = tcpPacket({ version: 6, payload: patternBytes(50) });

    const reply = unreachable(packet, own6);

    expect(reply.subarray(8, 24)).toEqual(own6);
    expect(reply.subarray(24, 40)).toEqual(packet.subarray(8, 24));
    expect([...reply.subarray(40, 42)]).toEqual([1, 3]);
    expect([...reply.subarray(44, 48)]).toEqual([0, 0, 0, 0]);
    expect(reply.subarray(48)).toEqual(packet);
    expect(transportError(reply, 40)).toBe(0);
  });

  test("comes from the packet's destination where we have no address of its family", () => {
    expect([...unreachable(udpPacket(), own6).subarray(12, 16)]).toEqual([10, 0, 0, 2]);
    expect([...unreachable(udpPacket()).subarray(12, 16)]).toEqual([10, 0, 0, 2]);
  });

  test('quotes no more than 576 bytes of IPv4 and 1280 of IPv6 have room for', () => {
    const four = unreachable(udpPacket({ payload: patternBytes(1400) }));
    const six = unreachable(udpPacket({ version: 6, payload: patternBytes(1400) }));

    expect(four.length).toBe(576);
    expect(naiveChecksum(four.subarray(20))).toBe(0);
    expect(six.length).toBe(1280);
    expect(transportError(six, 40)).toBe(0);
  });

  test('quotes no padding', () => {
    const packet = udpPacket({ payload: patternBytes(5) });
    const padded = Uint8Array.from([...packet, 1, 2, 3]);

    expect(unreachable(padded)).toEqual(unreachable(packet));
  });

  test('"too big" names the MTU that fits', () => {
    const four = tooBig(udpPacket({ payload: patternBytes(1400) }), 1280);
    const six = tooBig(udpPacket({ version: 6, payload: patternBytes(1400) }), 1280);

    expect([...four.subarray(20, 22), ...four.subarray(24, 28)]).toEqual([3, 4, 0, 0, 5, 0]);
    expect([...six.subarray(40, 42), ...six.subarray(44, 48)]).toEqual([2, 0, 0, 0, 5, 0]);
    expect(naiveChecksum(four.subarray(20))).toBe(0);
    expect(transportError(six, 40)).toBe(0);
  });

  test.each([
    ['an ICMP error', icmpPacket(3, 1, [0, 0, 0, 0])],
    ['an ICMP redirect', icmpPacket(5, 1, [0, 0, 0, 0])],
    ['an ICMPv6 error', icmpPacket(1, 3, [0, 0, 0, 0], { version: 6 })],
    ['an unknown ICMPv6 error', icmpPacket(127, 0, [0, 0, 0, 0], { version: 6 })],
    ['an ICMPv6 redirect', icmpPacket(137, 0, [0, 0, 0, 0], { version: 6 })],
    [
      'an ICMPv6 error behind an extension header',
      ipPacket(60, Uint8Array.of(58, 0, 1, 4, 0, 0, 0, 0, 1, 3, 0, 0, 0, 0, 0, 0), { version: 6 }),
    ],
    ['ICMP without a type', ipPacket(1, new Uint8Array(0))],
    ['a later fragment', udpPacket({ fragment: 5 })],
    ['a later IPv6 fragment', ipPacket(44, Uint8Array.of(17, 0, 0, 8, 0, 0, 0, 1), { version: 6 })],
    ['a packet from nobody', udpPacket({ source: [0, 0, 0, 0] })],
    ['a packet from loopback', udpPacket({ source: [127, 0, 0, 1] })],
    ['a packet from multicast', udpPacket({ source: [224, 0, 0, 1] })],
    ['a packet from broadcast', udpPacket({ source: [255, 255, 255, 255] })],
    ['a packet to multicast', udpPacket({ destination: [239, 1, 1, 1] })],
    ['a packet to broadcast', udpPacket({ destination: [255, 255, 255, 255] })],
    ['an IPv6 packet from nobody', udpPacket({ version: 6, source: Array.from({ length: 16 }, () => 0) })],
    [
      'an IPv6 packet to multicast',
      udpPacket({ version: 6, destination: [0xff, 2, ...Array.from({ length: 14 }, () => 1)] }),
    ],
    ['no IP packet', Uint8Array.of(0x45, 0, 0, 20)],
    [
      'endless extension headers',
      ipPacket(
        60,
        Uint8Array.from({ length: 800 }, (_, i) => (i % 8 === 0 ? 60 : 0)),
        { version: 6 },
      ),
    ],
  ])('is never sent about %s', (_name, packet) => {
    expect(unreachable(packet).length).toBe(0);
  });

  test.each([
    ['an echo request', icmpPacket(8, 0, [0, 0, 0, 0])],
    ['an ICMPv6 echo request', icmpPacket(128, 0, [0, 0, 0, 0], { version: 6 })],
    ['a first fragment', udpPacket({ fragment: 0x2000, payload: patternBytes(8) })],
  ])('is sent about %s', (_name, packet) => {
    expect(unreachable(packet).length).toBeGreaterThan(0);
  });

  test('"too big" is sent about IPv6 multicast', () => {
    const packet = udpPacket({ version: 6, destination: [0xff, 2, ...Array.from({ length: 14 }, () => 1)] });

    expect(tooBig(packet, 1280).length).toBeGreaterThan(0);
  });

  test('is not written where there is no room', () => {
    const packet = udpPacket();

    expect(
      writeUnreachable({
        bytes: packet,
        offset: 0,
        length: packet.length,
        to: new Uint8Array(50),
        toOffset: 0,
      }),
    ).toBe(0);
  });
});

describe('an echo request', () => {
  test.each([
    [4, 8, 0],
    [6, 128, 129],
  ] as const)('of IPv%i becomes its reply', (version, request, answer) => {
    const rest = [0x12, 0x34, 0, 7, ...patternBytes(31)];
    const packet = icmpPacket(request, 0, rest, { version, ttl: 9 });
    const swapped =
      version === 4
        ? { source: [10, 0, 0, 2], destination: [10, 0, 0, 1] }
        : { source: [...packet.subarray(24, 40)], destination: [...packet.subarray(8, 24)] };

    expect(turnIntoEchoReply(packet, 0, packet.length)).toBe(true);

    expect(packet).toEqual(icmpPacket(answer, 0, rest, { version, ttl: 64, ...swapped }));
  });

  test.each([
    ['a reply', icmpPacket(0, 0, [0, 0, 0, 0])],
    ['a request with a code', icmpPacket(8, 1, [0, 0, 0, 0])],
    ['a request that is cut', icmpPacket(8, 0, [0, 0, 0])],
    ['a request to many', icmpPacket(8, 0, [0, 0, 0, 0], { destination: [224, 0, 0, 1] })],
    ['a request of the other family', ipPacket(58, Uint8Array.of(128, 0, 0, 0, 0, 0, 0, 0))],
    ['UDP', udpPacket({ sourcePort: 0x0800 })],
  ])('is not %s', (_name, packet) => {
    const before = packet.slice();

    expect(turnIntoEchoReply(packet, 0, packet.length)).toBe(false);

    expect(packet).toEqual(before);
  });
});

test('arbitrary bytes never throw, and a reply never passes its bound', () => {
  const bytes = fc.uint8Array({ minLength: 0, maxLength: 200 });
  fc.assert(
    fc.property(bytes, fc.constantFrom(0x45, 0x60, 0), (packet, first) => {
      if (packet.length > 0 && first !== 0) packet[0] = first;
      if (first === 0x45 && packet.length > 3) packet.set([0, packet.length], 2);
      if (first === 0x60 && packet.length > 40) packet.set([0, packet.length - 40], 4);
      expect(unreachable(packet).length).toBeLessThanOrEqual(maxIcmpErrorSize);
      turnIntoEchoReply(packet, 0, packet.length);
    }),
    { seed: 8, numRuns: 1000 },
  );
});
