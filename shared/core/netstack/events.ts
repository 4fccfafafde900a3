/** What the stack announces, and what its consumers hold: connections and flows. Types only. */

import type { TcpState } from './tcp-state.ts';

/** One end of a flow. The address has 4 or 16 bytes and is never changed. */
export interface FlowEnd {
  readonly address: Uint8Array;
  readonly port: number;
}

/** Why a connection is no more. */
export type TcpEnd =
  /** Both sides closed, everything was acknowledged. */
  | 'finished'
  /** The other side sent a reset, later or in answer to our SYN. */
  | 'reset'
  | 'refused'
  /** A router or the other host says that nobody is there. */
  | 'unreachable'
  /** No answer within the limit. */
  | 'timeout'
  /** We gave it up. */
  | 'aborted';

export interface TcpCounts {
  readonly bytesSent: number;
  readonly bytesReceived: number;
  readonly segmentsSent: number;
  readonly segmentsRepeated: number;
  readonly timeouts: number;
  readonly smoothedRttMs: number;
  readonly windowBytes: number;
  /** Bytes per millisecond, Infinity where not paced. */
  readonly pacingRate: number;
  readonly congestion: string;
  readonly maxSegment: number;
}

/**
 * A TCP connection, for its consumer. Nothing is sent at once: every command only notes what to do, and
 * the next `poll` of the stack does it; `nextTimeoutAt` says that it is due. After 'tcp-closed' content
 * that had arrived can still be read; read it or call `abort`, it counts against the memory until then.
 */
export interface TcpConnection {
  readonly local: FlowEnd;
  readonly remote: FlowEnd;
  readonly state: TcpState;
  /** Bytes that `read` would give now. */
  readonly readableBytes: number;
  /** True when the other side has closed and everything it sent was read. */
  readonly hasEnded: boolean;
  /** Bytes that `write` would take now, memory permitting. */
  readonly writableBytes: number;
  readonly counts: TcpCounts;
  /** Set by consumers: what belongs to this connection. The stack never looks at it. */
  attachment: unknown;
  /**
   * Queues bytes (copied) and returns how many were taken. Where not all were, 'tcp-writable' says when
   * to try again. 0 after `close`.
   */
  write(bytes: Uint8Array, start?: number, end?: number): number;
  /** Takes bytes that arrived; the receive window opens only by this. 0 where there is nothing now. */
  read(into: Uint8Array): number;
  /** Sends FIN after what is queued. The other direction stays open. Idempotent. */
  close(): void;
  /** Sends RST and forgets everything. Idempotent. */
  abort(): void;
  /** Keep-alive after this silence (RFC 9293 §3.8.4); 0 = none, the default. */
  setKeepAlive(idleMs: number): void;
  /** Nagle's algorithm (RFC 9293 §3.7.4). Default off: whoever relays gets whole writes. */
  setNagle(isOn: boolean): void;
}

/**
 * A UDP flow: datagrams between two ends. The same rules as for TcpConnection. Or a series of echo requests and their
 * replies: then both ports are the identifier, and each datagram is an ICMP message from its type on. What is sent gets
 * type, identifier and checksum from the stack; sequence and payload are the sender's.
 */
export interface UdpFlow {
  readonly kind: FlowKind;
  readonly local: FlowEnd;
  readonly remote: FlowEnd;
  readonly isOpen: boolean;
  /** Bytes of the next datagram, -1 where none waits. */
  readonly nextLength: number;
  attachment: unknown;
  /** Takes one datagram, cut to the room; its length, or -1 where none waits. */
  receive(into: Uint8Array): number;
  /** Queues a datagram (copied). False where the queue is full, the flow closed or the datagram too large. */
  send(bytes: Uint8Array, start?: number, end?: number): boolean;
  close(): void;
}

export type NetEvent =
  /** Somebody wants to connect: `accept` or `refuse`. */
  | { readonly kind: 'tcp-incoming'; readonly connection: TcpConnection }
  | { readonly kind: 'tcp-opened'; readonly connection: TcpConnection }
  /** Bytes or the end wait. Comes again when more arrives after a read; so read until 0, or go on by yourself. */
  | { readonly kind: 'tcp-readable'; readonly connection: TcpConnection }
  | { readonly kind: 'tcp-writable'; readonly connection: TcpConnection }
  | { readonly kind: 'tcp-closed'; readonly connection: TcpConnection; readonly end: TcpEnd }
  /** The first datagram of a new flow waits: use it or `refuse` it. */
  | { readonly kind: 'udp-incoming'; readonly flow: UdpFlow }
  /** The first echo request of a series to a destination that is not ours waits: use it or `refuse` it. */
  | { readonly kind: 'echo-incoming'; readonly flow: UdpFlow }
  | { readonly kind: 'udp-readable'; readonly flow: UdpFlow }
  | { readonly kind: 'udp-closed'; readonly flow: UdpFlow; readonly end: UdpEnd };

/** What the datagrams of a flow are. */
export type FlowKind = 'udp' | 'echo';

/** Why a UDP flow is no more. */
export type UdpEnd = 'idle' | 'unreachable' | 'closed';

/** What the sender of an unwanted packet is told. For echo requests 'reset' is "administratively prohibited". */
export type Refusal = 'reset' | 'unreachable' | 'drop';

/** Why packets were not used, counted. */
export interface NetCounts {
  malformed: number;
  /** For an address or port where nobody is. */
  stray: number;
  /** Limits of connections, flows, reassembly. */
  overLimit: number;
  /** Segments outside the window, with old time stamps, or that may not be. */
  unacceptable: number;
  challengeAcks: number;
  resetsSent: number;
  /** Content that memory or gaps had no room for. */
  noRoom: number;
  icmpErrors: number;
  echoes: number;
}
