import { describe, expect, test } from 'vitest';
import { patternBytes } from '../../../../support/packets.ts';
import { readAll, Script, synOptions } from './script.ts';

const three = Uint8Array.of(1, 2, 3);
/** Acknowledgements at the start are not delayed. */
function settled(
  options?: readonly number[],
  ts?: readonly [number, number],
): ReturnType<Script['open']> & { script: Script } {
  const script = new Script();
  const connection = script.open(options, ts) as ReturnType<Script['open']> & { script: Script };
  for (let i = 0; i < 16; i++) script.send({ seq: 1 + i, payload: Uint8Array.of(i), ...(ts ? { ts } : {}) });
  readAll(connection);
  connection.script = script;
  return connection;
}

describe('receiving', () => {
  test('one segment is acknowledged late, a second at once, a batch once', () => {
    const { script } = settled();

    expect(script.send({ seq: 17, payload: three })).toEqual([]);
    expect(script.pass(100)).toMatchObject([{ at: 40, ack: 20 }]);
    expect(script.send({ seq: 20, payload: three })).toEqual([]);
    expect(script.send({ seq: 23, payload: three })).toMatchObject([{ ack: 26 }]);
    expect(
      script.send({ seq: 26, payload: three }, { seq: 29, payload: three }, { seq: 32, payload: three }),
    ).toMatchObject([{ flags: 'A', ack: 35 }]);
  });

  test('a short segment of a young connection is acknowledged soon, or with what is said', () => {
    const script = new Script();
    const connection = script.open();

    expect(script.send({ seq: 1, payload: three })).toEqual([]);
    expect(script.pass(100)).toMatchObject([{ at: 2, ack: 4, length: 0 }]);
    expect(script.send({ seq: 4, payload: three })).toEqual([]);
    connection.write(three);
    expect(script.flush()).toMatchObject([{ ack: 7, length: 3 }]);
    expect(
      script.send({ seq: 7, ack: 4, payload: new Uint8Array(connection.counts.maxSegment) }),
    ).toHaveLength(1);
  });

  test('content before a reset is not the end of what was to come', () => {
    const script = new Script();
    const connection = script.open();

    script.send({ seq: 1, payload: three }, { flags: 'RA', seq: 4 });

    expect(script.closed).toBe('reset');
    readAll(connection);
    expect(connection.readableBytes).toBe(0);
    expect(connection.hasEnded).toBe(false);
  });

  test('segments out of order are put in order and reported, the newest first', () => {
    const connection = settled();
    const { script } = connection;

    expect(script.send({ seq: 27, payload: three })).toMatchObject([{ ack: 17, sack: [[27, 30]] }]);
    expect(script.send({ seq: 21, payload: three })[0]!.sack).toEqual([
      [21, 24],
      [27, 30],
    ]);
    expect(script.send({ seq: 24, payload: three })[0]!.sack).toEqual([[21, 30]]);
    expect(connection.readableBytes).toBe(0);
    expect(script.send({ seq: 17, payload: Uint8Array.of(9, 9, 9, 9) })).toMatchObject([
      { ack: 30, sack: [] },
    ]);

    expect(readAll(connection)).toEqual([9, 9, 9, 9, 1, 2, 3, 1, 2, 3, 1, 2, 3]);
  });

  test('with time stamps three ranges fit, without them four', () => {
    for (const [ts, count] of [
      [undefined, 4],
      [[1, 0], 3],
    ] as const) {
      const { script } = settled(synOptions, ts);
      for (let i = 0; i < 5; i++) script.send({ seq: 30 + 10 * i, payload: three, ...(ts ? { ts } : {}) });

      const [ack] = script.send({ seq: 80, payload: three, ...(ts ? { ts } : {}) });

      expect(ack!.sack).toHaveLength(count);
      expect(ack!.sack[0]).toEqual([80, 83]);
    }
  });

  test('without SACK nothing is reported', () => {
    const { script } = settled([]);

    expect(script.send({ seq: 27, payload: three })).toMatchObject([{ ack: 17, sack: [] }]);
  });

  test('a duplicate is reported (D-SACK)', () => {
    const { script } = settled();

    expect(script.send({ seq: 14, payload: three })).toMatchObject([{ ack: 17, sack: [[14, 17]] }]);
    script.send({ seq: 20, payload: three });
    expect(script.send({ seq: 20, payload: three })[0]!.sack).toEqual([
      [20, 23],
      [20, 23],
    ]);
  });

  test('overlapping content is cut', () => {
    const connection = settled();

    connection.script.send({ seq: 15, payload: Uint8Array.of(7, 7, 8, 9) });

    expect(readAll(connection)).toEqual([8, 9]);
  });

  test('gaps are bounded: one more is dropped and counted', () => {
    const connection = settled();
    const { script } = connection;
    for (let i = 0; i < 70; i++) script.send({ seq: 20 + 10 * i, payload: three });

    expect(script.stack.counts.noRoom).toBe(6);
    // What closes a gap is still taken.
    script.send({ seq: 17, payload: patternBytes(700) });
    expect(connection.readableBytes).toBe(700);
  });

  test('content beyond the window is cut off', () => {
    const script = new Script({ limits: { receiveBytes: 1000 } });
    const connection = script.open();

    const [ack] = script.send({ payload: patternBytes(1200) });

    expect(connection.readableBytes).toBe(1000);
    expect(ack).toMatchObject({ ack: 1001, window: 0 });
  });

  test('a consumer that does not read closes the window, and opens it again by reading', () => {
    const script = new Script({ limits: { receiveBytes: 2000 } });
    const connection = script.open();
    script.send({ payload: patternBytes(1000) });
    expect(script.send({ seq: 1001, payload: patternBytes(1000) })).toMatchObject([{ ack: 2001, window: 0 }]);
    // A probe is answered and not taken.
    expect(script.send({ seq: 2001, payload: three })).toMatchObject([{ ack: 2001, window: 0 }]);

    connection.read(new Uint8Array(100));
    expect(script.flush()).toEqual([]);
    connection.read(new Uint8Array(1500));
    const [update] = script.flush();

    expect(update).toMatchObject({ flags: 'A', ack: 2001, window: 1600 });
  });

  test('the window never moves back', () => {
    const script = new Script();
    const connection = script.open();
    let edge = 0;
    let seq = 1;
    for (let i = 0; i < 200; i++) {
      const payload = patternBytes(100 + ((i * 37) % 1200));
      for (const { ack, window } of script.send({ seq, payload })) {
        expect(ack + window * 128).toBeGreaterThanOrEqual(edge);
        edge = ack + window * 128;
      }
      if (edge > seq + payload.length) seq += payload.length;
      if (i % 7 === 0) connection.read(new Uint8Array(900));
    }
    expect(connection.readableBytes).toBeGreaterThan(50_000);
  });

  test('the window grows for a reader that keeps up, and only for that one', () => {
    for (const reads of [true, false]) {
      const script = new Script();
      const connection = script.open();
      let seq = 1;
      let window = 0;
      for (let round = 0; round < 40; round++) {
        script.now += 10;
        for (let i = 0; i < 60; i++) {
          const payload = patternBytes(1380);
          for (const sent of script.send({ seq, payload })) window = sent.window * 128;
          if (seq - 1 + payload.length > connection.counts.bytesReceived) break;
          seq += payload.length;
          if (reads) connection.read(new Uint8Array(2000));
        }
      }
      if (reads) expect(window).toBeGreaterThan(150_000);
      else expect(window).toBe(0);
      expect(script.stack.usage.memoryBytes).toBeLessThan(reads ? 40_000 : 200_000);
    }
  });
});

describe('time stamps (RFC 7323)', () => {
  test('an older one is dropped and answered, after 24 days it is believed', () => {
    const ts = [1000, 0] as const;
    const connection = settled(synOptions, ts);
    const { script } = connection;

    expect(script.send({ seq: 17, payload: three, ts: [999, 0] })).toMatchObject([{ ack: 17 }]);
    expect(connection.readableBytes).toBe(0);
    script.now += 25 * 24 * 3_600_000;
    script.send({ seq: 17, payload: three, ts: [999, 0] });

    expect(connection.readableBytes).toBe(3);
  });

  test('they compare across the wrap', () => {
    const connection = settled(synOptions, [0x7fff_ffff, 0]);
    connection.script.send({ seq: 17, payload: three, ts: [-0x8000_0000, 0] });

    expect(connection.readableBytes).toBe(3);
  });

  test('a segment without one is dropped, a reset is not', () => {
    const connection = settled(synOptions, [1, 0]);
    const { script } = connection;

    script.send({ seq: 17, payload: three });
    expect(connection.readableBytes).toBe(0);
    script.send({ flags: 'R', seq: 17 });

    expect(script.closed).toBe('reset');
  });

  test('the echo is that of the segment that moved the acknowledgement on', () => {
    const { script } = settled(synOptions, [10, 0]);

    // Ahead of a gap: does not count.
    expect(script.send({ seq: 30, payload: three, ts: [20, 0] })[0]!.timestamps![1]).toBe(10);
    expect(script.send({ seq: 17, payload: three, ts: [15, 0] })[0]!.timestamps![1]).toBe(15);
  });
});
