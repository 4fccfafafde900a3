import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  findTransport,
  ipDestinationOffset,
  ipEcn,
  ipSourceOffset,
  ipTotalLength,
  ipVersion,
  setIpCongestionExperienced,
} from '../../../../../shared/core/packet/ip.ts';
import { fillIpv4Checksum, ipv4ChecksumOk, ipv4IsFragment } from '../../../../../shared/core/packet/ipv4.ts';
import {
  protocolFragment,
  transportAt,
  transportProtocol,
} from '../../../../../shared/core/packet/transport.ts';
import { ipPacket, naiveChecksum, patternBytes, udpPacket } from '../../../../support/packets.ts';

const seed = 31;

/** The packet at offset 5 of a larger buffer. */
function shifted(packet: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(packet.length + 9).fill(0x99);
  bytes.set(packet, 5);
  return bytes;
}

describe('a whole packet', () => {
  test.each([4, 6] as const)('of version %i is accepted, with and without padding', (version) => {
    const packet = udpPacket({ version, payload: patternBytes(10) });
    const bytes = shifted(packet);

    expect(ipVersion(bytes, 5, packet.length)).toBe(version);
    expect(ipVersion(bytes, 5, packet.length + 4)).toBe(version);
    expect(ipTotalLength(bytes, 5)).toBe(packet.length);
    const size = version === 4 ? 4 : 16;
    expect(bytes[ipSourceOffset(bytes, 5) + size - 1]).toBe(1);
    expect(bytes[ipDestinationOffset(bytes, 5) + size - 1]).toBe(2);
  });

  test.each([4, 6] as const)('of version %i is refused when a byte is missing', (version) => {
    const packet = udpPacket({ version, payload: patternBytes(10) });

    for (let length = 0; length < packet.length; length++) expect(ipVersion(packet, 0, length)).toBe(0);
  });

  test.each([
    ['version 5', 0, 0x55],
    ['version 0', 0, 0x05],
    ['a header shorter than 20 bytes', 0, 0x44],
    ['a header longer than the packet', 0, 0x4f],
  ])('is refused with %s', (_name, at, value) => {
    const packet = udpPacket();
    packet[at] = value;

    expect(ipVersion(packet, 0, packet.length)).toBe(0);
  });

  test('is refused where its total length is shorter than its header', () => {
    const packet = udpPacket();
    packet[3] = 19;

    expect(ipVersion(packet, 0, packet.length)).toBe(0);
  });
});

describe('congestion marks', () => {
  test.each([
    [4, 1],
    [4, 2],
    [4, 3],
    [6, 1],
    [6, 2],
    [6, 3],
  ] as const)('of version %i are set over %i and keep the header right', (version, ecn) => {
    const packet = udpPacket({ version, tos: 0xb8 | ecn });

    expect(setIpCongestionExperienced(packet, 0)).toBe(true);

    expect(packet).toEqual(udpPacket({ version, tos: 0xb8 | 3 }));
    expect(ipEcn(packet, 0)).toBe(3);
  });

  test.each([4, 6] as const)('of version %i are refused where the sender is not capable', (version) => {
    const packet = udpPacket({ version, tos: 0xb8 });

    expect(setIpCongestionExperienced(packet, 0)).toBe(false);

    expect(packet).toEqual(udpPacket({ version, tos: 0xb8 }));
    expect(ipEcn(packet, 0)).toBe(0);
  });
});

describe('the IPv4 header checksum', () => {
  test('covers options', () => {
    const packet = new Uint8Array(28);
    packet.set([0x46, 0, 0, 28, 0, 1, 0x40, 0, 64, 17, 0xff, 0xff, 10, 0, 0, 1, 10, 0, 0, 2, 1, 1, 1, 0]);

    fillIpv4Checksum(packet, 0);

    expect(naiveChecksum(packet.subarray(0, 24))).toBe(0);
    expect(ipv4ChecksumOk(packet, 0)).toBe(true);
    packet[20] = 7;
    expect(ipv4ChecksumOk(packet, 0)).toBe(false);
  });
});

describe('fragments', () => {
  test.each([
    [0x0000, false],
    [0x4000, false],
    [0x2000, true],
    [0x0001, true],
    [0x1fff, true],
  ])('are told by the flags and offset %i', (fragment, expected) => {
    expect(ipv4IsFragment(udpPacket({ fragment }), 0)).toBe(expected);
  });
});

/** The transport of a packet as [protocol, position], or -1. */
function transportOf(packet: Uint8Array): number | [number, number] {
  const found = findTransport(packet, 0);
  return found < 0 ? found : [transportProtocol(found), transportAt(found)];
}

describe('the transport header', () => {
  test('of IPv4 lies behind the options', () => {
    expect(transportOf(ipPacket(17, new Uint8Array(8)))).toEqual([17, 20]);
    const packet = ipPacket(17, new Uint8Array(12));
    packet[0] = 0x46;
    expect(transportOf(packet)).toEqual([17, 24]);
  });

  test('is absent from later fragments', () => {
    expect(transportOf(ipPacket(17, new Uint8Array(8), { fragment: 0x2000 }))).toEqual([17, 20]);
    expect(transportOf(ipPacket(17, new Uint8Array(8), { fragment: 1 }))).toEqual([protocolFragment, 20]);
    const body = [17, 0, 0, 8, 0, 0, 0, 1, 1, 2, 3, 4, 5, 6, 7, 8];
    expect(transportOf(ipPacket(44, Uint8Array.from(body), { version: 6 }))).toEqual([protocolFragment, 40]);
  });

  test('of IPv6 lies behind all extension headers', () => {
    const hop = [43, 0, 1, 4, 0, 0, 0, 0];
    const routing = [44, 1, ...Array.from({ length: 14 }, () => 0)];
    const firstFragment = [51, 0, 0, 1, 0, 0, 0, 1];
    const authentication = [60, 1, ...Array.from({ length: 10 }, () => 0)];
    const destination = [6, 0, 1, 4, 0, 0, 0, 0];
    const headers = [...hop, ...routing, ...firstFragment, ...authentication, ...destination];
    const packet = ipPacket(0, Uint8Array.from([...headers, ...patternBytes(20)]), { version: 6 });

    expect(transportOf(packet)).toEqual([6, 40 + headers.length]);
  });

  test('is not looked for beyond the packet, nor for ever', () => {
    const long = ipPacket(60, Uint8Array.of(6, 9, 1, 4, 0, 0, 0, 0), { version: 6 });
    const cut = ipPacket(60, Uint8Array.of(6, 0, 1, 4), { version: 6 });
    const chain = ipPacket(
      60,
      Uint8Array.from({ length: 800 }, (_, i) => (i % 8 === 0 ? 60 : 0)),
      { version: 6 },
    );

    expect(transportOf(long)).toBe(-1);
    expect(transportOf(cut)).toBe(-1);
    expect(transportOf(chain)).toBe(-1);
  });

  test('of arbitrary bytes never throws and lies inside the packet', () => {
    const bytes = fc.uint8Array({ minLength: 20, maxLength: 120 });
    fc.assert(
      fc.property(
        bytes,
        fc.constantFrom(0x45, 0x46, 0x60),
        fc.constantFrom(0, 43, 44, 51, 60, 6),
        (packet, first, next) => {
          packet[0] = first;
          if (first === 0x60) {
            packet[4] = 0;
            packet[6] = next;
          } else {
            packet[2] = 0;
          }
          if (ipVersion(packet, 0, packet.length) === 0) return;
          const found = findTransport(packet, 0);
          if (found >= 0) expect(transportAt(found)).toBeLessThanOrEqual(ipTotalLength(packet, 0));
        },
      ),
      { seed, numRuns: 1000 },
    );
  });
});
