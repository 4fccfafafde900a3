/** Every bound and deadline of the proxy in one place. Only numbers. */

import { minuteMs, secondMs } from '../../shared/core/base/time.ts';
import type { NetLimits } from '../../shared/core/netstack/limits.ts';

export interface ProxyLimits {
  /** Client connections of all protocols together. The next one is closed unheard. */
  readonly maxConnections: number;
  /** UDP associations; each also is a connection. */
  readonly maxAssociations: number;
  /** From the first moment of a connection until its first request stands complete. */
  readonly greetingMs: number;
  /** For the destination to answer; the dialer may give up earlier. */
  readonly dialMs: number;
  /** Between two requests of one HTTP connection, the second one's head included. */
  readonly keepAliveMs: number;
  /** Without a byte in either direction. */
  readonly idleMs: number;
  /** The same, once one side has ended its direction. */
  readonly halfClosedIdleMs: number;
  /** For a refused client to read why. */
  readonly lingerMs: number;
  /** How often idle connections are looked for; idle times are as exact as this. */
  readonly sweepMs: number;
}

export const defaultLimits: ProxyLimits = {
  // 16 384 are promised; some may be on their way out.
  maxConnections: 20_000,
  maxAssociations: 1024,
  greetingMs: 15 * secondMs,
  dialMs: minuteMs,
  keepAliveMs: minuteMs,
  // What NATs owe an idle connection (RFC 5382 REQ-5), so that a quiet ssh survives.
  idleMs: 124 * minuteMs,
  halfClosedIdleMs: 10 * minuteMs,
  lingerMs: 5 * secondMs,
  sweepMs: 15 * secondMs,
};

/** Longest message of a SOCKS conversation: two strings of 255 bytes and their frame (SOCKS4a). */
export const maxSocksMessageBytes: number = 8 + 2 * 256;
/** Request line and headers of one HTTP message, either direction. */
export const maxHttpHeadBytes: number = 32 * 1024;
/** Answers of an association that wait for the client; more are lost and counted. */
export const maxUdpQueueBytes: number = 1024 * 1024;
/** Connections that the system may hold for us before we accept them. */
export const listenBacklog = 1024;

/** Of the stack below the proxy: a connection inside the tunnel for each of the proxy's, and room for their ends. */
export const proxyNetLimits: Partial<NetLimits> = {
  connections: defaultLimits.maxConnections,
  timeWait: defaultLimits.maxConnections,
  udpFlows: 16_384,
};
