/**
 * A UDP socket on a loopback address that speaks with one port of this machine and with nobody else. In batches where
 * native calls work (loopback-linux.ts), else one datagram a call (loopback-dgram.ts).
 */

import type { Log } from '../../core/base/ports.ts';
import { LoopbackDgram } from './loopback-dgram.ts';
import { openLoopbackLinux } from './loopback-linux.ts';

export interface LoopbackPort {
  readonly address: string;
  readonly port: number;
  /** bytes[start] to bytes[end - 1] came, borrowed until return. Set once, in the turn in which it was opened. */
  onDatagram: ((bytes: Uint8Array, start: number, end: number) => void) | undefined;
  /** Sends a copy, now or at the end of this turn of the event loop. False where it is dropped for want of room. */
  send(bytes: Uint8Array, start: number, end: number): boolean;
  /** Idempotent. */
  close(): void;
}

/** `from`: the loopback address that it has; 127.0.0.1 where this system has that one alone. Rejects as the system does. */
export async function openLoopbackPort(toPort: number, log: Log, from = '127.0.0.1'): Promise<LoopbackPort> {
  return openLoopbackLinux({ toPort, from, log }) ?? (await LoopbackDgram.open(toPort, from));
}
