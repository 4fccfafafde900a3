// An upstream that does what the test says, without a network.
import { noStats, type UpstreamStats } from '../../shared/node/resolver/latency.ts';
import type { Upstream } from '../../shared/node/resolver/upstream.ts';
import { answerAll } from './dns-servers.ts';

export interface FakeUpstream extends Upstream {
  readonly queries: Uint8Array[];
  /** Default: 192.0.2.1 at once. A rejection is a failure; a promise that stays open is silence. */
  behaviour: (query: Uint8Array) => Uint8Array | Promise<Uint8Array>;
  readonly stats: UpstreamStats;
  isClosed: boolean;
  resets: number;
}

export function fakeUpstream(name: string, isEncrypted = true): FakeUpstream {
  const upstream: FakeUpstream = {
    name,
    isEncrypted,
    queries: [],
    behaviour: answerAll,
    stats: noStats(),
    isClosed: false,
    resets: 0,
    reset: () => {
      upstream.resets++;
    },
    query: async (message) => {
      upstream.queries.push(Uint8Array.from(message));
      return upstream.behaviour(message);
    },
    close: () => {
      upstream.isClosed = true;
    },
  };
  return upstream;
}

export const silence = (): Promise<Uint8Array> => new Promise(() => {});
export const refusal = (): Promise<Uint8Array> => Promise.reject(new Error('not there'));
