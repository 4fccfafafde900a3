/** A connection as its consumer sees it: commands note what is to do, the next poll does it. */

import { markReady, type NetContext } from './context.ts';
import type { FlowEnd, TcpConnection, TcpCounts } from './events.ts';
import type { Tcb } from './tcb.ts';
import { endConnection } from './tcp-lifecycle.ts';
import { stateRules, type TcpState } from './tcp-state.ts';
import { openEdgeToAnnounce } from './tcp-write.ts';

export class TcpHandle implements TcpConnection {
  attachment: unknown;
  readonly local: FlowEnd;
  readonly remote: FlowEnd;
  readonly #context: NetContext;
  readonly #tcb: Tcb;

  constructor(context: NetContext, tcb: Tcb) {
    this.#context = context;
    this.#tcb = tcb;
    this.local = { address: tcb.path.local, port: tcb.localPort };
    this.remote = { address: tcb.path.remote, port: tcb.remotePort };
  }

  /** The connection behind a handle; undefined where it is none of ours. */
  static tcbOf(connection: TcpConnection): Tcb | undefined {
    return connection instanceof TcpHandle ? connection.#tcb : undefined;
  }

  get state(): TcpState {
    return this.#tcb.state;
  }

  get readableBytes(): number {
    return this.#tcb.receive.queue.length;
  }

  get hasEnded(): boolean {
    const { receive, hasTakenFin } = this.#tcb;
    // Not by the state: a connection that was reset is closed, too, and its content is not whole.
    return hasTakenFin && receive.queue.length === 0;
  }

  get writableBytes(): number {
    const tcb = this.#tcb;
    if (tcb.isClosing || !stateRules[tcb.state].maySend) return 0;
    return Math.max(0, tcb.sendLimit - tcb.sendQueue.length);
  }

  get counts(): TcpCounts {
    const tcb = this.#tcb;
    return {
      bytesSent: tcb.bytesSent,
      bytesReceived: tcb.bytesReceived,
      segmentsSent: tcb.segmentsSent,
      segmentsRepeated: tcb.segmentsRepeated,
      timeouts: tcb.timeouts,
      smoothedRttMs: tcb.rtt.smoothedMs,
      windowBytes: tcb.congestion.windowBytes,
      pacingRate: tcb.congestion.pacingRate,
      congestion: tcb.congestion.name,
      maxSegment: tcb.maxSegment,
    };
  }

  write(bytes: Uint8Array, start = 0, end: number = bytes.length): number {
    const tcb = this.#tcb;
    const wanted = end - start;
    const most = Math.min(wanted, this.writableBytes);
    const taken = most > 0 ? tcb.sendQueue.append(bytes, start, start + most) : 0;
    if (taken < wanted && !tcb.isClosing && stateRules[tcb.state].maySend) {
      tcb.wantsWrite = true;
      if (taken < most) this.#context.hungry.add(tcb);
    }
    if (taken > 0) markReady(this.#context, tcb);
    return taken;
  }

  read(into: Uint8Array): number {
    const tcb = this.#tcb;
    const count = tcb.receive.read(into);
    tcb.toldReadable = false;
    // The window may have opened enough to tell.
    if (count > 0 && openEdgeToAnnounce(tcb) !== tcb.receive.edge) markReady(this.#context, tcb);
    return count;
  }

  close(): void {
    const tcb = this.#tcb;
    if (tcb.isClosing || !stateRules[tcb.state].maySend) return;
    tcb.isClosing = true;
    tcb.wantsWrite = false;
    if (tcb.state === 'syn-received') return;
    const next = stateRules[tcb.state].afterClose;
    if (next !== undefined) tcb.state = next;
    markReady(this.#context, tcb);
  }

  abort(): void {
    const tcb = this.#tcb;
    const { maySend, mayReceive, isSynchronized } = stateRules[tcb.state];
    // Where both sides are done there is nobody left to tell.
    tcb.resetNow = isSynchronized && (maySend || mayReceive);
    endConnection(this.#context, tcb, 'aborted');
    tcb.receive.clear();
  }

  setKeepAlive(idleMs: number): void {
    this.#tcb.keepAliveMs = idleMs;
    this.#tcb.timers.clear('keep-alive');
    markReady(this.#context, this.#tcb);
  }

  setNagle(isOn: boolean): void {
    this.#tcb.nagle = isOn;
    markReady(this.#context, this.#tcb);
  }
}
