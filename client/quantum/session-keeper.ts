/**
 * Makes the tunnel to an enrolled edge safe from quantum computers: the first tunnel has the device's own key and no
 * preshared key; inside it a KEM gives both ends a secret, and the tunnel goes on with a key of its own for this session
 * and that secret, which is renewed every hour. Where the edge falls silent, the device's own key comes back at once:
 * that one works always, so that neither end gets stuck, whichever of them was restarted.
 */

import type { Log } from '../../shared/core/base/ports.ts';
import { minuteMs, secondMs } from '../../shared/core/base/time.ts';
import type { DeviceStatus } from '../../shared/core/tunnel/config.ts';
import { startIdleTimer } from '../../shared/node/idle-timer.ts';

/** What the tunnel is given. */
export interface SessionKeys {
  /** 32 bytes each. */
  readonly privateKey: Uint8Array;
  readonly presharedKey: Uint8Array;
}

export interface SessionKeeperParts {
  /** The enrolled edge that this machine is connected to; undefined where there is none. */
  readonly connectedTo: () => string | undefined;
  readonly isWanted: () => boolean;
  /** Agrees on keys with that edge. Rejects where it cannot. */
  readonly agree: (edge: string) => Promise<SessionKeys>;
  /**
   * The tunnel goes on with these; absent: with the device's own key. `present`: the session in use carries packets until
   * there is a new one, or ends, where nobody answers in it. Does nothing without a tunnel.
   */
  readonly rekey: (keys: SessionKeys | undefined, present: 'goes on' | 'ends') => Promise<void>;
  readonly status: () => Promise<Pick<DeviceStatus, 'peers'> | undefined>;
  /** The status has changed. */
  readonly onChange: () => void;
  readonly log: Log;
  /** Default: setTimeout. Returns what ends it. */
  readonly after?: (delayMs: number, run: () => void) => () => void;
}

/** How long the edge may take to answer with the new key. */
const lookMs = 100;
const looks = 60;
const renewMs = 60 * minuteMs;
const retryMs = 30 * secondMs;
const maxTries = 4;

type Phase = 'none' | 'agreeing' | 'proving' | 'held';

export class SessionKeeper {
  readonly #parts: SessionKeeperParts;
  #edge: string | undefined;
  #phase: Phase = 'none';
  /** The tunnel has a session's key. */
  #isRekeyed = false;
  #tries = 0;
  /** Whatever began under another number is over. */
  #round = 0;
  #endWait: (() => void) | undefined;

  constructor(parts: SessionKeeperParts) {
    this.#parts = parts;
  }

  /** The tunnel in use is safe. */
  get isHeld(): boolean {
    return this.#edge !== undefined && this.#isRekeyed && this.#phase !== 'proving';
  }

  /** Call at every change of the connection or of settings. */
  handleChange(): void {
    const edge = this.#parts.isWanted() ? this.#parts.connectedTo() : undefined;
    // While a new key is tried, the edge may well seem silent for a moment.
    if (edge === this.#edge) return;
    this.#stop();
    this.#edge = edge;
    this.#tries = 0;
    if (edge !== undefined) void this.#begin(edge);
  }

  /** Idempotent. */
  close(): void {
    this.#stop();
    this.#edge = undefined;
  }

  /** Back to the device's own key, where the tunnel has another. */
  #stop(): void {
    this.#round++;
    this.#endWait?.();
    this.#endWait = undefined;
    this.#phase = 'none';
    if (!this.#isRekeyed) return;
    this.#isRekeyed = false;
    const { rekey, connectedTo } = this.#parts;
    rekey(undefined, connectedTo() === undefined ? 'ends' : 'goes on').catch((cause: unknown) => {
      this.#parts.log.warn('the tunnel did not take its own key back', { why: String(cause) });
    });
  }

  async #begin(edge: string): Promise<void> {
    const round = ++this.#round;
    const { agree, rekey, log } = this.#parts;
    this.#phase = 'agreeing';
    this.#tries++;
    try {
      const keys = await agree(edge);
      if (round !== this.#round) return;
      const since = await this.#lastHandshake();
      if (round !== this.#round) return;
      this.#phase = 'proving';
      this.#isRekeyed = true;
      await rekey(keys, 'goes on');
      await this.#prove(round, since);
      if (round !== this.#round) return;
      this.#phase = 'held';
      this.#tries = 0;
      log.info('this tunnel is safe from quantum computers');
      this.#parts.onChange();
      this.#wait(renewMs, edge);
    } catch (cause) {
      if (round !== this.#round) return;
      log.info('this tunnel is not safe from quantum computers', { why: whyOf(cause) });
      this.#stop();
      this.#parts.onChange();
      if (this.#tries < maxTries && !isFinal(cause)) this.#wait(retryMs, edge);
    }
  }

  /** Resolves once the edge has answered with the new key. */
  async #prove(round: number, since: number): Promise<void> {
    for (let i = 0; i < looks; i++) {
      if (round !== this.#round || (await this.#lastHandshake()) > since) return;
      await new Promise<void>((resolve) => {
        (this.#parts.after ?? startIdleTimer)(lookMs, resolve);
      });
    }
    throw new Error('the edge did not answer with the new key');
  }

  async #lastHandshake(): Promise<number> {
    const { peers = [] } = (await this.#parts.status()) ?? {};
    return Math.max(0, ...peers.map(({ lastHandshakeMs }) => lastHandshakeMs));
  }

  #wait(delayMs: number, edge: string): void {
    this.#endWait = (this.#parts.after ?? startIdleTimer)(delayMs, () => {
      this.#endWait = undefined;
      if (this.#edge === edge) void this.#begin(edge);
    });
  }
}

/** Thrown by `agree` where trying again is useless: this edge has no such sessions. */
export class NoSessions extends Error {
  override readonly name = 'NoSessions';
}

function isFinal(cause: unknown): boolean {
  return cause instanceof NoSessions;
}

function whyOf(cause: unknown): string {
  return cause instanceof Error ? cause.message : String(cause);
}
