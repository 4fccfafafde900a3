/**
 * Facts that a packet worker tells the main thread, kept back while packets wait: a message wakes
 * the main thread, and the packet that comes next would stand behind that.
 */

import type { TunnelEvent } from '../../core/tunnel/events.ts';
import type { FromWorker } from './messages.ts';

/** More are sent at once. */
const mostWaiting = 256;

export class Outbox {
  readonly #send: (message: FromWorker) => void;
  #events: TunnelEvent[] = [];

  constructor(send: (message: FromWorker) => void) {
    this.#send = send;
  }

  /** Whether `send` has something to do. */
  get waiting(): boolean {
    return this.#events.length > 0;
  }

  add(event: TunnelEvent): void {
    this.#events.push(event);
    if (this.#events.length >= mostWaiting) this.send();
  }

  /** Sends what waits, in order. */
  send(): void {
    if (this.#events.length === 0) return;
    const events = this.#events;
    this.#events = [];
    for (const event of events) this.#send({ kind: 'event', event });
  }
}
