import { expect, test } from 'vitest';
import {
  checkUdp,
  setUdpLength,
  udpChecksum,
  udpDestinationPort,
  udpLength,
  udpSourcePort,
} from '../../../../../shared/core/packet/udp.ts';
import { patternBytes, udpPacket } from '../../../../support/packets.ts';

test('shows the fields of a header', () => {
  const packet = udpPacket({ sourcePort: 0xff01, destinationPort: 53, payload: patternBytes(3) });

  expect(udpSourcePort(packet, 20)).toBe(0xff01);
  expect(udpDestinationPort(packet, 20)).toBe(53);
  expect(udpLength(packet, 20)).toBe(11);
  expect(udpChecksum(packet, 20)).toBe(packet[26]! * 256 + packet[27]!);
});

test('accepts only a datagram that fills its space', () => {
  const packet = udpPacket({ payload: patternBytes(3) });

  expect(checkUdp(packet, 20, 11)).toBe(true);
  expect(checkUdp(packet, 20, 10)).toBe(false);
  expect(checkUdp(packet, 20, 7)).toBe(false);
  setUdpLength(packet, 20, 7);
  expect(checkUdp(packet, 20, 7)).toBe(false);
});
