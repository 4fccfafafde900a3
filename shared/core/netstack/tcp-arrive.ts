/**
 * A segment arrives (RFC 9293 §3.10.7): the checks in their order, with RFC 5961 against blind attacks
 * and RFC 7323 against old duplicates. Nothing here sends; it notes what the next transmit shall do.
 */

import { after, type MonoMs } from '../base/time.ts';
import { tcpAck, tcpFin, tcpSyn } from '../packet/tcp.ts';
import { markReady, type NetContext, watchTimers } from './context.ts';
import type { TcpEnd } from './events.ts';
import {
  briefAckMs,
  challengeAcks,
  challengeAckWindowMs,
  defaultMss4,
  defaultMss6,
  delayedAckMs,
  timestampAgeMs,
} from './limits.ts';
import { distance, isAtOrBefore, isBefore, isWithin } from './sequence.ts';
import type { Tcb } from './tcb.ts';
import { handleAcknowledgement } from './tcp-acknowledge.ts';
import { endConnection, establish, restartTimeWait, takeFin, tellReadable } from './tcp-lifecycle.ts';
import { has, type Segment, sequenceLength, tcpRst } from './tcp-segment.ts';
import { stateRules } from './tcp-state.ts';
import { updateMaxSegment } from './tcp-transmit.ts';
import { timestampAt } from './tcp-write.ts';

/**
 * Takes a segment of a known connection. 'reopen': TIME-WAIT may end for this SYN. 'stray': answer with a
 * reset. Otherwise everything was done.
 */
export function arrive(
  context: NetContext,
  tcb: Tcb,
  segment: Segment,
  now: MonoMs,
): 'done' | 'reopen' | 'stray' {
  switch (tcb.state) {
    case 'closed':
      return 'done';
    case 'pending':
      arrivePending(context, tcb, segment);
      return 'done';
    case 'syn-sent':
      return arriveSynSent(context, tcb, segment, now);
    case 'time-wait':
      if (mayReopen(tcb, segment)) return 'reopen';
      break;
    default:
      break;
  }
  return arriveSynchronized(context, tcb, segment, now);
}

/** What the SYN of the other side said about options. */
export function takeSynOptions(tcb: Tcb, segment: Segment, now: MonoMs): void {
  const { options } = segment;
  tcb.initialReceive = segment.sequence;
  tcb.receive.start((segment.sequence + 1) | 0);
  tcb.lastAckSent = tcb.receive.next;
  tcb.theirMss = options.mss > 0 ? options.mss : defaultMss(tcb);
  tcb.hasTimestamps = tcb.offersTimestamps && options.hasTimestamps;
  tcb.offersTimestamps = tcb.hasTimestamps;
  if (tcb.hasTimestamps) noteTimestamp(tcb, options.timestampValue, now);
  tcb.hasSack = tcb.offersSack && options.sackPermitted;
  tcb.offersSack = tcb.hasSack;
  tcb.offersScale = tcb.offersScale && options.windowScale >= 0;
  tcb.sendScale = tcb.offersScale ? options.windowScale : 0;
  if (!tcb.offersScale) {
    tcb.receiveScale = 0;
    tcb.receive.limit = Math.min(tcb.receive.limit, 0xffff);
  }
  // The window of a SYN is never scaled (RFC 7323 §2.2).
  tcb.sendWindow = segment.window;
  tcb.largestWindow = segment.window;
  tcb.windowSequence = segment.sequence;
  tcb.windowAck = segment.acknowledgement;
  tcb.heardAt = now;
  updateMaxSegment(tcb);
}

/** Without an option the smallest that every host takes (RFC 9293 §3.7.1). */
function defaultMss(tcb: Tcb): number {
  return tcb.path.version === 4 ? defaultMss4 : defaultMss6;
}

/** A SYN that nobody decided about: a reset takes it back, a repetition changes nothing. */
function arrivePending(context: NetContext, tcb: Tcb, segment: Segment): void {
  if (has(segment, tcpRst) && segment.sequence === tcb.receive.next) endConnection(context, tcb, 'reset');
}

/** RFC 9293 §3.10.7.3. */
function arriveSynSent(context: NetContext, tcb: Tcb, segment: Segment, now: MonoMs): 'done' | 'stray' {
  const isAcked = has(segment, tcpAck);
  const ack = segment.acknowledgement;
  if (isAcked && (isAtOrBefore(ack, tcb.initialSend) || isBefore(tcb.max, ack))) {
    return has(segment, tcpRst) ? 'done' : 'stray';
  }
  if (has(segment, tcpRst)) {
    if (isAcked) endConnection(context, tcb, 'refused');
    return 'done';
  }
  if (!has(segment, tcpSyn)) return 'done';
  takeSynOptions(tcb, segment, now);
  if (isAcked) {
    tcb.una = ack;
    tcb.timers.clear('retransmit');
    measureSynRtt(tcb, segment, now);
    establish(context, tcb);
    // Who opens a connection mostly speaks first, and soon: then this goes with what is said.
    tcb.timers.set('delayed-ack', after(now, briefAckMs));
    takeContent(context, tcb, segment, now);
  } else {
    // Simultaneous open (§3.5): our SYN again, this time with their acknowledgement.
    tcb.state = 'syn-received';
    tcb.synNow = true;
  }
  tcb.rtt.backoff = 0;
  markReady(context, tcb);
  return 'done';
}

function measureSynRtt(tcb: Tcb, segment: Segment, now: MonoMs): void {
  const { options } = segment;
  if (tcb.synRepeats === 0) tcb.rtt.measure(now - tcb.lastSentAt);
  else if (tcb.hasTimestamps && options.hasTimestamps) {
    tcb.rtt.measure(Math.max(0, distance(options.timestampEcho, timestampAt(tcb, now))));
  }
}

/** RFC 6191 and RFC 9293 §3.10.7.4: a SYN that is newer than everything of the old connection. */
function mayReopen(tcb: Tcb, segment: Segment): boolean {
  if (!has(segment, tcpSyn) || has(segment, tcpRst) || has(segment, tcpAck)) return false;
  const { options } = segment;
  if (tcb.hasTimestamps && options.hasTimestamps && options.timestampValue !== tcb.recentTimestamp) {
    return isBefore(tcb.recentTimestamp, options.timestampValue);
  }
  return isBefore(tcb.receive.next, segment.sequence);
}

/** RFC 9293 §3.10.7.4. */
function arriveSynchronized(context: NetContext, tcb: Tcb, segment: Segment, now: MonoMs): 'done' | 'stray' {
  if (!passesTimestamps(context, tcb, segment, now)) return 'done';
  if (!isAcceptable(tcb, segment)) {
    answerUnacceptable(context, tcb, segment, now);
    return 'done';
  }
  if (has(segment, tcpRst)) {
    // Only the exact number resets (RFC 5961 §3.2), and nothing ends TIME-WAIT early (RFC 1337).
    if (tcb.state === 'time-wait') return 'done';
    if (segment.sequence === tcb.receive.next) endConnection(context, tcb, resetMeans(tcb));
    else challenge(context, tcb, now);
    return 'done';
  }
  if (has(segment, tcpSyn)) {
    answerSyn(context, tcb, segment, now);
    return 'done';
  }
  if (!has(segment, tcpAck)) return 'done';
  if (tcb.state === 'syn-received' && !finishOpening(context, tcb, segment, now)) return 'stray';
  const ack = segment.acknowledgement;
  const isOld = isBefore(ack, (tcb.una - tcb.largestWindow) | 0);
  if (isOld || isBefore(tcb.max, ack)) {
    challenge(context, tcb, now);
    return 'done';
  }
  noteHeard(tcb, segment, now);
  if (tcb.state === 'time-wait') {
    if (has(segment, tcpFin)) {
      tcb.ackNow = true;
      markReady(context, tcb);
      restartTimeWait(context, tcb, now);
    }
    return 'done';
  }
  handleAcknowledgement(context, tcb, segment, now);
  if (isOpen(tcb)) takeContent(context, tcb, segment, now);
  return 'done';
}

function isOpen(tcb: Tcb): boolean {
  return tcb.state !== 'closed' && tcb.state !== 'time-wait';
}

/** What a reset says to the consumer (RFC 9293 §3.10.7.4 second check). */
function resetMeans(tcb: Tcb): TcpEnd {
  if (tcb.state === 'syn-received' && tcb.source === undefined) return 'refused';
  // Both sides had closed and all content was acknowledged: only the answer to our FIN is missing.
  const isOver = tcb.state === 'last-ack' || tcb.state === 'closing';
  return isOver && tcb.sendQueue.length === 0 ? 'finished' : 'reset';
}

/** PAWS (RFC 7323 §5). Resets pass without. */
function passesTimestamps(context: NetContext, tcb: Tcb, segment: Segment, now: MonoMs): boolean {
  if (!tcb.hasTimestamps || has(segment, tcpRst)) return true;
  const { options } = segment;
  if (!options.hasTimestamps) {
    context.counts.unacceptable++;
    return false;
  }
  const isOld = isBefore(options.timestampValue, tcb.recentTimestamp);
  if (!isOld || now - tcb.recentTimestampAt > timestampAgeMs) return true;
  answerUnacceptable(context, tcb, segment, now);
  return false;
}

function noteTimestamp(tcb: Tcb, value: number, now: MonoMs): void {
  tcb.recentTimestamp = value;
  tcb.recentTimestampAt = now;
}

function noteHeard(tcb: Tcb, segment: Segment, now: MonoMs): void {
  tcb.heardAt = now;
  tcb.keepAliveProbes = 0;
  const { options } = segment;
  if (!tcb.hasTimestamps || isBefore(options.timestampValue, tcb.recentTimestamp)) return;
  if (isAtOrBefore(segment.sequence, tcb.lastAckSent)) noteTimestamp(tcb, options.timestampValue, now);
}

/** The four cases of RFC 9293 §3.10.7.4, and content at a closed window for the sake of its acknowledgement. */
function isAcceptable(tcb: Tcb, segment: Segment): boolean {
  const { receive } = tcb;
  const window = distance(receive.next, receive.edge);
  const { sequence } = segment;
  if (sequence === receive.next) return true;
  const length = sequenceLength(segment);
  if (window <= 0) return false;
  if (isWithin(sequence, receive.next, window)) return true;
  return length > 0 && isWithin((sequence + length - 1) | 0, receive.next, window);
}

/** What is outside of the window is answered with where we are, so that both sides agree again. */
function answerUnacceptable(context: NetContext, tcb: Tcb, segment: Segment, now: MonoMs): void {
  context.counts.unacceptable++;
  if (has(segment, tcpRst)) return;
  const length = sequenceLength(segment);
  const end = (segment.sequence + length) | 0;
  if (tcb.state === 'syn-received' && has(segment, tcpSyn)) {
    answerSyn(context, tcb, segment, now);
  } else if (length > 0 && isAtOrBefore(end, tcb.receive.next)) {
    // An old duplicate: our acknowledgement was lost.
    if (segment.payloadLength > 0) tcb.receive.noteDuplicate(segment.sequence, end);
    tcb.ackNow = true;
    if (tcb.state === 'time-wait' && has(segment, tcpFin)) restartTimeWait(context, tcb, now);
    markReady(context, tcb);
  } else {
    challenge(context, tcb, now);
  }
}

/** A SYN on a connection: theirs again in SYN-RECEIVED, else a challenge (RFC 5961 §4.2). */
function answerSyn(context: NetContext, tcb: Tcb, segment: Segment, now: MonoMs): void {
  const isTheirs = segment.sequence === tcb.initialReceive;
  if (tcb.state === 'syn-received' && isTheirs && !has(segment, tcpAck)) {
    tcb.synNow = true;
    markReady(context, tcb);
  } else if (tcb.state === 'syn-received' && isTheirs && segment.acknowledgement === tcb.max) {
    // The second half of a simultaneous open.
    if (finishOpening(context, tcb, segment, now)) tcb.ackNow = true;
    markReady(context, tcb);
  } else {
    challenge(context, tcb, now);
  }
}

/** At most a few in five seconds (RFC 5961 §7); each connection counts for itself. */
function challenge(context: NetContext, tcb: Tcb, now: MonoMs): void {
  if (now - tcb.challengesSince >= challengeAckWindowMs) {
    tcb.challengesSince = now;
    tcb.challengesLeft = challengeAcks;
  }
  if (tcb.challengesLeft <= 0) return;
  tcb.challengesLeft--;
  context.counts.challengeAcks++;
  tcb.ackNow = true;
  markReady(context, tcb);
}

/** Our SYN is acknowledged. False where it acknowledges something else. */
function finishOpening(context: NetContext, tcb: Tcb, segment: Segment, now: MonoMs): boolean {
  if (segment.acknowledgement !== tcb.max) return false;
  tcb.una = tcb.max;
  tcb.timers.clear('retransmit');
  tcb.rtt.backoff = 0;
  measureSynRtt(tcb, segment, now);
  tcb.sendWindow = segment.window * (has(segment, tcpSyn) ? 1 : 2 ** tcb.sendScale);
  tcb.largestWindow = Math.max(tcb.largestWindow, tcb.sendWindow);
  tcb.windowSequence = segment.sequence;
  tcb.windowAck = segment.acknowledgement;
  establish(context, tcb);
  return true;
}

/** Content and FIN. */
function takeContent(context: NetContext, tcb: Tcb, segment: Segment, now: MonoMs): void {
  const { receive } = tcb;
  const syn = has(segment, tcpSyn) ? 1 : 0;
  const start = (segment.sequence + syn) | 0;
  const end = (start + segment.payloadLength) | 0;
  const mayReceive = stateRules[tcb.state].mayReceive;
  // Nobody sends behind their own FIN.
  const isBehindFin = tcb.hasTheirFin && isBefore(tcb.theirFin, end);
  if (segment.payloadLength > 0 && mayReceive && !isBehindFin)
    insertContent(context, tcb, segment, start, now);
  if (has(segment, tcpFin) && mayReceive && !tcb.hasTheirFin && isAtOrBefore(end, receive.edge)) {
    tcb.theirFin = end;
    tcb.hasTheirFin = true;
    tcb.ackNow = true;
  }
  if (tcb.hasTheirFin && receive.next === tcb.theirFin) takeFin(context, tcb, now);
  if (tcb.ackNow || tcb.unackedSegments > 0) markReady(context, tcb);
}

function insertContent(context: NetContext, tcb: Tcb, segment: Segment, start: number, now: MonoMs): void {
  const { receive } = tcb;
  const before = receive.next;
  const hadGap = receive.rangeCount > 0;
  const verdict = receive.insert(start, segment.bytes, segment.payloadAt, segment.payloadLength);
  if (verdict === 'no-room') context.counts.noRoom++;
  if (verdict !== 'in-order') {
    tcb.ackNow = true;
    return;
  }
  tcb.bytesReceived += distance(before, receive.next);
  if (tcb.hasTimestamps && segment.options.timestampEcho !== 0) {
    receive.noteRtt(Math.max(0, distance(segment.options.timestampEcho, timestampAt(tcb, now))));
  }
  receive.tune(now, tcb.rtt.smoothedMs);
  tcb.unackedSegments++;
  const isQuick = tcb.quickAcksLeft > 0;
  if (isQuick) tcb.quickAcksLeft--;
  // Behind a short segment the other side has no more to say, and whoever has it may answer soon.
  const isWaiting = segment.payloadLength >= tcb.maxSegment || receive.next === receive.edge;
  // A gap that closes is told at once (RFC 5681 §4.2).
  if (hadGap || (isQuick && isWaiting)) tcb.ackNow = true;
  else if (!tcb.timers.isSet('delayed-ack')) {
    tcb.timers.set('delayed-ack', after(now, isQuick ? briefAckMs : delayedAckMs));
    watchTimers(context, tcb);
  }
  tellReadable(context, tcb);
}
