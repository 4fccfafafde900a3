/**
 * What a failed dial is called in each protocol: SOCKS5 (RFC 1928 §6), HTTP status and the error type
 * of Proxy-Status (RFC 9209). SOCKS4 knows only one word for no. Tables only.
 */

import { DialError, type DialFailure } from './dialer.ts';

export interface FailureWords {
  readonly socks5: number;
  readonly http: number;
  readonly proxyStatus: string;
}

export const failureWords: Readonly<Record<DialFailure, FailureWords>> = {
  refused: { socks5: 0x05, http: 502, proxyStatus: 'connection_refused' },
  unreachable: { socks5: 0x04, http: 502, proxyStatus: 'destination_ip_unroutable' },
  'name-not-found': { socks5: 0x04, http: 502, proxyStatus: 'dns_error' },
  timeout: { socks5: 0x06, http: 504, proxyStatus: 'connection_timeout' },
  denied: { socks5: 0x02, http: 403, proxyStatus: 'destination_ip_prohibited' },
  'tunnel-down': { socks5: 0x03, http: 503, proxyStatus: 'destination_unavailable' },
};

/** Whatever a dialer rejected with, as a DialError: what has no name of its own is 'unreachable'. */
export function asDialError(error: unknown): DialError {
  if (error instanceof DialError) return error;
  return new DialError('unreachable', 'The destination cannot be reached.', error);
}
