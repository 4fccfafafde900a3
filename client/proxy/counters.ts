/** What the proxy counts, for status and tests. Plain numbers that only grow, but for the gauges. */

import type { DialFailure } from './dialer.ts';

export interface ProxyCounters {
  /** Gauge: client connections now, in any phase. */
  connections: number;
  /** Gauge: UDP associations now. */
  associations: number;
  /** Client connections since the start, by what they spoke. */
  accepted: { socks5: number; socks4: number; http: number };
  /** Bytes of payload from clients to destinations, TCP and UDP. */
  bytesUp: number;
  bytesDown: number;
  /** Closed unheard: over the limit, or not from this machine. */
  turnedAway: { full: number; notLocal: number };
  /** Spoke none of the protocols, or spoke one wrongly. */
  malformed: number;
  /** Wrong or no password. */
  unauthorized: number;
  /** Closed by us for silence: before the first request, between two, or in a tunnel. */
  timedOut: number;
  /** Ended because the gate was closed. */
  cut: number;
  dialed: number;
  failed: Record<DialFailure, number>;
  udp: {
    /** Datagrams relayed. */
    up: number;
    down: number;
    /** Datagrams dropped: we put no fragments together (RFC 1928 §7 allows that). */
    fragments: number;
    /** From another program than the association's own. */
    strangers: number;
    malformed: number;
    /** Answers that the client did not take in time. */
    overflow: number;
  };
}

export function newCounters(): ProxyCounters {
  return {
    connections: 0,
    associations: 0,
    accepted: { socks5: 0, socks4: 0, http: 0 },
    bytesUp: 0,
    bytesDown: 0,
    turnedAway: { full: 0, notLocal: 0 },
    malformed: 0,
    unauthorized: 0,
    timedOut: 0,
    cut: 0,
    dialed: 0,
    failed: { refused: 0, unreachable: 0, 'name-not-found': 0, timeout: 0, denied: 0, 'tunnel-down': 0 },
    udp: { up: 0, down: 0, fragments: 0, strangers: 0, malformed: 0, overflow: 0 },
  };
}
