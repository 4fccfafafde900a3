// Questions of a program on their way to the resolver inside the tunnel.
import { describe, expect, test } from 'vitest';
import { NameRelay } from '../../../../client/exec/name-relay.ts';
import type { Dialer, UdpFlow, UdpMessage } from '../../../../client/proxy/dialer.ts';
import type { UdpChannel } from '../../../../shared/node/flows/contract.ts';

const resolvers = ['10.83.0.1', 'fd7c::1'];
const body = [1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 3, 97, 98, 99];

interface Sent {
  readonly host: string;
  readonly port: number;
  readonly bytes: Uint8Array;
  readonly flow: FakeFlow;
}

class FakeFlow implements UdpFlow {
  listener: ((message: UdpMessage) => void) | undefined;
  isClosed = false;
  readonly #sent: Sent[];

  constructor(sent: Sent[]) {
    this.#sent = sent;
  }

  send(host: string, port: number, bytes: Uint8Array): void {
    this.#sent.push({ host, port, bytes: bytes.slice(), flow: this });
  }

  onMessage(listener: (message: UdpMessage) => void): void {
    this.listener = listener;
  }

  close(): void {
    this.isClosed = true;
  }
}

class FakeChannel implements UdpChannel {
  readonly local = { address: Uint8Array.of(192, 0, 0, 1), port: 53 };
  readonly remote = { address: Uint8Array.of(10, 83, 0, 2), port: 5000 };
  readonly answers: number[][] = [];
  refused: string | undefined;
  ask: (bytes: Uint8Array) => void = () => {};

  send(bytes: Uint8Array): boolean {
    this.answers.push([...bytes]);
    return true;
  }

  onMessage(listener: (bytes: Uint8Array) => void): void {
    this.ask = listener;
  }

  onClose(): void {}
  close(): void {}

  refuse(refusal: string): void {
    this.refused = refusal;
  }
}

function world(given: readonly string[] = resolvers) {
  const sent: Sent[] = [];
  const time = { now: 0 };
  const dialer: Dialer = {
    dialTcp: () => Promise.reject(new Error('not asked for')),
    openUdp: () => new FakeFlow(sent),
  };
  const relay = new NameRelay(dialer, given, () => time.now);
  const channel = (): FakeChannel => {
    const made = new FakeChannel();
    relay.serve(made);
    return made;
  };
  const answer = (question: Sent, more: Partial<UdpMessage> = {}): void => {
    const { host, port, bytes, flow } = question;
    flow.listener?.({ host, port, bytes: Uint8Array.of(...bytes.subarray(0, 2), 0x81, ...body), ...more });
  };
  return { relay, sent, time, channel, answer };
}

const question = (id: number): Uint8Array => Uint8Array.of(id >>> 8, id & 0xff, ...body);

describe('a question of a program', () => {
  test('goes to the first resolver, byte for byte but for its id', () => {
    const { sent, channel } = world();

    channel().ask(question(7));

    expect(sent).toMatchObject([{ host: '10.83.0.1', port: 53 }]);
    expect([...(sent[0]?.bytes.subarray(2) ?? [])]).toEqual(body);
  });

  test('gets its own answer back under its own id, though two programs chose the same', () => {
    const { sent, channel, answer } = world();
    const [one, two] = [channel(), channel()];
    one.ask(question(7));
    two.ask(question(7));

    expect(sent[0]?.bytes.subarray(0, 2)).not.toEqual(sent[1]?.bytes.subarray(0, 2));
    answer(sent[1]!);

    expect(one.answers).toEqual([]);
    expect(two.answers).toEqual([[0, 7, 0x81, ...body]]);
  });

  test('is answered once, and by a resolver only', () => {
    const { sent, channel, answer } = world();
    const one = channel();
    one.ask(question(7));

    answer(sent[0]!, { host: '10.83.0.9' });
    answer(sent[0]!, { port: 54 });
    answer(sent[0]!, { bytes: new Uint8Array(5) });
    expect(one.answers).toEqual([]);
    answer(sent[0]!);
    answer(sent[0]!);

    expect(one.answers).toHaveLength(1);
  });

  test('goes to the next resolver where the first has been silent for long', () => {
    const { sent, time, channel, answer } = world();
    const one = channel();
    one.ask(question(1));
    time.now = 3001;
    one.ask(question(2));
    answer(sent[1]!);
    time.now = 9000;
    one.ask(question(3));

    expect(sent.map((each) => each.host)).toEqual(['10.83.0.1', 'fd7c::1', 'fd7c::1']);
  });

  test('takes a new flow after half a minute, and answers on the old one still count', () => {
    const { sent, time, channel, answer } = world();
    const one = channel();
    one.ask(question(1));
    time.now = 30_000;
    one.ask(question(2));

    expect(sent[1]?.flow).not.toBe(sent[0]?.flow);
    answer(sent[0]!);
    expect(one.answers).toHaveLength(1);
  });

  test('that is no question is dropped', () => {
    const { sent, channel } = world();

    channel().ask(new Uint8Array(11));

    expect(sent).toEqual([]);
  });

  test('is refused where the tunnel leads to no resolver', () => {
    const { channel, relay } = world([]);

    expect(channel().refused).toBe('unreachable');
    expect(relay.resolver).toBeUndefined();
  });

  test('the oldest of too many is forgotten', () => {
    const { sent, channel, answer } = world();
    const one = channel();
    for (let i = 0; i < 1025; i++) one.ask(question(i));

    answer(sent[0]!);
    answer(sent[1024]!);

    expect(one.answers).toEqual([[4, 0, 0x81, ...body]]);
  });
});
