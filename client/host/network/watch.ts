/**
 * Says when this machine moves to another network, loses it or finds one again. Looks a moment after the kernel
 * announced a change, and only then. Decides nothing about the connection.
 */

import type { Log } from '../../../shared/core/base/ports.ts';
import { loadNative } from '../../../shared/node/ffi/native.ts';
import { afterIdle } from '../../../shared/node/idle-timer.ts';
import { factBetween, fingerprint, type NetworkFact, type NetworkId, noNetwork } from './fingerprint.ts';
import { NetlinkSource } from './netlink-source.ts';
import { PolledSource } from './polled-source.ts';
import type { NetworkSnapshot } from './snapshot.ts';
import type { NetworkNews, NetworkSource } from './source.ts';

/** Changes come in swarms. A multiple of it is the most that a change goes unseen. */
export const settleMs = 100;

export interface NetworkWatchOptions {
  readonly source: NetworkSource;
  readonly log: Log;
  /** Names of our own interfaces: never the way out. */
  readonly own: () => readonly string[];
  /** Numeric addresses of the edge in use: an edge next door needs no default route. Empty: only default routes count. */
  readonly targets: () => readonly string[];
  /** Firewall mark of the datagrams to them; 0 for none. */
  readonly mark: () => number;
  readonly onFact: (fact: NetworkFact) => void;
  /** After every swarm of changes, whatever it was: for whoever guards rules and routes of ours (lost.ts). */
  readonly onNews?: (news: NetworkNews) => void;
  /** Tests give another. */
  readonly schedule?: (work: () => void, delayMs: number) => () => void;
}

export class NetworkWatch {
  readonly #options: NetworkWatchOptions;
  #current: NetworkId = noNetwork;
  #snapshot: NetworkSnapshot | undefined;
  #cancel: (() => void) | undefined;
  #isClosed = false;

  constructor(options: NetworkWatchOptions) {
    this.#options = options;
  }

  /** Listens, and looks once; no fact comes of that. */
  start(): void {
    this.#options.source.watch(() => this.#later());
    this.#current = this.#look();
  }

  /** Where we are, as of the last look. */
  get current(): NetworkId {
    return this.#current;
  }

  /** The last look itself: for `route explain`, collisions and diagnosis. */
  get snapshot(): NetworkSnapshot | undefined {
    return this.#snapshot;
  }

  /** Looks now. Call after waking up, and when `own` or `targets` changed. The fact has been told when this returns. */
  check(): NetworkId {
    if (this.#isClosed) return this.#current;
    const from = this.#current;
    const to = this.#look();
    const fact = factBetween(from, to);
    if (fact === undefined) return to;
    this.#options.log.info('the network changed', { because: fact.kind });
    this.#options.log.debug('which network', { from, to });
    this.#options.onFact(fact);
    return to;
  }

  /** `own` or `targets` are others now: what is seen from now on is not a change of the network. */
  rebase(): NetworkId {
    return this.#isClosed ? this.#current : this.#look();
  }

  /** No fact comes after this. Idempotent. */
  close(): void {
    this.#isClosed = true;
    this.#cancel?.();
    this.#options.source.close();
  }

  #later(): void {
    if (this.#isClosed || this.#cancel !== undefined) return;
    this.#cancel = (this.#options.schedule ?? afterIdle)(() => {
      this.#cancel = undefined;
      const news = this.#options.source.takeNews();
      this.check();
      this.#options.onNews?.(news);
    }, settleMs);
  }

  #look(): NetworkId {
    const { source, own, targets, mark, log } = this.#options;
    try {
      this.#snapshot = source.read(targets(), mark());
      this.#current = fingerprint(this.#snapshot, new Set(own()));
    } catch (error) {
      // What we knew still holds as well as anything; the next change asks again.
      log.warn('the network cannot be looked at', { text: String(error) });
    }
    return this.#current;
  }
}

/** The routing socket where it works, else comparing addresses; said in the log. */
export function openNetworkSource(log: Log): NetworkSource {
  const loaded = loadNative();
  if (loaded.ok) {
    try {
      return new NetlinkSource(loaded.native);
    } catch (error) {
      log.warn('no routing socket; addresses are compared every two seconds', { text: String(error) });
      return new PolledSource();
    }
  }
  log.info('no routing socket; addresses are compared every two seconds', { text: loaded.reason });
  return new PolledSource();
}
