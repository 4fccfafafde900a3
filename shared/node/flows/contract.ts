/**
 * The contracts of the room: a userspace TCP/IP stack (core/netstack) inside a tunnel, its connections as
 * Node streams, in a worker with an event loop. Types only. The client's proxy and an edge without
 * privileges are built on them.
 */

import type { Duplex } from 'node:stream';
import type { Entropy, Log } from '../../core/base/ports.ts';
import type { FlowEnd, NetCounts, Refusal, UdpEnd } from '../../core/netstack/events.ts';
import type { NetLimits } from '../../core/netstack/limits.ts';
import type { Destination, NetStack } from '../../core/netstack/stack.ts';
import type { DeviceStatus } from '../../core/tunnel/config.ts';
import type { Clock } from '../clock.ts';
import type { TunnelBackend } from '../dataplane/messages.ts';
import type { TurnJudge } from '../tun/tun-netstack.ts';
import type { FirstBytesWish } from './first-bytes.ts';

/** Why a connection through the stack did not come about. */
export type ConnectFailure = 'refused' | 'unreachable' | 'timeout' | 'full' | 'closed';

/** Rejection of `connectTcp`; `message` is one sentence. */
export interface ConnectError extends Error {
  readonly failure: ConnectFailure;
}

/**
 * Somebody in the tunnel wants a connection; nothing was answered yet. Decide once, by `accept` or
 * `refuse`; the stack itself gives up after its `decideMs`.
 */
export interface TcpIncoming {
  /** Who asks. */
  readonly source: FlowEnd;
  /** Whom they want; need not be an address of ours. */
  readonly destination: FlowEnd;
  /**
   * Answers with SYN-ACK. A stream with half-closing (allowHalfOpen), backpressure in both directions:
   * `end` is FIN, `destroy` is RST, event 'end' is the other side's FIN, a broken connection is 'error'.
   * Undefined where the asker is gone meanwhile.
   */
  accept(): Duplex | undefined;
  /** 'reset', 'unreachable' (ICMP) or 'drop'. Nothing happens where the asker is gone. */
  refuse(refusal: Refusal): void;
  /** Calls back once where the asker gives up before the decision: stop dialling then. */
  onGone(listener: () => void): void;
}

/**
 * Datagrams between two ends, through the stack. Or a series of echo requests and replies: then a datagram is an ICMP
 * message from its type on, of which type, identifier and checksum are set by whoever sends it.
 */
export interface UdpChannel {
  /** Our end; for what came from the tunnel, the destination that was asked for. */
  readonly local: FlowEnd;
  readonly remote: FlowEnd;
  /** False where the queue is full, the channel closed or the datagram too large. Bytes are copied. */
  send(bytes: Uint8Array): boolean;
  /** Sets the one listener; what waits is delivered at once. Bytes are borrowed until it returns. */
  onMessage(listener: (bytes: Uint8Array) => void): void;
  /** Calls back once: idle for too long, unreachable, or `close`. */
  onClose(listener: (end: UdpEnd) => void): void;
  /** Idempotent. */
  close(): void;
  /** For a channel that came from the tunnel, instead of any use: ICMP unreachable, or silence. */
  refuse(refusal: Refusal): void;
}

/** The stack, for its consumers on the event loop. Whoever calls need not care about polling. */
export interface StackHost {
  /** Rejects with ConnectError, or with the signal's reason. The stream is as that of TcpIncoming.accept. */
  connectTcp(to: Destination, signal?: AbortSignal): Promise<Duplex>;
  /** Undefined where a limit is reached. */
  openUdp(to: Destination): UdpChannel | undefined;
  /** A series of echo requests of our own. Undefined where a limit is reached. */
  openEcho(to: Pick<Destination, 'destination'>): UdpChannel | undefined;
  /** Connections to this port of the stack's own addresses. One listener a port. */
  listenTcp(port: number, listener: (incoming: TcpIncoming) => void): void;
  /** First datagrams of new flows to this port of the stack's own addresses. */
  listenUdp(port: number, listener: (channel: UdpChannel) => void): void;
  /** Connections to any other destination (needs `acceptAny`); without a listener they are reset. */
  onTcp(listener: (incoming: TcpIncoming) => void): void;
  onUdp(listener: (channel: UdpChannel) => void): void;
  /** Series of echo requests to any other destination; without a listener they are dropped. */
  onEcho(listener: (channel: UdpChannel) => void): void;
  /** Breaks every connection and flow whose tunnel-side address `matches`; a device that was removed. */
  cut(matches: (remote: Uint8Array) => boolean): void;
  /** Our addresses are others now: everything that runs is broken. */
  setAddresses(addresses: readonly Uint8Array[]): void;
  readonly usage: NetStack['usage'];
  readonly counts: NetCounts;
}

/** Whom a connection or flow out of the tunnel is for, and who wants it. */
export interface FarRequest {
  /** The asker, inside the tunnel. */
  readonly source: FlowEnd;
  /** Where they want to go. */
  readonly destination: FlowEnd;
}

export interface FarTcpRequest extends FarRequest {
  /** Aborted where the asker gave up meanwhile or it took too long, or by `giveUp`. */
  readonly signal: AbortSignal;
  /** For the way out itself: ends the dial with this reason. */
  readonly giveUp: (reason: Error) => void;
  /** What the asker has said already, where `firstBytes` wished it. To be read only: it is passed on by the caller. */
  readonly firstBytes?: Uint8Array;
}

/**
 * Rejection of a FlowDialer: what the asker is told. A rejection without `refusal` is read by Node's `code`:
 * ECONNREFUSED, ECONNRESET, EACCES and EPERM are 'reset', everything else is 'unreachable'.
 */
export interface FarRefusal extends Error {
  readonly refusal: Refusal;
}

/** Datagrams to one destination outside, and its answers. */
export interface FarUdp {
  /** Bytes are copied, or used before return. What cannot be sent is lost, as datagrams are. */
  send(bytes: Uint8Array): void;
  /** Sets the one listener. Bytes are borrowed until it returns. */
  onMessage(listener: (bytes: Uint8Array) => void): void;
  /** Calls back once where it ends by itself: the path broke, the destination says that nobody is there. */
  onClose(listener: () => void): void;
  /** Idempotent. */
  close(): void;
}

/** The way out of the tunnel for the forwarder: sockets of the system, or a proxy. */
export interface FlowDialer {
  /**
   * Where the way out depends on what the asker says: the connection is then accepted before it is dialled, and a
   * refusal comes as a reset. Undefined: dial at once. Absent: always.
   */
  firstBytes?(request: FarRequest): FirstBytesWish | undefined;
  /**
   * A connected stream with half-closing (allowHalfOpen). Rejects with FarRefusal, with an error of Node's, or
   * with the signal's reason. The stream belongs to the caller.
   */
  dialTcp(request: FarTcpRequest): Promise<Duplex>;
  /** At once, or later where there is something to set up. Throws or rejects as dialTcp does. */
  openUdp(request: FarRequest): FarUdp | Promise<FarUdp>;
  /**
   * A series of echo requests, its datagrams as those of UdpChannel. Absent: nobody outside can be pinged. The ports of
   * the request are 0. What throws or rejects with 'reset' is answered "administratively prohibited".
   */
  openEcho?(request: FarRequest): FarUdp | Promise<FarUdp>;
}

/** What the main thread gives a flow worker. Everything can be cloned between threads. */
export interface FlowThreadOptions {
  /** The program's worker entry: its `flow-thread.ts`. */
  readonly entry: URL;
  readonly log: Log;
  /** Largest packet inside the tunnel, 1280 at least. */
  readonly mtu: number;
  /** The stack's own addresses, 4 or 16 bytes. */
  readonly addresses: readonly Uint8Array[];
  /** Whether connections to other addresses are announced. */
  readonly acceptAny: boolean;
  readonly limits?: Partial<NetLimits>;
  /** Announces sends that are unanswered for so long; default: never. */
  readonly announceUnansweredMs?: number;
  /** Announces so many datagrams lost on their way to us; default: never. */
  readonly announceLostPackets?: number;
  /** For the role; cloned. */
  readonly settings: unknown;
  /** Default: 'dgram' where CULVERT_UDP says so or the native library is missing, else 'linux'. */
  readonly udp?: 'linux' | 'dgram';
}

/** The main thread's handle: a tunnel that has a role of its own to talk to. `interfaceName` is ''. */
export interface FlowBackend extends TunnelBackend {
  /** Asks the role; rejects with the CulvertError that it throws. */
  call(name: string, argument?: unknown): Promise<unknown>;
  /** What the role tells by itself. Returns the function that ends the subscription. */
  onNotice(listener: (name: string, value: unknown) => void): () => void;
}

/** What the role of a worker is built from. */
export interface FlowParts {
  readonly stack: StackHost;
  /** What carries the tunnel's datagrams. */
  readonly udp: 'linux' | 'dgram';
  /** As given to startFlowThread. */
  readonly settings: unknown;
  readonly log: Log;
  readonly clock: Clock;
  readonly entropy: Entropy;
  /** The tunnel now, without waiting. */
  readonly deviceStatus: () => DeviceStatus;
  /** Which packets go from one peer to another without the stack; none until it is called. */
  readonly turn: (judge: TurnJudge | undefined) => void;
  /** Tells the main thread. */
  notify(name: string, value: unknown): void;
}

/** What a program does inside its flow worker: the proxy, or the way out of an edge. */
export interface FlowRole {
  /** Serves FlowBackend.call. Throws or rejects with CulvertError. */
  call(name: string, argument: unknown): unknown;
  /** Before the stack goes. */
  close(): void | Promise<void>;
}
