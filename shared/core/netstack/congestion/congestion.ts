/** Congestion control: how much may be in flight and how fast it may leave. Knows bytes and times, no sequence numbers. */

import type { MonoMs } from '../../base/time.ts';

/** What one acknowledgement taught (draft-cheng-iccrg-delivery-rate-estimation). Borrowed until return. */
export interface AckSample {
  now: MonoMs;
  /** Bytes newly known to have arrived, and newly thought lost. */
  acked: number;
  lost: number;
  /** Bytes in flight after and before this acknowledgement. */
  inFlight: number;
  priorInFlight: number;
  /** Round trip of the newest segment that was sent once; negative where there is none. */
  rttMs: number;
  /** Bytes per millisecond that arrived while that segment travelled; 0 where it cannot be told. */
  deliveryRate: number;
  /** Bytes delivered in all: when that segment left, and now. */
  priorDelivered: number;
  delivered: number;
  /** The sender had nothing more to send, so that the rate says little. */
  appLimited: boolean;
  /** Whether the window was full, so that growing it means something. */
  windowLimited: boolean;
  /** A loss is being repaired. */
  inRecovery: boolean;
}

export type CongestionName = 'bbr' | 'newreno';

export interface CongestionControl {
  readonly name: CongestionName;
  /** Bytes that may be in flight. */
  readonly windowBytes: number;
  /** Bytes per millisecond; Infinity = not paced. */
  readonly pacingRate: number;
  handleAck(sample: AckSample): void;
  /** Recovery begins: something was lost, with this much in flight and this much not acknowledged. */
  handleLoss(inFlight: number, outstanding: number): void;
  handleRecovered(now: MonoMs): void;
  /** Nothing came back for a whole RTO, with this much not acknowledged. */
  handleTimeout(outstanding: number, now: MonoMs): void;
  /** Sending begins again after silence longer than an RTO. */
  handleIdle(now: MonoMs): void;
  setMss(mss: number): void;
}

/** RFC 6928. */
export function initialWindow(mss: number): number {
  return Math.min(10 * mss, Math.max(2 * mss, 14_600));
}
