/**
 * What an acknowledgement means for our sending half: what arrived, what is thought lost, the round trip,
 * the window (RFC 9293 §3.10.7.4 fifth check, RFC 2018, RFC 8985, RFC 7323 §4).
 */

import type { MonoMs } from '../base/time.ts';
import { markReady, type NetContext } from './context.ts';
import { timestampTickMs } from './limits.ts';
import { sackedFlag } from './sent-log.ts';
import { distance, isAtOrBefore, isBefore, later } from './sequence.ts';
import type { Tcb } from './tcb.ts';
import { finAcknowledged } from './tcp-lifecycle.ts';
import { checkRecovered, detectLoss } from './tcp-loss.ts';
import type { Segment } from './tcp-segment.ts';
import { stateRules } from './tcp-state.ts';
import { armLossTimers, restartRetransmit } from './tcp-timers.ts';
import { timestampAt } from './tcp-write.ts';

/** The send queue may hold this many congestion windows. */
const queueWindows = 2;
/** 'tcp-writable' waits until this share of the queue is free. */
const writableShare = 3;

/** Takes an acknowledgement that lies between `una - largestWindow` and `max`. */
export function handleAcknowledgement(context: NetContext, tcb: Tcb, segment: Segment, now: MonoMs): void {
  const ack = segment.acknowledgement;
  const { log, rate } = tcb;
  const windowBefore = tcb.sendWindow;
  if (isAtOrBefore(tcb.una, ack)) updateWindow(tcb, segment);
  const isProgress = isBefore(tcb.una, ack);
  if (tcb.timers.isSet('persist') || tcb.sendWindow === 0) {
    // The other side lives, however long its window stays closed (RFC 9293 §3.8.6.1).
    tcb.timers.clear('patience');
    if (tcb.sendWindow !== windowBefore) tcb.timers.clear('persist');
  }
  if (log.count > 0 && (isProgress || segment.options.sackCount > 0)) {
    const lostBefore = log.inFlight;
    rate.begin(now, lostBefore);
    if (isProgress) takeProgress(tcb, ack, now);
    if (tcb.hasSack) takeSack(tcb, segment, now);
    measureRtt(tcb, segment, isProgress, now);
    const beforeLoss = log.inFlight;
    detectLoss(tcb, now);
    const sample = rate.finish(log, now, tcb.rtt.minMs);
    sample.lost = Math.max(0, beforeLoss - log.inFlight);
    sample.windowLimited = tcb.wasWindowLimited;
    checkRecovered(tcb, now);
    sample.inRecovery = tcb.recovery === 'recovery';
    tcb.congestion.handleAck(sample);
    tcb.wasWindowLimited = false;
  }
  if (isProgress) {
    advance(context, tcb, ack, now);
    if (tcb.state !== 'closed' && tcb.state !== 'time-wait') restartRetransmit(tcb, now);
  } else {
    armLossTimers(tcb, now);
  }
  markReady(context, tcb);
}

/** RFC 9293 §3.10.7.4: only newer segments tell the window. */
function updateWindow(tcb: Tcb, segment: Segment): void {
  const { sequence, acknowledgement } = segment;
  const isNewer =
    isBefore(tcb.windowSequence, sequence) ||
    (tcb.windowSequence === sequence && isAtOrBefore(tcb.windowAck, acknowledgement));
  if (!isNewer) return;
  tcb.sendWindow = segment.window * 2 ** tcb.sendScale;
  if (tcb.sendWindow > tcb.largestWindow) tcb.largestWindow = tcb.sendWindow;
  tcb.windowSequence = sequence;
  tcb.windowAck = acknowledgement;
}

/** Takes the records up to `ack` off the log. */
function takeProgress(tcb: Tcb, ack: number, now: MonoMs): void {
  const { log } = tcb;
  // The log is bounded, and every turn shortens it or ends.
  while (log.count > 0 && isBefore(log.start(log.first), ack)) {
    const record = log.first;
    const isWhole = isAtOrBefore(log.end(record), ack);
    const end = isWhole ? log.end(record) : ack;
    if ((log.flags(record) & sackedFlag) === 0) {
      tcb.rate.noteArrived(log, record, distance(log.start(record), end), now);
      if (isWhole) tcb.rack.noteArrived(log, record, now, tcb.rtt.minMs);
    }
    if (isWhole) log.shift();
    else log.trimFirst(ack);
    if (!isWhole) break;
  }
}

/** Marks what SACK blocks report. The first may be a duplicate (RFC 2883 §4). */
function takeSack(tcb: Tcb, segment: Segment, now: MonoMs): void {
  const { options } = segment;
  const ack = segment.acknowledgement;
  for (let i = 0; i < options.sackCount; i++) {
    const start = options.sackStart[i]!;
    const end = options.sackEnd[i]!;
    if (!isBefore(start, end) || isBefore(tcb.max, end)) continue;
    const isDuplicate = i === 0 && (isAtOrBefore(end, ack) || isInsideSecond(segment, start, end));
    if (isDuplicate) {
      tcb.rack.noteDuplicate(tcb.una, tcb.max);
      // What the tail loss probe repeated had arrived: nothing was lost (RFC 8985 §7.4.2).
      if (end === tcb.probeEnd) tcb.wasProbeRepeat = false;
      continue;
    }
    if (isBefore(start, ack)) continue;
    markRange(tcb, start, end, now);
  }
}

function isInsideSecond(segment: Segment, start: number, end: number): boolean {
  const { options } = segment;
  if (options.sackCount < 2) return false;
  return isAtOrBefore(options.sackStart[1]!, start) && isAtOrBefore(end, options.sackEnd[1]!);
}

function markRange(tcb: Tcb, start: number, end: number, now: MonoMs): void {
  const { log } = tcb;
  for (let record = log.find(start); record < log.last && isAtOrBefore(log.end(record), end); record++) {
    if (isBefore(log.start(record), start) || (log.flags(record) & sackedFlag) !== 0) continue;
    tcb.rate.noteArrived(log, record, distance(log.start(record), log.end(record)), now);
    tcb.rack.noteArrived(log, record, now, tcb.rtt.minMs);
    log.markSacked(record);
  }
}

/** Prefers a segment that was sent once (Karn); the time stamp speaks for repeated ones (RFC 7323 §4.1). */
function measureRtt(tcb: Tcb, segment: Segment, isProgress: boolean, now: MonoMs): void {
  const { sample } = tcb.rate;
  if (sample.rttMs >= 0) {
    tcb.rtt.measure(sample.rttMs);
  } else if (isProgress && segment.options.hasTimestamps && segment.options.timestampEcho !== 0) {
    const ticks = distance(segment.options.timestampEcho, timestampAt(tcb, now));
    if (ticks >= 0 && ticks < 600_000) tcb.rtt.measure(ticks * timestampTickMs);
  }
}

/** Everything before `ack` is theirs now. */
function advance(context: NetContext, tcb: Tcb, ack: number, now: MonoMs): void {
  const { sendQueue } = tcb;
  tcb.una = ack;
  tcb.next = later(tcb.next, ack);
  tcb.rtt.backoff = 0;
  const finAt = tcb.queueEnd;
  const taken = Math.min(sendQueue.length, Math.max(0, distance(tcb.queueStart, ack)));
  sendQueue.consume(taken);
  tcb.queueStart = (tcb.queueStart + taken) | 0;
  if (tcb.isProbing) checkTailProbe(tcb, ack, now);
  tcb.sendLimit = Math.min(
    tcb.limits.sendBytes,
    Math.max(tcb.sendLimit, Math.floor(queueWindows * tcb.congestion.windowBytes)),
  );
  tellWritable(context, tcb);
  if (tcb.isClosing && isBefore(finAt, ack)) finAcknowledged(context, tcb, now);
}

/** A repeated tail that was needed means that a loss was repaired unseen (RFC 8985 §7.4.2). */
function checkTailProbe(tcb: Tcb, ack: number, now: MonoMs): void {
  if (isBefore(ack, tcb.probeEnd)) return;
  if (tcb.wasProbeRepeat && ack === tcb.probeEnd) return;
  tcb.isProbing = false;
  if (!tcb.wasProbeRepeat || tcb.recovery !== 'open') return;
  tcb.congestion.handleLoss(tcb.log.inFlight, distance(tcb.una, tcb.next));
  tcb.congestion.handleRecovered(now);
}

/** Tells a consumer whose write was cut short that there is room again. */
export function tellWritable(context: NetContext, tcb: Tcb): void {
  if (!tcb.wantsWrite || !stateRules[tcb.state].maySend) return;
  const free = tcb.sendLimit - tcb.sendQueue.length;
  if (free * writableShare < tcb.sendLimit || context.pool.pressure >= 1) return;
  tcb.wantsWrite = false;
  context.events.push({ kind: 'tcp-writable', connection: tcb.connection });
}
