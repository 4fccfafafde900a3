/**
 * The userspace stack for consumers on Node's event loop: its events become streams, channels, promises and
 * callbacks. Whoever feeds it packets hands over the stack's events and is woken after every command.
 */

import type { Duplex } from 'node:stream';
import { assert, unreachable } from '../../core/base/assert.ts';
import type {
  NetCounts,
  NetEvent,
  Refusal,
  TcpConnection,
  TcpEnd,
  UdpFlow,
} from '../../core/netstack/events.ts';
import type { Destination, NetStack } from '../../core/netstack/stack.ts';
import type { ConnectError, ConnectFailure, StackHost, TcpIncoming, UdpChannel } from './contract.ts';
import { TcpStream } from './tcp-stream.ts';
import { FlowUdpChannel, type UdpHost } from './udp-channel.ts';

export interface FlowHostOptions {
  readonly stack: NetStack;
  /** The stack's own, as given to it. */
  readonly addresses: readonly Uint8Array[];
  /** Makes whoever drives the stack poll it soon. */
  readonly wake: () => void;
  /** Makes them poll it at once, where that can be: somebody waits. Absent: soon is soon enough. */
  readonly flush?: () => void;
}

/** What belongs to a connection before it is a stream. */
interface Attempt {
  readonly kind: 'attempt';
  readonly opened: (stream: Duplex) => void;
  readonly failed: (error: Error) => void;
  /** What it becomes. */
  stream: TcpStream | undefined;
}
interface Question {
  readonly kind: 'question';
  onGone: (() => void) | undefined;
  isGone: boolean;
}
type Attachment = TcpStream | Attempt | Question | undefined;

const largestDatagram = 65_535;

const failures: Readonly<Record<TcpEnd, readonly [failure: ConnectFailure, sentence: string]>> = {
  finished: ['closed', 'The connection was closed.'],
  reset: ['refused', 'The connection was refused.'],
  refused: ['refused', 'The connection was refused.'],
  unreachable: ['unreachable', 'The destination cannot be reached.'],
  timeout: ['timeout', 'The destination does not answer.'],
  aborted: ['closed', 'The connection was given up.'],
};

export class FlowHost implements StackHost {
  readonly #stack: NetStack;
  #addresses: readonly Uint8Array[];
  readonly #wake: () => void;
  readonly #flush: () => void;
  readonly #udpHost: UdpHost;
  readonly #tcpPorts = new Map<number, (incoming: TcpIncoming) => void>();
  readonly #udpPorts = new Map<number, (channel: UdpChannel) => void>();
  #onTcp: ((incoming: TcpIncoming) => void) | undefined;
  #onUdp: ((channel: UdpChannel) => void) | undefined;
  #onEcho: ((channel: UdpChannel) => void) | undefined;
  /** All that are not closed; bounded by the stack's limits. For `cut`. */
  readonly #connections = new Set<TcpConnection>();
  readonly #flows = new Set<UdpFlow>();
  #isClosed = false;

  constructor(options: FlowHostOptions) {
    this.#stack = options.stack;
    this.#addresses = options.addresses;
    this.#wake = options.wake;
    this.#flush = options.flush ?? options.wake;
    this.#udpHost = {
      scratch: new Uint8Array(largestDatagram),
      wake: options.wake,
      refuse: (flow, refusal) => this.#stack.refuse(flow, refusal),
    };
  }

  get usage(): NetStack['usage'] {
    return this.#stack.usage;
  }

  get counts(): NetCounts {
    return this.#stack.counts;
  }

  connectTcp(to: Destination, signal?: AbortSignal): Promise<Duplex> {
    return new Promise((resolve, reject) => {
      if (signal?.aborted === true) {
        reject(signal.reason);
        return;
      }
      const connection = this.#isClosed ? undefined : this.#stack.connectTcp(to);
      if (connection === undefined) {
        reject(this.#whyNot(to));
        return;
      }
      const onAbort = (): void => {
        connection.attachment = undefined;
        reject(signal?.reason);
        connection.abort();
        this.#wake();
      };
      const attempt: Attempt = {
        kind: 'attempt',
        stream: undefined,
        opened: (stream) => {
          signal?.removeEventListener('abort', onAbort);
          resolve(stream);
        },
        failed: (error) => {
          signal?.removeEventListener('abort', onAbort);
          reject(error);
        },
      };
      signal?.addEventListener('abort', onAbort, { once: true });
      connection.attachment = attempt;
      this.#connections.add(connection);
      this.#flush();
      // While the answer is under way there is time.
      attempt.stream = new TcpStream(connection, this.#wake);
    });
  }

  openUdp(to: Destination): UdpChannel | undefined {
    const flow = this.#isClosed ? undefined : this.#stack.openUdp(to);
    if (flow === undefined) return undefined;
    this.#wake();
    return this.#channelOf(flow);
  }

  openEcho(to: Pick<Destination, 'destination'>): UdpChannel | undefined {
    const flow = this.#isClosed ? undefined : this.#stack.openEcho({ ...to, port: 0 });
    if (flow === undefined) return undefined;
    this.#wake();
    return this.#channelOf(flow);
  }

  listenTcp(port: number, listener: (incoming: TcpIncoming) => void): void {
    assert(!this.#tcpPorts.has(port), 'a port has one listener');
    this.#tcpPorts.set(port, listener);
    this.#stack.listenTcp(port);
  }

  listenUdp(port: number, listener: (channel: UdpChannel) => void): void {
    assert(!this.#udpPorts.has(port), 'a port has one listener');
    this.#udpPorts.set(port, listener);
    this.#stack.listenUdp(port);
  }

  onTcp(listener: (incoming: TcpIncoming) => void): void {
    this.#onTcp = listener;
  }

  onUdp(listener: (channel: UdpChannel) => void): void {
    this.#onUdp = listener;
  }

  onEcho(listener: (channel: UdpChannel) => void): void {
    this.#onEcho = listener;
  }

  setAddresses(addresses: readonly Uint8Array[]): void {
    this.cut(() => true);
    this.#addresses = addresses;
    this.#stack.setAddresses(addresses);
  }

  cut(matches: (remote: Uint8Array) => boolean): void {
    for (const connection of this.#connections) {
      if (!matches(connection.remote.address)) continue;
      if (connection.state === 'pending') this.#stack.refuse(connection, 'drop');
      else connection.abort();
    }
    for (const flow of this.#flows) {
      if (matches(flow.remote.address)) flow.close();
    }
    this.#wake();
  }

  /** Breaks everything; what is opened from now on fails. Packets that say so leave with the next poll. */
  close(): void {
    this.#isClosed = true;
    this.cut(() => true);
  }

  /** Takes what happened in the stack. The array is borrowed until return. */
  handleEvents(events: readonly NetEvent[]): void {
    for (const event of events) this.#handle(event);
  }

  #handle(event: NetEvent): void {
    switch (event.kind) {
      case 'tcp-incoming':
        this.#announceTcp(event.connection);
        return;
      case 'tcp-opened':
        this.#opened(event.connection);
        return;
      case 'tcp-readable':
        streamOf(event.connection)?.handleReadable();
        return;
      case 'tcp-writable':
        streamOf(event.connection)?.handleWritable();
        return;
      case 'tcp-closed':
        this.#closed(event.connection, event.end);
        return;
      case 'udp-incoming':
        this.#announceUdp(event.flow);
        return;
      case 'echo-incoming':
        if (this.#onEcho === undefined || this.#isClosed) this.#stack.refuse(event.flow, 'drop');
        else this.#onEcho(this.#channelOf(event.flow));
        return;
      case 'udp-readable':
        channelIn(event.flow)?.handleReadable();
        return;
      case 'udp-closed':
        this.#flows.delete(event.flow);
        channelIn(event.flow)?.handleClosed(event.end);
        return;
      default:
        unreachable(event);
    }
  }

  #announceTcp(connection: TcpConnection): void {
    const { address, port } = connection.local;
    const listener = this.#isOurs(address) ? this.#tcpPorts.get(port) : this.#onTcp;
    if (listener === undefined || this.#isClosed) {
      this.#stack.refuse(connection, 'reset');
      return;
    }
    const question: Question = { kind: 'question', onGone: undefined, isGone: false };
    connection.attachment = question;
    this.#connections.add(connection);
    listener({
      source: connection.remote,
      destination: connection.local,
      accept: () => this.#accept(connection),
      refuse: (refusal) => this.#refuse(connection, refusal),
      onGone: (goneListener) => {
        if (question.isGone) goneListener();
        else question.onGone = goneListener;
      },
    });
  }

  #accept(connection: TcpConnection): Duplex | undefined {
    if (!this.#stack.accept(connection)) return undefined;
    this.#flush();
    return this.#streamOn(connection);
  }

  #refuse(connection: TcpConnection, refusal: Refusal): void {
    const attached = connection.attachment as Attachment;
    if (attached?.kind !== 'question') return;
    attached.onGone = undefined;
    this.#stack.refuse(connection, refusal);
    this.#wake();
  }

  #opened(connection: TcpConnection): void {
    const attached = connection.attachment as Attachment;
    if (attached?.kind === 'attempt') attached.opened(this.#streamOn(connection, attached.stream));
  }

  #closed(connection: TcpConnection, end: TcpEnd): void {
    this.#connections.delete(connection);
    const attached = connection.attachment as Attachment;
    if (attached?.kind === 'stream') attached.handleClosed(end);
    else if (attached?.kind === 'attempt') attached.failed(connectError(...failures[end]));
    else if (attached?.kind === 'question') {
      attached.isGone = true;
      attached.onGone?.();
    }
  }

  #streamOn(connection: TcpConnection, stream = new TcpStream(connection, this.#wake)): Duplex {
    connection.attachment = stream;
    return stream.stream;
  }

  #announceUdp(flow: UdpFlow): void {
    const { address, port } = flow.local;
    const listener = this.#isOurs(address) ? this.#udpPorts.get(port) : this.#onUdp;
    if (listener === undefined || this.#isClosed) this.#stack.refuse(flow, 'unreachable');
    else listener(this.#channelOf(flow));
  }

  #channelOf(flow: UdpFlow): UdpChannel {
    const channel = new FlowUdpChannel(flow, this.#udpHost);
    flow.attachment = channel;
    this.#flows.add(flow);
    return channel;
  }

  #isOurs(address: Uint8Array): boolean {
    return this.#addresses.some(
      (own) => own.length === address.length && own.every((byte, i) => byte === address[i]),
    );
  }

  #whyNot(to: Destination): ConnectError {
    if (this.#isClosed) return connectError('closed', 'The tunnel is closed.');
    const { length } = to.source ?? to.destination;
    const hasFamily = this.#addresses.some((own) => own.length === length);
    if (hasFamily) return connectError('full', 'There are too many connections.');
    return connectError('unreachable', 'The tunnel has no address of that family.');
  }
}

function connectError(failure: ConnectFailure, sentence: string): ConnectError {
  return Object.assign(new Error(sentence), { failure });
}

function streamOf(connection: TcpConnection): TcpStream | undefined {
  const attached = connection.attachment as Attachment;
  return attached?.kind === 'stream' ? attached : undefined;
}

function channelIn(flow: UdpFlow): FlowUdpChannel | undefined {
  return flow.attachment as FlowUdpChannel | undefined;
}
