/**
 * Every bound and every time of the stack, with its origin. All of `NetLimits` can be set by the
 * composition root; the constants below it are fixed.
 */

import { minuteMs, secondMs } from '../base/time.ts';

export interface NetLimits {
  /** TCP connections in all, those in TIME-WAIT apart. */
  readonly connections: number;
  /** Of them begun by one remote source (an IPv4 address, an IPv6 /64). */
  readonly connectionsPerSource: number;
  /** Of them not established yet, begun by others: what a SYN flood can take. */
  readonly halfOpen: number;
  readonly halfOpenPerSource: number;
  /** Connections in TIME-WAIT; beyond it the oldest ends early. */
  readonly timeWait: number;
  readonly udpFlows: number;
  readonly udpFlowsPerSource: number;
  /** Series of echo requests (one asker, destination and identifier), for destinations that are not ours. */
  readonly echoFlows: number;
  readonly echoFlowsPerSource: number;
  /** IP datagrams in reassembly. */
  readonly reassemblies: number;
  readonly reassembliesPerSource: number;
  /** Memory of all queues together, bytes. */
  readonly memoryBytes: number;
  /** Most unread bytes of one connection: the largest receive window. */
  readonly receiveBytes: number;
  /** Most bytes of one connection that wait to be sent or acknowledged. */
  readonly sendBytes: number;
  /** Bytes waiting in each direction of one UDP flow. */
  readonly udpQueueBytes: number;
  /** How long a peer may take to answer our SYN, and a consumer to decide about theirs. */
  readonly connectMs: number;
  readonly decideMs: number;
  /** How long data may stay unacknowledged (RFC 5482, RFC 9293 §3.8.3 R2). */
  readonly userTimeoutMs: number;
  /** UDP flows without traffic end after this (RFC 4787 REQ-5 recommends five minutes)... */
  readonly udpIdleMs: number;
  /** ... and conversations with port 53, which are a question and an answer, sooner. */
  readonly udpDnsIdleMs: number;
  /** A series of echo requests ends after this silence (RFC 5508 REQ-2: not before a minute). */
  readonly echoIdleMs: number;
}

const kibi = 1024;
const mebi = kibi * kibi;

export const defaultNetLimits: NetLimits = {
  connections: 8192,
  connectionsPerSource: 2048,
  halfOpen: 1024,
  halfOpenPerSource: 256,
  timeWait: 4096,
  udpFlows: 8192,
  udpFlowsPerSource: 1024,
  echoFlows: 1024,
  echoFlowsPerSource: 128,
  reassemblies: 64,
  reassembliesPerSource: 8,
  memoryBytes: 256 * mebi,
  receiveBytes: 4 * mebi,
  sendBytes: 4 * mebi,
  udpQueueBytes: 128 * kibi,
  connectMs: 30 * secondMs,
  decideMs: 30 * secondMs,
  userTimeoutMs: 2 * minuteMs,
  udpIdleMs: 5 * minuteMs,
  udpDnsIdleMs: 20 * secondMs,
  echoIdleMs: minuteMs,
};

/** Receive window and send queue at the start; both grow with use. */
export const initialReceiveBytes: number = 128 * kibi;
export const initialSendBytes: number = 256 * kibi;

/** Without an MSS option (RFC 9293 §3.7.1). */
export const defaultMss4 = 536;
export const defaultMss6 = 1220;
/** Deviation: a smaller offer counts as this, or a few bytes of options would leave no room for content. */
export const minMss = 64;
/** No path is believed to carry less (RFC 8200 §5; RFC 1191 §7.1 has 68, but attackers like it low). */
export const minPathMtu6 = 1280;
export const minPathMtu4 = 552;

/** RFC 6298 §2.1. */
export const initialRtoMs: number = secondMs;
/** Deviation: RFC 6298 §2.4 asks for one second; 200 ms is what kernels use, and TLP is finer still. */
export const minRtoMs = 200;
/** RFC 6298 §2.5. */
export const maxRtoMs: number = minuteMs;
/** SYNs are repeated this often at most; connectMs may end it before (RFC 9293 §3.8.3). */
export const maxSynRepeats = 6;
/** Resolution of the time stamps, and so of what they measure. */
export const timestampTickMs = 1;

/** RFC 9293 §3.8.6.3 allows half a second. */
export const delayedAckMs = 40;
/** Where the other side waits for nothing but our answer, which mostly comes sooner and takes the acknowledgement along. */
export const briefAckMs = 2;
/** Segments acknowledged at once at the start, while the other side's window is small. */
export const quickAcks = 16;
/** RFC 8985 §7.2: what another's delayed acknowledgement may add. */
export const worstDelayedAckMs = 200;

/** Deviation: twice the MSL of RFC 9293 §3.4.2 is four minutes; kernels wait one. */
export const timeWaitMs: number = minuteMs;

/** Keep-alive probes without an answer before the connection is given up. */
export const keepAliveProbes = 8;
export const keepAliveProbeMs: number = 15 * secondMs;

/** RFC 5961 §7, for each connection: a shared limit could be watched from aside. */
export const challengeAcks = 10;
export const challengeAckWindowMs: number = 5 * secondMs;
/** Replies to packets of no connection (RST, ICMP errors), per second in all. */
export const strayReplies = 500;

/** Gaps in received data of one connection; a segment that would make one more is dropped. */
export const maxGaps = 64;
/** Segments in flight of one connection. */
export const maxSegmentsInFlight = 16_384;

/** PAWS: time stamps older than this say nothing (RFC 7323 §5.5). */
export const timestampAgeMs: number = 24 * 24 * 60 * minuteMs;

/** RFC 791 and RFC 8200 §4.5 allow up to a minute. */
export const reassemblyMs: number = 30 * secondMs;
/** Pieces of one datagram, gaps between them included. */
export const maxFragmentGaps = 16;

/** RFC 6056 §3.2 asks for a wide range; below it live listeners. */
export const firstEphemeralPort = 32_768;
export const lastEphemeralPort = 65_535;
export const ephemeralTries = 64;
