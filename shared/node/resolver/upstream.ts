/**
 * The contract of one way to one resolver: raw query in, raw answer out. Implementations share the prefix of
 * this file. An upstream connects when it is asked, keeps its connection, survives the server's closing it,
 * and never falls back to another transport.
 */

import type { Duplex } from 'node:stream';
import type { Log } from '../../core/base/ports.ts';
import type { Clock } from '../clock.ts';
import type { UpstreamStats } from './latency.ts';

/** Why a query has no answer. */
export type UpstreamFailure =
  /** No connection: refused, unreachable, reset. */
  | 'unreachable'
  /** The server is not who it should be. */
  | 'certificate'
  | 'timeout'
  /** The connection broke, also at the second try. */
  | 'closed'
  /** Bytes or a status that are no answer. */
  | 'bad-answer'
  /** Too many questions in flight. */
  | 'full';

export class UpstreamError extends Error {
  override readonly name = 'UpstreamError';
  readonly failure: UpstreamFailure;

  constructor(failure: UpstreamFailure, sentence: string, cause?: unknown) {
    super(sentence, cause === undefined ? {} : { cause });
    this.failure = failure;
  }
}

export interface Upstream {
  /** As people write it, with the address that is asked where the two differ. */
  readonly name: string;
  readonly isEncrypted: boolean;
  readonly stats: UpstreamStats;
  /**
   * Asks. The answer has the query's id; that it answers the question is the caller's to check. Rejects with
   * UpstreamError, or with the signal's reason; without a signal only the upstream's own time limit ends it.
   * `message` must not change any more. The answer may be a part of a larger piece of memory.
   */
  query(message: Uint8Array, signal?: AbortSignal): Promise<Uint8Array>;
  /** Another network: leaves its connections; what they left open is asked again on new ones. */
  reset(): void;
  /** Rejects what is open; queries afterwards are rejected too. Idempotent. */
  close(): void;
}

/** Opens a connection to a numeric address: the system's TCP, or a stack inside the tunnel. */
export type Dial = (address: string, port: number) => Duplex;

/** Where an upstream is and who it must be. */
export interface UpstreamTarget {
  readonly name: string;
  /** Numeric. */
  readonly address: string;
  readonly port: number;
  /** Name or address that the certificate must cover. */
  readonly identity: string;
  /** DoH: path of the URL. */
  readonly path: string;
}

export interface UpstreamTimes {
  /** TCP and TLS together. */
  readonly connectMs: number;
  /** From asking to giving up. */
  readonly queryMs: number;
  /** A connection without questions is closed after so long: before the server does. */
  readonly idleMs: number;
  /** No answer to anything for so long: new questions go to a new connection. */
  readonly suspectMs: number;
}

export interface UpstreamParts {
  readonly clock: Clock;
  readonly log: Log;
  /** Certificates that are trusted, PEM. */
  readonly trusted: readonly string[];
  readonly dial: Dial;
  readonly times: UpstreamTimes;
  /** Firewall mark of questions that go in the clear; absent: none. Needs a right, and is left out without it. */
  readonly plainMark?: number | undefined;
  /** Without the mark nothing is asked: it would go another way. */
  readonly needsMark?: boolean;
}

/** DoT: 1.1.1.1 closes after some ten seconds. */
export const dotTimes: UpstreamTimes = { connectMs: 4000, queryMs: 4000, idleMs: 9000, suspectMs: 1000 };
/** DoH: servers keep idle connections for minutes. */
export const dohTimes: UpstreamTimes = { connectMs: 4000, queryMs: 4000, idleMs: 120_000, suspectMs: 1000 };

/** Questions in flight on one connection. */
export const maxInFlight = 4096;
