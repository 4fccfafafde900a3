/**
 * The state of one TCP connection: RFC 9293's transmission control block. Fields only; what happens to
 * them is in tcp-arrive, tcp-acknowledge, tcp-transmit and tcp-timers. Never leaves the room: consumers
 * hold a TcpConnection.
 */

import { Deadlines } from '../base/deadlines.ts';
import { protocolTcp } from '../packet/transport.ts';
import { ByteQueue, type ChunkPool } from './byte-queue.ts';
import type { CongestionControl } from './congestion/congestion.ts';
import type { TcpConnection } from './events.ts';
import { type FlowNode, flowKeyOf } from './flow-table.ts';
import { type IpPath, ipPath } from './ip-output.ts';
import { initialSendBytes, type NetLimits, quickAcks } from './limits.ts';
import { Rack } from './rack.ts';
import { RateSampler } from './rate-sampler.ts';
import { RttEstimator } from './rtt.ts';
import { SentLog } from './sent-log.ts';
import { TcpReceive } from './tcp-receive.ts';
import type { TcpState } from './tcp-state.ts';
import type { Sleeper } from './wake-heap.ts';

/**
 * 'life' ends what has lasted too long: an undecided SYN, connecting, TIME-WAIT. 'patience' is the user
 * timeout. 'retransmit', 'probe' (TLP) and 'reorder' (RACK) watch what is in flight.
 */
export const tcpTimers = [
  'life',
  'patience',
  'retransmit',
  'probe',
  'reorder',
  'persist',
  'delayed-ack',
  'keep-alive',
  'pace',
] as const;
export type TcpTimer = (typeof tcpTimers)[number];

export interface TcbOptions {
  readonly local: Uint8Array;
  readonly localPort: number;
  readonly remote: Uint8Array;
  readonly remotePort: number;
  /** Who the limits of one source count; undefined for connections that we begin. */
  readonly source: string | undefined;
  readonly pool: ChunkPool;
  readonly limits: NetLimits;
  readonly congestion: CongestionControl;
}

export class Tcb implements FlowNode<Tcb>, Sleeper {
  readonly key: Uint8Array;
  hash = 0;
  chained: Tcb | undefined;
  wakeAt: number = Number.POSITIVE_INFINITY;
  heapIndex = -1;
  /** In the list of those that have something to send. */
  isReady = false;

  readonly path: IpPath;
  readonly localPort: number;
  readonly remotePort: number;
  readonly source: string | undefined;
  state: TcpState = 'closed';
  /** Counted among the half open ones of others. */
  isHalfOpen = false;
  /** In the flow table and counted among the connections. */
  isCounted = false;
  readonly timers: Deadlines<TcpTimer> = new Deadlines(tcpTimers);
  readonly limits: NetLimits;
  /** The consumer's view; set by the stack before anything else. */
  connection!: TcpConnection;

  // what the SYNs agreed on
  sendScale = 0;
  receiveScale = 0;
  hasTimestamps = false;
  hasSack = false;
  /** Whether options may be offered; false after a SYN that offered none. */
  offersScale = true;
  offersTimestamps = true;
  offersSack = true;

  // sending (RFC 9293 §3.3.1)
  initialSend = 0;
  una = 0;
  next = 0;
  /** The furthest that was ever sent. */
  max = 0;
  sendWindow = 0;
  largestWindow = 0;
  windowSequence = 0;
  windowAck = 0;
  /** Sequence number of the first byte in `sendQueue`. */
  queueStart = 0;
  readonly sendQueue: ByteQueue;
  sendLimit: number;
  isClosing = false;
  /** Largest content of a segment before options are taken off: from the path and from their MSS. */
  pathMtu: number;
  theirMss = 0;
  maxSegment = 0;
  nagle = false;
  readonly log: SentLog = new SentLog();
  readonly rate: RateSampler = new RateSampler();
  readonly rtt: RttEstimator = new RttEstimator();
  readonly rack: Rack = new Rack();
  readonly congestion: CongestionControl;
  recovery: 'open' | 'recovery' | 'loss' = 'open';
  recoverUntil = 0;
  /** One lost segment may go out whatever the congestion window says. */
  mayRepeatOne = false;
  /** End of the tail loss probe in flight, and whether there is one (RFC 8985 §7). */
  probeEnd = 0;
  isProbing = false;
  wasProbeRepeat = false;
  isProbeDue = false;
  synRepeats = 0;
  paceAt = 0;
  lastSentAt = 0;
  persistBackoff = 0;
  isPersistDue = false;
  wasWindowLimited = false;

  // receiving
  initialReceive = 0;
  readonly receive: TcpReceive;
  /** Where their FIN is, if it came. */
  theirFin = 0;
  hasTheirFin = false;
  /** It came in its turn: there is no more content, and nothing is missing. */
  hasTakenFin = false;
  timestampOffset = 0;
  recentTimestamp = 0;
  recentTimestampAt = 0;
  lastAckSent = 0;
  ackNow = false;
  synNow = false;
  resetNow = false;
  /** The consumer wants ICMP to say that nobody is there. */
  unreachableNow = false;
  unackedSegments = 0;
  quickAcksLeft: number = quickAcks;
  challengesLeft = 0;
  challengesSince: number = Number.NEGATIVE_INFINITY;
  keepAliveMs = 0;
  keepAliveProbes = 0;
  heardAt = 0;
  isKeepAliveDue = false;

  // towards the consumer
  wantsWrite = false;
  toldReadable = false;

  bytesSent = 0;
  bytesReceived = 0;
  segmentsSent = 0;
  segmentsRepeated = 0;
  timeouts = 0;

  constructor(options: TcbOptions, mtu: number) {
    this.key = flowKeyOf(options.remote, options.remotePort, options.local, options.localPort);
    this.path = ipPath(options.local, options.remote, protocolTcp);
    this.localPort = options.localPort;
    this.remotePort = options.remotePort;
    this.source = options.source;
    this.limits = options.limits;
    this.sendQueue = new ByteQueue(options.pool);
    this.sendLimit = Math.min(initialSendBytes, options.limits.sendBytes);
    this.receive = new TcpReceive(options.pool, options.limits.receiveBytes);
    this.congestion = options.congestion;
    this.pathMtu = mtu;
  }

  /** Sequence number behind the last byte that the consumer gave: where our FIN is or will be. */
  get queueEnd(): number {
    return (this.queueStart + this.sendQueue.length) | 0;
  }
}
