import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { monoMs } from '../../../../../shared/core/base/time.ts';
import { emptyBatch, packetsOf } from '../../../../support/batches.ts';
import { patternBytes, tcpPacket } from '../../../../support/packets.ts';
import { elsewhere, own, Script, synOptions, theirs } from './script.ts';

function syn(source: readonly number[], sourcePort: number, seq = 5): Uint8Array {
  return tcpPacket({
    source,
    destination: elsewhere,
    sourcePort,
    destinationPort: 443,
    sequence: seq,
    flags: 2,
  });
}

describe('limits', () => {
  test('a SYN flood of one source takes its share and no more', () => {
    const script = new Script({ acceptAny: true, limits: { halfOpen: 100, halfOpenPerSource: 10 } });
    for (let i = 0; i < 500; i++) script.deliver(syn(theirs, 1000 + i));
    expect(script.stack.usage.halfOpen).toBe(10);

    script.deliver(syn([10, 0, 0, 77], 1000));

    expect(script.stack.usage.halfOpen).toBe(11);
    expect(script.stack.counts.overLimit).toBe(490);
  });

  test('a SYN flood of all takes the half-open ones, and those that are open stay and work', () => {
    const script = new Script({ acceptAny: true, limits: { halfOpen: 50, halfOpenPerSource: 50 } });
    const connection = script.open();
    for (let i = 0; i < 2000; i++) script.deliver(syn([10, 1, i >> 8, i & 255], 1000));

    expect(script.stack.usage).toMatchObject({ halfOpen: 50, connections: 51 });
    script.send({ payload: Uint8Array.of(1) });
    expect(connection.readableBytes).toBe(1);
    script.pass(31_000);
    expect(script.stack.usage).toMatchObject({ halfOpen: 0, connections: 1 });
  });

  test('connections in all and per source', () => {
    const script = new Script({ limits: { connections: 5, connectionsPerSource: 3 } });
    for (let i = 0; i < 3; i++) {
      script.peerPort = 4000 + i;
      script.open();
    }
    script.peerPort = 4010;
    script.send({ flags: 'S', seq: 0 });
    expect(script.stack.usage.connections).toBe(3);
    const to = { destination: Uint8Array.from(theirs), port: 1 };

    expect(script.stack.connectTcp(to)).toBeDefined();
    expect(script.stack.connectTcp(to)).toBeDefined();
    expect(script.stack.connectTcp(to)).toBeUndefined();
  });

  test('hosts of one IPv6 /64 are one source', () => {
    const script = new Script({ acceptAny: true, limits: { halfOpenPerSource: 4 } });
    for (let i = 0; i < 20; i++) {
      const source = [0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, i];
      const destination = [0x20, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];
      script.deliver(tcpPacket({ version: 6, source, destination, flags: 2 }));
    }

    expect(script.stack.usage.halfOpen).toBe(4);
  });

  test('memory is bounded for all together: writes are cut short and told when to go on', () => {
    const script = new Script({ limits: { memoryBytes: 10 * 16_384 } });
    const first = script.open();
    script.peerPort = 4001;
    const second = script.open();
    script.send({ window: 0 });

    expect(first.write(new Uint8Array(1 << 20))).toBe(10 * 16_384);
    expect(second.write(new Uint8Array(1000))).toBe(0);
    script.peerPort = 4000;
    first.abort();
    script.flush();
    script.flush();

    expect(script.of('tcp-writable').map((event) => event.connection)).toContain(second);
    expect(second.write(new Uint8Array(1000))).toBe(1000);
  });

  test('a consumer that reads nothing cannot take the memory of the others', () => {
    const script = new Script({ limits: { memoryBytes: 40 * 16_384 } });
    const lazy: number[] = [];
    for (let i = 0; i < 20; i++) {
      script.peerPort = 5000 + i;
      const connection = script.open();
      let seq = 1;
      for (let turn = 0; turn < 100; turn++) {
        const payload = patternBytes(1300);
        script.send({ seq, payload });
        const taken = connection.counts.bytesReceived + 1 - seq;
        if (taken === 0) break;
        seq += taken;
      }
      lazy.push(connection.readableBytes);
    }

    expect(script.stack.usage.memoryBytes).toBeLessThanOrEqual(40 * 16_384);
    expect(Math.min(...lazy.slice(0, 4))).toBeGreaterThan(60_000);
    expect(lazy.at(-1)!).toBeLessThan(70_000);
  });

  test('a full outgoing batch loses nothing: what is left goes out with the next poll', () => {
    const script = new Script();
    const connection = script.open(synOptions);
    connection.write(patternBytes(5000));
    const narrow = emptyBatch({ capacity: 1 });
    const sent: number[] = [];
    for (let i = 0; i < 4; i++) {
      expect(script.stack.nextTimeoutAt()).toBe(0);
      narrow.clear();
      script.stack.poll(monoMs(script.now), narrow);
      expect(narrow.count).toBe(1);
      sent.push(...packetsOf(narrow)[0]!.subarray(40));
    }
    narrow.clear();
    script.stack.poll(monoMs(script.now), narrow);

    expect(narrow.count).toBe(0);
    expect(script.stack.nextTimeoutAt()).toBeGreaterThan(script.now);
    expect(sent).toEqual([...patternBytes(5000)]);
  });
});

describe('whatever comes', () => {
  const anyPacket = fc.oneof(
    fc.uint8Array({ maxLength: 120 }),
    fc
      .record({
        flags: fc.integer({ min: 0, max: 255 }),
        seq: fc.oneof(fc.integer({ min: -5, max: 5 }), fc.integer()),
        ack: fc.oneof(fc.integer({ min: -5, max: 5 }), fc.integer()),
        window: fc.nat(65_535),
        options: fc
          .array(fc.nat(255), { maxLength: 10 })
          .map((bytes) => [...bytes, ...Array((4 - (bytes.length % 4)) % 4).fill(0)]),
        payload: fc.uint8Array({ maxLength: 40 }),
        port: fc.constantFrom(80, 81),
        from: fc.constantFrom(4000, 4001),
      })
      .map(
        (one) => (script: Script) =>
          tcpPacket({
            source: theirs,
            destination: own,
            sourcePort: one.from,
            destinationPort: one.port,
            sequence: (script.peerInitial + one.seq) | 0,
            acknowledgement: (script.stackInitial + one.ack) | 0,
            flags: one.flags,
            window: one.window,
            options: one.options,
            payload: one.payload,
          }),
      ),
  );
  const steps = fc.array(
    fc.oneof(
      anyPacket.map((packet) => ({ kind: 'packet' as const, packet })),
      fc.record({ kind: fc.constant('pass' as const), ms: fc.integer({ min: 0, max: 5000 }) }),
      fc.record({ kind: fc.constantFrom('accept', 'write', 'read', 'close', 'abort', 'refuse') }),
    ),
    { maxLength: 60 },
  );

  test('nothing throws, nothing is left', () => {
    fc.assert(
      fc.property(steps, (list) => {
        const script = new Script({ limits: { connectMs: 5000, decideMs: 5000 } });
        const known = new Set<ReturnType<Script['open']>>([script.open()]);
        for (const step of list) {
          if ('packet' in step) {
            const { packet } = step;
            script.deliver(typeof packet === 'function' ? packet(script) : packet);
          } else if ('ms' in step) {
            script.pass(step.ms);
          }
          for (const event of script.of('tcp-incoming')) known.add(event.connection);
          for (const connection of known) {
            if (step.kind === 'accept') script.stack.accept(connection);
            if (step.kind === 'refuse') script.stack.refuse(connection, 'reset');
            if (step.kind === 'write') connection.write(new Uint8Array(100));
            if (step.kind === 'read') connection.read(new Uint8Array(10));
            if (step.kind === 'close') connection.close();
            if (step.kind === 'abort') connection.abort();
          }
          script.poll();
        }
        for (const connection of known) connection.abort();
        script.poll();
        script.pass(70_000);
        expect(script.stack.usage).toEqual({
          connections: 0,
          halfOpen: 0,
          timeWait: 0,
          udpFlows: 0,
          echoFlows: 0,
          reassemblies: 0,
          memoryBytes: 0,
        });
        expect(script.stack.nextTimeoutAt()).toBe(Number.POSITIVE_INFINITY);
      }),
      { seed: 21, numRuns: 300 },
    );
  });

  test('arbitrary bytes behind every kind of header never throw', () => {
    fc.assert(
      fc.property(
        fc.constantFrom(1, 6, 17, 44, 58),
        fc.constantFrom(4, 6),
        fc.uint8Array({ maxLength: 200 }),
        (protocol, version, bytes) => {
          const script = new Script({ acceptAny: true });
          const header = version === 4 ? 20 : 40;
          const packet = new Uint8Array(header + bytes.length);
          packet[0] = version === 4 ? 0x45 : 0x60;
          const view = new DataView(packet.buffer);
          if (version === 4) {
            view.setUint16(2, packet.length);
            packet.set([64, protocol, 0, 0, ...theirs, ...elsewhere], 8);
            let sum = 0;
            for (let i = 0; i < 20; i += 2) sum += view.getUint16(i);
            sum = (sum & 0xffff) + (sum >>> 16);
            view.setUint16(10, ~((sum & 0xffff) + (sum >>> 16)));
          } else {
            view.setUint16(4, bytes.length);
            packet.set([protocol, 64], 6);
            packet.fill(0x20, 8, 40);
          }
          packet.set(bytes, header);
          script.deliver(packet);
          script.pass(1000);
        },
      ),
      { seed: 22, numRuns: 1000 },
    );
  });
});
