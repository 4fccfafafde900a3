/**
 * Off although the user wants protection: a pause, a network that the user trusts. Tells the driver when that begins and
 * when it is over; liveness/rest.ts decides. What the user wants stays on disk meanwhile, and so does a pause.
 */

import type { Log } from '../../shared/core/base/ports.ts';
import { unixMs } from '../../shared/core/base/time.ts';
import { CulvertError } from '../../shared/core/control/codes.ts';
import type { TrustedList } from '../../shared/core/control/rest-api.ts';
import type { Status } from '../../shared/core/control/status.ts';
import type { Clock } from '../../shared/node/clock.ts';
import { afterIdle } from '../../shared/node/idle-timer.ts';
import type { ConnectionEvent } from '../connection/event.ts';
import { type ConnectionState, reachOf } from '../connection/state.ts';
import {
  addTrusted,
  beginPause,
  type Pause,
  type Rest,
  restNow,
  resumePause,
  type StoredPause,
  type Surroundings,
} from '../liveness/rest.ts';
import { formatTrusted, trustedNames } from '../settings/rest-settings.ts';
import type { Settings } from '../settings/schema.ts';

export interface RestDeskOptions {
  readonly state: () => ConnectionState;
  readonly send: (event: ConnectionEvent) => void;
  readonly settings: {
    readonly current: Settings;
    change(patch: Readonly<Record<string, string>>): Settings;
  };
  /** The edge that the user wants, undefined for off. */
  readonly wish: () => string | undefined;
  readonly pauses: { read(): StoredPause | undefined; write(pause: StoredPause | undefined): void };
  readonly around: () => Promise<Surroundings>;
  readonly clock: Clock;
  readonly log: Log;
  /** Tests give another. Returns what cancels it. */
  readonly schedule?: (work: () => void, delayMs: number) => () => void;
}

/** What `status` says of it. */
export type RestView = Pick<Status, 'resumesAt' | 'reason'> & { readonly text?: string };

/** Longest delay that setTimeout takes. */
const longestTimerMs = 2 ** 31 - 1;

export class RestDesk {
  readonly #options: RestDeskOptions;
  #pause: Pause | undefined;
  #rest: Rest = { kind: 'awake' };
  /** The network in which the user connected all the same. */
  #insistedIn: string | undefined;
  #cancel: (() => void) | undefined;
  #last: Promise<void> = Promise.resolve();

  constructor(options: RestDeskOptions) {
    this.#options = options;
    const { pauses, clock } = options;
    const stored = pauses.read();
    this.#pause = stored === undefined ? undefined : resumePause(stored, clock.now(), clock.unix());
    if (stored !== undefined && this.#pause === undefined) pauses.write(undefined);
    if (this.#pause !== undefined) this.#rest = { kind: 'paused', until: this.#pause.until };
  }

  /** A pause of an earlier daemon goes on. */
  get isResting(): boolean {
    return this.#rest.kind !== 'awake';
  }

  get view(): RestView {
    const { clock } = this.#options;
    switch (this.#rest.kind) {
      case 'paused': {
        const until = unixMs(clock.unix() + (this.#rest.until - clock.now()));
        return { resumesAt: new Date(until).toISOString(), reason: 'paused' };
      }
      case 'trusted':
        return { reason: 'trusted-network', text: this.#rest.reason };
      default:
        return {};
    }
  }

  /** Throws where there is nothing to pause. */
  pause(forMs: number): void {
    const { clock, pauses, wish } = this.#options;
    if (wish() === undefined) {
      throw new CulvertError('not-connected', { text: 'Protection is off, so there is nothing to pause.' });
    }
    const begun = beginPause(forMs, clock.now(), clock.unix());
    if (begun === undefined) {
      throw new CulvertError('bad-request', {
        text: 'A pause lasts a day at most.',
        remedy: 'Or: culvert disconnect',
      });
    }
    const [pause, stored] = begun;
    pauses.write(stored);
    this.#pause = pause;
    this.#take({ kind: 'paused', until: pause.until });
  }

  /** The user connects, whatever was before: here the network is not trusted any more, until it is left. */
  async handleConnect(): Promise<void> {
    this.#end();
    this.#insistedIn = (await this.#around())?.network;
  }

  /** The user wants off. */
  handleDisconnect(): void {
    this.#end();
    this.#insistedIn = undefined;
  }

  /** Another network, awake again, another setting, or the time has come. Never rejects. */
  check(): Promise<void> {
    const next = this.#last.then(() => this.#look());
    this.#last = next.catch((error: unknown) => {
      this.#options.log.error('rest could not be decided', { text: String(error) });
    });
    return this.#last;
  }

  async list(): Promise<TrustedList> {
    const { current } = this.#options.settings;
    const around = await this.#around();
    return {
      ssids: trustedNames(current),
      wired: current['trusted.wired'],
      ...(around?.ssid === undefined ? {} : { current: around.ssid }),
    };
  }

  async trust(ssid: string): Promise<TrustedList> {
    const names = addTrusted(trustedNames(this.#options.settings.current), ssid);
    if (names === undefined) {
      throw new CulvertError('bad-setting', {
        text: 'That can be no name of a Wi-Fi, or the list is full.',
        remedy: 'A name has 1 to 32 bytes; see: culvert trusted list',
      });
    }
    this.#insistedIn = undefined;
    return this.#keep(names);
  }

  async distrust(ssid: string): Promise<TrustedList> {
    const names = trustedNames(this.#options.settings.current);
    if (!names.includes(ssid)) {
      throw new CulvertError('unknown-name', { remedy: 'See: culvert trusted list' });
    }
    return this.#keep(names.filter((one) => one !== ssid));
  }

  /** Nothing happens by itself after this. Idempotent. */
  close(): void {
    this.#cancel?.();
    this.#cancel = undefined;
  }

  async #keep(names: readonly string[]): Promise<TrustedList> {
    this.#options.settings.change({ 'trusted.networks': formatTrusted(names) });
    await this.check();
    return this.list();
  }

  async #look(): Promise<void> {
    const { clock, settings, pauses } = this.#options;
    const around = await this.#around();
    if (around !== undefined && this.#insistedIn !== undefined && around.network !== this.#insistedIn) {
      this.#insistedIn = undefined;
    }
    const now = clock.now();
    if (this.#pause !== undefined && now >= this.#pause.until) {
      this.#pause = undefined;
      pauses.write(undefined);
    }
    const trust = { ssids: trustedNames(settings.current), wired: settings.current['trusted.wired'] };
    this.#take(
      restNow({ pause: this.#pause, trust, around: around ?? unknown, insistedIn: this.#insistedIn }, now),
    );
  }

  #take(rest: Rest): void {
    const { state, send, wish, settings, log, clock, schedule = afterIdle } = this.#options;
    const before = this.#rest;
    this.#rest = rest;
    this.#cancel?.();
    this.#cancel = undefined;
    if (rest.kind === 'paused') {
      const delayMs = Math.min(Math.max(0, Math.ceil(rest.until - clock.now())), longestTimerMs);
      this.#cancel = schedule(() => void this.check(), delayMs);
    }
    const edge = wish();
    if (rest.kind !== 'awake') {
      if (before.kind !== rest.kind) log.info('protection rests', { because: rest.kind });
      const { kind } = state();
      if (edge !== undefined && kind !== 'off' && kind !== 'disconnecting') send({ kind: 'rest' });
      return;
    }
    if (before.kind === 'awake' || edge === undefined) return;
    log.info('protection rests no longer', { because: before.kind });
    send({ kind: 'connect', edge, reach: reachOf(settings.current.mode) });
  }

  #end(): void {
    this.#cancel?.();
    this.#cancel = undefined;
    this.#pause = undefined;
    this.#rest = { kind: 'awake' };
    this.#options.pauses.write(undefined);
  }

  async #around(): Promise<Surroundings | undefined> {
    try {
      return await this.#options.around();
    } catch {
      return undefined; // What is unknown is not trusted.
    }
  }
}

const unknown: Surroundings = { ssid: undefined, wired: false, network: 'unknown' };
