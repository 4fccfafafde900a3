/**
 * Joins what comes out of the tunnel for any destination to a way out (FlowDialer). Dials first: the asker
 * learns of success only after the destination has answered, and of a refusal as if it had asked there
 * itself. Bounded for each source and in all; what is idle for too long ends. Knows no policy.
 */

import type { Duplex } from 'node:stream';
import type { Refusal } from '../../core/netstack/events.ts';
import type { Clock } from '../clock.ts';
import type { FarTcpRequest, FarUdp, FlowDialer, StackHost, TcpIncoming, UdpChannel } from './contract.ts';
import { type FirstBytesWish, readFirstBytes } from './first-bytes.ts';
import { breakOff, splice } from './splice.ts';
import { WaitQueue } from './wait-queue.ts';

export interface ForwarderLimits {
  /** Connections, those being dialled included; and flows of datagrams. */
  readonly connections: number;
  readonly connectionsPerSource: number;
  readonly flows: number;
  readonly flowsPerSource: number;
  /** Series of echo requests. */
  readonly echoes: number;
  readonly echoesPerSource: number;
  /** A way out that does not answer for so long is given up. Less than the stack's `decideMs`. */
  readonly dialMs: number;
  /** RFC 5382 REQ-5: more than two hours for an open connection... */
  readonly idleMs: number;
  /** ... and four minutes where one direction has ended. */
  readonly halfClosedIdleMs: number;
}

export const defaultForwarderLimits: ForwarderLimits = {
  connections: 8192,
  connectionsPerSource: 2048,
  flows: 8192,
  flowsPerSource: 1024,
  echoes: 1024,
  echoesPerSource: 128,
  dialMs: 20_000,
  idleMs: 7_440_000,
  halfClosedIdleMs: 240_000,
};

/** How often idle connections are looked for. */
const sweepMs = 15_000;

export interface ForwarderOptions {
  readonly stack: StackHost;
  readonly dialer: FlowDialer;
  readonly clock: Clock;
  readonly limits?: Partial<ForwarderLimits>;
}

/** Numbers since the start, `open…` and `dialling` now. */
export interface ForwarderCounts {
  dialling: number;
  openTcp: number;
  openUdp: number;
  tcp: number;
  udp: number;
  /** Refused or unreachable by the way out. */
  failed: number;
  /** The asker gave up while we dialled. */
  gone: number;
  overLimit: number;
  /** Bytes out of the tunnel and into it. */
  bytesOut: number;
  bytesIn: number;
}

/** A connection from its SYN on. */
interface Flow {
  usedAt: number;
  isHalfClosed: boolean;
  /** The asker gave up before we had an answer. */
  isGone: boolean;
  near: Duplex | undefined;
  readonly stop: AbortController;
}

export class Forwarder {
  readonly counts: ForwarderCounts = {
    dialling: 0,
    openTcp: 0,
    openUdp: 0,
    tcp: 0,
    udp: 0,
    failed: 0,
    gone: 0,
    overLimit: 0,
    bytesOut: 0,
    bytesIn: 0,
  };
  readonly #dialer: FlowDialer;
  readonly #clock: Clock;
  readonly #limits: ForwarderLimits;
  readonly #tcpShares: Shares;
  readonly #udpShares: Shares;
  readonly #echoShares: Shares;
  readonly #flows = new Set<Flow>();
  readonly #channels = new Set<UdpChannel>();
  readonly #dials: WaitQueue;
  readonly #sweeper: NodeJS.Timeout;
  #isClosed = false;

  /** Takes every connection and flow of the stack that is for others. */
  constructor(options: ForwarderOptions) {
    this.#dialer = options.dialer;
    this.#clock = options.clock;
    this.#limits = { ...defaultForwarderLimits, ...options.limits };
    this.#tcpShares = new Shares(this.#limits.connections, this.#limits.connectionsPerSource);
    this.#udpShares = new Shares(this.#limits.flows, this.#limits.flowsPerSource);
    this.#echoShares = new Shares(this.#limits.echoes, this.#limits.echoesPerSource);
    this.#dials = new WaitQueue(this.#limits.dialMs);
    this.#sweeper = setInterval(() => this.sweep(), sweepMs);
    this.#sweeper.unref();
    options.stack.onTcp((incoming) => this.forwardTcp(incoming));
    options.stack.onUdp((channel) => this.forwardUdp(channel));
    options.stack.onEcho((channel) => this.forwardEcho(channel));
  }

  /** Carries a connection. For those that the stack announces elsewhere, a listener of its own for example. */
  forwardTcp(incoming: TcpIncoming): void {
    const release = this.#isClosed ? undefined : this.#tcpShares.take(incoming.source.address);
    if (release === undefined) {
      this.counts.overLimit++;
      incoming.refuse('reset');
      return;
    }
    const flow: Flow = {
      usedAt: this.#clock.now(),
      isHalfClosed: false,
      isGone: false,
      near: undefined,
      stop: new AbortController(),
    };
    this.#flows.add(flow);
    this.counts.dialling++;
    incoming.onGone(() => {
      this.counts.gone++;
      flow.isGone = true;
      flow.stop.abort(new Error('The asker has given up.'));
    });
    const patience = this.#dials.add(() => flow.stop.abort(new DialTimeout()));
    const dialled = (): void => {
      patience.cancel();
      this.counts.dialling--;
    };
    const join = (far: Duplex): void => {
      dialled();
      this.#join(flow, incoming, far, finish);
    };
    const finish = (): void => {
      this.#flows.delete(flow);
      release();
    };
    // A dialer that throws at once is one that rejects.
    attempt(() => this.#dial(flow, incoming)).then(join, (error: unknown) => {
      dialled();
      if (!flow.isGone) this.counts.failed++;
      if (flow.near === undefined) incoming.refuse(refusalFor(error));
      else breakOff(flow.near);
      finish();
    });
  }

  forwardUdp(channel: UdpChannel): void {
    const { remote: source, local: destination } = channel;
    this.#forward(channel, this.#udpShares, () => this.#dialer.openUdp({ source, destination }));
  }

  /** Carries a series of echo requests and the replies. */
  forwardEcho(channel: UdpChannel): void {
    const dialer = this.#dialer;
    // Both ports are an identifier, which says nothing of who asks and who is asked.
    const source = { address: channel.remote.address, port: 0 };
    const destination = { address: channel.local.address, port: 0 };
    this.#forward(channel, this.#echoShares, () => {
      if (dialer.openEcho === undefined) throw new NoEcho();
      return dialer.openEcho({ source, destination });
    });
  }

  #forward(channel: UdpChannel, shares: Shares, open: () => FarUdp | Promise<FarUdp>): void {
    const release = this.#isClosed ? undefined : shares.take(channel.remote.address);
    if (release === undefined) {
      this.counts.overLimit++;
      channel.refuse('drop');
      return;
    }
    let far: FarUdp | undefined;
    let isOver = false;
    this.#channels.add(channel);
    channel.onClose(() => {
      isOver = true;
      this.#channels.delete(channel);
      if (far !== undefined) this.counts.openUdp--;
      far?.close();
      release();
    });
    const join = (opened: FarUdp): void => {
      far = opened;
      this.#joinUdp(channel, opened);
    };
    attempt(open).then(
      (opened) => (isOver ? opened.close() : join(opened)),
      (error: unknown) => {
        this.counts.failed++;
        channel.refuse(refusalFor(error));
      },
    );
  }

  /** Ends connections that nothing has moved on for too long. Called by itself. */
  sweep(): void {
    const now = this.#clock.now();
    const { idleMs, halfClosedIdleMs } = this.#limits;
    for (const flow of this.#flows) {
      const most = flow.isHalfClosed ? halfClosedIdleMs : idleMs;
      if (flow.near !== undefined && now - flow.usedAt > most) breakOff(flow.near);
    }
  }

  /** Ends everything, and takes nothing more. */
  close(): void {
    this.#isClosed = true;
    clearInterval(this.#sweeper);
    for (const flow of this.#flows) {
      flow.stop.abort(new Error('The way out is closed.'));
      if (flow.near !== undefined) breakOff(flow.near);
    }
    for (const channel of this.#channels) channel.close();
  }

  /** Lets the asker speak first where the way out wants to hear it. */
  #dial(flow: Flow, incoming: TcpIncoming): Promise<Duplex> {
    const { source, destination } = incoming;
    const request = {
      source,
      destination,
      signal: flow.stop.signal,
      giveUp: (reason: Error) => flow.stop.abort(reason),
    };
    const wish = this.#dialer.firstBytes?.(request);
    return wish === undefined
      ? this.#dialer.dialTcp(request)
      : this.#dialKnowing(flow, incoming, request, wish);
  }

  async #dialKnowing(
    flow: Flow,
    incoming: TcpIncoming,
    request: FarTcpRequest,
    wish: FirstBytesWish,
  ): Promise<Duplex> {
    const near = incoming.accept();
    if (near === undefined) throw new Error('The asker has given up.');
    flow.near = near;
    const giveUp = (): void => flow.stop.abort(new Error('The asker has given up.'));
    near.once('close', giveUp);
    const firstBytes = await readFirstBytes(near, wish, request.signal);
    const far = await this.#dialer.dialTcp({ ...request, firstBytes });
    near.off('close', giveUp);
    if (firstBytes.length > 0) far.write(firstBytes);
    this.counts.bytesOut += firstBytes.length;
    return far;
  }

  #join(flow: Flow, incoming: TcpIncoming, far: Duplex, finish: () => void): void {
    const near = flow.stop.signal.aborted ? undefined : (flow.near ?? incoming.accept());
    if (near === undefined) {
      far.on('error', () => {});
      breakOff(far);
      if (flow.near === undefined) incoming.refuse('reset');
      else breakOff(flow.near);
      finish();
      return;
    }
    flow.near = near;
    flow.isHalfClosed = near.readableEnded;
    const { counts } = this;
    counts.tcp++;
    counts.openTcp++;
    splice(near, far, {
      onForth: (bytes) => {
        counts.bytesOut += bytes;
        flow.usedAt = this.#clock.now();
      },
      onBack: (bytes) => {
        counts.bytesIn += bytes;
        flow.usedAt = this.#clock.now();
      },
      onHalfClosed: () => {
        flow.isHalfClosed = true;
        flow.usedAt = this.#clock.now();
      },
      onClosed: () => {
        counts.openTcp--;
        finish();
      },
    });
  }

  #joinUdp(channel: UdpChannel, far: FarUdp): void {
    const { counts } = this;
    counts.udp++;
    counts.openUdp++;
    far.onMessage((bytes) => {
      if (channel.send(bytes)) counts.bytesIn += bytes.length;
    });
    far.onClose(() => channel.refuse('unreachable'));
    channel.onMessage((bytes) => {
      counts.bytesOut += bytes.length;
      far.send(bytes);
    });
  }
}

/** Who holds how many of a limited number. */
class Shares {
  readonly #most: number;
  readonly #mostPerSource: number;
  readonly #bySource = new Map<string, number>();
  #held = 0;

  constructor(most: number, mostPerSource: number) {
    this.#most = most;
    this.#mostPerSource = mostPerSource;
  }

  /** Takes one and returns what gives it back (idempotent); undefined where the limit is reached. */
  take(address: Uint8Array): (() => void) | undefined {
    const source = address.join('.');
    const ofSource = this.#bySource.get(source) ?? 0;
    if (this.#held >= this.#most || ofSource >= this.#mostPerSource) return undefined;
    this.#held++;
    this.#bySource.set(source, ofSource + 1);
    let isHeld = true;
    return () => {
      if (!isHeld) return;
      isHeld = false;
      this.#held--;
      const left = (this.#bySource.get(source) ?? 1) - 1;
      if (left === 0) this.#bySource.delete(source);
      else this.#bySource.set(source, left);
    };
  }
}

class DialTimeout extends Error {
  readonly refusal: Refusal = 'unreachable';

  constructor() {
    super('The destination does not answer.');
  }
}

class NoEcho extends Error {
  readonly refusal: Refusal = 'reset';

  constructor() {
    super('Nobody outside can be pinged this way.');
  }
}

const resetCodes: readonly string[] = ['ECONNREFUSED', 'ECONNRESET', 'EACCES', 'EPERM'];

function refusalFor(error: unknown): Refusal {
  const { refusal, code } = error as { readonly refusal?: Refusal; readonly code?: string };
  return refusal ?? (resetCodes.includes(code ?? '') ? 'reset' : 'unreachable');
}

/** The outcome of `act`, now or later, as a promise. */
function attempt<T>(act: () => T | Promise<T>): Promise<T> {
  try {
    return Promise.resolve(act());
  } catch (cause) {
    return Promise.reject(cause instanceof Error ? cause : new Error(String(cause)));
  }
}
