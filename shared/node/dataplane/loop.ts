/**
 * The one place where the tunnel meets its outside (UdpPort) and its inside (TunPort). One
 * non-blocking `step()`; drivers call it. The invariant, here and nowhere else: after any
 * `handle…`, write `out` and `toTun`, then take events, and only then read the next input; the
 * driver re-arms its timer by `nextTimeoutAt`.
 */

import type { MonoMs } from '../../core/base/time.ts';
import type { PacketBatch } from '../../core/packet/batch.ts';
import type { TunnelDevice } from '../../core/tunnel/device.ts';
import type { TunnelEvent } from '../../core/tunnel/events.ts';
import type { Clock } from '../clock.ts';
import type { TunPort } from '../tun/port.ts';
import type { UdpPort } from '../udp/port.ts';
import type { LoopBatches } from './batches.ts';

/** While it rests, what is due is done this often. */
export const restIntervalMs: number = 60_000;
/** The wall clock and the interface's MTU are looked at this often, while packets move. */
const refreshIntervalMs = 1000;

export interface LoopOptions {
  readonly device: TunnelDevice;
  readonly udp: UdpPort;
  readonly tun: TunPort;
  readonly clock: Clock;
  readonly batches: LoopBatches;
  /** Gets facts as they happen. */
  readonly onEvent: (event: TunnelEvent) => void;
  /** Default: a second. */
  readonly refreshIntervalMs?: number;
}

/** What one step came to: nothing to do, something done (step again soon), or the interface is gone. */
export type StepResult = 'idle' | 'busy' | 'gone';

export class DataplaneLoop {
  readonly #device: TunnelDevice;
  readonly #udp: UdpPort;
  readonly #tun: TunPort;
  readonly #clock: Clock;
  readonly #batches: LoopBatches;
  readonly #onEvent: (event: TunnelEvent) => void;
  readonly #refreshIntervalMs: number;
  #refreshAt = 0;
  /** Until then nothing is due; undefined = it does not rest. */
  #restsUntil: number | undefined;
  /** Packets that the last step read, both sides together. */
  lastPackets = 0;

  constructor(options: LoopOptions) {
    this.#device = options.device;
    this.#udp = options.udp;
    this.#tun = options.tun;
    this.#clock = options.clock;
    this.#batches = options.batches;
    this.#onEvent = options.onEvent;
    this.#refreshIntervalMs = options.refreshIntervalMs ?? refreshIntervalMs;
    this.refresh(options.clock.now());
  }

  /**
   * Reads what waits on both sides, hands it through the device, runs what is due. Never blocks.
   * `ready`, from a poll: bit 0 = the inside has something, the bits above = as in UdpPort.readBatch.
   * `now` is the time where the caller has just looked at the clock.
   */
  step(ready = -1, now: MonoMs = this.#clock.now()): StepResult {
    const { fromUdp, fromTun, toTun, out } = this.#batches;
    const stale = now >= this.#refreshAt;
    if (stale) this.#device.setWallClock(now, this.#clock.unix());

    fromUdp.clear();
    const received = ready >>> 1 === 0 ? 0 : this.#udp.readBatch(fromUdp, ready >> 1);
    if (received > 0) {
      this.#device.handleUdp(fromUdp, now, toTun, out);
      this.#flush(toTun, out);
    }

    fromTun.clear();
    const read = (ready & 1) === 0 ? 0 : this.#tun.readBatch(fromTun);
    if (read < 0) return 'gone';
    if (read > 0) {
      this.#device.handleTun(fromTun, now, toTun, out);
      this.#flush(toTun, out);
    }

    this.lastPackets = received + read;

    const due = this.#device.nextTimeoutAt() <= now;
    if (due) {
      if (this.#restsUntil !== undefined) this.#restsUntil = now + restIntervalMs;
      this.#device.handleTimeout(now, out);
      this.#flush(toTun, out);
    }
    // Last: the first packet after a silence shall not wait for it.
    if (stale && !this.refresh(now)) return 'gone';
    return received > 0 || read > 0 || due ? 'busy' : 'idle';
  }

  /** When `step` must be called again even if nothing arrives; Infinity = never. */
  nextTimeoutAt(): number {
    const deviceAt = this.#device.nextTimeoutAt();
    const at =
      this.#tun.nextTimeoutAt === undefined ? deviceAt : Math.min(deviceAt, this.#tun.nextTimeoutAt());
    return this.#restsUntil === undefined ? at : Math.max(at, this.#restsUntil);
  }

  /** Nobody is there to hear us: the driver need not look at the inside, and what is due may wait (restIntervalMs). */
  get isResting(): boolean {
    return this.#restsUntil !== undefined;
  }

  rest(isResting: boolean): void {
    this.#restsUntil = isResting ? this.#clock.now() + restIntervalMs : undefined;
  }

  /** Carries out what a command (configuration, for example) wants to send at once. */
  settle(): void {
    const { toTun, out } = this.#batches;
    this.#device.handleTimeout(this.#clock.now(), out);
    this.#flush(toTun, out);
  }

  /** Does ahead what can be; at a quiet moment, after something happened. */
  prepare(): void {
    this.#device.prepare();
  }

  /** Tells the device the wall clock and the MTU. Returns false where the interface is gone. */
  refresh(now: MonoMs): boolean {
    this.#refreshAt = now + this.#refreshIntervalMs;
    this.#device.setWallClock(now, this.#clock.unix());
    if (!this.#tun.refreshMtu()) return false;
    this.#device.setMtu(this.#tun.mtu);
    return true;
  }

  #flush(toTun: PacketBatch, out: PacketBatch): void {
    if (out.count > 0) this.#device.countDrops('send-failed', this.#udp.writeBatch(out));
    if (toTun.count > 0) this.#device.countDrops('write-failed', this.#tun.writeBatch(toTun));
    out.clear();
    toTun.clear();
    for (const event of this.#device.takeEvents()) this.#onEvent(event);
  }
}
