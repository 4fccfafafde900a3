import { describe, expect, test } from 'vitest';
import { readAll, Script, synOptions } from './script.ts';

const three = Uint8Array.of(1, 2, 3);

describe('closing', () => {
  test('by us: FIN-WAIT-1, FIN-WAIT-2, TIME-WAIT, gone after a minute', () => {
    const script = new Script();
    const connection = script.open();

    connection.close();
    expect(script.flush()).toMatchObject([{ flags: 'FA', seq: 1 }]);
    expect(connection.state).toBe('fin-wait-1');
    script.send({ ack: 2 });
    expect(connection.state).toBe('fin-wait-2');
    expect(script.send({ flags: 'FA', ack: 2 })).toMatchObject([{ flags: 'A', seq: 2, ack: 2 }]);

    expect(connection.state).toBe('time-wait');
    expect(script.closed).toBe('finished');
    expect(script.stack.usage).toMatchObject({ connections: 0, timeWait: 1 });
    script.pass(60_001);
    expect(script.stack.usage.timeWait).toBe(0);
    expect(script.of('tcp-closed')).toHaveLength(1);
  });

  test('by them: CLOSE-WAIT, LAST-ACK, gone', () => {
    const script = new Script();
    const connection = script.open();

    expect(script.send({ flags: 'FA' })).toMatchObject([{ flags: 'A', ack: 2 }]);
    expect(connection.state).toBe('close-wait');
    expect(connection.hasEnded).toBe(true);
    connection.close();
    expect(script.flush()).toMatchObject([{ flags: 'FA', seq: 1 }]);
    expect(connection.state).toBe('last-ack');
    script.send({ seq: 2, ack: 2 });

    expect(script.closed).toBe('finished');
    expect(script.stack.usage).toMatchObject({ connections: 0, timeWait: 0 });
  });

  test('both at once: CLOSING, TIME-WAIT', () => {
    const script = new Script();
    const connection = script.open();
    connection.close();
    script.flush();

    expect(script.send({ flags: 'FA', ack: 1 })).toMatchObject([{ flags: 'A', ack: 2 }]);
    expect(connection.state).toBe('closing');
    script.send({ seq: 2, ack: 2 });

    expect(connection.state).toBe('time-wait');
  });

  test('their FIN acknowledges ours: straight to TIME-WAIT', () => {
    const script = new Script();
    const connection = script.open();
    connection.close();
    script.flush();

    script.send({ flags: 'FA', ack: 2 });

    expect(connection.state).toBe('time-wait');
  });

  test('after their end we may still send, and content goes before our FIN', () => {
    const script = new Script();
    const connection = script.open();
    script.send({ flags: 'FA', payload: three });

    expect(readAll(connection)).toEqual([1, 2, 3]);
    expect(connection.hasEnded).toBe(true);
    expect(connection.write(three)).toBe(3);
    connection.close();

    expect(script.flush()).toMatchObject([{ flags: 'FPA', seq: 1, length: 3, ack: 5 }]);
    expect(connection.write(three)).toBe(0);
  });

  test('after our end content still arrives', () => {
    const script = new Script();
    const connection = script.open();
    connection.close();
    script.flush();
    script.send({ ack: 2 });

    script.send({ ack: 2, payload: three }, { seq: 4, ack: 2, flags: 'FA' });

    expect(readAll(connection)).toEqual([1, 2, 3]);
    expect(connection.state).toBe('time-wait');
  });

  test('a FIN ahead of a gap waits for the gap', () => {
    const script = new Script();
    const connection = script.open();

    script.send({ flags: 'FA', seq: 4, payload: three });
    expect(connection.state).toBe('established');
    script.send({ payload: three });

    expect(connection.state).toBe('close-wait');
    expect(readAll(connection)).toEqual([1, 2, 3, 1, 2, 3]);
  });

  test('our FIN is repeated until it is acknowledged', () => {
    const script = new Script();
    const connection = script.open();
    connection.close();
    script.flush();

    const sent = script.pass(1500);

    expect(sent.map((one) => one.flags)).toEqual(Array(sent.length).fill('FA'));
    expect(sent.length).toBeGreaterThanOrEqual(2);
  });

  test('TIME-WAIT acknowledges their FIN again and begins anew', () => {
    const script = new Script();
    const connection = script.open();
    connection.close();
    script.flush();
    script.send({ flags: 'FA', ack: 2 });
    script.pass(50_000);

    expect(script.send({ flags: 'FA', ack: 2 })).toMatchObject([{ flags: 'A', ack: 2 }]);
    script.pass(50_000);

    expect(script.stack.usage.timeWait).toBe(1);
    expect(connection.state).toBe('time-wait');
  });

  test('TIME-WAIT ignores resets', () => {
    const script = new Script();
    script.open().close();
    script.flush();
    script.send({ flags: 'FA', ack: 2 });

    script.send({ flags: 'R', seq: 2 });

    expect(script.stack.usage.timeWait).toBe(1);
  });

  test.each([
    ['newer by its number', undefined, [0, 0], 5000, true],
    ['older by its number', undefined, [0, 0], -5000, false],
    ['newer by its time stamp', [100, 0], [200, 0], -5000, true],
    ['older by its time stamp', [100, 0], [50, 0], 5000, false],
  ] as const)('a SYN %s in TIME-WAIT', (_, ts, newTs, seq, reopens) => {
    const script = new Script();
    const connection = script.open(synOptions, ts);
    const initial = script.stackInitial;
    connection.close();
    script.flush();
    script.send({ flags: 'FA', ack: 2, ...(ts ? { ts } : {}) });

    script.send({ flags: 'S', seq, ...(ts ? { ts: newTs } : {}) });

    expect(script.of('tcp-incoming')).toHaveLength(reopens ? 2 : 1);
    expect(script.stack.usage).toMatchObject({ timeWait: reopens ? 0 : 1, connections: reopens ? 1 : 0 });
    if (!reopens) return;
    script.stack.accept(script.of('tcp-incoming')[1]!.connection);
    script.flush();
    expect((script.stackInitial - initial) | 0).toBeGreaterThan(65_000);
  });

  test('the oldest TIME-WAIT makes room', () => {
    const script = new Script({ limits: { timeWait: 2 } });
    for (let i = 0; i < 4; i++) {
      script.peerPort = 4000 + i;
      script.open().close();
      script.flush();
      script.send({ flags: 'FA', ack: 2 });
    }

    expect(script.stack.usage.timeWait).toBe(2);
  });

  test('abort sends a reset and frees everything', () => {
    const script = new Script();
    const connection = script.open();
    script.send({ payload: three });
    connection.write(three);

    connection.abort();

    expect(script.flush()).toMatchObject([{ flags: 'RA', seq: 1, ack: 4 }]);
    expect(script.closed).toBe('aborted');
    expect(script.stack.usage).toMatchObject({ connections: 0, memoryBytes: 0 });
    expect(connection.readableBytes).toBe(0);
  });

  test('abort before an answer sends nothing', () => {
    const script = new Script();
    const connection = script.stack.connectTcp({ destination: Uint8Array.of(10, 0, 0, 1), port: 1 })!;
    script.flush();
    connection.abort();

    expect(script.flush()).toEqual([]);
    expect(script.stack.usage.connections).toBe(0);
  });

  test('what had arrived before a reset can still be read', () => {
    const script = new Script();
    const connection = script.open();
    script.send({ payload: three }, { flags: 'R', seq: 4 });

    expect(script.closed).toBe('reset');
    expect(readAll(connection)).toEqual([1, 2, 3]);
    expect(script.stack.usage.memoryBytes).toBe(0);
  });
});

describe('blind attacks (RFC 5961)', () => {
  test('a reset inside of the window is challenged', () => {
    const script = new Script();
    const connection = script.open();

    expect(script.send({ flags: 'R', seq: 100 })).toMatchObject([{ flags: 'A', seq: 1, ack: 1 }]);
    expect(connection.state).toBe('established');
    expect(script.send({ flags: 'R', seq: 1_000_000 })).toEqual([]);
    script.send({ flags: 'R', seq: 1 });

    expect(script.closed).toBe('reset');
  });

  test.each([1, 100, -50])('a SYN at %i is challenged', (seq) => {
    const script = new Script();
    const connection = script.open();

    expect(script.send({ flags: 'S', seq })).toMatchObject([{ flags: 'A', seq: 1, ack: 1 }]);
    expect(connection.state).toBe('established');
  });

  test('an acknowledgement of what was never sent is challenged and its content dropped', () => {
    const script = new Script();
    const connection = script.open();

    expect(script.send({ ack: 500, payload: three })).toMatchObject([{ flags: 'A', ack: 1 }]);
    expect(connection.readableBytes).toBe(0);
  });

  test('an acknowledgement older than any window is challenged', () => {
    const script = new Script();
    const connection = script.open();

    expect(script.send({ ack: -20_000_000, payload: three })).toMatchObject([{ flags: 'A', ack: 1 }]);
    expect(connection.readableBytes).toBe(0);
  });

  test('challenges are limited to ten in five seconds', () => {
    const script = new Script();
    script.open();
    let answered = 0;
    for (let i = 0; i < 50; i++) answered += script.send({ flags: 'R', seq: 100 + i }).length;
    script.pass(5000);

    expect(answered).toBe(10);
    expect(script.send({ flags: 'R', seq: 100 })).toHaveLength(1);
  });
});
