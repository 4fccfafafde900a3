// The forwarder between a stack on a path in memory and a way out in memory.

import type { Duplex } from 'node:stream';
import { afterEach, describe, expect, test, vi } from 'vitest';
import { monoMs, unixMs } from '../../../../../shared/core/base/time.ts';
import type { FarRequest, FarTcpRequest, FarUdp } from '../../../../../shared/node/flows/contract.ts';
import { Forwarder, type ForwarderLimits } from '../../../../../shared/node/flows/forwarder.ts';
import { allOf, FlowPair, once } from '../../../../support/flow-pair.ts';
import { addressA } from '../../../../support/net-pair.ts';
import { patternBytes } from '../../../../support/packets.ts';
import { streamPair } from '../../../../support/stream-pair.ts';

const elsewhere = Uint8Array.of(198, 18, 0, 1);
const to = { destination: elsewhere, port: 443 };

/** A way out whose other end the test holds. */
class FakeFar {
  readonly asked: FarTcpRequest[] = [];
  readonly askedUdp: FarRequest[] = [];
  readonly far: Duplex[] = [];
  readonly flows: FakeUdp[] = [];
  /** What dialTcp waits for. */
  dial: (request: FarTcpRequest) => Promise<void> = () => Promise.resolve();
  open: () => Promise<void> = () => Promise.resolve();

  async dialTcp(request: FarTcpRequest): Promise<Duplex> {
    this.asked.push(request);
    await this.dial(request);
    const [ours, theirs] = streamPair();
    theirs.on('error', () => {});
    this.far.push(theirs);
    return ours;
  }

  readonly askedEcho: FarRequest[] = [];

  async openEcho(request: FarRequest): Promise<FarUdp> {
    this.askedEcho.push(request);
    await this.open();
    const flow = new FakeUdp();
    this.flows.push(flow);
    return flow;
  }

  async openUdp(request: FarRequest): Promise<FarUdp> {
    this.askedUdp.push(request);
    await this.open();
    const flow = new FakeUdp();
    this.flows.push(flow);
    return flow;
  }
}

class FakeUdp implements FarUdp {
  readonly sent: string[] = [];
  closed = 0;
  message: (bytes: Uint8Array) => void = () => {};
  over: () => void = () => {};
  send(bytes: Uint8Array): void {
    this.sent.push(Buffer.from(bytes).toString());
  }
  onMessage(listener: (bytes: Uint8Array) => void): void {
    this.message = listener;
  }
  onClose(listener: () => void): void {
    this.over = listener;
  }
  close(): void {
    this.closed++;
  }
}

const opened: Forwarder[] = [];
afterEach(() => {
  for (const one of opened.splice(0)) one.close();
  vi.useRealTimers();
});

function world(limits: Partial<ForwarderLimits> = {}) {
  const pair = new FlowPair({ acceptAny: true });
  const way = new FakeFar();
  let skipped = 0;
  const clock = {
    kind: 'process' as const,
    now: () => monoMs(pair.net.now + skipped),
    unix: () => unixMs(0),
  };
  const forwarder = new Forwarder({ stack: pair.b, dialer: way, clock, limits });
  opened.push(forwarder);
  const skip = (ms: number): void => {
    skipped += ms;
    forwarder.sweep();
  };
  const connect = (): Promise<Duplex> => pair.outcome(pair.a.connectTcp(to));
  return { pair, way, forwarder, skip, connect };
}

describe('a connection to the outside', () => {
  test('is accepted only after the destination has answered', async () => {
    const { pair, way } = world();
    let answer: () => void = () => {};
    way.dial = () =>
      new Promise((resolve) => {
        answer = resolve;
      });
    let isOpen = false;
    const connecting = pair.a.connectTcp(to).then(() => (isOpen = true));
    await pair.until(() => way.asked.length === 1);
    await pair.pass(5000);
    expect(isOpen).toBe(false);

    answer();
    await pair.outcome(connecting);

    expect(way.asked[0]?.source.address).toEqual(addressA);
    expect(way.asked[0]?.destination).toEqual({ address: elsewhere, port: 443 });
  });

  test('carries bytes both ways, each direction to its own end', async () => {
    const { pair, way, forwarder, connect } = world();
    const near = await connect();
    const far = way.far[0]!;
    const [forth, back] = [Buffer.from(patternBytes(300_000)), Buffer.from(patternBytes(200_000, 3))];
    near.end(forth);
    const received = await pair.outcome(allOf(far.iterator({ destroyOnReturn: false })));
    await pair.pass(1000);
    far.end(back);

    const answer = await pair.outcome(allOf(near));
    await pair.until(() => forwarder.counts.openTcp === 0);

    expect(received.equals(forth)).toBe(true);
    expect(answer.equals(back)).toBe(true);
    expect(forwarder.counts).toMatchObject({ tcp: 1, bytesOut: 300_000, bytesIn: 200_000, dialling: 0 });
  });

  test('may be ended by the destination first', async () => {
    const { pair, way, connect } = world();
    const near = await connect();
    way.far[0]!.end('bye');

    const answer = await pair.outcome(allOf(near.iterator({ destroyOnReturn: false })));
    near.end('thanks');

    expect(answer.toString()).toBe('bye');
    expect((await pair.outcome(allOf(way.far[0]!))).toString()).toBe('thanks');
  });

  test('breaks outside where the asker breaks it', async () => {
    const { pair, way, connect } = world();
    const near = await connect();

    near.destroy();

    expect(await pair.outcome(once(way.far[0]!, 'error'))).toMatchObject({ code: 'ECONNRESET' });
  });

  test('breaks for the asker where it breaks outside', async () => {
    const { pair, way, forwarder, connect } = world();
    const near = await connect();

    way.far[0]!.destroy();

    expect(await pair.outcome(once(near, 'error'))).toMatchObject({ code: 'ECONNRESET' });
    await pair.until(() => forwarder.counts.openTcp === 0);
  });

  test.each([
    [{ refusal: 'reset' }, 'refused'],
    [{ refusal: 'unreachable' }, 'unreachable'],
    [{ refusal: 'drop' }, 'timeout'],
    [{ code: 'ECONNREFUSED' }, 'refused'],
    [{ code: 'EACCES' }, 'refused'],
    [{ code: 'ENETUNREACH' }, 'unreachable'],
    [{ code: 'ETIMEDOUT' }, 'unreachable'],
    [{}, 'unreachable'],
  ])('that is refused with %o fails for the asker as %s', async (why, failure) => {
    const { way, forwarder, connect } = world();
    way.dial = () => Promise.reject(Object.assign(new Error('no'), why));

    await expect(connect()).rejects.toMatchObject({ failure });

    // Silence makes the asker ask again.
    expect(forwarder.counts.failed).toBeGreaterThanOrEqual(1);
    expect(forwarder.counts).toMatchObject({ dialling: 0, tcp: 0 });
  });

  test('is dialled no longer where the asker gives up, and what comes late is closed', async () => {
    const { pair, way, forwarder } = world();
    let answer: () => void = () => {};
    way.dial = () =>
      new Promise((resolve) => {
        answer = resolve;
      });
    const stop = new AbortController();
    const connecting = pair.a.connectTcp(to, stop.signal);
    connecting.catch(() => {});
    await pair.until(() => way.asked.length === 1);

    stop.abort(new Error('enough'));
    await pair.until(() => way.asked[0]!.signal.aborted);
    answer();
    await pair.until(() => way.far[0]?.destroyed ?? false);

    expect(forwarder.counts).toMatchObject({ gone: 1, tcp: 0, dialling: 0 });
  });

  test('is given up where the way out never answers', async () => {
    const { pair, way } = world({ dialMs: 20_000 });
    way.dial = ({ signal }) =>
      new Promise((_resolve, reject) => {
        signal.addEventListener('abort', () => reject(signal.reason as Error));
      });
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] });
    const connecting = pair.a.connectTcp(to);
    await pair.until(() => way.asked.length === 1);

    vi.advanceTimersByTime(20_000);

    await expect(pair.outcome(connecting)).rejects.toMatchObject({ failure: 'unreachable' });
  });

  test('is refused beyond the share of its source, and has room again after others have ended', async () => {
    const { pair, way, forwarder, connect } = world({ connectionsPerSource: 2 });
    const first = await connect();
    await connect();

    await expect(connect()).rejects.toMatchObject({ failure: 'refused' });
    first.destroy();
    await pair.until(() => way.far[0]!.destroyed && forwarder.counts.openTcp === 1);
    await connect();

    expect(forwarder.counts).toMatchObject({ overLimit: 1, tcp: 3 });
  });

  test('ends after hours of silence, and after minutes where one direction has ended', async () => {
    const { pair, way, skip, connect } = world({ idleMs: 100_000, halfClosedIdleMs: 10_000 });
    const [quiet, half] = [await connect(), await connect()];
    half.end();
    await pair.pass(100);

    skip(20_000);
    await pair.until(() => way.far[1]!.destroyed);
    expect(quiet.destroyed).toBe(false);
    skip(90_000);
    await pair.until(() => way.far[0]!.destroyed);

    expect(half.errored).not.toBe(null);
  });

  test('ends with the forwarder, dialled or not', async () => {
    const { pair, way, forwarder, connect } = world();
    await connect();
    way.dial = ({ signal }) =>
      new Promise((_resolve, reject) => {
        signal.addEventListener('abort', () => reject(signal.reason as Error));
      });
    const late = pair.a.connectTcp(to);
    late.catch(() => {});
    await pair.until(() => way.asked.length === 2);

    forwarder.close();

    await expect(pair.outcome(late)).rejects.toMatchObject({ failure: 'unreachable' });
    await pair.until(() => way.far[0]!.destroyed);
  });
});

describe('datagrams to the outside', () => {
  test('reach the destination, and answers reach the asker', async () => {
    const { pair, way, forwarder } = world();
    const near = pair.a.openUdp(to)!;
    const answers: string[] = [];
    near.onMessage((bytes) => answers.push(Buffer.from(bytes).toString()));
    near.send(Buffer.from('one'));
    near.send(Buffer.from('two'));
    await pair.until(() => way.flows[0]?.sent.length === 2);

    way.flows[0]!.message(Buffer.from('three'));
    await pair.until(() => answers.length === 1);

    expect(way.flows[0]!.sent).toEqual(['one', 'two']);
    expect(answers).toEqual(['three']);
    expect(way.askedUdp[0]?.destination).toEqual({ address: elsewhere, port: 443 });
    expect(forwarder.counts).toMatchObject({ udp: 1, openUdp: 1, bytesOut: 6, bytesIn: 5 });
  });

  test('that may not go are answered as unreachable', async () => {
    const { pair, way } = world();
    way.open = () => Promise.reject(Object.assign(new Error('no'), { refusal: 'unreachable' }));
    const near = pair.a.openUdp(to)!;
    const ends: string[] = [];
    near.onClose((end) => ends.push(end));

    near.send(Buffer.from('?'));
    await pair.until(() => ends.length === 1);

    expect(ends).toEqual(['unreachable']);
  });

  test('have their socket until they are idle, or it is gone', async () => {
    const { pair, way, forwarder } = world();
    for (const port of [1, 2]) pair.a.openUdp({ ...to, port })!.send(Buffer.from('?'));
    await pair.until(() => way.flows.length === 2);

    way.flows[0]!.over();
    await pair.pass(1000);
    expect(forwarder.counts.openUdp).toBe(1);
    await pair.pass(400_000);

    expect(way.flows.map((flow) => flow.closed)).toEqual([1, 1]);
    expect(forwarder.counts.openUdp).toBe(0);
  });

  test('are dropped beyond the share of their source', async () => {
    const { pair, way, forwarder } = world({ flowsPerSource: 1 });

    for (const port of [1, 2]) pair.a.openUdp({ ...to, port })!.send(Buffer.from('?'));
    await pair.pass(100);

    expect(way.askedUdp).toHaveLength(1);
    expect(forwarder.counts.overLimit).toBe(1);
  });
});

describe('echo requests to the outside', () => {
  const message = (sequence: number, ...payload: number[]): Uint8Array =>
    Uint8Array.of(0, 0, 0, 0, 0, 0, 0, sequence, ...payload);

  test('go out without their identifier as a port, and replies come back', async () => {
    const { pair, way, forwarder } = world();
    const near = pair.a.openEcho({ destination: elsewhere })!;
    const heard: number[][] = [];
    near.onMessage((bytes) => heard.push([...bytes]));
    near.send(message(1, 104));
    await pair.until(() => way.flows.length === 1 && way.flows[0]!.sent.length === 1);

    expect(way.askedEcho[0]).toEqual({
      source: { address: addressA, port: 0 },
      destination: { address: elsewhere, port: 0 },
    });
    way.flows[0]!.message(message(1, 104));
    await pair.until(() => heard.length === 1);

    expect(heard[0]!.slice(6)).toEqual([0, 1, 104]);
    expect(forwarder.counts).toMatchObject({ openUdp: 1, failed: 0 });
  });

  test('are bounded, and end with what carries them', async () => {
    const { pair, way, forwarder } = world({ echoes: 1 });
    const [first, second] = [1, 2].map(() => pair.a.openEcho({ destination: elsewhere })!);
    const over = new Promise<string>((resolve) => first!.onClose(resolve));
    first!.send(message(1));
    await pair.until(() => way.flows.length === 1);
    second!.send(message(1));
    await pair.until(() => forwarder.counts.overLimit === 1);

    way.flows[0]!.over();

    expect(await pair.outcome(over)).toBe('unreachable');
    await pair.until(() => forwarder.counts.openUdp === 0);
  });

  test('are refused where the way out knows no such thing', async () => {
    const { pair, way, forwarder } = world();
    Object.defineProperty(way, 'openEcho', { value: undefined });
    const near = pair.a.openEcho({ destination: elsewhere })!;
    const over = new Promise<string>((resolve) => near.onClose(resolve));
    near.send(message(1));

    expect(await pair.outcome(over)).toBe('unreachable');
    expect(forwarder.counts.failed).toBe(1);
  });
});
