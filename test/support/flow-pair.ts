/**
 * Two userspace stacks with their hosts, joined by a path under a virtual clock. Streams need turns of the event
 * loop, so time goes on one event a turn.
 */

import { Readable } from 'node:stream';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { FlowHost } from '../../shared/node/flows/stack-host.ts';
import { address6A, address6B, addressA, addressB, NetPair, type PairOptions } from './net-pair.ts';

/** Turns without anything to do after which nothing is expected any more. */
const patience = 200;
/** Turns that streams may need before they ask something of a stack again. */
const restingTurns = 5;

export class FlowPair {
  readonly net: NetPair;
  readonly a: FlowHost;
  readonly b: FlowHost;

  constructor(options: PairOptions = {}) {
    this.net = new NetPair(options);
    const wake = (): void => {};
    this.a = new FlowHost({ stack: this.net.a, addresses: [addressA, address6A], wake });
    this.b = new FlowHost({ stack: this.net.b, addresses: [addressB, address6B], wake });
    this.net.onEvent = (side, event) => (side === 0 ? this.a : this.b).handleEvents([event]);
  }

  /** Lets time go on until it is done; throws where nothing more happens before. */
  async until(done: () => boolean): Promise<void> {
    for (let idle = 0; !done(); ) {
      if (idle > patience) throw new Error('nothing more happens');
      idle = this.net.step() ? 0 : idle + 1;
      await nextTurn();
    }
  }

  /** The outcome of a promise, with time going on meanwhile. */
  async outcome<T>(promise: Promise<T>): Promise<T> {
    let isSettled = false;
    const settle = (): void => {
      isSettled = true;
    };
    promise.then(settle, settle);
    await this.until(() => isSettled);
    return promise;
  }

  /** Lets so much time go by. */
  async pass(ms: number): Promise<void> {
    const until = this.net.now + ms;
    for (let idle = 0; idle <= restingTurns; ) {
      await nextTurn();
      idle = this.net.step(until) ? 0 : idle + 1;
    }
    this.net.run(until - this.net.now);
    await nextTurn();
  }
}

/** Everything a stream gives until its end, or the error that breaks it. */
export async function allOf(stream: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const pieces: Uint8Array[] = [];
  // Its other direction may have more to say.
  const source = stream instanceof Readable ? stream.iterator({ destroyOnReturn: false }) : stream;
  for await (const piece of source) pieces.push(piece as Uint8Array);
  return Buffer.concat(pieces);
}

/** Event `name` of a stream, once. */
export function once(
  stream: { once(name: string, listener: (value: unknown) => void): unknown },
  name: string,
): Promise<unknown> {
  return new Promise((resolve) => {
    stream.once(name, resolve);
  });
}
