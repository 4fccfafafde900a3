import { describe, expect, test } from 'vitest';
import { briefAckMs } from '../../../../../shared/core/netstack/limits.ts';
import { icmpPacket, patternBytes } from '../../../../support/packets.ts';
import { own, own6, readAll, Script, sackOption, synOptions, theirs, theirs6 } from './script.ts';

const mss = 1360; // the peer offers 0x0550
const three = Uint8Array.of(1, 2, 3);

/** A connection whose round trip was measured to be `rtt`. */
function opened(
  rtt = 0,
  options: readonly number[] = synOptions,
): ReturnType<Script['connect']> & { script: Script } {
  const script = new Script();
  const connection = script.stack.connectTcp({ destination: Uint8Array.from(theirs), port: 4000 })!;
  script.flush();
  script.now += rtt;
  script.send({ flags: 'SA', seq: 0, ack: 1, options });
  return Object.assign(connection, { script });
}

describe('sending', () => {
  test('content is cut into segments of their size, at most ten at first, and the last is pushed', () => {
    const connection = opened();
    connection.write(patternBytes(20 * mss));

    const sent = connection.script.flush();

    expect(sent).toHaveLength(10);
    expect(sent.map((one) => one.length)).toEqual(Array(10).fill(mss));
    expect(sent[9]!.seq).toBe(1 + 9 * mss);
    expect(sent[9]!.flags).toBe('A');
    connection.script.send({ ack: 1 + 10 * mss });
    expect(connection.writableBytes).toBeGreaterThan(200_000);
  });

  test('the content is what was written', () => {
    const connection = opened();
    const bytes = patternBytes(5000);
    connection.write(bytes, 100, 4100);

    const sent = connection.script.flush();

    expect(sent.flatMap((one) => [...one.payload])).toEqual([...bytes.subarray(100, 4100)]);
    expect(sent.at(-1)!.flags).toBe('PA');
  });

  test('no more than their window', () => {
    const connection = opened();
    connection.script.send({ window: 16 });
    connection.write(patternBytes(10_000));

    const total = connection.script.flush().reduce((sum, one) => sum + one.length, 0);

    expect(total).toBeLessThanOrEqual(16 * 128);
    expect(total).toBeGreaterThan(1000);
  });

  test('without an MSS option segments are small', () => {
    const connection = opened(0, []);
    connection.write(patternBytes(3000));

    expect(connection.script.flush()[0]!.length).toBe(536);
  });

  test('an absurd MSS offer is not followed', () => {
    const connection = opened(0, [2, 4, 0, 1]);
    connection.write(patternBytes(1000));

    expect(connection.script.flush()[0]!.length).toBe(64);
  });

  test('Nagle holds small content back while something is in flight, unless it is off', () => {
    for (const isOn of [false, true]) {
      const connection = opened();
      const { script } = connection;
      connection.setNagle(isOn);
      connection.write(three);
      expect(script.flush()).toHaveLength(1);
      connection.write(three);
      connection.write(three);
      expect(script.flush()).toHaveLength(isOn ? 0 : 1);
      if (isOn) expect(script.send({ ack: 4 })).toMatchObject([{ seq: 4, length: 6 }]);
    }
  });

  test('a write that does not fit says so, and says when there is room', () => {
    const connection = opened();
    const { script } = connection;
    const taken = connection.write(new Uint8Array(1 << 20));
    expect(taken).toBe(256 * 1024);
    expect(connection.write(three)).toBe(0);
    let sent = script.flush();
    for (let i = 0; i < 20 && script.of('tcp-writable').length === 0; i++) {
      const last = sent.at(-1)!;
      sent = script.send({ ack: last.seq + last.length });
    }

    expect(script.of('tcp-writable')).toHaveLength(1);
    expect(connection.write(three)).toBe(3);
  });
});

describe('a window that is closed', () => {
  test('is probed with growing distance as long as answers come', () => {
    const connection = opened();
    const { script } = connection;
    script.pass(briefAckMs);
    script.send({ window: 0 });
    connection.write(patternBytes(100));
    expect(script.flush()).toEqual([]);

    const times: number[] = [];
    for (let i = 0; i < 6; i++) {
      const began = script.now;
      let probe = script.pass(1)[0];
      while (probe === undefined && script.now - began < 300_000) probe = script.pass(50)[0];
      times.push(script.now - began);
      expect(probe).toMatchObject({ flags: 'A', seq: 0, length: 0 });
      expect(script.send({ window: 0 })).toEqual([]);
    }

    expect(times[1]! / times[0]!).toBeGreaterThan(1.5);
    expect(times[5]!).toBeGreaterThan(4 * times[0]!);
    expect(connection.state).toBe('established');
    expect(script.send({ window: 10 })).toMatchObject([{ length: 100, seq: 1 }]);
  });

  test('is given up when nobody answers', () => {
    const connection = opened();
    const { script } = connection;
    script.send({ window: 0 });
    connection.write(three);
    script.flush();

    script.pass(200_000);

    expect(script.closed).toBe('timeout');
  });
});

describe('retransmission', () => {
  test('the timeout doubles and gives up after the user timeout', () => {
    const connection = opened(0, []);
    const { script } = connection;
    connection.write(three);
    script.flush();

    const times = script.pass(180_000).map((one) => Math.round(one.at));

    expect(times.slice(0, 6)).toEqual([200, 600, 1400, 3000, 6200, 12_600]);
    expect(script.closed).toBe('timeout');
    expect(times.at(-1)!).toBeLessThan(120_000);
  });

  test('the timeout follows the round trip', () => {
    const connection = opened(400, []);
    connection.write(three);
    connection.script.flush();

    const [first] = connection.script.pass(5000);

    // srtt + 4 * rttvar = 400 + 4 * 200
    expect(first!.at).toBeCloseTo(1200, 0);
  });

  test('after a timeout one segment leaves, and the window opens again with each answer', () => {
    const connection = opened(0, []);
    const { script } = connection;
    connection.write(patternBytes(536 * 10));
    script.flush();

    const sent = script.pass(250);
    expect(sent).toHaveLength(1);
    expect(sent[0]).toMatchObject({ seq: 1, length: 536 });
    expect(script.send({ ack: 537 })).toHaveLength(2);
  });

  test('a tail that gets lost is probed after two round trips, before any timeout', () => {
    const connection = opened(20);
    const { script } = connection;
    connection.write(patternBytes(3 * mss));
    script.flush();

    const [probe] = script.pass(100);

    expect(probe!.at).toBeLessThan(50);
    expect(probe).toMatchObject({ seq: 1 + 2 * mss, length: mss });
  });

  test('the probe is new content where there is some', () => {
    const connection = opened(20);
    const { script } = connection;
    connection.write(patternBytes(12 * mss));
    script.flush();

    expect(script.pass(100)[0]).toMatchObject({ seq: 1 + 10 * mss });
  });

  test('what SACK shows to be missing is sent again at once, and only that', () => {
    const connection = opened(20);
    const { script } = connection;
    connection.write(patternBytes(10 * mss));
    script.flush();
    script.now += 20;

    const answer = script.send({ ack: 1, options: sackOption(script, [1 + mss, 1 + 5 * mss]) });

    expect(answer).toMatchObject([{ seq: 1, length: mss }]);
    expect(answer[0]!.payload).toEqual(patternBytes(10 * mss).slice(0, mss));
    expect(script.send({ ack: 1 + 5 * mss })).toEqual([]);
    expect(connection.counts).toMatchObject({ segmentsRepeated: 1, timeouts: 0 });
  });

  test('a small gap may be reordering: it is waited for', () => {
    const connection = opened(20);
    const { script } = connection;
    connection.write(patternBytes(10 * mss));
    script.flush();
    script.now += 20;

    expect(script.send({ ack: 1, options: sackOption(script, [1 + mss, 1 + 2 * mss]) })).toEqual([]);
    const [late] = script.pass(30);

    expect(late).toMatchObject({ seq: 1 });
    expect(late!.at).toBeCloseTo(5, 0);
  });

  test('after reordering was seen, and duplicates reported, more is waited for', () => {
    const connection = opened(20);
    const { script } = connection;
    connection.write(patternBytes(20 * mss));
    script.flush();
    script.now += 20;
    script.send({ ack: 1, options: sackOption(script, [1 + mss, 1 + 5 * mss]) });
    // The repeated one was not needed: the first came late.
    script.send({ ack: 1 + 5 * mss, options: sackOption(script, [1, 1 + mss]) });
    script.send({ ack: 1 + 10 * mss });
    connection.write(patternBytes(20 * mss));
    const sent = script.flush();
    const base = sent[0]?.seq ?? 0;
    script.now += 20;

    const answers = script.send({
      ack: base,
      options: sackOption(script, [base + mss, base + 4 * mss]),
    });

    expect(answers.filter((one) => one.seq === base)).toEqual([]);
  });

  test('a repeated segment that is lost again is repeated again without a timeout', () => {
    const connection = opened(20);
    const { script } = connection;
    connection.write(patternBytes(30 * mss));
    script.flush();
    script.now += 20;
    expect(script.send({ ack: 1, options: sackOption(script, [1 + mss, 1 + 8 * mss]) })[0]!.seq).toBe(1);
    script.now += 20;
    // What was sent after the repetition arrives.
    const answers = script.send({ ack: 1, options: sackOption(script, [1 + mss, 1 + 12 * mss]) });

    expect(answers[0]!.seq).toBe(1);
    expect(connection.counts.segmentsRepeated).toBe(2);
    expect(connection.counts.timeouts).toBe(0);
  });

  test('a receiver that threw away what it had reported gets all of it', () => {
    const connection = opened(20);
    const { script } = connection;
    connection.write(patternBytes(4 * mss));
    script.flush();
    script.now += 20;
    script.send({ ack: 1, options: sackOption(script, [1 + mss, 1 + 4 * mss]) });
    script.send({ ack: 1 + mss });

    const seqs = new Set(script.pass(20_000).map((one) => one.seq));

    expect(seqs.has(1 + mss)).toBe(true);
    script.send({ ack: 1 + 2 * mss });
    const rest = new Set([...script.flush(), ...script.pass(20_000)].map((one) => one.seq));
    expect(rest.has(1 + 2 * mss)).toBe(true);
  });

  test('SACK for what was never sent is ignored', () => {
    const connection = opened(20);
    const { script } = connection;
    connection.write(patternBytes(2 * mss));
    script.flush();

    script.send({ ack: 1, options: sackOption(script, [1 + 90 * mss, 1 + 99 * mss], [5, 2]) });

    expect(connection.counts.segmentsRepeated).toBe(0);
    expect(connection.state).toBe('established');
  });

  test('silence is broken by keep-alive probes, and ended by them', () => {
    const connection = opened();
    const { script } = connection;
    script.pass(briefAckMs);
    connection.setKeepAlive(60_000);
    script.flush();

    const [probe] = script.pass(61_000);
    expect(probe).toMatchObject({ flags: 'A', seq: 0, length: 0 });
    script.send({});
    expect(script.pass(59_000)).toEqual([]);
    const probes = script.pass(200_000);

    expect(probes.length).toBe(8);
    expect(script.closed).toBe('timeout');
  });
});

describe('ICMP errors', () => {
  /** What a router says about the first segment in flight. */
  function error(script: Script, type: number, code: number, rest: number[], seq = 1): Uint8Array {
    const v6 = script.version === 6;
    const quoted = script.packet({});
    // The quoted packet is ours: swap the ends.
    const at = v6 ? 40 : 20;
    quoted.set(v6 ? [...own6, ...theirs6] : [...own, ...theirs], v6 ? 8 : 12);
    const view = new DataView(quoted.buffer);
    view.setUint16(at, script.stackPort);
    view.setUint16(at + 2, script.peerPort);
    view.setInt32(at + 4, (script.stackInitial + seq) | 0);
    return icmpPacket(type, code, [...rest, ...quoted], {
      version: script.version,
      source: v6 ? theirs6 : [10, 9, 9, 9],
      destination: v6 ? own6 : own,
    });
  }

  test('"too big" makes segments smaller and sends what was in flight anew', () => {
    const connection = opened();
    const { script } = connection;
    connection.write(patternBytes(3000));
    script.flush();

    script.deliver(error(script, 3, 4, [0, 0, 1000 >> 8, 1000 & 255]));
    const again = script.flush();
    // The answer to handlePackets holds it already.
    const all = [...again];

    expect(connection.counts.maxSegment).toBe(960);
    expect(all).toEqual([]);
    const sent = script.pass(500);
    expect(sent.every((one) => one.length <= 960)).toBe(true);
    script.send({ ack: 3001 });
    connection.write(patternBytes(2000));
    expect(script.flush().map((one) => one.length)).toEqual([960, 960, 80]);
  });

  test('"too big" for IPv6', () => {
    const script = new Script();
    script.version = 6;
    const connection = script.connect([2, 4, 0x05, 0x78]);
    connection.write(patternBytes(3000));
    script.flush();

    const sent = script.deliver(error(script, 2, 0, [0, 0, 0x05, 0x14]));

    expect(connection.counts.maxSegment).toBe(1300 - 60);
    expect(sent.map((one) => one.length)).toEqual([1300, 1300, 580]);
  });

  test('no path is believed to be smaller than the least', () => {
    const connection = opened();
    const { script } = connection;
    connection.write(patternBytes(3000));
    script.flush();

    script.deliver(error(script, 3, 4, [0, 0, 0, 68]));

    expect(connection.counts.maxSegment).toBe(552 - 40);
  });

  test('numbers that are not in flight are not believed', () => {
    const connection = opened();
    const { script } = connection;
    connection.write(patternBytes(3000));
    script.flush();

    script.deliver(error(script, 3, 4, [0, 0, 4, 0], 90_000));

    expect(connection.counts.maxSegment).toBe(mss);
  });

  test.each([
    [3, 'refused'],
    [1, 'unreachable'],
    [13, 'unreachable'],
  ] as const)('"unreachable" code %i while connecting: %s', (code, end) => {
    const script = new Script();
    script.stack.connectTcp({ destination: Uint8Array.from(theirs), port: 4000 });
    script.flush();

    script.deliver(error(script, 3, code, [0, 0, 0, 0], 0));

    expect(script.closed).toBe(end);
  });

  test('"unreachable" does not end an open connection', () => {
    const connection = opened();
    connection.write(three);
    connection.script.flush();

    connection.script.deliver(error(connection.script, 3, 1, [0, 0, 0, 0]));

    expect(connection.state).toBe('established');
  });
});

test('a gap is reported by itself ahead of full segments, which have no room for it', () => {
  const connection = opened();
  const { script } = connection;
  connection.write(patternBytes(3 * mss));

  const sent = script.send({ seq: 10, payload: three });

  expect(sent.map((one) => one.length)).toEqual([0, mss, mss, mss]);
  expect(sent[0]!.sack).toEqual([[10, 13]]);
});

test('a window that opens a little is not filled with small segments', () => {
  const connection = opened();
  const { script } = connection;
  script.send({ window: 40 });
  connection.write(patternBytes(20_000));
  const sent = script.flush();
  const edge = sent.at(-1)!.seq + sent.at(-1)!.length;
  expect(sent.every((one) => one.length === mss)).toBe(true);

  // Opens by 128 bytes more than was used.
  expect(script.send({ ack: 1 + mss, window: Math.ceil((edge - 1 - mss + 128) / 128) })).toEqual([]);
});

test('both directions at once carry their acknowledgements', () => {
  const connection = opened();
  const { script } = connection;
  connection.write(three);

  expect(script.send({ payload: three })).toMatchObject([{ flags: 'PA', ack: 4, length: 3 }]);
  expect(readAll(connection)).toEqual([1, 2, 3]);
});
