/** Tells the connection when the network is another one, is gone, or the machine slept. No decisions. */

import type { Log } from '../../../shared/core/base/ports.ts';
import type { ConnectionEvent } from '../../connection/event.ts';
import { tunnelMark } from '../routes/plan.ts';
import type { Vitals } from '../vitals.ts';
import type { NetworkFact } from './fingerprint.ts';
import { SleepWatch } from './sleep.ts';
import type { NetworkNews, NetworkSource } from './source.ts';
import { NetworkWatch } from './watch.ts';

export interface FollowOptions {
  readonly source: NetworkSource;
  readonly send: (event: ConnectionEvent) => void;
  readonly vitals: Vitals;
  /** Names of our own interfaces. */
  readonly own: () => readonly string[];
  /** Somewhere else, or awake again: for whoever else has to know. */
  readonly onMoved: () => void;
  readonly onNews?: (news: NetworkNews) => void;
  readonly log: Log;
}

export interface Following {
  readonly network: NetworkWatch;
  close(): void;
}

export function followNetwork(options: FollowOptions): Following {
  const { source, send, vitals, own, onMoved, onNews, log } = options;
  const moved = (): void => {
    send({ kind: 'network-news' });
    vitals.handleMove();
    onMoved();
  };
  const network = new NetworkWatch({
    source,
    log,
    own,
    targets: () => vitals.endpoints.map(({ address }) => address),
    mark: () => tunnelMark,
    onFact: (fact: NetworkFact) => (fact.kind === 'network-gone' ? send({ kind: fact.kind }) : moved()),
    ...(onNews === undefined ? {} : { onNews }),
  });
  const sleep = new SleepWatch({
    onFact: ({ sleptMs }) => {
      log.info('the machine slept', { seconds: Math.round(sleptMs / 1000) });
      network.check();
      moved();
    },
  });
  network.start();
  sleep.start();
  vitals.watch(network);
  return {
    network,
    close: () => {
      network.close();
      sleep.close();
      vitals.close();
    },
  };
}
