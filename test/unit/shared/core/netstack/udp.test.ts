import { describe, expect, test } from 'vitest';
import type { UdpFlow } from '../../../../../shared/core/netstack/events.ts';
import type { NetStackOptions } from '../../../../../shared/core/netstack/stack.ts';
import {
  icmpPacket,
  naiveChecksum,
  patternBytes,
  transportError,
  udpPacket,
} from '../../../../support/packets.ts';
import { elsewhere, own, own6, Script, theirs, theirs6 } from './script.ts';

const hello = Uint8Array.of(104, 105);

function datagram(payload: Uint8Array, more: Partial<Parameters<typeof udpPacket>[0]> = {}): Uint8Array {
  return udpPacket({ source: theirs, destination: elsewhere, payload, ...more });
}

function gateway(options: Partial<NetStackOptions> = {}): Script {
  return new Script({ acceptAny: true, ...options });
}

function firstFlow(script: Script): UdpFlow {
  return script.of('udp-incoming')[0]!.flow;
}

function receive(flow: UdpFlow): number[] | undefined {
  const room = new Uint8Array(70_000);
  const length = flow.receive(room);
  return length < 0 ? undefined : [...room.subarray(0, length)];
}

describe('UDP flows', () => {
  test('a datagram to anywhere makes a flow, and answers come from there', () => {
    const script = gateway();
    script.deliver(datagram(hello), datagram(Uint8Array.of(1)));
    const flow = firstFlow(script);

    expect(script.of('udp-incoming')).toHaveLength(1);
    expect([...flow.local.address, flow.local.port]).toEqual([...elsewhere, 53]);
    expect(receive(flow)).toEqual([...hello]);
    expect(receive(flow)).toEqual([1]);
    expect(receive(flow)).toBeUndefined();
    expect(flow.send(Uint8Array.of(9, 8))).toBe(true);
    const [answer] = script.poll();
    expect([...answer!.subarray(12, 20)]).toEqual([...elsewhere, ...theirs]);
    expect([...answer!.subarray(28)]).toEqual([9, 8]);
    expect(transportError(answer!, 20)).toBe(0);
  });

  test('over IPv6', () => {
    const script = gateway();
    script.deliver(
      udpPacket({ version: 6, source: theirs6, destination: [0x20, 1, ...theirs6.slice(2)], payload: hello }),
    );

    firstFlow(script).send(hello);

    expect(transportError(script.poll()[0]!, 40)).toBe(0);
  });

  test('more datagrams are told once until they are read', () => {
    const script = gateway();
    script.deliver(datagram(hello));
    script.deliver(datagram(hello));
    script.deliver(datagram(hello));
    expect(script.of('udp-readable')).toHaveLength(0);
    receive(firstFlow(script));
    script.deliver(datagram(hello));
    script.deliver(datagram(hello));

    expect(script.of('udp-readable')).toHaveLength(1);
  });

  test.each([
    [53, 20_000],
    [4433, 300_000],
  ])(
    'a flow to port %i ends after %i ms without traffic, and any traffic keeps it',
    (destinationPort, idle) => {
      const script = gateway();
      script.deliver(datagram(hello, { destinationPort }));
      script.pass(idle - 1000);
      script.deliver(datagram(hello, { destinationPort }));
      script.pass(idle - 1000);
      firstFlow(script).send(hello);
      script.poll();
      script.pass(idle - 1000);
      expect(script.stack.usage.udpFlows).toBe(1);

      script.pass(2000);

      expect(script.of('udp-closed')).toMatchObject([{ end: 'idle' }]);
      expect(script.stack.usage).toMatchObject({ udpFlows: 0 });
      expect(firstFlow(script).send(hello)).toBe(false);
    },
  );

  test('flows of one source, and all flows, are bounded', () => {
    const script = gateway({ limits: { udpFlows: 5, udpFlowsPerSource: 3 } });
    for (let i = 0; i < 6; i++) script.deliver(datagram(hello, { sourcePort: 2000 + i }));
    expect(script.stack.usage.udpFlows).toBe(3);
    for (let i = 0; i < 6; i++) script.deliver(datagram(hello, { source: [10, 0, 0, 10 + i] }));

    expect(script.stack.usage.udpFlows).toBe(5);
    expect(script.stack.counts.overLimit).toBe(3 + 4);
    script.of('udp-incoming')[0]!.flow.close();
    script.poll();
    script.deliver(datagram(hello, { sourcePort: 2010 }));
    expect(script.stack.usage.udpFlows).toBe(5);
  });

  test('a flow that nobody reads holds a bounded number of bytes', () => {
    const script = gateway({ limits: { udpQueueBytes: 10_000 } });
    for (let i = 0; i < 100; i++) script.deliver(datagram(patternBytes(1000)));

    expect(script.stack.counts.noRoom).toBe(90);
    expect(script.stack.usage.memoryBytes).toBeLessThan(40_000);
  });

  test('a refused flow is answered with "port unreachable" about its first datagram', () => {
    const script = gateway();
    script.deliver(datagram(hello));
    script.stack.refuse(firstFlow(script), 'unreachable');

    const [error] = script.poll();

    expect([...error!.subarray(20, 22)]).toEqual([3, 3]);
    expect([...error!.subarray(28 + 20 + 8)]).toEqual([...hello]);
    expect(transportError(error!.slice(28), 20)).toBe(0);
    expect(naiveChecksum(error!.subarray(20))).toBe(0);
    expect(script.stack.usage.udpFlows).toBe(0);
  });

  test('a dropped flow is answered with nothing', () => {
    const script = gateway();
    script.deliver(datagram(hello));
    script.stack.refuse(firstFlow(script), 'drop');

    expect(script.poll()).toEqual([]);
    expect(script.stack.usage).toMatchObject({ udpFlows: 0, memoryBytes: 0 });
  });

  test('a datagram to our own address is refused unless somebody listens there', () => {
    const script = gateway();

    expect([...script.deliver(datagram(hello, { destination: own }))[0]!.subarray(20, 22)]).toEqual([3, 3]);
    script.stack.listenUdp(53);
    expect(script.deliver(datagram(hello, { destination: own }))).toEqual([]);
    expect(script.of('udp-incoming')).toHaveLength(1);
  });

  test('we open a flow, send and receive', () => {
    const script = new Script();
    const flow = script.stack.openUdp({ destination: Uint8Array.from(theirs), port: 53 })!;
    flow.send(hello);

    const [packet] = script.poll();
    const sourcePort = (packet![20]! << 8) | packet![21]!;
    script.deliver(
      udpPacket({
        source: theirs,
        destination: own,
        sourcePort: 53,
        destinationPort: sourcePort,
        payload: hello,
      }),
    );

    expect(sourcePort).toBeGreaterThanOrEqual(32_768);
    expect(script.of('udp-readable')).toHaveLength(1);
    expect(receive(flow)).toEqual([...hello]);
  });

  test('ICMP "port unreachable" about our datagram ends the flow', () => {
    const script = new Script();
    const flow = script.stack.openUdp({ destination: Uint8Array.from(theirs), port: 53 })!;
    flow.send(hello);
    const [packet] = script.poll();

    script.deliver(icmpPacket(3, 3, [0, 0, 0, 0, ...packet!], { source: theirs, destination: own }));

    expect(script.of('udp-closed')).toMatchObject([{ end: 'unreachable' }]);
  });

  test.each([
    ['a wrong checksum', (p: Uint8Array) => (p[27]! ^= 1)],
    ['a wrong length', (p: Uint8Array) => (p[25]! ^= 1)],
  ])('%s is dropped', (_, spoil) => {
    const script = gateway();
    const packet = datagram(hello);
    spoil(packet);
    script.deliver(packet);

    expect(script.stack.counts.malformed).toBe(1);
    expect(script.of('udp-incoming')).toEqual([]);
  });

  test('no checksum is fine over IPv4 and not over IPv6', () => {
    const script = gateway();
    const four = datagram(hello);
    four.fill(0, 26, 28);
    const six = udpPacket({
      version: 6,
      source: theirs6,
      destination: [0x20, ...theirs6.slice(1)],
      payload: hello,
    });
    six.fill(0, 46, 48);
    script.deliver(four, six);

    expect(script.of('udp-incoming')).toHaveLength(1);
    expect(script.stack.counts.malformed).toBe(1);
  });
});

describe('fragments', () => {
  function fragmentsOf(size: number, version: 4 | 6 = 4): { script: Script; pieces: Uint8Array[] } {
    const script = gateway();
    const target = version === 4 ? theirs : theirs6;
    const flow = script.stack.openUdp({ destination: Uint8Array.from(target), port: 53, sourcePort: 1234 })!;
    flow.send(patternBytes(size));
    return { script, pieces: script.poll() };
  }

  /** A gateway as the other end of those. */
  function other(): Script {
    return new Script({ acceptAny: true, addresses: [Uint8Array.of(9, 9, 9, 9)] });
  }

  test.each([
    [4, 3000],
    [6, 3000],
    [4, 60_000],
    [6, 60_000],
  ] as const)('IPv%i: %i bytes are cut to the MTU and put together again, in any order', (version, size) => {
    const { pieces } = fragmentsOf(size, version);
    expect(Math.max(...pieces.map((one) => one.length))).toBeLessThanOrEqual(1420);
    for (const order of [pieces, pieces.toReversed(), [...pieces.slice(1), pieces[0]!]]) {
      // More than sixteen gaps at a time are not kept.
      const script = other();
      for (const piece of order) script.deliver(piece);

      expect(receive(firstFlow(script))).toEqual([...patternBytes(size)]);
      expect(script.stack.usage).toMatchObject({ reassemblies: 0, memoryBytes: 0 });
    }
  });

  test('a repeated piece does no harm, an overlapping one ends the datagram', () => {
    const { pieces } = fragmentsOf(3000);
    const script = other();
    script.deliver(pieces[0]!, pieces[0]!, pieces[1]!, pieces[2]!);
    expect(receive(firstFlow(script))).toHaveLength(3000);

    const evil = other();
    const shifted = pieces[1]!.slice();
    shifted[7]! -= 1;
    new DataView(shifted.buffer).setUint16(10, 0);
    new DataView(shifted.buffer).setUint16(10, naiveChecksum(shifted.subarray(0, 20)));
    evil.deliver(pieces[0]!, shifted, pieces[1]!, pieces[2]!);

    expect(evil.of('udp-incoming')).toEqual([]);
  });

  test('unfinished datagrams are bounded and forgotten', () => {
    const script = other();
    for (let i = 0; i < 40; i++) {
      const packet = udpPacket({
        source: theirs,
        destination: elsewhere,
        payload: hello,
        id: i,
        fragment: 0x2000,
      });
      script.deliver(packet.subarray(0, 28));
      script.deliver(
        udpPacket({
          source: theirs,
          destination: elsewhere,
          payload: patternBytes(16),
          id: i,
          fragment: 0x2000,
        }),
      );
    }
    expect(script.stack.usage.reassemblies).toBeLessThanOrEqual(8);

    script.pass(31_000);

    expect(script.stack.usage).toMatchObject({ reassemblies: 0, memoryBytes: 0 });
  });
});

describe('ICMP', () => {
  test.each([
    [4, own, 8, 0],
    [6, own6, 128, 129],
  ] as const)('IPv%i: our address answers echo requests', (version, destination, request, reply) => {
    const script = new Script();
    const source = version === 4 ? theirs : theirs6;
    const at = version === 4 ? 20 : 40;

    const [answer] = script.deliver(
      icmpPacket(request, 0, [1, 2, 3, 4, 5, 6, 7], { version, source, destination }),
    );

    expect([...answer!.subarray(at, at + 2)]).toEqual([reply, 0]);
    expect([...answer!.subarray(at + 4)]).toEqual([1, 2, 3, 4, 5, 6, 7]);
    if (version === 6) expect(transportError(answer!, 40)).toBe(0);
    else expect(naiveChecksum(answer!.subarray(20))).toBe(0);
  });

  test('a packet larger than the MTU is answered with how large it may be', () => {
    const script = gateway();

    const [error] = script.deliver(datagram(patternBytes(1500)));

    expect([...error!.subarray(20, 22)]).toEqual([3, 4]);
    expect((error![26]! << 8) | error![27]!).toBe(1420);
    expect([...error!.subarray(12, 16)]).toEqual(own);
  });

  test('answers to strays are limited in number', () => {
    const script = new Script();
    let answers = 0;
    for (let i = 0; i < 1200; i++) {
      answers += script.deliver(icmpPacket(8, 0, [1, 2, 3, 4], { source: theirs, destination: own })).length;
    }

    expect(answers).toBe(500);
  });
});
