/**
 * What the client's flow worker does beside carrying packets: the proxy's port on the stack inside the tunnel. The
 * daemon talks to it by name; `ProxyCalls` says what it may ask. The gate is closed until the daemon opens it.
 */

import { parseAddress, parsePrefix } from '../../shared/core/base/ip.ts';
import { CulvertError } from '../../shared/core/control/codes.ts';
import type { FlowParts, FlowRole } from '../../shared/node/flows/contract.ts';
import { type Rehearsal, rehearseQuietly } from '../../shared/node/flows/quiet-rehearsal.ts';
import { parseRules, type SplitRule } from '../split/rules.ts';
import type { Credentials } from './access.ts';
import type { Gate } from './context.ts';
import { checkEdge, type EdgeVerdict } from './edge-check.ts';
import { openProxyRehearsal } from './rehearsal.ts';
import { ProxyServer } from './server.ts';
import { SplitDialer } from './split-dialer.ts';
import { TunnelDialer } from './tunnel-dialer.ts';
import { TunnelNames } from './tunnel-names.ts';

/** What the worker is started with. Addresses and prefixes as text, numeric. */
export interface ProxySettings {
  readonly addresses: readonly string[];
  readonly resolvers: readonly string[];
  readonly reachable: readonly string[];
}

export interface ListenRequest {
  /** 0: any free one. */
  readonly port: number;
  readonly credentials?: Credentials;
}

/** A datagram into the tunnel, to make somebody answer. */
export interface NudgeRequest {
  readonly address: string;
  readonly port: number;
  readonly payload: Uint8Array;
}

/** name → [what it takes, what it answers]. */
export interface ProxyCalls {
  /** Answers the port. Rejects with 'port-in-use' and the like. */
  readonly listen: readonly [ListenRequest, number];
  readonly gate: readonly [Gate, undefined];
  /** The list of the split tunnel, as parseRules reads it. */
  readonly split: readonly [string, undefined];
  /** The tunnel of another edge: its addresses, its resolvers, what it carries. The port stays, and the gate as it is. */
  readonly become: readonly [ProxySettings, undefined];
  readonly check: readonly [undefined, EdgeVerdict];
  readonly nudge: readonly [NudgeRequest, undefined];
}

/** For a host to answer a datagram, before a connection is tried. */
const datagramMs = 300;
/** For a host to answer a connection. The daemon nudges again. */
const nudgeMs = 1500;

export function makeProxyRole(parts: FlowParts): FlowRole {
  const { stack, udp, clock, entropy, log } = parts;
  const now = (): ReturnType<typeof clock.now> => clock.now();
  let dialer = dialerFor(parts, parts.settings as ProxySettings);
  const split = new SplitDialer(dialer);
  let proxy: ProxyServer | undefined;
  let gate: Gate | undefined;
  let endRehearsal: (() => Promise<void>) | undefined;

  async function listen({ port, credentials }: ListenRequest): Promise<number> {
    const server = new ProxyServer({
      dialer: split,
      log,
      ...(credentials === undefined ? {} : { credentials }),
    });
    if (gate !== undefined) server.setGate(gate);
    await server.listen(port);
    proxy = server;
    return server.port;
  }

  function setGate(wanted: Gate): undefined {
    gate = wanted;
    proxy?.setGate(wanted);
    if (wanted.kind === 'open') endRehearsal ??= rehearseQuietly({ open: openRehearsal, isBusy, log });
  }

  function openRehearsal(): Promise<Rehearsal> {
    return openProxyRehearsal({ udp, clock, entropy, log });
  }

  function isBusy(): boolean {
    return stack.usage.connections > 0;
  }

  function become(settings: ProxySettings): undefined {
    stack.setAddresses(addressesIn(settings.addresses));
    dialer = dialerFor(parts, settings);
    split.setInside(dialer);
  }

  return {
    call: (name, argument) => {
      switch (name as keyof ProxyCalls) {
        case 'listen':
          return listen(argument as ListenRequest);
        case 'gate':
          return setGate(argument as Gate);
        case 'split':
          return split.setRules(rulesIn(argument as string));
        case 'become':
          return become(argument as ProxySettings);
        case 'check':
          return checkEdge({ dialer, entropy, now });
        case 'nudge':
          return nudge(stack, argument as NudgeRequest);
        default:
          throw new CulvertError('internal', { text: `The proxy's worker knows no call '${name}'.` });
      }
    },
    close: async () => {
      await endRehearsal?.();
      await proxy?.close();
    },
  };
}

/** Into the tunnel of one edge. */
function dialerFor({ stack, clock, entropy }: FlowParts, settings: ProxySettings): TunnelDialer {
  const own = addressesIn(settings.addresses);
  const now = (): ReturnType<typeof clock.now> => clock.now();
  const names = new TunnelNames({
    stack,
    resolvers: addressesIn(settings.resolvers),
    families: own.map((address) => address.length),
    entropy,
    now,
  });
  const reachable = settings.reachable.map(parsePrefix).filter((prefix) => prefix !== undefined);
  return new TunnelDialer({ stack, names, own, reachable, now });
}

function addressesIn(texts: readonly string[]): readonly Uint8Array[] {
  return texts.map(parseAddress).filter((address) => address !== undefined);
}

function nudge(stack: FlowParts['stack'], { address, port, payload }: NudgeRequest): undefined {
  const destination = parseAddress(address);
  if (destination === undefined) return;
  const channel = stack.openUdp({ destination, port });
  // Who ignores a datagram still answers a connection, if only with a reset. But what ends a connection is answered by
  // nobody, so that the tunnel would be doubted and asked again, for ever.
  const timer = setTimeout(() => {
    channel?.close();
    stack.connectTcp({ destination, port }, AbortSignal.timeout(nudgeMs)).then(
      (stream) => stream.on('error', () => undefined).destroy(),
      () => undefined,
    );
  }, datagramMs);
  // An answer that found no channel would be refused, which nobody answers either.
  channel?.onMessage(() => {
    clearTimeout(timer);
    channel.close();
  });
  channel?.send(payload);
}

function rulesIn(text: string): readonly SplitRule[] {
  const rules = parseRules(text);
  if (!('problems' in rules)) return rules;
  throw new CulvertError('internal', { text: 'The rules for the proxy make no sense.' });
}
