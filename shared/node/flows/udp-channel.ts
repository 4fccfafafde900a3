/** One UDP flow of the userspace stack for a consumer on the event loop. */

import type { FlowEnd, Refusal, UdpEnd, UdpFlow } from '../../core/netstack/events.ts';
import type { UdpChannel } from './contract.ts';

/** What a channel needs of its host. */
export interface UdpHost {
  /** Room for the largest datagram; used within one call. */
  readonly scratch: Uint8Array;
  wake(): void;
  refuse(flow: UdpFlow, refusal: Refusal): void;
}

export class FlowUdpChannel implements UdpChannel {
  readonly #flow: UdpFlow;
  readonly #host: UdpHost;
  #onMessage: ((bytes: Uint8Array) => void) | undefined;
  #onClose: ((end: UdpEnd) => void) | undefined;
  #end: UdpEnd | undefined;

  constructor(flow: UdpFlow, host: UdpHost) {
    this.#flow = flow;
    this.#host = host;
  }

  get local(): FlowEnd {
    return this.#flow.local;
  }

  get remote(): FlowEnd {
    return this.#flow.remote;
  }

  send(bytes: Uint8Array): boolean {
    if (!this.#flow.send(bytes)) return false;
    this.#host.wake();
    return true;
  }

  onMessage(listener: (bytes: Uint8Array) => void): void {
    this.#onMessage = listener;
    this.handleReadable();
  }

  onClose(listener: (end: UdpEnd) => void): void {
    this.#onClose = listener;
    if (this.#end !== undefined) listener(this.#end);
  }

  close(): void {
    if (!this.#flow.isOpen) return;
    this.#flow.close();
    this.#host.wake();
  }

  refuse(refusal: Refusal): void {
    this.#host.refuse(this.#flow, refusal);
    this.#host.wake();
  }

  /** 'udp-readable'. */
  handleReadable(): void {
    const { scratch } = this.#host;
    // The queue is bounded, and a listener cannot make it longer.
    while (this.#onMessage !== undefined && this.#flow.nextLength >= 0) {
      const length = this.#flow.receive(scratch);
      this.#onMessage(scratch.subarray(0, Math.min(length, scratch.length)));
    }
  }

  /** 'udp-closed'. */
  handleClosed(end: UdpEnd): void {
    if (this.#end !== undefined) return;
    this.#end = end;
    this.#onClose?.(end);
  }
}
