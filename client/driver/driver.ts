/**
 * The driver: feeds events to the pure connection, and does its effects one at a time, in order. The
 * only loop. Events change the state at once; effects wait their turn. Decides nothing.
 */

import type { Log } from '../../shared/core/base/ports.ts';
import type { UnixMs } from '../../shared/core/base/time.ts';
import type { Clock } from '../../shared/node/clock.ts';
import type { Effect } from '../connection/effect.ts';
import type { ConnectionEvent } from '../connection/event.ts';
import { type ConnectionState, initialState } from '../connection/state.ts';
import { transition } from '../connection/transition.ts';
import { type OuterEffect, perform, policyFor, problemOf } from './effects.ts';
import type { DriverPorts } from './ports.ts';

export interface DriverOptions {
  readonly ports: DriverPorts;
  readonly clock: Clock;
  readonly log: Log;
}

/** More waiting effects than this is a bug: transitions cancel what they replace. */
const maxPending = 256;
/** Longest delay that setTimeout takes. */
const longestTimerMs = 2 ** 31 - 1;

interface Pending {
  readonly effect: OuterEffect;
  /** The effects of one transition. Where one fails the others behind it are dropped. */
  readonly batch: number;
}

interface Running {
  readonly controller: AbortController;
  /** True once its result no longer matters. */
  isVoid: boolean;
}

export class Driver {
  readonly #options: DriverOptions;
  readonly #listeners = new Set<() => void>();
  #state: ConnectionState = initialState;
  #since: UnixMs;
  #pending: Pending[] = [];
  #running: Running | undefined;
  #worker: Promise<void> = Promise.resolve();
  #isWorking = false;
  #timer: NodeJS.Timeout | undefined;
  #batch = 0;
  #isClosed = false;

  constructor(options: DriverOptions) {
    this.#options = options;
    this.#since = options.clock.unix();
  }

  get state(): ConnectionState {
    return this.#state;
  }

  /** When the present kind of state began. */
  get since(): UnixMs {
    return this.#since;
  }

  /** Calls `listener` after every change of state. Returns the function that ends it. */
  onChange(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Takes a command or a fact. The state is the new one when this returns; effects follow. */
  send(event: ConnectionEvent): void {
    if (this.#isClosed) return;
    const { clock, log } = this.#options;
    const before = this.#state;
    const [state, effects] = transition(before, event, clock.now());
    this.#state = state;
    if (event.kind === 'effect-failed') {
      log.warn('a step failed', { step: event.effect, code: event.problem.code, text: event.problem.text });
    }
    if (state.kind !== before.kind) {
      this.#since = clock.unix();
      log.info('state changed', { from: before.kind, to: state.kind, because: event.kind });
    }
    this.#batch += 1;
    for (const effect of effects) this.#accept(effect);
    if (state !== before) for (const listener of this.#listeners) listener();
    this.#work();
  }

  /** Resolves when nothing is being done. */
  async idle(): Promise<void> {
    while (this.#isWorking) await this.#worker;
  }

  /**
   * Ends the tunnel and leaves the machine as closed as it is: only `disconnect` and `restore` open
   * it. Takes no more events.
   */
  async close(): Promise<void> {
    this.#isClosed = true;
    this.#cancel();
    clearTimeout(this.#timer);
    await this.idle();
    const { ports, log } = this.#options;
    const { kind } = this.#state;
    // The port goes with us: whoever still asks it is refused by the system.
    await ports.proxy.close();
    // Nobody answers after us. What fails is in the journal.
    await ports.dns.stop().catch((error: unknown) => {
      log.error('the DNS of this system could not be given back', { text: problemOf(error).text });
    });
    if ('reach' in this.#state && this.#state.reach !== 'device') return;
    if (kind === 'off' || kind === 'disconnecting') {
      if (kind === 'disconnecting') await ports.tunnel.stop();
      return;
    }
    const edge = 'edge' in this.#state ? this.#state.edge : undefined;
    const blocked = { kind: 'set-firewall', policy: 'blocked', endpoints: [], resolving: false } as const;
    await ports.firewall
      .apply(policyFor(edge === undefined ? blocked : { ...blocked, edge }, ports))
      .catch((error: unknown) =>
        log.error('the firewall could not be closed', { text: problemOf(error).text }),
      );
    await ports.tunnel.stop();
  }

  #accept(effect: Effect): void {
    switch (effect.kind) {
      case 'cancel-pending':
        this.#cancel();
        return;
      case 'set-timer': {
        clearTimeout(this.#timer);
        const delayMs = Math.min(
          Math.max(Math.ceil(effect.at - this.#options.clock.now()), 0),
          longestTimerMs,
        );
        this.#timer = setTimeout(() => this.send({ kind: 'tick' }), delayMs);
        return;
      }
      case 'clear-timer':
        clearTimeout(this.#timer);
        return;
      default:
        if (this.#pending.length >= maxPending) throw new Error('the driver has too much to do');
        this.#pending.push({ effect, batch: this.#batch });
    }
  }

  #cancel(): void {
    this.#pending = [];
    if (this.#running === undefined) return;
    this.#running.isVoid = true;
    this.#running.controller.abort();
  }

  #work(): void {
    if (this.#isWorking) return;
    this.#isWorking = true;
    this.#worker = this.#workLoop();
  }

  async #workLoop(): Promise<void> {
    try {
      // Not in the caller's turn: a command returns before its effects begin.
      await Promise.resolve();
      for (let next = this.#pending.shift(); next !== undefined; next = this.#pending.shift())
        await this.#run(next);
    } finally {
      this.#isWorking = false;
    }
  }

  async #run(pending: Pending): Promise<void> {
    const { ports, log } = this.#options;
    const { effect, batch } = pending;
    const running: Running = { controller: new AbortController(), isVoid: false };
    this.#running = running;
    log.debug('step', { step: effect.kind });
    let outcome: ConnectionEvent | undefined;
    try {
      const context = { ports, signal: running.controller.signal, onFact: this.#onFact };
      outcome = await perform(effect, context);
    } catch (error) {
      outcome = { kind: 'effect-failed', effect: effect.kind, problem: problemOf(error) };
      if (!running.isVoid) this.#pending = this.#pending.filter((other) => other.batch !== batch);
    }
    this.#running = undefined;
    if (outcome !== undefined && !running.isVoid) this.send(outcome);
  }

  readonly #onFact = (fact: ConnectionEvent): void => {
    this.send(fact);
  };
}
