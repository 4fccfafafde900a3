// A TunnelDialer on one stack, and what it dials on another, joined by a path in memory. Time goes on by itself, a
// millisecond a turn of the event loop; names come from a resolver on the far stack.
import { setImmediate as nextTurn } from 'node:timers/promises';
import { TunnelDialer } from '../../client/proxy/tunnel-dialer.ts';
import { TunnelNames } from '../../client/proxy/tunnel-names.ts';
import { type Prefix, parsePrefix } from '../../shared/core/base/ip.ts';
import { readMessage } from '../../shared/core/dns/reader.ts';
import { writeAddressAnswer, writeAnswer } from '../../shared/core/dns/writer.ts';
import { FlowPair } from './flow-pair.ts';
import { address6A, address6B, addressA, addressB, type PairOptions } from './net-pair.ts';
import { seededEntropy } from './seeded.ts';

export interface TunnelWorldOptions extends PairOptions {
  /** name → addresses. */
  readonly names?: Readonly<Record<string, readonly Uint8Array[]>>;
  readonly reachable?: readonly string[];
}

export interface TunnelWorld {
  readonly pair: FlowPair;
  readonly dialer: TunnelDialer;
  readonly names: TunnelNames;
  /** Questions that the resolver got, 'name type'. */
  readonly asked: string[];
  close(): void;
}

const nxDomain = 3;
const dnsPort = 53;

export function tunnelWorld(options: TunnelWorldOptions = {}): TunnelWorld {
  const pair = new FlowPair(options);
  const asked: string[] = [];
  let isOpen = true;
  pair.b.listenUdp(dnsPort, (channel) => {
    channel.onMessage((bytes) => {
      const query = readMessage(bytes.slice());
      const { name = '', type } = query?.question ?? {};
      asked.push(`${name} ${type}`);
      const addresses = options.names?.[name.toLowerCase()];
      if (query === undefined) return;
      channel.send(
        addresses === undefined
          ? writeAnswer(query, { rcode: nxDomain })
          : writeAddressAnswer(query, addresses, 60),
      );
    });
  });
  const now = (): typeof pair.net.time => pair.net.time;
  const own = [addressA, address6A];
  const names = new TunnelNames({
    stack: pair.a,
    resolvers: [addressB],
    families: own.map((address) => address.length),
    entropy: seededEntropy(7),
    now,
  });
  const reachable = (options.reachable ?? ['0.0.0.0/0', '::/0']).map((text) => parsePrefix(text) as Prefix);
  const dialer = new TunnelDialer({ stack: pair.a, names, own, reachable, now });
  const run = async (): Promise<void> => {
    for (let turn = 0; isOpen; turn++) {
      while (pair.net.step(turn)) {
        // Everything that happens in this millisecond.
      }
      await nextTurn();
    }
  };
  void run();
  return {
    pair,
    dialer,
    names,
    asked,
    close: () => {
      isOpen = false;
    },
  };
}

export const farAddresses = { v4: addressB, v6: address6B } as const;
