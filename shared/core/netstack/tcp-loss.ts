/** Finding and repairing loss: recovery begins and ends here (RFC 6675, RFC 8985). */

import { after, type MonoMs } from '../base/time.ts';
import { distance, isBefore } from './sequence.ts';
import type { Tcb } from './tcb.ts';

/** Marks what RACK takes for lost now, begins recovery where that is new, and sets the reordering timer. */
export function detectLoss(tcb: Tcb, now: MonoMs): void {
  const { log, rack, rtt, timers } = tcb;
  const window = rack.windowMs(log.sackedCount, tcb.recovery !== 'open', rtt.minMs, rtt.smoothedMs);
  const nextAt = rack.detect(log, now, window);
  if (nextAt === Number.POSITIVE_INFINITY) timers.clear('reorder');
  else timers.set('reorder', after(now, nextAt - now));
  if (log.lostCount > 0) beginRecovery(tcb);
}

/** The congestion window is cut once for all that is in flight now. */
export function beginRecovery(tcb: Tcb): void {
  if (tcb.recovery !== 'open') return;
  tcb.recovery = 'recovery';
  tcb.recoverUntil = tcb.max;
  tcb.timers.clear('probe');
  // The first repetition does not wait for the cut window to have room (RFC 6675 §5 step 4.3).
  tcb.mayRepeatOne = true;
  tcb.congestion.handleLoss(tcb.log.inFlight, distance(tcb.una, tcb.next));
}

/** Ends recovery when all that was in flight at its beginning is acknowledged. */
export function checkRecovered(tcb: Tcb, now: MonoMs): void {
  if (tcb.recovery === 'open' || isBefore(tcb.una, tcb.recoverUntil)) return;
  tcb.recovery = 'open';
  tcb.rack.noteRecovered();
  tcb.congestion.handleRecovered(now);
}
