/**
 * Several edges, with the setting `edge auto`: knows how far those are that are not in use, and changes to another where
 * the one in use is silent or says that it ends; back, or on, only to one that is clearly nearer (rank-edges.ts). Asks the
 * connection for a new tunnel, which stays closed all the while. Whoever chose an edge by name keeps it.
 */

import type { Endpoint } from '../../shared/core/base/endpoint.ts';
import type { Log } from '../../shared/core/base/ports.ts';
import { after, type MonoMs, secondMs } from '../../shared/core/base/time.ts';
import type { DeviceStatus } from '../../shared/core/tunnel/config.ts';
import type { Clock } from '../../shared/node/clock.ts';
import { startIdleTimer } from '../../shared/node/idle-timer.ts';
import { type ConnectionState, isOffline, type Reach } from '../connection/state.ts';
import { firstOf } from './first-of.ts';
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
  /** Likewise by TLS, for where UDP leads nowhere. */
  readonly probeTls: (edge: string, reach: Reach) => Promise<ProbeResult>;
  readonly status: () => Promise<Pick<DeviceStatus, 'peers'> | undefined>;
  /** Sends something into the tunnel that the edge in use answers at once. Never rejects. */
  readonly ask: (reach: Reach) => Promise<void>;
  /** `place`: where it answered a moment ago. */
  readonly move: (edge: string, reach: Reach, place?: Endpoint) => void;
  /** That edge is taken because it answered by TLS, and did not over UDP. Called before `move`. */
  readonly onTlsAlone: (edge: string) => void;
  readonly clock: Pick<Clock, 'now'>;
  readonly log: Log;
  /** Default: setTimeout. Returns what ends it. */
  readonly after?: (delayMs: number, run: () => void) => () => void;
}

/** Another edge, which answered now a question of `askedAt`: the network carried that. */
type Answered = NonNullable<ProbeResult> & {
  readonly name: string;
  readonly askedAt: MonoMs;
  readonly byTls: boolean;
};

/** About the edge in use. */
interface Doubt {
  readonly edge: string;
  readonly reach: Reach;
  /** What had been heard of it. */
  readonly bytes: number;
  /** When it was asked first. */
  readonly asked: MonoMs;
  /** When the network carried something to another one. */
  readonly workedAt: MonoMs;
}

/** All that are not in use, one after the other. */
const roundMs: number = 30 * secondMs;
/**
 * The one in use is believed to be gone when it said nothing for so long although it was asked several times, while
 * another one answered: so many of the round trips that were measured, of the slower one, and this at least and at most.
 */
const doubtTrips = 3;
const leastDoubtMs = 250;
const mostDoubtMs = 1000;
/** Packets may be lost. */
const asks = 4;
/** A pause that took so much longer tells of a program that stood still: its answers may not have been read yet. */
const frozenMs = 150;
/** For who always stands still. */
const mostWindows = 3;
/** Others are asked by TLS too where UDP brought no answer for so long. */
const tlsAfterMs = 400;
/** After a doubt that was none, twice as long each time: who sends and is never answered must not make us ask for ever. */
const firstVainMs = 500;
const longestVainMs: number = 30 * secondMs;
/** So long after the last one a doubt is a new one. */
const vainLastsMs: number = 60 * secondMs;
/** Between two handshakes of one device at one edge: their time stamps are coarse (wire/tai64n.ts), and few are answered. */
const apartMs = 50;
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
  #vain: { readonly at: MonoMs; readonly times: number };
  readonly #ends = new Map<'round' | 'handshake', () => void>();

  constructor(parts: FailoverParts) {
    this.#parts = parts;
    this.#since = parts.clock.now();
    this.#vain = { at: this.#since, times: 0 };
  }

  /** It was asked a moment ago and did not answer. */
  isSilent(edge: string): boolean {
    return isSilent(this.#records, edge, this.#parts.clock.now());
  }

  /** Call at every change of the connection or of settings. */
  handleChange(): void {
    const state = this.#parts.state();
    const isWatched = this.#others().length > 0 && !isOffline(state);
    const edge = isWatched && 'edge' in state && state.edge !== '' ? state.edge : undefined;
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

  /** A send went unanswered: by the time that it is certain, the others are known. */
  async handleDoubt(): Promise<void> {
    const { clock, state } = this.#parts;
    const edge = this.#edge;
    const now = state();
    if (edge === undefined || this.#isDoubting || now.kind !== 'connected' || this.#isResting()) return;
    this.#isDoubting = true;
    try {
      const before = await this.#heard();
      const asked = clock.now();
      void this.#askAgain(edge, now.reach, windowMs(before.rttMs));
      const other = await this.#findOther();
      if (other === undefined) return;
      const isSilent = await this.#isSilentFor(windowMs(Math.max(before.rttMs, other.rttMs)), {
        edge,
        reach: now.reach,
        bytes: before.bytes,
        asked,
        workedAt: other.askedAt,
      });
      if (isSilent === 'heard') this.#doubtedInVain();
      else if (isSilent === 'silent') await this.#leave('it does not answer', other);
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

  /** To `other`, or the nearest that answers now. False where none does, or the last move was a moment ago. */
  async #leave(why: string, other?: Answered): Promise<boolean> {
    const { clock, move, onTlsAlone, state, log } = this.#parts;
    const edge = this.#edge;
    if (edge === undefined) return false;
    const now = clock.now();
    if (this.#movedAt !== undefined && now < after(this.#movedAt, restMs)) return false;
    this.#records = recordFailure(this.#records, edge, now);
    const next = other ?? (await this.#findOther());
    // Right behind that question the tunnel's own would be taken for the same one, and not be answered.
    if (next !== undefined) await this.#pause(Math.max(0, apartMs - (clock.now() - next.askedAt)));
    const present = state();
    if (next === undefined || this.#edge !== edge || !('reach' in present)) return false;
    this.#movedAt = clock.now();
    log.info('another edge is used', { because: why });
    if (next.byTls) onTlsAlone(next.name);
    move(next.name, present.reach, next.place);
    return true;
  }

  #doubtedInVain(): void {
    const { at, times } = this.#vain;
    const now = this.#parts.clock.now();
    this.#vain = { at: now, times: now > after(at, vainLastsMs) ? 1 : times + 1 };
  }

  /** The last doubts were none. */
  #isResting(): boolean {
    const { at, times } = this.#vain;
    if (times === 0) return false;
    const restMs = Math.min(firstVainMs * 2 ** Math.min(times - 1, 16), longestVainMs);
    return this.#parts.clock.now() < after(at, restMs);
  }

  /** A whole window of silence, asked all the while, in which the network is known to have carried something. */
  async #isSilentFor(waitMs: number, doubt: Doubt): Promise<'silent' | 'heard' | 'unknown'> {
    const { clock } = this.#parts;
    const { edge, reach, bytes, asked, workedAt } = doubt;
    // Where the network came back only with that answer, the first questions were lost with it.
    const isAnew = workedAt > after(asked, waitMs / asks);
    let until = after(isAnew ? clock.now() : asked, waitMs);
    if (isAnew) void this.#askAgain(edge, reach, waitMs);
    for (let i = 0; i < mostWindows; i++) {
      await this.#pause(Math.max(0, until - clock.now()));
      if (this.#edge !== edge) return 'unknown';
      if ((await this.#heard()).bytes !== bytes) return 'heard';
      if (clock.now() <= after(until, frozenMs)) break;
      until = after(clock.now(), waitMs);
      void this.#askAgain(edge, reach, waitMs);
    }
    return 'silent';
  }

  /** Evenly over the time that it has. */
  async #askAgain(edge: string, reach: Reach, withinMs: number): Promise<void> {
    for (let i = 0; i < asks && this.#edge === edge && this.#isDoubting; i++) {
      await this.#parts.ask(reach);
      await this.#pause(withinMs / asks);
    }
  }

  /** The first that answers: over UDP, and by TLS where that takes long. */
  async #findOther(): Promise<Answered | undefined> {
    let isFound = false;
    const byUdp = this.#probeOthers();
    const byTls = this.#pause(tlsAfterMs).then(() => (isFound ? undefined : this.#probeByTls()));
    const found = await firstOf([byUdp, byTls]);
    isFound = true;
    return found;
  }

  /** How long that took says nothing beside UDP's: it is not kept. */
  async #probeByTls(): Promise<Answered | undefined> {
    const { probeTls, state, clock } = this.#parts;
    const now = state();
    if (!('reach' in now)) return undefined;
    const { reach } = now;
    const asked = this.#others().map(async (name) => {
      const result = await probeTls(name, reach);
      return result && { rttMs: 0, name, askedAt: clock.now(), byTls: true };
    });
    return firstOf(asked);
  }

  /** All at once; resolves with the first that answers, the nearest therefore. */
  async #probeOthers(): Promise<Answered | undefined> {
    const asked = this.#others().map(async (name) => {
      const result = await this.#probe(name);
      return (
        result && { ...result, name, askedAt: after(this.#parts.clock.now(), -result.rttMs), byTls: false }
      );
    });
    return firstOf(asked);
  }

  async #probe(edge: string): Promise<ProbeResult> {
    const { probe, state, clock } = this.#parts;
    const now = state();
    if (!('reach' in now)) return undefined;
    const result = await probe(edge, now.reach);
    this.#records = recordProbe(this.#records, edge, result, clock.now());
    return result;
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

  /** Authenticated bytes of all peers, and how far the nearest is. */
  async #heard(): Promise<{ readonly bytes: number; readonly rttMs: number }> {
    const { peers = [] } = (await this.#parts.status().catch(() => undefined)) ?? {};
    const rtts = peers.flatMap(({ handshakeMs }) => handshakeMs ?? []);
    return {
      bytes: peers.reduce((sum, { rxBytes }) => sum + rxBytes, 0),
      rttMs: rtts.length === 0 ? 0 : Math.min(...rtts),
    };
  }

  #pause(delayMs: number): Promise<void> {
    return new Promise((resolve) => {
      (this.#parts.after ?? startIdleTimer)(delayMs, resolve);
    });
  }

  #wait(name: 'round' | 'handshake', delayMs: number, run: () => void): void {
    this.#end(name);
    this.#ends.set(name, (this.#parts.after ?? startIdleTimer)(delayMs, run));
  }

  #end(name: 'round' | 'handshake'): void {
    this.#ends.get(name)?.();
    this.#ends.delete(name);
  }
}

function windowMs(rttMs: number): number {
  return Math.min(Math.max(rttMs * doubtTrips, leastDoubtMs), mostDoubtMs);
}
