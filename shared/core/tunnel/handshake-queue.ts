/**
 * Initiations that were admitted and wait for their public-key work, so that a flood of them never
 * holds up data: a fixed ring of copies.
 */

import { endpointSize } from '../base/endpoint.ts';
import { initiationSize } from '../wire/initiation.ts';

/** Initiations that may wait. */
export const handshakeQueueCapacity: number = 1024;
/** From this many on, the device is under load (§5.3). */
export const handshakeQueueBusy: number = handshakeQueueCapacity / 16;

export class HandshakeQueue {
  readonly messages: Uint8Array = new Uint8Array(handshakeQueueCapacity * initiationSize);
  readonly sources: Uint8Array = new Uint8Array(handshakeQueueCapacity * endpointSize);
  #first = 0;
  #count = 0;

  get count(): number {
    return this.#count;
  }

  /** Copies an initiation and where it came from. False where the ring is full. */
  push(bytes: Uint8Array, offset: number, addresses: Uint8Array, addressOffset: number): boolean {
    if (this.#count === handshakeQueueCapacity) return false;
    const slot = (this.#first + this.#count) % handshakeQueueCapacity;
    const message = slot * initiationSize;
    for (let i = 0; i < initiationSize; i++) this.messages[message + i] = bytes[offset + i]!;
    const source = slot * endpointSize;
    for (let i = 0; i < endpointSize; i++) this.sources[source + i] = addresses[addressOffset + i]!;
    this.#count++;
    return true;
  }

  /** Slot of the oldest initiation, taken out; its bytes stay until the next push. -1 where empty. */
  take(): number {
    if (this.#count === 0) return -1;
    const slot = this.#first;
    this.#first = (slot + 1) % handshakeQueueCapacity;
    this.#count--;
    return slot;
  }
}
