/**
 * Several edges, with the setting `edge auto`: knows how far those are that are not in use, and changes to another where
 * the one in use is silent or says that it ends; back, or on, only to one that is clearly nearer (rank-edges.ts). Asks the
 * connection for a new tunnel, which stays closed all the while. Whoever chose an edge by name keeps it.
 */

import type { Log } from '../../shared/core/base/ports.ts';
import { after, type MonoMs, secondMs } from '../../shared/core/base/time.ts';
import type { DeviceStatus } from '../../shared/core/tunnel/config.ts';
import type { Clock } from '../../shared/node/clock.ts';
import type { ConnectionState, Reach } from '../connection/state.ts';
import {
  type EdgeRecords,
  isSilent,
  nearerThan,
  type ProbeResult,
  recordFailure,
  recordProbe,
} from './rank-edges.ts';

export interface FailoverParts {
  readonly state: () => ConnectionState;
  /** `edge auto`. */
  readonly isAuto: () => boolean;
  /** Those that may take over from the one in use, the newest first. */
  readonly edges: () => readonly string[];
  /** Never rejects. */
  readonly probe: (edge: string, reach: Reach) => Promise<ProbeResult>;
  readonly status: () => Promise<Pick<DeviceStatus, 'peers'> | undefined>;
  readonly move: (edge: string, reach: Reach) => void;
  readonly clock: Pick<Clock, 'now'>;
  readonly log: Log;
  /** Default: setTimeout. Returns what ends it. */
  readonly after?: (delayMs: number, run: () => void) => () => void;
}

/** All that are not in use, one after the other. */
const roundMs: number = 30 * secondMs;
/** The one in use is believed to be gone when it said nothing for so long although it was asked. */
const doubtMs = 1000;
/** Without a handshake for this long others are tried. */
const handshakeMs: number = 3 * secondMs;
/** From one move to the next because of silence. */
const restMs: number = 4 * secondMs;
/** Fewer bytes than this in a round are nobody's work. */
const quietBytes = 50_000;

export class FailoverDesk {
  readonly #parts: FailoverParts;
  #records: EdgeRecords = new Map();
  /** What the timers and the rounds are about. */
  #edge: string | undefined;
  #since: MonoMs;
  #phase = '';
  #movedAt: MonoMs | undefined;
  #bytes = 0;
  #isQuiet = false;
  #isDoubting = false;
  readonly #ends = new Map<'round' | 'handshake', () => void>();

  constructor(parts: FailoverParts) {
    this.#parts = parts;
    this.#since = parts.clock.now();
  }

  /** It was asked a moment ago and did not answer. */
  isSilent(edge: string): boolean {
    return isSilent(this.#records, edge, this.#parts.clock.now());
  }

  /** Call at every change of the connection or of settings. */
  handleChange(): void {
    const state = this.#parts.state();
    const edge = this.#others().length > 0 && 'edge' in state && state.edge !== '' ? state.edge : undefined;
    if (edge !== this.#edge) {
      this.#edge = edge;
      this.#since = this.#parts.clock.now();
      this.#end('round');
      if (edge !== undefined) this.#waitForRound(secondMs);
    }
    const phase = state.kind === 'connecting' ? `${state.edge} ${state.phase}` : state.kind;
    if (phase === this.#phase) return;
    this.#phase = phase;
    this.#end('handshake');
    if (edge === undefined || state.kind !== 'connecting') return;
    if (state.phase === 'stalled') void this.#leave('it does not answer');
    else if (state.phase === 'handshaking') this.#waitForHandshake(edge);
  }

  /** A send went unanswered for a second: by the time that it is certain, the others are known. */
  async handleDoubt(): Promise<void> {
    const edge = this.#edge;
    if (edge === undefined || this.#isDoubting || this.#parts.state().kind !== 'connected') return;
    this.#isDoubting = true;
    try {
      const before = await this.#received();
      const asked = this.#parts.clock.now();
      if ((await this.#probeOthers()) === undefined) return;
      await this.#pause(Math.max(0, doubtMs - (this.#parts.clock.now() - asked)));
      if (this.#edge !== edge || (await this.#received()) !== before) return;
      await this.#leave('it does not answer');
    } finally {
      this.#isDoubting = false;
    }
  }

  /** That edge says that it ends. True where another one takes over. */
  async handleStopping(edge: string): Promise<boolean> {
    if (edge !== this.#edge) return false;
    // It is certain: no rest since the last move is needed.
    this.#movedAt = undefined;
    return this.#leave('it says that it ends');
  }

  /** Idempotent. */
  close(): void {
    this.#edge = undefined;
    for (const name of ['round', 'handshake'] as const) this.#end(name);
  }

  #others(): readonly string[] {
    const { isAuto, edges, state } = this.#parts;
    const now = state();
    if (!isAuto() || !('edge' in now) || !('reach' in now) || now.reach === 'dns') return [];
    return edges().filter((name) => name !== now.edge);
  }

  /** To the nearest that answers now. False where none does, or the last move was a moment ago. */
  async #leave(why: string): Promise<boolean> {
    const { clock, move, state, log } = this.#parts;
    const edge = this.#edge;
    if (edge === undefined) return false;
    const now = clock.now();
    if (this.#movedAt !== undefined && now < after(this.#movedAt, restMs)) return false;
    this.#records = recordFailure(this.#records, edge, now);
    const next = await this.#probeOthers();
    const present = state();
    if (next === undefined || this.#edge !== edge || !('reach' in present)) return false;
    this.#movedAt = clock.now();
    log.info('another edge is used', { because: why });
    move(next, present.reach);
    return true;
  }

  /** All at once; resolves with the first that answers, the nearest therefore. */
  async #probeOthers(): Promise<string | undefined> {
    const names = this.#others();
    const first = names.map(async (name) => {
      if (await this.#probe(name)) return name;
      throw new Error('no answer');
    });
    return Promise.any(first).catch(() => undefined);
  }

  async #probe(edge: string): Promise<boolean> {
    const { probe, state, clock } = this.#parts;
    const now = state();
    if (!('reach' in now)) return false;
    const result = await probe(edge, now.reach);
    this.#records = recordProbe(this.#records, edge, result, clock.now());
    return result !== undefined;
  }

  #waitForHandshake(edge: string): void {
    this.#wait('handshake', handshakeMs, () => {
      const now = this.#parts.state();
      const isWaiting = now.kind === 'connecting' && now.phase === 'handshaking' && now.edge === edge;
      if (!isWaiting) return;
      void this.#leave('no handshake');
      this.#waitForHandshake(edge);
    });
  }

  #waitForRound(delayMs: number): void {
    this.#wait('round', delayMs, () => void this.#round());
  }

  /** Keeps the others known, and looks whether one is worth a change. */
  async #round(): Promise<void> {
    const edge = this.#edge;
    await this.#probeOthers();
    const { peers = [] } = (await this.#parts.status().catch(() => undefined)) ?? {};
    if (edge === undefined || edge !== this.#edge) return;
    const bytes = peers.reduce((sum, { rxBytes, txBytes }) => sum + rxBytes + txBytes, 0);
    this.#isQuiet = Math.abs(bytes - this.#bytes) < quietBytes;
    this.#bytes = bytes;
    const rtts = peers.flatMap(({ handshakeMs: one }) => one ?? []);
    this.#considerNearer(edge, rtts.length === 0 ? undefined : Math.min(...rtts));
    this.#waitForRound(roundMs);
  }

  #considerNearer(edge: string, rttMs: number | undefined): void {
    const { clock, move, state, log } = this.#parts;
    const present = state();
    if (present.kind !== 'connected') return;
    const inUse = {
      edge,
      since: this.#since,
      isQuiet: this.#isQuiet,
      ...(rttMs === undefined ? {} : { rttMs }),
    };
    const nearer = nearerThan(inUse, this.#records, this.#others(), clock.now());
    if (nearer === undefined) return;
    this.#movedAt = clock.now();
    log.info('another edge is used', { because: 'it is clearly nearer' });
    move(nearer, present.reach);
  }

  /** Authenticated bytes, of all peers. */
  async #received(): Promise<number> {
    const { peers = [] } = (await this.#parts.status().catch(() => undefined)) ?? {};
    return peers.reduce((sum, { rxBytes }) => sum + rxBytes, 0);
  }

  #pause(delayMs: number): Promise<void> {
    return new Promise((resolve) => {
      (this.#parts.after ?? timeout)(delayMs, resolve);
    });
  }

  #wait(name: 'round' | 'handshake', delayMs: number, run: () => void): void {
    this.#end(name);
    this.#ends.set(name, (this.#parts.after ?? timeout)(delayMs, run));
  }

  #end(name: 'round' | 'handshake'): void {
    this.#ends.get(name)?.();
    this.#ends.delete(name);
  }
}

function timeout(delayMs: number, run: () => void): () => void {
  const timer = setTimeout(run, delayMs);
  timer.unref();
  return () => clearTimeout(timer);
}
