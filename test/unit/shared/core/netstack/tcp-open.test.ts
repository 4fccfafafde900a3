import { describe, expect, test } from 'vitest';
import { elsewhere, own, Script, synOptions, theirs } from './script.ts';

describe('opening by others', () => {
  test('a SYN is announced and answered only when the consumer accepts', () => {
    const script = new Script();

    expect(script.send({ flags: 'S', seq: 0, options: synOptions })).toEqual([]);
    const { connection } = script.of('tcp-incoming')[0]!;
    script.stack.accept(connection);
    const [answer] = script.flush();

    expect(answer).toMatchObject({ flags: 'SA', seq: 0, ack: 1, mss: 1380, scale: 7, sackPermitted: true });
    expect(script.send({})).toEqual([]);
    expect(script.of('tcp-opened')).toHaveLength(1);
  });

  test('a repeated SYN changes nothing while the consumer decides', () => {
    const script = new Script();
    script.send({ flags: 'S', seq: 0 });

    expect(script.send({ flags: 'S', seq: 0 })).toEqual([]);

    expect(script.of('tcp-incoming')).toHaveLength(1);
    expect(script.stack.usage.halfOpen).toBe(1);
  });

  test('options that the SYN does not offer are not used', () => {
    const script = new Script();
    script.send({ flags: 'S', seq: 0 });
    script.stack.accept(script.of('tcp-incoming')[0]!.connection);

    const [answer] = script.flush();

    expect(answer).toMatchObject({ sackPermitted: false });
    expect(answer!.scale).toBeUndefined();
    expect(answer!.timestamps).toBeUndefined();
  });

  test('time stamps that the SYN offers are echoed', () => {
    const script = new Script();
    script.send({ flags: 'S', seq: 0, ts: [4711, 0] });
    script.stack.accept(script.of('tcp-incoming')[0]!.connection);

    expect(script.flush()[0]!.timestamps![1]).toBe(4711);
  });

  test.each([
    ['reset', 'RA', 1],
    ['drop', '', 0],
  ] as const)('refused by %s', (refusal, flags, count) => {
    const script = new Script();
    script.send({ flags: 'S', seq: 0 });
    script.stack.refuse(script.of('tcp-incoming')[0]!.connection, refusal);

    const sent = script.flush();

    expect(sent).toHaveLength(count);
    if (count > 0) expect(sent[0]).toMatchObject({ flags, ack: 1 });
    expect(script.stack.usage.connections).toBe(0);
  });

  test('refused as unreachable: ICMP quotes the SYN', () => {
    const script = new Script();
    script.send({ flags: 'S', seq: 0 });
    script.stack.refuse(script.of('tcp-incoming')[0]!.connection, 'unreachable');

    const [error] = script.poll();

    expect([...error!.subarray(20, 22)]).toEqual([3, 1]);
    expect([...error!.subarray(28 + 12, 28 + 20)]).toEqual([...theirs, ...own]);
    expect(new DataView(error!.buffer, error!.byteOffset).getInt32(28 + 24)).toBe(script.peerInitial);
  });

  test('a SYN that nobody decides about is forgotten', () => {
    const script = new Script();
    script.send({ flags: 'S', seq: 0 });

    expect(script.pass(31_000)).toEqual([]);

    expect(script.closed).toBe('timeout');
    expect(script.stack.usage.connections).toBe(0);
  });

  test('a reset takes the SYN back', () => {
    const script = new Script();
    script.send({ flags: 'S', seq: 0 });
    script.send({ flags: 'R', seq: 1 });

    expect(script.closed).toBe('reset');
    expect(script.stack.accept(script.of('tcp-incoming')[0]!.connection)).toBe(false);
  });

  test('the SYN-ACK is repeated with growing distance and given up', () => {
    const script = new Script();
    script.send({ flags: 'S', seq: 0 });
    script.stack.accept(script.of('tcp-incoming')[0]!.connection);
    script.flush();

    const sent = script.pass(60_000);

    expect(sent.map((one) => one.flags)).toEqual(['SA', 'SA', 'SA', 'SA']);
    expect(sent.map((one) => Math.round(one.at))).toEqual([1000, 3000, 7000, 15_000]);
    expect(script.closed).toBe('timeout');
  });

  test('a SYN-ACK that was lost is repeated when the SYN comes again', () => {
    const script = new Script();
    script.send({ flags: 'S', seq: 0 });
    script.stack.accept(script.of('tcp-incoming')[0]!.connection);
    script.flush();

    expect(script.send({ flags: 'S', seq: 0 })[0]).toMatchObject({ flags: 'SA', ack: 1 });
  });

  test('an acknowledgement of something else is answered with a reset', () => {
    const script = new Script();
    script.send({ flags: 'S', seq: 0 });
    script.stack.accept(script.of('tcp-incoming')[0]!.connection);
    script.flush();

    expect(script.send({ ack: 77 })[0]).toMatchObject({ flags: 'R', seq: 77 });
  });

  test('content that comes with the last acknowledgement is taken', () => {
    const script = new Script();
    script.send({ flags: 'S', seq: 0 });
    const { connection } = script.of('tcp-incoming')[0]!;
    script.stack.accept(connection);
    script.flush();

    script.send({ payload: Uint8Array.of(1, 2, 3) });

    expect(connection.readableBytes).toBe(3);
  });

  test.each([
    ['own address, other port', own, 81, false],
    ['elsewhere', elsewhere, 80, false],
    ['elsewhere, any destination accepted', elsewhere, 443, true],
  ])('%s', (_, to, destinationPort, acceptAny) => {
    const script = new Script({ acceptAny });

    const sent = script.send({ flags: 'S', seq: 0, to, destinationPort });

    expect(script.of('tcp-incoming')).toHaveLength(acceptAny ? 1 : 0);
    if (!acceptAny) expect(sent[0]).toMatchObject({ flags: 'RA', ack: 1 });
  });

  test('a stray segment is answered with a reset, a stray reset with nothing', () => {
    const script = new Script();

    expect(script.send({ flags: 'A', seq: 5, ack: 99 })[0]).toMatchObject({ flags: 'R', seq: 99 });
    expect(script.send({ flags: 'FA', seq: 5, ack: 99 })[0]).toMatchObject({ flags: 'R', seq: 99 });
    expect(script.send({ flags: 'R', seq: 5 })).toEqual([]);
    expect(script.send({ flags: 'RA', seq: 5 })).toEqual([]);
  });
});

describe('opening by us', () => {
  test('the SYN offers everything, and the connection is open with the SYN-ACK', () => {
    const script = new Script();
    const connection = script.stack.connectTcp({ destination: Uint8Array.from(theirs), port: 4000 })!;

    const [syn] = script.flush();
    expect(script.send({ flags: 'SA', seq: 0, ack: 1, options: synOptions })).toEqual([]);
    const [ack] = script.pass(2);

    expect(syn).toMatchObject({ flags: 'S', mss: 1380, scale: 7, sackPermitted: true, window: 65_535 });
    expect(syn!.timestamps).toBeDefined();
    expect(ack).toMatchObject({ flags: 'A', seq: 1, ack: 1, at: 2 });
    expect(connection.state).toBe('established');
  });

  test('what is said at once takes the end of the opening along', () => {
    const script = new Script();
    const connection = script.stack.connectTcp({ destination: Uint8Array.from(theirs), port: 4000 })!;
    script.flush();
    script.send({ flags: 'SA', seq: 0, ack: 1, options: synOptions });

    connection.write(Uint8Array.of(1, 2, 3));

    expect(script.flush()).toMatchObject([{ seq: 1, ack: 1, length: 3 }]);
    script.send({ ack: 4 });
    expect(script.pass(100)).toEqual([]);
  });

  test('over IPv6 the MSS leaves room for the longer header', () => {
    const script = new Script();
    script.version = 6;
    const connection = script.stack.connectTcp({
      destination: Uint8Array.from([...Array(15).fill(0).with(0, 0xfd), 1]),
      port: 4000,
    })!;

    expect(script.flush()[0]).toMatchObject({ flags: 'S', mss: 1360 });
    expect(connection.local.address).toHaveLength(16);
  });

  test('content written before the connection is open goes out with the first acknowledgement', () => {
    const script = new Script();
    const connection = script.stack.connectTcp({ destination: Uint8Array.from(theirs), port: 4000 })!;
    connection.write(Uint8Array.of(1, 2, 3));
    connection.close();
    script.flush();

    expect(script.send({ flags: 'SA', seq: 0, ack: 1 })).toMatchObject([{ flags: 'FPA', seq: 1, length: 3 }]);
    expect(connection.state).toBe('fin-wait-1');
  });

  test('a reset refuses, one that acknowledges something else does not', () => {
    const script = new Script();
    const connection = script.stack.connectTcp({ destination: Uint8Array.from(theirs), port: 4000 })!;
    script.flush();

    script.send({ flags: 'RA', seq: 0, ack: 5 });
    expect(connection.state).toBe('syn-sent');
    script.send({ flags: 'R', seq: 0 });
    expect(connection.state).toBe('syn-sent');
    script.send({ flags: 'RA', seq: 0, ack: 1 });

    expect(script.closed).toBe('refused');
  });

  test('an acknowledgement of something else is answered with a reset and changes nothing', () => {
    const script = new Script();
    const connection = script.stack.connectTcp({ destination: Uint8Array.from(theirs), port: 4000 })!;
    script.flush();

    expect(script.send({ flags: 'SA', seq: 0, ack: 9 })[0]).toMatchObject({ flags: 'R', seq: 9 });

    expect(connection.state).toBe('syn-sent');
  });

  test('the SYN is repeated and given up after the time to connect', () => {
    const script = new Script();
    script.stack.connectTcp({ destination: Uint8Array.from(theirs), port: 4000 });
    script.flush();

    const sent = script.pass(60_000);

    expect(sent.map((one) => Math.round(one.at))).toEqual([1000, 3000, 7000, 15_000]);
    expect(script.closed).toBe('timeout');
  });

  test('both open at once', () => {
    const script = new Script();
    const connection = script.stack.connectTcp({ destination: Uint8Array.from(theirs), port: 4000 })!;
    script.flush();

    const [answer] = script.send({ flags: 'S', seq: 0, options: synOptions });
    expect(answer).toMatchObject({ flags: 'SA', seq: 0, ack: 1 });
    expect(connection.state).toBe('syn-received');
    script.send({ flags: 'SA', seq: 0, ack: 1, options: synOptions });

    expect(connection.state).toBe('established');
    expect(script.of('tcp-opened')).toHaveLength(1);
  });

  test('the source can be anybody', () => {
    const script = new Script();
    script.stack.connectTcp({
      destination: Uint8Array.from(theirs),
      port: 4000,
      source: Uint8Array.from(elsewhere),
      sourcePort: 443,
    });

    const [syn] = script.flush();

    expect([...syn!.raw.subarray(12, 16)]).toEqual(elsewhere);
    expect(script.stackPort).toBe(443);
  });

  test('the same four numbers are not used twice', () => {
    const script = new Script();
    const to = { destination: Uint8Array.from(theirs), port: 4000, sourcePort: 5000 };

    expect(script.stack.connectTcp(to)).toBeDefined();
    expect(script.stack.connectTcp(to)).toBeUndefined();
  });

  test('initial numbers differ between flows and grow with time', () => {
    const initials = [4000, 4001].map((peerPort) => {
      const script = new Script();
      script.peerPort = peerPort;
      script.stack.connectTcp({ destination: Uint8Array.from(theirs), port: peerPort, sourcePort: 5000 });
      script.flush();
      return script.stackInitial;
    });
    const laterScript = new Script();
    laterScript.now += 100;
    laterScript.poll();
    laterScript.stack.connectTcp({ destination: Uint8Array.from(theirs), port: 4000, sourcePort: 5000 });
    laterScript.flush();

    expect(initials[0]).not.toBe(initials[1]);
    expect(Math.abs(initials[0]! - initials[1]!)).toBeGreaterThan(1000);
    expect((laterScript.stackInitial - initials[0]!) | 0).toBeGreaterThanOrEqual(100 * 250);
  });
});
