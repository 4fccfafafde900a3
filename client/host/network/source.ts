/** Where news of the network come from: the contract of netlink-source.ts and polled-source.ts. */

import type { RtMessage } from './rtnetlink.ts';
import type { NetworkSnapshot } from './snapshot.ts';

/** What happened since the last look. */
export interface NetworkNews {
  /** What was taken away, or changed: at most a few, see `missed`. */
  readonly messages: readonly RtMessage[];
  /** Some of it was lost: anything may have happened. */
  readonly missed: boolean;
}

export interface NetworkSource {
  /** For logs. */
  readonly kind: 'netlink' | 'polled';
  /** From now on calls back when something may have changed, once until `takeNews`. */
  watch(onChange: () => void): void;
  /** Forgets it, and listens again. */
  takeNews(): NetworkNews;
  /** Asks now. `targets`: numeric addresses that datagrams with `mark` are sent to; at most eight are asked for. */
  read(targets: readonly string[], mark: number): NetworkSnapshot;
  /** Idempotent. */
  close(): void;
}
