/**
 * The packet worker of a whole-device mode, started as soon as somebody asks for protection: its start takes longer than
 * all the rest together, and goes on beside closing the firewall and looking for the edge. Until the connection takes it,
 * it has no key and its interface no address and is down, so nothing can leave by it.
 */

import type { TunnelBackend } from '../../shared/node/dataplane/messages.ts';
import type { ConnectionState } from '../connection/state.ts';
import type { HostTunnelOptions } from './tunnel.ts';

type StartThread = HostTunnelOptions['startThread'];
/** Name of the interface, size of packets, whether disguised. */
type Wanted = Parameters<StartThread>;

export interface EarlyThreadOptions {
  readonly start: StartThread;
  /** What a connection to this edge will ask for; undefined where nobody knows. */
  readonly wanted: (edge: string) => Wanted | undefined;
}

interface Early {
  readonly wanted: Wanted;
  readonly backend: Promise<TunnelBackend>;
}

export class EarlyThread {
  readonly #options: EarlyThreadOptions;
  #early: Early | undefined;
  /** Those that nobody took are ended; two cannot have one interface. */
  #ended: Promise<void> = Promise.resolve();
  #isClosed = false;

  constructor(options: EarlyThreadOptions) {
    this.#options = options;
  }

  /** Call at every change of the connection. */
  handleChange(state: ConnectionState): void {
    // Leaving `off`: no tunnel stands that could have the interface.
    const isLeavingOff = state.kind === 'connecting' && state.phase === 'resolving' && !state.closed;
    if (isLeavingOff && state.reach === 'device') this.#begin(state.edge);
    else if (state.kind !== 'connecting') this.#drop();
  }

  /** The one that was started where it fits, else another one. Rejects as the start does. */
  readonly start: StartThread = async (...wanted) => {
    const early = this.#early;
    if (early?.wanted.every((one, i) => one === wanted[i]) === true) {
      this.#early = undefined;
      return early.backend;
    }
    this.#drop();
    await this.#ended;
    return this.#options.start(...wanted);
  };

  /** No other is started early. Idempotent. */
  close(): void {
    this.#isClosed = true;
    this.#drop();
  }

  #begin(edge: string): void {
    if (this.#early !== undefined || this.#isClosed) return;
    const wanted = this.#options.wanted(edge);
    if (wanted === undefined) return;
    const backend = this.#ended.then(() => this.#options.start(...wanted));
    backend.catch(() => undefined); // Whoever takes it learns of it.
    this.#early = { wanted, backend };
  }

  #drop(): void {
    const early = this.#early;
    if (early === undefined) return;
    this.#early = undefined;
    this.#ended = early.backend.then(
      (backend) => backend.stop(),
      () => undefined,
    );
  }
}
