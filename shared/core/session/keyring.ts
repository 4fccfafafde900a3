/**
 * The sessions of one peer: previous, current, next, and the rules of promotion (§6.3). The
 * responder may not send under a new session before the initiator has used it: that session waits
 * as `next`.
 */

import type { Keypair } from './keypair.ts';

export class Keyring {
  previous: Keypair | undefined;
  current: Keypair | undefined;
  next: Keypair | undefined;
  /** Called with every session that leaves the ring, so that its index can be freed. */
  readonly #retired: (keypair: Keypair) => void;

  constructor(retired: (keypair: Keypair) => void) {
    this.#retired = retired;
  }

  /** Takes in a session just derived. */
  add(keypair: Keypair): void {
    if (keypair.isInitiator) {
      const replaced = this.next ?? this.current;
      if (this.next !== undefined) this.#retire(this.current);
      this.#retire(this.previous);
      this.previous = replaced;
      this.next = undefined;
      this.current = keypair;
      return;
    }
    this.#retire(this.next);
    this.#retire(this.previous);
    this.previous = undefined;
    this.next = keypair;
  }

  /** An authenticated packet came under `keypair`. Returns true where that promoted it to current. */
  received(keypair: Keypair): boolean {
    if (keypair !== this.next) return false;
    this.#retire(this.previous);
    this.previous = this.current;
    this.current = keypair;
    this.next = undefined;
    return true;
  }

  /** Forgets and wipes every session. */
  clear(): void {
    this.#retire(this.previous);
    this.#retire(this.current);
    this.#retire(this.next);
    this.previous = undefined;
    this.current = undefined;
    this.next = undefined;
  }

  #retire(keypair: Keypair | undefined): void {
    if (keypair === undefined) return;
    this.#retired(keypair);
    keypair.wipe();
  }
}
