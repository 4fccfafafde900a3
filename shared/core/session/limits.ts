/**
 * The constants of the WireGuard paper (§6.1 and the table of §6), and bounds of our own. Tests
 * shorten times by giving another Limits.
 */

import { secondMs } from '../base/time.ts';

export interface Limits {
  /** After this many messages a session asks for a new handshake (§6.2). */
  readonly rekeyAfterMessages: number;
  /** After this many messages a session is dead (§6.2). */
  readonly rejectAfterMessages: number;
  readonly rekeyAfterTimeMs: number;
  readonly rejectAfterTimeMs: number;
  /** How long an initiator goes on without an answer (§6.4). */
  readonly rekeyAttemptTimeMs: number;
  /** Between two initiations (§6.4). */
  readonly rekeyTimeoutMs: number;
  readonly keepaliveTimeoutMs: number;
  /** Up to this much is added at random to rekeyTimeoutMs, so that two peers do not keep colliding (§6.1). */
  readonly jitterMs: number;
  /** A peer that initiates more often than this is ignored meanwhile. */
  readonly initiationMinIntervalMs: number;
  /** Data that is unanswered for so long is announced ('unanswered'), once per silence; 0 = never. Nothing is sent for it. */
  readonly announceUnansweredMs: number;
  /** So many datagrams lost on their way to us, close together, are announced ('lossy'); 0 = never, and not counted. */
  readonly announceLostPackets: number;
}

/**
 * Deviation: the paper allows 2^64 - 2^13 - 1 messages. Counters here are JS numbers, so a session
 * ends at 2^52 messages; at 10 million packets a second that is 14 years, and a session lives three minutes.
 */
export const paperLimits: Limits = {
  rekeyAfterMessages: 2 ** 51,
  rejectAfterMessages: 2 ** 52,
  rekeyAfterTimeMs: 120 * secondMs,
  rejectAfterTimeMs: 180 * secondMs,
  rekeyAttemptTimeMs: 90 * secondMs,
  rekeyTimeoutMs: 5 * secondMs,
  keepaliveTimeoutMs: 10 * secondMs,
  jitterMs: 333,
  initiationMinIntervalMs: 20,
  announceUnansweredMs: 0,
  announceLostPackets: 0,
};

/** Packets that wait for a handshake, per peer. */
export const stagedPacketsPerPeer: number = 128;
/** Bytes that wait for handshakes, over all peers. */
export const stagedBytesInAll: number = 16 * 1024 * 1024;
