import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  checkTcp,
  clampMss,
  setTcpSequence,
  tcpDestinationPort,
  tcpFlags,
  tcpHeaderLength,
  tcpSequence,
  tcpSourcePort,
} from '../../../../../shared/core/packet/tcp.ts';
import { patternBytes, tcpPacket, transportError } from '../../../../support/packets.ts';

const syn = 0x02;

test('shows the fields of a header', () => {
  const packet = tcpPacket({ sequence: 0xdead_beef, flags: 0x18, options: [1, 1, 1, 0] });

  expect(checkTcp(packet, 20, packet.length - 20)).toBe(true);
  expect(tcpSourcePort(packet, 20)).toBe(1234);
  expect(tcpDestinationPort(packet, 20)).toBe(443);
  expect(tcpHeaderLength(packet, 20)).toBe(24);
  expect(tcpFlags(packet, 20)).toBe(0x18);
  expect(tcpSequence(packet, 20) >>> 0).toBe(0xdead_beef);
});

test('wraps sequence numbers at 2^32', () => {
  const packet = tcpPacket({ sequence: 0xffff_fff0 });

  setTcpSequence(packet, 20, tcpSequence(packet, 20) + 0x20);

  expect(tcpSequence(packet, 20)).toBe(0x10);
});

test('refuses a header that is cut or shorter than 20 bytes', () => {
  const packet = tcpPacket({ options: [1, 1, 1, 0] });

  expect(checkTcp(packet, 20, 23)).toBe(false);
  packet[32] = 0x40;
  expect(checkTcp(packet, 20, 24)).toBe(false);
});

describe('the MSS clamp', () => {
  test.each([
    ['first', [2, 4, 5, 0xb4]],
    ['behind others', [1, 1, 4, 2, 2, 4, 5, 0xb4]],
    ['at an odd place', [1, 2, 4, 5, 0xb4, 0, 0, 0]],
  ])('lowers an option that stands %s and keeps the checksum right', (_name, options) => {
    const packet = tcpPacket({ flags: syn, options });
    const clamped = options.map((byte, i) => (options[i + 1] === 0xb4 ? 4 : byte === 0xb4 ? 0xc4 : byte));

    expect(clampMss(packet, 20, packet.length - 20, 1220)).toBe(true);

    expect(packet).toEqual(tcpPacket({ flags: syn, options: clamped }));
    expect(transportError(packet, 20)).toBe(0);
  });

  test.each([
    ['a smaller option', { flags: syn, options: [2, 4, 4, 0] }],
    ['an equal option', { flags: syn, options: [2, 4, 4, 0xc4] }],
    ['anything but a SYN', { flags: 0x10, options: [2, 4, 5, 0xb4] }],
    ['a SYN without the option', { flags: syn, options: [1, 1, 4, 2] }],
    ['what stands behind the end of the list', { flags: syn, options: [0, 0, 0, 0, 2, 4, 5, 0xb4] }],
    ['an option of a wrong size', { flags: syn, options: [2, 3, 5, 0] }],
    ['an option of size zero', { flags: syn, options: [9, 0, 2, 4] }],
    ['an option that is cut', { flags: syn, options: [1, 1, 2, 4] }],
  ])('leaves %s alone', (_name, parts) => {
    const packet = tcpPacket({ ...parts, payload: patternBytes(4) });
    const before = packet.slice();

    expect(clampMss(packet, 20, packet.length - 20, 1220)).toBe(false);

    expect(packet).toEqual(before);
  });

  test('keeps any SYN with arbitrary options inside its bytes', () => {
    const options = fc.array(fc.constantFrom(0, 1, 2, 3, 4, 8, 255), { minLength: 40, maxLength: 40 });
    fc.assert(
      fc.property(options, fc.integer({ min: 0, max: 10 }), (list, words) => {
        const packet = tcpPacket({ flags: syn, options: list.slice(0, words * 4), payload: patternBytes(8) });
        clampMss(packet, 20, packet.length - 20, 100);
        expect(transportError(packet, 20)).toBe(0);
        expect(packet.subarray(-8)).toEqual(patternBytes(8));
      }),
      { seed: 5, numRuns: 500 },
    );
  });
});
