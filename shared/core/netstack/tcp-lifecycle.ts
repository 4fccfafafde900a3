/** How a connection moves between its states and how it ends. What is announced, and which memory goes when. */

import type { MonoMs } from '../base/time.ts';
import { after } from '../base/time.ts';
import { markReady, type NetContext, watchTimers } from './context.ts';
import type { TcpEnd } from './events.ts';
import { timeWaitMs } from './limits.ts';
import type { Tcb } from './tcb.ts';
import { stateRules } from './tcp-state.ts';

/** The connection is established now. */
export function establish(context: NetContext, tcb: Tcb): void {
  tcb.state = 'established';
  context.population.opened(tcb);
  tcb.timers.clear('life');
  tcb.timers.clear('patience');
  context.events.push({ kind: 'tcp-opened', connection: tcb.connection });
  if (tcb.isClosing) tcb.state = 'fin-wait-1';
}

/** Tells the consumer, once until it reads, that bytes or the end wait. */
export function tellReadable(context: NetContext, tcb: Tcb): void {
  if (tcb.toldReadable) return;
  tcb.toldReadable = true;
  context.events.push({ kind: 'tcp-readable', connection: tcb.connection });
}

/** The other side's FIN is next in order. */
export function takeFin(context: NetContext, tcb: Tcb, now: MonoMs): void {
  tcb.receive.next = (tcb.receive.next + 1) | 0;
  tcb.hasTheirFin = false;
  tcb.hasTakenFin = true;
  tcb.ackNow = true;
  const next = stateRules[tcb.state].afterTheirFin;
  if (next === 'time-wait') enterTimeWait(context, tcb, now);
  else if (next !== undefined) tcb.state = next;
  tellReadable(context, tcb);
}

/** Our FIN was acknowledged. */
export function finAcknowledged(context: NetContext, tcb: Tcb, now: MonoMs): void {
  const next = stateRules[tcb.state].afterOurFinAcked;
  if (next === 'time-wait') enterTimeWait(context, tcb, now);
  else if (next === 'closed') endConnection(context, tcb, 'finished');
  else if (next !== undefined) tcb.state = next;
}

function enterTimeWait(context: NetContext, tcb: Tcb, now: MonoMs): void {
  tcb.state = 'time-wait';
  releaseSending(tcb);
  tcb.receive.stop();
  tcb.timers.clearAll();
  tcb.timers.set('life', after(now, timeWaitMs));
  watchTimers(context, tcb);
  context.events.push({ kind: 'tcp-closed', connection: tcb.connection, end: 'finished' });
  const oldest = context.population.enterTimeWait(tcb);
  if (oldest !== undefined) endConnection(context, oldest, 'finished');
}

/** TIME-WAIT begins its time anew (RFC 9293 §3.10.7.4). */
export function restartTimeWait(context: NetContext, tcb: Tcb, now: MonoMs): void {
  tcb.timers.set('life', after(now, timeWaitMs));
  watchTimers(context, tcb);
}

/**
 * The connection is no more. Announced, except where it was in TIME-WAIT and so was announced before,
 * or where the consumer ended it itself. What had arrived in order stays readable, except after 'aborted'.
 */
export function endConnection(context: NetContext, tcb: Tcb, end: TcpEnd): void {
  if (tcb.state === 'closed') return;
  const wasTold = tcb.state === 'time-wait';
  tcb.state = 'closed';
  tcb.timers.clearAll();
  releaseSending(tcb);
  if (end === 'aborted') tcb.receive.clear();
  else tcb.receive.stop();
  if (!wasTold) context.events.push({ kind: 'tcp-closed', connection: tcb.connection, end });
  // The list of ready connections is where closed ones leave the tables.
  markReady(context, tcb);
}

function releaseSending(tcb: Tcb): void {
  tcb.sendQueue.clear();
  tcb.log.release();
  tcb.wantsWrite = false;
}
