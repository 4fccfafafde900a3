/**
 * Looks at the tunnel while it loses datagrams, and moves it between UDP and TLS as slow-udp.ts says. Asleep, and without
 * any timer, while nothing is lost.
 */

import type { Log } from '../../shared/core/base/ports.ts';
import type { DeviceStatus } from '../../shared/core/tunnel/config.ts';
import type { Clock } from '../../shared/node/clock.ts';
import type { Connected, ConnectionState } from '../connection/state.ts';
import { afterDelay } from './desk-parts.ts';
import type { Transport } from './race.ts';
import { type Arrivals, SlowUdpWatch, slotMs } from './slow-udp.ts';
import type { TransportDesk } from './transport-desk.ts';

export interface SlowUdpParts {
  readonly state: () => ConnectionState;
  /** What has passed by now; undefined where nobody can tell. See `arrivalsAtUs`. */
  readonly arrivals: (state: Connected) => Promise<Arrivals | undefined>;
  /** Absent: looking costs nothing. */
  readonly mostLooks?: number;
  /** Nobody looks for now. */
  readonly onRest?: () => void;
  readonly desk: Pick<TransportDesk, 'handleFault' | 'forgetFault' | 'takeUdpBack'> & {
    readonly transport: Transport;
  };
  /** The edge has TLS, and the user leaves the choice to us. */
  readonly mayChoose: (edge: string) => boolean;
  readonly clock: Pick<Clock, 'now'>;
  readonly log: Log;
  /** Default: setTimeout. Returns what ends it. */
  readonly schedule?: (work: () => void, delayMs: number) => () => void;
}

/** So often in a row nobody could tell: nobody looks for now. */
const mostMissed = 3;

export class SlowUdpDesk {
  readonly #parts: SlowUdpParts;
  readonly #watch: SlowUdpWatch;
  #edge: string | undefined;
  #cancel: (() => void) | undefined;
  #isLooking = false;
  #missed = 0;

  constructor(parts: SlowUdpParts) {
    this.#parts = parts;
    this.#watch = new SlowUdpWatch(parts.mostLooks === undefined ? {} : { mostLooks: parts.mostLooks });
  }

  /** The tunnel announced that datagrams are lost, or that much is sent. */
  handleLoss(): void {
    const { state, desk, mayChoose, clock } = this.#parts;
    const now = state();
    if (now.kind !== 'connected' || desk.transport !== 'udp' || !mayChoose(now.edge)) return;
    this.#edge = now.edge;
    this.#watch.handleLoss(clock.now());
    if (this.#watch.isAwake && this.#cancel === undefined && !this.#isLooking) void this.#look();
  }

  /** Call at every change of the connection. */
  handleChange(): void {
    const state = this.#parts.state();
    if (state.kind !== 'connected' || state.edge !== this.#edge) this.#end();
  }

  /** Another network, or awake again. */
  handleMove(): void {
    this.#end();
    this.#watch.handleMove();
  }

  /** Idempotent. */
  close(): void {
    this.#end();
  }

  #end(): void {
    if (this.#edge !== undefined) this.#parts.onRest?.();
    this.#edge = undefined;
    this.#watch.stop();
    this.#cancel?.();
    this.#cancel = undefined;
  }

  async #look(): Promise<void> {
    const { state, arrivals, desk, clock, log } = this.#parts;
    const now = state();
    if (now.kind !== 'connected') return;
    this.#isLooking = true;
    const passed = await arrivals(now).catch(() => undefined);
    this.#isLooking = false;
    if (!this.#watch.isAwake) return;
    this.#missed = passed === undefined ? this.#missed + 1 : 0;
    if (this.#missed >= mostMissed) {
      if (this.#watch.isTrying && desk.transport === 'tls') desk.takeUdpBack();
      this.#watch.giveUp(clock.now());
    }
    if (passed !== undefined) {
      const verdict = this.#watch.tick(passed, desk.transport, clock.now());
      if (verdict !== 'nothing') log.info('UDP loses much of what is loaded', { verdict });
      if (verdict === 'try-tls') desk.handleFault('slow');
      else if (verdict === 'back-to-udp') desk.takeUdpBack();
      else if (verdict === 'give-up') desk.forgetFault();
    }
    if (!this.#watch.isAwake) {
      this.#parts.onRest?.();
      return;
    }
    this.#cancel = (this.#parts.schedule ?? afterDelay)(() => {
      this.#cancel = undefined;
      void this.#look();
    }, slotMs);
  }
}

/** Of what was sent to us. */
export function arrivalsAtUs({ peers }: Pick<DeviceStatus, 'peers'>): Arrivals {
  return {
    rxBytes: peers.reduce((sum, { rxBytes }) => sum + rxBytes, 0),
    received: peers.reduce((sum, { arrivals }) => sum + (arrivals?.received ?? 0), 0),
    lost: peers.reduce((sum, { arrivals }) => sum + (arrivals?.lost ?? 0), 0),
  };
}
