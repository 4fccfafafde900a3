/**
 * The contract of whatever carries the proxy's connections: dial TCP, open UDP. The real one is the
 * userspace TCP/IP stack inside the tunnel, and names are resolved at its far end: an implementation
 * must never ask this machine's resolver and never go outside the tunnel.
 */

import type { Duplex } from 'node:stream';

/** Why a dial failed, as far as the client of a proxy can be told. */
export type DialFailure =
  /** The destination answered that nobody listens. */
  | 'refused'
  /** No route, or the host does not answer at its address. */
  | 'unreachable'
  | 'name-not-found'
  | 'timeout'
  /** Policy: here or at the edge. */
  | 'denied'
  /** There is no tunnel at this moment. Nothing was sent anywhere. */
  | 'tunnel-down';

/** Why a dial failed, with one sentence for people in `message`. */
export class DialError extends Error {
  override readonly name = 'DialError';
  readonly failure: DialFailure;

  constructor(failure: DialFailure, sentence: string, cause?: unknown) {
    super(sentence, cause === undefined ? {} : { cause });
    this.failure = failure;
  }
}

export interface DialRequest {
  /** A numeric address in its usual spelling (IPv6 without brackets), or a name in lower case. */
  readonly host: string;
  /** 1 to 65535. */
  readonly port: number;
  /** Aborting gives up at once; the promise then rejects with the signal's reason. */
  readonly signal: AbortSignal;
}

export interface UdpMessage {
  /** Numeric address of the sender. */
  readonly host: string;
  readonly port: number;
  /** Borrowed until the listener returns. */
  readonly bytes: Uint8Array;
}

/** One local UDP port at the far end: any number of destinations, answers from all of them. */
export interface UdpFlow {
  /**
   * Sends one datagram, or loses it: to an unknown name, over a full queue, after `close`. Never
   * throws for such reasons. `bytes` are borrowed until return. `host` is like DialRequest's.
   */
  send(host: string, port: number, bytes: Uint8Array): void;
  /** Sets the one listener. What comes before that is lost. */
  onMessage(listener: (message: UdpMessage) => void): void;
  /** Idempotent. The listener is not called any more. */
  close(): void;
}

export interface Dialer {
  /**
   * A connected stream, or a rejection with DialError or the signal's reason. The stream's `end` is
   * a FIN, its event 'end' the other side's FIN, and each direction may end alone (allowHalfOpen);
   * it takes no more than its high-water mark ahead of the network in both directions. `destroy`
   * gives up both directions; a connection that broke emits 'error', never 'end'.
   */
  dialTcp(request: DialRequest): Promise<Duplex>;
  /** Throws DialError where none can be had now. */
  openUdp(): UdpFlow;
}
