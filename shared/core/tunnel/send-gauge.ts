/**
 * Does this device send much to a peer? Told once per run of packets. Whether it arrives only the other side knows: this
 * says when it is worth a question.
 */

import type { MonoMs } from '../base/time.ts';

const windowMs = 1000;
/** After a pause the next window begins anew. */
const pauseMs = 2000;
/** Datagrams of one window; less is nobody's upload. */
const muchBytes = 8192;

export class SendGauge {
  #from = Number.NEGATIVE_INFINITY;
  #bytes = 0;

  /** `txBytes`: all that was ever sent to the peer. True at the end of a second in which it was much. */
  handleRun(txBytes: number, now: MonoMs): boolean {
    const tookMs = now - this.#from;
    if (tookMs < windowMs) return false;
    const isMuch = tookMs < pauseMs && txBytes - this.#bytes >= muchBytes;
    this.#from = now;
    this.#bytes = txBytes;
    return isMuch;
  }
}
