// A proxy server whose clients and destinations are streams in memory: no socket, no network, no clock.
import type { Duplex } from 'node:stream';
import { setImmediate as nextTurn } from 'node:timers/promises';
import type { Credentials } from '../../client/proxy/access.ts';
import {
  DialError,
  type Dialer,
  type DialFailure,
  type DialRequest,
  type UdpFlow,
  type UdpMessage,
} from '../../client/proxy/dialer.ts';
import type { ProxyLimits } from '../../client/proxy/limits.ts';
import { ProxyServer } from '../../client/proxy/server.ts';
import { silentLog } from '../../shared/node/silent-log.ts';
import { streamPair } from './stream-pair.ts';

/** Turns of the event loop after which everything in memory has arrived. */
const settleTurns = 25;

/** Answers dials with streams in memory, or as a test says. Only a stub: it knows no names. */
export class StubDialer implements Dialer {
  readonly dialled: DialRequest[] = [];
  readonly flows: StubFlow[] = [];
  /** The far ends of dials, in order. */
  readonly far: Duplex[] = [];
  /** Set: dials fail with it, or ('never') wait for their signal. */
  failure: DialFailure | 'never' | undefined;
  #waiting: ((stream: Duplex) => void)[] = [];

  async dialTcp(request: DialRequest): Promise<Duplex> {
    this.dialled.push(request);
    if (this.failure === 'never') {
      return new Promise((_resolve, reject) => {
        request.signal.addEventListener('abort', () => reject(request.signal.reason));
      });
    }
    if (this.failure !== undefined) throw new DialError(this.failure, `It failed: ${this.failure}.`);
    const [near, far] = streamPair();
    far.on('error', () => {});
    this.far.push(far);
    this.#waiting.shift()?.(far);
    return near;
  }

  openUdp(): UdpFlow {
    if (this.failure !== undefined && this.failure !== 'never') throw new DialError(this.failure, 'No.');
    const flow = new StubFlow();
    this.flows.push(flow);
    return flow;
  }

  /** The far end of the next dial. */
  nextFar(): Promise<Duplex> {
    return new Promise((resolve) => this.#waiting.push(resolve));
  }
}

export class StubFlow implements UdpFlow {
  readonly sent: { host: string; port: number; bytes: Buffer }[] = [];
  closed = false;
  answer: (message: UdpMessage) => void = () => {};

  send(host: string, port: number, bytes: Uint8Array): void {
    this.sent.push({ host, port, bytes: Buffer.from(bytes) });
  }

  onMessage(listener: (message: UdpMessage) => void): void {
    this.answer = listener;
  }

  close(): void {
    this.closed = true;
  }
}

export interface ProxyWorldOptions {
  readonly credentials?: Credentials;
  readonly limits?: Partial<ProxyLimits>;
  readonly closed?: string;
}

export interface ProxyWorld {
  readonly proxy: ProxyServer;
  readonly dialer: StubDialer;
  /** A client of the proxy, as a program that connected to the port. */
  connect(peer?: string): TestClient;
}

export function proxyWorld(options: ProxyWorldOptions = {}): ProxyWorld {
  const dialer = new StubDialer();
  const proxy = new ProxyServer({
    dialer,
    log: silentLog,
    ...(options.credentials === undefined ? {} : { credentials: options.credentials }),
    ...(options.limits === undefined ? {} : { limits: options.limits }),
  });
  proxy.setGate(options.closed === undefined ? { kind: 'open' } : { kind: 'closed', reason: options.closed });
  return {
    proxy,
    dialer,
    connect: (peer = '127.0.0.1') => {
      const [near, far] = streamPair();
      const client = new TestClient(near);
      proxy.accept(far, { peer, local: '127.0.0.1' });
      return client;
    },
  };
}

export class TestClient {
  readonly stream: Duplex;
  /** All that came so far and was not taken. */
  received = Buffer.alloc(0);
  /** The proxy ended its direction. */
  ended = false;

  constructor(stream: Duplex) {
    this.stream = stream;
    stream.on('error', () => {});
    stream.on('data', (chunk: Buffer) => {
      this.received = Buffer.concat([this.received, chunk]);
    });
    stream.on('end', () => {
      this.ended = true;
    });
  }

  get closed(): boolean {
    return this.stream.destroyed || this.ended;
  }

  /** Sends the bytes in pieces of `pieceBytes`, each seen by the proxy before the next comes. */
  async send(bytes: string | Uint8Array, pieceBytes = Number.POSITIVE_INFINITY): Promise<void> {
    const all = Buffer.from(bytes as Uint8Array);
    for (let at = 0; at < all.length; at += pieceBytes) {
      if (!this.stream.writable) return;
      this.stream.write(all.subarray(at, Math.min(all.length, at + pieceBytes)));
      await nextTurn();
    }
  }

  /** Takes what has come once nothing more comes. */
  async take(): Promise<Buffer> {
    await settle();
    const taken = this.received;
    this.received = Buffer.alloc(0);
    return taken;
  }

  async takeText(): Promise<string> {
    return (await this.take()).toString('latin1');
  }
}

/** Lets everything in memory arrive. */
export async function settle(): Promise<void> {
  for (let turn = 0; turn < settleTurns; turn++) await nextTurn();
}

/** Collects what a far end receives. */
export function listenTo(stream: Duplex): { text: string; ended: boolean } {
  const heard = { text: '', ended: false };
  stream.on('data', (chunk: Buffer) => {
    heard.text += chunk.toString('latin1');
  });
  stream.on('end', () => {
    heard.ended = true;
  });
  return heard;
}
