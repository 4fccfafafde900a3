/**
 * What a connection sends, called once per batch: lost segments again, new content as windows and pace
 * allow, else a bare acknowledgement where one is due. Where the batch is full the connection stays ready.
 */

import { after, type MonoMs } from '../base/time.ts';
import type { PacketBatch } from '../packet/batch.ts';
import { tcpAck, tcpFin, tcpHeaderSize, tcpPsh, tcpSyn } from '../packet/tcp.ts';
import { type NetContext, watchTimers } from './context.ts';
import { minMss } from './limits.ts';
import { lostFlag, sackedFlag } from './sent-log.ts';
import { distance, isBefore, later } from './sequence.ts';
import type { Tcb } from './tcb.ts';
import { timestampOptionSize } from './tcp-options.ts';
import { tcpRst } from './tcp-segment.ts';
import { stateRules } from './tcp-state.ts';
import { armLossTimers } from './tcp-timers.ts';
import { openEdgeToAnnounce, type SegmentPlan, writeSegment } from './tcp-write.ts';

/** How late a timer may be without slowing the pace: what was missed is made up for. */
const paceSlackMs = 4;
/** A window update is worth a segment of its own when this share of the limit was freed. */
const windowUpdateShare = 4;

// One plan for all segments: written and used within one call.
const plan: SegmentPlan = { flags: 0, sequence: 0, position: 0, length: 0 };

/** Largest content of a segment, options taken off. */
export function updateMaxSegment(tcb: Tcb): void {
  const fits = tcb.pathMtu - tcb.path.headerSize - tcpHeaderSize;
  const most = tcb.theirMss > 0 ? Math.min(fits, tcb.theirMss) : fits;
  tcb.maxSegment = Math.max(minMss, most - (tcb.hasTimestamps ? timestampOptionSize : 0));
  tcb.congestion.setMss(tcb.maxSegment);
}

/** Sends what is due. False where `out` is full and something is left. */
export function transmit(context: NetContext, tcb: Tcb, now: MonoMs, out: PacketBatch): boolean {
  if (tcb.resetNow && !sendReset(tcb, now, out)) return false;
  if (tcb.state === 'closed' || tcb.state === 'pending') return true;
  if (tcb.keepAliveMs > 0 && !tcb.timers.isSet('keep-alive') && stateRules[tcb.state].mayReceive) {
    tcb.timers.set('keep-alive', after(now, tcb.keepAliveMs));
  }
  if (tcb.synNow && !sendSyn(tcb, now, out)) return false;
  const isDone = stateRules[tcb.state].isSynchronized && tcb.state !== 'syn-received';
  let sentAll = true;
  if (isDone && tcb.state !== 'time-wait') {
    const before = tcb.segmentsSent;
    // Full segments have no room for a report of gaps: it goes ahead by itself.
    if (hasReport(tcb) && !sendBare(tcb, tcb.next, now, out)) return false;
    sentAll = sendLost(tcb, now, out) && sendNew(tcb, now, out) && sendProbes(tcb, now, out);
    if (tcb.segmentsSent !== before) {
      tcb.lastSentAt = now;
      armLossTimers(tcb, now);
    } else if (tcb.log.count === 0 && hasUnsent(tcb)) {
      armLossTimers(tcb, now);
    }
  }
  if (sentAll && isAckDue(tcb)) sentAll = sendBare(tcb, tcb.next, now, out);
  watchTimers(context, tcb);
  return sentAll;
}

function hasReport(tcb: Tcb): boolean {
  return tcb.ackNow && tcb.hasSack && (tcb.receive.rangeCount > 0 || tcb.receive.hasDuplicate);
}

function isAckDue(tcb: Tcb): boolean {
  if (!stateRules[tcb.state].isSynchronized) return false;
  if (tcb.ackNow || tcb.unackedSegments >= 2) return tcb.state !== 'syn-received';
  if (!stateRules[tcb.state].mayReceive) return false;
  const { receive } = tcb;
  const gain = distance(receive.edge, openEdgeToAnnounce(tcb));
  const left = distance(receive.next, receive.edge);
  // The end of the opening may wait for what is said with it, and so may the larger window.
  if (tcb.bytesSent === 0 && tcb.unackedSegments === 0 && tcb.timers.isSet('delayed-ack')) return false;
  return gain > 0 && (gain >= receive.limit / windowUpdateShare || left < tcb.maxSegment);
}

/** An acknowledgement without content. */
function sendBare(tcb: Tcb, sequence: number, now: MonoMs, out: PacketBatch): boolean {
  plan.flags = tcpAck;
  plan.sequence = sequence;
  plan.length = 0;
  return writeSegment(tcb, plan, now, out);
}

function sendReset(tcb: Tcb, now: MonoMs, out: PacketBatch): boolean {
  plan.flags = tcpRst | tcpAck;
  plan.sequence = tcb.next;
  plan.length = 0;
  if (!writeSegment(tcb, plan, now, out)) return false;
  tcb.resetNow = false;
  return true;
}

function sendSyn(tcb: Tcb, now: MonoMs, out: PacketBatch): boolean {
  plan.flags = tcb.state === 'syn-received' ? tcpSyn | tcpAck : tcpSyn;
  plan.sequence = tcb.initialSend;
  plan.length = 0;
  if (!writeSegment(tcb, plan, now, out)) return false;
  tcb.synNow = false;
  if (tcb.synRepeats > 0) tcb.segmentsRepeated++;
  tcb.lastSentAt = now;
  if (!tcb.timers.isSet('life')) tcb.timers.set('life', after(now, tcb.limits.connectMs));
  tcb.timers.set('retransmit', after(now, tcb.rtt.rtoMs));
  return true;
}

/** Sends lost segments again. False where the batch is full. */
function sendLost(tcb: Tcb, now: MonoMs, out: PacketBatch): boolean {
  const { log } = tcb;
  // Each turn repairs one lost record, or ends.
  while (log.lostCount > 0) {
    const record = log.nextLost();
    if (record < 0) return true;
    const size = distance(log.start(record), log.end(record));
    if (!tcb.mayRepeatOne && !mayLeave(tcb, size, now)) return true;
    if (!repeatRecord(tcb, record, now, out)) return false;
    tcb.mayRepeatOne = false;
  }
  return true;
}

/** Sends a record of the log again. False where the batch is full. */
function repeatRecord(tcb: Tcb, record: number, now: MonoMs, out: PacketBatch): boolean {
  const { log } = tcb;
  const start = log.start(record);
  const wasIdle = log.inFlight === 0;
  if (!writeRange(tcb, start, log.end(record), now, out)) return false;
  log.repeat(record, now);
  tcb.rate.noteSent(log, record, now, wasIdle);
  tcb.segmentsRepeated++;
  spendPace(tcb, distance(start, log.end(record)), now);
  return true;
}

/** Writes the sequence numbers from `start` to `end`; the last may be our FIN. */
function writeRange(tcb: Tcb, start: number, end: number, now: MonoMs, out: PacketBatch): boolean {
  const queueEnd = tcb.queueEnd;
  const hasFin = tcb.isClosing && isBefore(queueEnd, end);
  plan.sequence = start;
  plan.position = distance(tcb.queueStart, start);
  plan.length = distance(start, end) - (hasFin ? 1 : 0);
  const isLast = ((start + plan.length) | 0) === queueEnd;
  plan.flags = tcpAck | (hasFin ? tcpFin : 0) | (isLast && plan.length > 0 ? tcpPsh : 0);
  return writeSegment(tcb, plan, now, out);
}

/** Sends content for the first time. False where the batch is full. */
function sendNew(tcb: Tcb, now: MonoMs, out: PacketBatch): boolean {
  const { log, congestion } = tcb;
  if (log.count === 0 && now - tcb.lastSentAt > tcb.rtt.rtoMs && tcb.bytesSent > 0 && hasUnsent(tcb)) {
    congestion.handleIdle(now);
  }
  // Each turn sends a segment, or ends.
  for (;;) {
    const size = nextSize(tcb);
    if (size === 0) break;
    if (!log.hasRoom() || !mayLeave(tcb, size, now)) return true;
    if (!sendRange(tcb, size, now, out)) return false;
  }
  if (log.lostCount === 0 && log.inFlight < congestion.windowBytes && !hasUnsent(tcb)) {
    tcb.rate.noteAppLimited(log.inFlight);
  }
  return true;
}

function sendRange(tcb: Tcb, size: number, now: MonoMs, out: PacketBatch): boolean {
  const { log } = tcb;
  const start = tcb.next;
  const end = (start + size) | 0;
  const wasIdle = log.inFlight === 0;
  if (!writeRange(tcb, start, end, now, out)) return false;
  const record = log.push(start, end, now);
  tcb.rate.noteSent(log, record, now, wasIdle);
  if (isBefore(start, tcb.max)) {
    log.markRepeated(record);
    tcb.segmentsRepeated++;
  } else {
    tcb.bytesSent += size;
  }
  tcb.next = end;
  tcb.max = later(tcb.max, end);
  spendPace(tcb, size, now);
  return true;
}

function hasUnsent(tcb: Tcb): boolean {
  return isBefore(tcb.next, (tcb.queueEnd + (tcb.isClosing ? 1 : 0)) | 0);
}

/**
 * Sequence numbers of the next new segment, a FIN included; 0 where none should go now: nothing to send,
 * window closed, or silly (RFC 9293 §3.8.6.2.1) or small and Nagle on (§3.7.4).
 */
function nextSize(tcb: Tcb): number {
  if (!hasUnsent(tcb)) return 0;
  const unsent = Math.max(0, distance(tcb.next, tcb.queueEnd));
  const usable = distance(tcb.next, (tcb.una + tcb.sendWindow) | 0);
  const content = Math.max(0, Math.min(unsent, tcb.maxSegment, usable));
  const hasFin = tcb.isClosing && content === unsent;
  if (content === 0) return hasFin ? 1 : 0;
  if (content === tcb.maxSegment || hasFin) return content + (hasFin ? 1 : 0);
  const isIdle = tcb.log.count === 0;
  if (content === unsent) return tcb.nagle && !isIdle ? 0 : content;
  return isIdle || content >= tcb.largestWindow / 2 ? content : 0;
}

/** Whether congestion control lets `size` bytes leave now; sets the pace timer where it is only too early. */
function mayLeave(tcb: Tcb, size: number, now: MonoMs): boolean {
  const { log, congestion } = tcb;
  if (log.inFlight > 0 && log.inFlight + size > congestion.windowBytes) {
    tcb.wasWindowLimited = true;
    return false;
  }
  if (now < tcb.paceAt && congestion.pacingRate !== Number.POSITIVE_INFINITY) {
    tcb.timers.set('pace', after(now, tcb.paceAt - now));
    return false;
  }
  return true;
}

function spendPace(tcb: Tcb, size: number, now: MonoMs): void {
  const rate = tcb.congestion.pacingRate;
  if (rate === Number.POSITIVE_INFINITY) return;
  tcb.paceAt = Math.max(tcb.paceAt, now - paceSlackMs) + size / rate;
}

/** Tail loss, zero window and keep-alive probes whose timers were due. False where the batch is full. */
function sendProbes(tcb: Tcb, now: MonoMs, out: PacketBatch): boolean {
  if (tcb.isProbeDue && !sendTailProbe(tcb, now, out)) return false;
  tcb.isProbeDue = false;
  if (tcb.isPersistDue || tcb.isKeepAliveDue) {
    // A sequence number before the window makes the other side answer and costs nothing.
    // Deviation: RFC 9293 §3.8.6.1 would send a byte of content, which may be lost like any other.
    if (!sendBare(tcb, (tcb.una - 1) | 0, now, out)) return false;
    tcb.isPersistDue = false;
    tcb.isKeepAliveDue = false;
  }
  return true;
}

/** RFC 8985 §7.3: new content where there is, else the last segment again; congestion window aside. */
function sendTailProbe(tcb: Tcb, now: MonoMs, out: PacketBatch): boolean {
  const { log } = tcb;
  if (log.count === 0) return true;
  const size = nextSize(tcb);
  const isNew = size > 0 && log.hasRoom();
  if (isNew) {
    if (!sendRange(tcb, size, now, out)) return false;
  } else {
    const last = log.last - 1;
    if ((log.flags(last) & (sackedFlag | lostFlag)) !== 0) return true;
    if (!repeatRecord(tcb, last, now, out)) return false;
  }
  tcb.isProbing = true;
  tcb.wasProbeRepeat = !isNew;
  tcb.probeEnd = tcb.next;
  return true;
}
