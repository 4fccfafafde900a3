// Echo requests to destinations that are not ours: announced, bounded, answered with their own identifier, or refused.
import { describe, expect, test } from 'vitest';
import type { UdpFlow } from '../../../../../shared/core/netstack/events.ts';
import type { NetStackOptions } from '../../../../../shared/core/netstack/stack.ts';
import { icmpPacket, naiveChecksum, patternBytes, transportError } from '../../../../support/packets.ts';
import { elsewhere, own, own6, Script, theirs, theirs6 } from './script.ts';

const elsewhere6 = [0x20, 1, ...theirs6.slice(2)];
const families = [
  { version: 4, source: theirs, destination: elsewhere, ours: own, request: 8, reply: 0, at: 20 },
  { version: 6, source: theirs6, destination: elsewhere6, ours: own6, request: 128, reply: 129, at: 40 },
] as const;
type Family = (typeof families)[number];

function gateway(options: Partial<NetStackOptions> = {}): Script {
  return new Script({ acceptAny: true, ...options });
}

/** A request with this identifier and sequence. */
function request(
  family: Family,
  id: number,
  sequence: number,
  payload: ArrayLike<number> = [1, 2, 3],
  more: { readonly source?: readonly number[]; readonly ttl?: number } = {},
): Uint8Array {
  const rest = [id >> 8, id & 255, sequence >> 8, sequence & 255, ...Array.from(payload)];
  const { version, source, destination } = family;
  return icmpPacket(family.request, 0, rest, { version, source, destination, ...more });
}

function firstFlow(script: Script): UdpFlow {
  return script.of('echo-incoming')[0]!.flow;
}

function receive(flow: UdpFlow): Uint8Array {
  const room = new Uint8Array(70_000);
  return room.slice(0, Math.max(0, flow.receive(room)));
}

function checksumError(family: Family, packet: Uint8Array): number {
  return family.version === 6 ? transportError(packet, 40) : naiveChecksum(packet.subarray(20));
}

describe.each(families)('echo requests to others over IPv$version', (family) => {
  test('make one flow a series, and a reply comes from the destination with what was asked', () => {
    const script = gateway();
    script.deliver(request(family, 7, 1), request(family, 7, 2, [9]));
    const flow = firstFlow(script);

    expect(script.of('echo-incoming')).toHaveLength(1);
    expect([...flow.local.address]).toEqual([...family.destination]);
    expect([...flow.remote.address]).toEqual([...family.source]);
    expect([...receive(flow).subarray(4)]).toEqual([0, 7, 0, 1, 1, 2, 3]);
    const second = receive(flow);
    expect([...second.subarray(4)]).toEqual([0, 7, 0, 2, 9]);
    // As a socket of the system gives it back: another type, identifier and checksum.
    flow.send(Uint8Array.of(family.reply, 0, 0xab, 0xcd, 0x12, 0x34, ...second.subarray(6)));
    const [answer] = script.poll();

    expect([...answer!.subarray(family.at, family.at + 2)]).toEqual([family.reply, 0]);
    expect([...answer!.subarray(family.at + 4)]).toEqual([0, 7, 0, 2, 9]);
    const addresses = family.version === 4 ? answer!.subarray(12, 20) : answer!.subarray(8, 40);
    expect([...addresses]).toEqual([...family.destination, ...family.source]);
    expect(checksumError(family, answer!)).toBe(0);
  });

  test('that are refused are answered by us, about that very request', () => {
    const script = gateway();
    script.deliver(request(family, 7, 5));
    script.stack.refuse(firstFlow(script), 'reset');

    const [error] = script.poll();

    expect([...error!.subarray(family.at, family.at + 2)]).toEqual(family.version === 4 ? [3, 13] : [1, 1]);
    const from = family.version === 4 ? error!.subarray(12, 16) : error!.subarray(8, 24);
    expect([...from]).toEqual([...family.ours]);
    const quoted = error!.subarray(family.at + 8 + family.at);
    expect([...quoted.subarray(4)]).toEqual([0, 7, 0, 5]);
    expect(checksumError(family, error!)).toBe(0);
    expect(script.stack.usage).toMatchObject({ echoFlows: 0, memoryBytes: 0 });
  });

  test('whose destination turns out not to be there are answered about the last one', () => {
    const script = gateway();
    script.deliver(request(family, 7, 1), request(family, 7, 2));
    const flow = firstFlow(script);
    receive(flow);
    receive(flow);

    script.stack.refuse(flow, 'unreachable');
    const [error] = script.poll();

    expect([...error!.subarray(family.at, family.at + 2)]).toEqual(family.version === 4 ? [3, 1] : [1, 3]);
    expect([...error!.subarray(-4)]).toEqual([0, 7, 0, 2]);
  });

  test('with no hop left end here, and we say so', () => {
    const script = gateway();

    const [error] = script.deliver(request(family, 7, 1, [1], { ttl: 1 }));

    expect([...error!.subarray(family.at, family.at + 2)]).toEqual(family.version === 4 ? [11, 0] : [3, 0]);
    expect(checksumError(family, error!)).toBe(0);
    expect(script.stack.usage.echoFlows).toBe(0);
  });

  test('larger than a packet come and go in fragments', () => {
    const script = gateway();
    const payload = patternBytes(4000);
    script.deliver(...fragmentsOf(family, request(family, 7, 1, payload)));
    const message = receive(firstFlow(script));
    expect(message).toHaveLength(4008);
    firstFlow(script).send(message);
    const sent = script.poll();

    expect(sent.length).toBe(3);
    expect(Math.max(...sent.map((packet) => packet.length))).toBeLessThanOrEqual(1420);
    const pieces = sent.map((packet) => [...packet.subarray(family.version === 4 ? 20 : 48)]);
    expect(pieces.flat().slice(8)).toEqual([...payload]);
    if (family.version === 6)
      expect(sent.map((packet) => [packet[6], packet[40]])).toEqual(Array(3).fill([44, 58]));
  });

  test('of our own carry a number of ours, and only replies to it come back', () => {
    const script = gateway();
    const flow = script.stack.openEcho({ destination: Uint8Array.from(family.destination), port: 0 })!;
    flow.send(Uint8Array.of(0, 0, 0, 0, 0, 0, 0, 3, 5, 5));
    const [asked] = script.poll();
    const message = asked!.slice(family.at);
    expect(message[0]).toBe(family.request);
    expect(checksumError(family, asked!)).toBe(0);
    const { version, destination, ours } = family;
    const answer = (change: number): Uint8Array => {
      const rest = [message[4]!, message[5]! ^ change, ...message.subarray(6)];
      return icmpPacket(family.reply, 0, rest, { version, source: destination, destination: ours });
    };

    script.deliver(answer(1), answer(0));

    expect(script.of('udp-readable')).toHaveLength(1);
    expect([...receive(flow).subarray(6)]).toEqual([0, 3, 5, 5]);
    expect(receive(flow)).toHaveLength(0);
    expect(script.stack.counts.stray).toBe(1);
  });

  test('of our own end where a router says that nobody is there', () => {
    const script = gateway();
    const { version, source, destination, ours } = family;
    const flow = script.stack.openEcho({ destination: Uint8Array.from(destination), port: 0 })!;
    flow.send(Uint8Array.of(0, 0, 0, 0, 0, 0, 0, 1));
    const [asked] = script.poll();

    const [type, code] = version === 4 ? [3, 1] : [1, 0];
    script.deliver(icmpPacket(type, code, [0, 0, 0, 0, ...asked!], { version, source, destination: ours }));

    expect(script.of('udp-closed')).toMatchObject([{ end: 'unreachable' }]);
    expect(flow.isOpen).toBe(false);
  });
});

describe('series of echo requests', () => {
  const [v4] = families;

  test('are bounded for each source and in all', () => {
    const script = gateway({ limits: { echoFlows: 5, echoFlowsPerSource: 3 } });
    for (let id = 1; id <= 6; id++) script.deliver(request(v4, id, 1));
    expect(script.stack.usage.echoFlows).toBe(3);
    for (let i = 0; i < 6; i++) script.deliver(request(v4, 1, 1, [], { source: [10, 0, 0, 10 + i] }));

    expect(script.stack.usage).toMatchObject({ echoFlows: 5, udpFlows: 0 });
    expect(script.stack.counts.overLimit).toBe(3 + 4);
  });

  test('end after a minute of silence, and a request keeps them', () => {
    const script = gateway();
    script.deliver(request(v4, 7, 1));
    script.pass(59_000);
    script.deliver(request(v4, 7, 2));
    script.pass(59_000);
    expect(script.stack.usage.echoFlows).toBe(1);

    script.pass(2000);

    expect(script.of('udp-closed')).toMatchObject([{ end: 'idle' }]);
    expect(script.stack.usage.echoFlows).toBe(0);
    expect(firstFlow(script).send(new Uint8Array(8))).toBe(false);
  });

  test('that nobody reads hold a bounded number of bytes', () => {
    const script = gateway({ limits: { udpQueueBytes: 10_000 } });
    for (let i = 0; i < 100; i++) script.deliver(request(v4, 7, i, patternBytes(992)));

    expect(script.stack.counts.noRoom).toBe(90);
  });

  test('take no message without a header, and are not made by a spoiled one', () => {
    const script = gateway();
    const spoiled = request(v4, 7, 1);
    spoiled[30]! ^= 1;
    script.deliver(spoiled);
    expect(script.stack.counts.malformed).toBe(1);
    script.deliver(request(v4, 7, 1));

    expect(firstFlow(script).send(new Uint8Array(7))).toBe(false);
  });

  test('are nobody’s where we are no gateway', () => {
    const script = new Script();
    expect(script.deliver(request(v4, 7, 1))).toEqual([]);
    expect(script.stack.counts.stray).toBe(1);
  });
});

/** The packet in pieces of 1000 bytes of content. */
function fragmentsOf(family: Family, packet: Uint8Array): Uint8Array[] {
  const content = packet.subarray(family.at);
  const { version, source, destination } = family;
  const pieces: Uint8Array[] = [];
  for (let start = 0; start < content.length; start += 1000) {
    const piece = content.subarray(start, start + 1000);
    const more = start + 1000 < content.length;
    pieces.push(
      version === 4
        ? fragment4(packet, piece, start, more)
        : fragment6([...source, ...destination], piece, start, more),
    );
  }
  return pieces;
}

function fragment4(packet: Uint8Array, piece: Uint8Array, start: number, more: boolean): Uint8Array {
  const made = Uint8Array.of(...packet.subarray(0, 20), ...piece);
  const view = new DataView(made.buffer);
  view.setUint16(2, made.length);
  view.setUint16(4, 99);
  view.setUint16(6, (start >> 3) | (more ? 0x2000 : 0));
  view.setUint16(10, 0);
  view.setUint16(10, naiveChecksum(made.subarray(0, 20)));
  return made;
}

function fragment6(
  addresses: readonly number[],
  piece: Uint8Array,
  start: number,
  more: boolean,
): Uint8Array {
  const made = Uint8Array.of(0x60, 0, 0, 0, 0, 0, 44, 64, ...addresses, 58, 0, 0, 0, 0, 0, 0, 99, ...piece);
  const view = new DataView(made.buffer);
  view.setUint16(4, made.length - 40);
  view.setUint16(42, start | (more ? 1 : 0));
  return made;
}
