/**
 * A worker that is kept ready while nothing is connected: its start takes longer than all the rest of connecting. It
 * has no key, no socket and no interface, and wakes for nothing. A connection takes it and makes it its tunnel
 * (early-thread.ts for a whole device, tunnel-side.ts for the proxy); without one the connection starts its own.
 */

import type { Log } from '../../shared/core/base/ports.ts';
import type { BlankThread } from '../../shared/node/dataplane/thread-link.ts';
import type { BlankFlow } from '../../shared/node/flows/flow-thread-link.ts';
import { startIdleTimer } from '../../shared/node/idle-timer.ts';
import type { ConnectionState } from '../connection/state.ts';

/** By the reach of the connection that takes it. */
export interface SpareKinds {
  readonly device: BlankThread;
  readonly proxy: BlankFlow;
}

type Kept = { readonly [Kind in keyof SpareKinds]?: SpareKinds[Kind] };

export interface SpareThreadOptions {
  readonly start: { readonly [Kind in keyof SpareKinds]: () => SpareKinds[Kind] };
  /** Which one a connection would take now; undefined: none. */
  readonly wanted: () => keyof SpareKinds | undefined;
  readonly log: Log;
  /** Tests give another. */
  readonly schedule?: (delayMs: number, work: () => void) => () => void;
}

/** After the end of a connection, and after a change of mind: nobody shall wait for it, nor pay for it twice. */
const delayMs = 5000;

export class SpareThread {
  readonly #options: SpareThreadOptions;
  /** One at a time. */
  #kept: Kept = {};
  /** Undefined before the first state was told. */
  #isOff: boolean | undefined;
  #cancel: (() => void) | undefined;
  #isClosed = false;

  constructor(options: SpareThreadOptions) {
    this.#options = options;
  }

  /** Call when the daemon starts, and at every change of the connection. */
  handleChange({ kind }: ConnectionState): void {
    const isFirst = this.#isOff === undefined;
    const wasOff = this.#isOff === true;
    this.#isOff = kind === 'off';
    // A connection begins at once where it was asked for by whoever started the daemon.
    if (this.#isOff && isFirst) this.#prepare();
    else if (this.#isOff && !wasOff) this.#later();
    if (this.#isOff) return;
    this.#cancel?.();
    // Whoever connects takes it soon; after that nobody does.
    if (kind !== 'connecting') this.#drop();
  }

  /** What a connection would take may be another one now. */
  handleSettings(): void {
    if (this.#isOff === true && !this.#isRight()) this.#later();
  }

  /** The one that is ready, for good. Undefined: start your own. */
  take<Kind extends keyof SpareKinds>(kind: Kind): SpareKinds[Kind] | undefined {
    const { [kind]: taken } = this.#kept;
    if (taken !== undefined) this.#kept = {};
    return taken;
  }

  /** Idempotent. */
  close(): void {
    this.#isClosed = true;
    this.#cancel?.();
    this.#drop();
  }

  #later(): void {
    const { schedule = startIdleTimer } = this.#options;
    this.#cancel?.();
    this.#cancel = schedule(delayMs, () => this.#prepare());
  }

  #isRight(): boolean {
    const wanted = this.#options.wanted();
    const kept = Object.keys(this.#kept);
    return wanted === undefined ? kept.length === 0 : kept.includes(wanted);
  }

  #prepare(): void {
    if (this.#isClosed || this.#isOff !== true || this.#isRight()) return;
    this.#drop();
    const { wanted, start } = this.#options;
    try {
      const kind = wanted();
      if (kind === 'device') this.#keep({ device: start.device() });
      else if (kind === 'proxy') this.#keep({ proxy: start.proxy() });
    } catch (error) {
      // Whoever connects learns of it.
      this.#options.log.debug('no worker can be kept ready', { text: String(error) });
    }
  }

  #keep(kept: Kept): void {
    this.#kept = kept;
    const spare = kept.device ?? kept.proxy;
    spare?.onEnd((why, detail) => {
      if (this.#kept !== kept) return;
      this.#kept = {};
      this.#options.log.warn('the worker that was kept ready ended by itself', { why, detail });
    });
  }

  #drop(): void {
    const { device, proxy } = this.#kept;
    this.#kept = {};
    for (const one of [device, proxy]) void one?.stop();
  }
}
