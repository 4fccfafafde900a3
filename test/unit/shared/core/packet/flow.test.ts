import { expect, test } from 'vitest';
import { flowHash, flowKey, sameFlow } from '../../../../../shared/core/packet/flow.ts';
import { icmpPacket, ipPacket, patternBytes, tcpPacket, udpPacket } from '../../../../support/packets.ts';

/** Both packets in one memory. */
function pair(a: Uint8Array, b: Uint8Array): Uint8Array {
  return Uint8Array.from([...a, ...b]);
}

const other4 = [10, 0, 0, 9];
const other6 = [0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9];

test.each([4, 6] as const)(
  'is the same for packets that differ in all but addresses and ports (IPv%i)',
  (version) => {
    const at = version === 4 ? 20 : 40;
    const first = tcpPacket({ version, sequence: 1, id: 1, payload: patternBytes(9) });
    const bytes = pair(first, tcpPacket({ version, sequence: 2, id: 2, flags: 0x11, ttl: 3 }));

    expect(sameFlow(bytes, 0, first.length, at)).toBe(true);
    expect(flowHash(bytes, 0, at)).toBe(flowHash(bytes, first.length, at));
    expect(flowKey(bytes, 0)).toBe(flowKey(bytes, first.length));
  },
);

test.each([
  ['the source', 4, { source: other4 }],
  ['the destination', 4, { destination: other4 }],
  ['the source port', 4, { sourcePort: 9 }],
  ['the destination port', 4, { destinationPort: 9 }],
  ['the source', 6, { source: other6 }],
  ['the destination', 6, { destination: other6 }],
  ['the source port', 6, { sourcePort: 9 }],
  ['the destination port', 6, { destinationPort: 9 }],
] as const)('is another where %s differs (IPv%i)', (_name, version, parts) => {
  const at = version === 4 ? 20 : 40;
  const first = udpPacket({ version });
  const bytes = pair(first, udpPacket({ version, ...parts }));

  expect(sameFlow(bytes, 0, first.length, at)).toBe(false);
  expect(flowHash(bytes, 0, at)).not.toBe(flowHash(bytes, first.length, at));
  expect(flowKey(bytes, 0)).not.toBe(flowKey(bytes, first.length));
});

test('has keys that tell TCP from UDP', () => {
  expect(flowKey(tcpPacket({ destinationPort: 53 }), 0)).not.toBe(flowKey(udpPacket(), 0));
});

test('has no key without ports', () => {
  expect(flowKey(icmpPacket(8, 0, [0, 0, 0, 0]), 0)).toBeUndefined();
  expect(flowKey(udpPacket({ fragment: 1 }), 0)).toBeUndefined();
  expect(flowKey(ipPacket(17, new Uint8Array(3)), 0)).toBeUndefined();
});
