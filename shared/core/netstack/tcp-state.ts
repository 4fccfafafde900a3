/**
 * The states of a TCP connection (RFC 9293 §3.3.2) and what is allowed in each, as a table. One state
 * is ours: 'pending', a SYN that the consumer has not decided about yet.
 */

export type TcpState =
  | 'pending'
  | 'syn-sent'
  | 'syn-received'
  | 'established'
  | 'fin-wait-1'
  | 'fin-wait-2'
  | 'close-wait'
  | 'closing'
  | 'last-ack'
  | 'time-wait'
  | 'closed';

export interface StateRules {
  /** SYNs were exchanged: sequence numbers mean something. */
  readonly isSynchronized: boolean;
  /** Our side may still send new content. */
  readonly maySend: boolean;
  /** Their side may still send content. */
  readonly mayReceive: boolean;
  /** State after our FIN was acknowledged. */
  readonly afterOurFinAcked: TcpState | undefined;
  /** State after their FIN arrived. */
  readonly afterTheirFin: TcpState | undefined;
  /** State after our FIN was queued. */
  readonly afterClose: TcpState | undefined;
}

const nothing: StateRules = {
  isSynchronized: false,
  maySend: false,
  mayReceive: false,
  afterOurFinAcked: undefined,
  afterTheirFin: undefined,
  afterClose: undefined,
};

export const stateRules: Readonly<Record<TcpState, StateRules>> = {
  pending: nothing,
  'syn-sent': { ...nothing, maySend: true },
  'syn-received': {
    ...nothing,
    isSynchronized: true,
    maySend: true,
    mayReceive: true,
    afterTheirFin: 'close-wait',
    afterClose: 'fin-wait-1',
  },
  established: {
    ...nothing,
    isSynchronized: true,
    maySend: true,
    mayReceive: true,
    afterTheirFin: 'close-wait',
    afterClose: 'fin-wait-1',
  },
  'fin-wait-1': {
    ...nothing,
    isSynchronized: true,
    mayReceive: true,
    afterOurFinAcked: 'fin-wait-2',
    afterTheirFin: 'closing',
  },
  'fin-wait-2': { ...nothing, isSynchronized: true, mayReceive: true, afterTheirFin: 'time-wait' },
  'close-wait': { ...nothing, isSynchronized: true, maySend: true, afterClose: 'last-ack' },
  closing: { ...nothing, isSynchronized: true, afterOurFinAcked: 'time-wait' },
  'last-ack': { ...nothing, isSynchronized: true, afterOurFinAcked: 'closed' },
  'time-wait': { ...nothing, isSynchronized: true },
  closed: nothing,
};
