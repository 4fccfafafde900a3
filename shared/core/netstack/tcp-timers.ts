/** The timers of a connection: what watches the segments in flight, and what happens when one is due. */

import { after, type MonoMs } from '../base/time.ts';
import { markReady, type NetContext, watchTimers } from './context.ts';
import { keepAliveProbeMs, keepAliveProbes, maxRtoMs, maxSynRepeats, worstDelayedAckMs } from './limits.ts';
import { sackedFlag } from './sent-log.ts';
import { distance, isBefore } from './sequence.ts';
import type { Tcb, TcpTimer } from './tcb.ts';
import { endConnection } from './tcp-lifecycle.ts';
import { detectLoss } from './tcp-loss.ts';
import { stateRules } from './tcp-state.ts';

/** Sets the timers that watch what is in flight, after something was sent or acknowledged. */
export function armLossTimers(tcb: Tcb, now: MonoMs): void {
  const { log, timers, rtt } = tcb;
  if (log.count === 0) {
    timers.clear('retransmit');
    timers.clear('probe');
    timers.clear('reorder');
    armPersist(tcb, now);
    return;
  }
  timers.clear('persist');
  if (!timers.isSet('patience')) timers.set('patience', after(now, tcb.limits.userTimeoutMs));
  if (!timers.isSet('retransmit')) timers.set('retransmit', after(now, rtt.rtoMs));
  if (mayProbe(tcb)) armTailProbe(tcb, now);
  else timers.clear('probe');
}

/** Something was acknowledged for the first time: the timeout starts anew (RFC 6298 §5.3). */
export function restartRetransmit(tcb: Tcb, now: MonoMs): void {
  tcb.timers.clear('patience');
  if (tcb.log.count > 0) tcb.timers.set('retransmit', after(now, tcb.rtt.rtoMs));
  armLossTimers(tcb, now);
}

function mayProbe(tcb: Tcb): boolean {
  return (
    tcb.recovery === 'open' &&
    !tcb.isProbing &&
    tcb.hasSack &&
    tcb.log.sackedCount === 0 &&
    tcb.rtt.backoff === 0
  );
}

/** RFC 8985 §7.2. Where the probe would not come before the timeout, the timeout does its work. */
function armTailProbe(tcb: Tcb, now: MonoMs): void {
  const { rtt, timers, log } = tcb;
  let wait = rtt.smoothedMs > 0 ? 2 * rtt.smoothedMs : 1000;
  wait += log.count === 1 ? worstDelayedAckMs : 2;
  const at = after(now, wait);
  if (at < (timers.get('retransmit') ?? Number.POSITIVE_INFINITY)) timers.set('probe', at);
  else timers.clear('probe');
}

/** Content waits and the window is closed (RFC 9293 §3.8.6.1). */
function armPersist(tcb: Tcb, now: MonoMs): void {
  const { timers } = tcb;
  const hasMore = isBefore(tcb.next, (tcb.queueEnd + (tcb.isClosing ? 1 : 0)) | 0);
  if (!hasMore || !stateRules[tcb.state].isSynchronized || tcb.state === 'syn-received') {
    timers.clear('persist');
    timers.clear('patience');
    tcb.persistBackoff = 0;
    return;
  }
  if (!timers.isSet('patience')) timers.set('patience', after(now, tcb.limits.userTimeoutMs));
  if (timers.isSet('persist')) return;
  const wait = Math.min(maxRtoMs, tcb.rtt.rtoMs * 2 ** Math.min(tcb.persistBackoff, 16));
  timers.set('persist', after(now, wait));
}

/** Handles every timer that is due. Each is handled once, however late. */
export function handleTimers(context: NetContext, tcb: Tcb, now: MonoMs): void {
  const { timers } = tcb;
  // Every reason at most once: handlers set their own timers to later than now.
  for (let left = timers.reasons.length; left > 0; left--) {
    const reason = timers.takeDue(now);
    if (reason === undefined) break;
    handleTimer(context, tcb, reason, now);
    if (tcb.state === 'closed') return;
  }
  watchTimers(context, tcb);
}

function handleTimer(context: NetContext, tcb: Tcb, reason: TcpTimer, now: MonoMs): void {
  switch (reason) {
    case 'life':
      endConnection(context, tcb, tcb.state === 'time-wait' ? 'finished' : 'timeout');
      return;
    case 'patience':
      endConnection(context, tcb, 'timeout');
      return;
    case 'retransmit':
      handleRetransmit(context, tcb, now);
      return;
    case 'probe':
      tcb.isProbeDue = true;
      // The timeout counts from the probe (RFC 8985 §7.3).
      tcb.timers.set('retransmit', after(now, tcb.rtt.rtoMs));
      break;
    case 'reorder':
      detectLoss(tcb, now);
      break;
    case 'persist':
      tcb.isPersistDue = true;
      tcb.persistBackoff++;
      armPersist(tcb, now);
      break;
    case 'delayed-ack':
      tcb.ackNow = true;
      break;
    case 'keep-alive':
      handleKeepAlive(context, tcb, now);
      break;
    case 'pace':
      break;
  }
  if (tcb.state !== 'closed') markReady(context, tcb);
}

function handleRetransmit(context: NetContext, tcb: Tcb, now: MonoMs): void {
  const { log } = tcb;
  tcb.rtt.backoff++;
  if (tcb.state === 'syn-sent' || tcb.state === 'syn-received') {
    tcb.synRepeats++;
    if (tcb.synRepeats > maxSynRepeats) {
      endConnection(context, tcb, 'timeout');
      return;
    }
    tcb.synNow = true;
    markReady(context, tcb);
    return;
  }
  if (log.count === 0) return;
  tcb.timeouts++;
  if (tcb.rtt.backoff === 1) tcb.congestion.handleTimeout(distance(tcb.una, tcb.next), now);
  tcb.recovery = 'loss';
  tcb.recoverUntil = tcb.max;
  tcb.isProbing = false;
  tcb.paceAt = now;
  tcb.mayRepeatOne = true;
  if ((log.flags(log.first) & sackedFlag) !== 0) log.renege();
  tcb.rack.detectAtTimeout(log, now, 0);
  tcb.timers.set('retransmit', after(now, tcb.rtt.rtoMs));
  tcb.timers.clear('probe');
  tcb.timers.clear('reorder');
  markReady(context, tcb);
}

function handleKeepAlive(context: NetContext, tcb: Tcb, now: MonoMs): void {
  if (tcb.keepAliveMs <= 0 || !stateRules[tcb.state].isSynchronized) return;
  const silence = now - tcb.heardAt;
  if (silence < tcb.keepAliveMs) {
    tcb.keepAliveProbes = 0;
    tcb.timers.set('keep-alive', after(now, tcb.keepAliveMs - silence));
    return;
  }
  if (tcb.keepAliveProbes >= keepAliveProbes) {
    endConnection(context, tcb, 'timeout');
    return;
  }
  tcb.keepAliveProbes++;
  tcb.isKeepAliveDue = true;
  tcb.timers.set('keep-alive', after(now, keepAliveProbeMs));
}
