/**
 * What the client's flow worker does beside carrying packets: the proxy's port on the stack inside the tunnel. The
 * daemon talks to it by name; `ProxyCalls` says what it may ask. The gate is closed until the daemon opens it.
 */

import { parseAddress, parsePrefix } from '../../shared/core/base/ip.ts';
import { CulvertError } from '../../shared/core/control/codes.ts';
import type { FlowParts, FlowRole } from '../../shared/node/flows/contract.ts';
import { parseRules, type SplitRule } from '../split/rules.ts';
import type { Credentials } from './access.ts';
import type { Gate } from './context.ts';
import { checkEdge, type EdgeVerdict } from './edge-check.ts';
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
  readonly check: readonly [undefined, EdgeVerdict];
  readonly nudge: readonly [NudgeRequest, undefined];
}

/** For a host to answer a connection. The daemon nudges again. */
const nudgeMs = 1500;

export function makeProxyRole(parts: FlowParts): FlowRole {
  const { stack, clock, entropy, log } = parts;
  const settings = parts.settings as ProxySettings;
  const own = settings.addresses.map(parseAddress).filter((address) => address !== undefined);
  const now = (): ReturnType<typeof clock.now> => clock.now();
  const names = new TunnelNames({
    stack,
    resolvers: settings.resolvers.map(parseAddress).filter((address) => address !== undefined),
    families: own.map((address) => address.length),
    entropy,
    now,
  });
  const reachable = settings.reachable.map(parsePrefix).filter((prefix) => prefix !== undefined);
  const dialer = new TunnelDialer({ stack, names, own, reachable, now });
  const split = new SplitDialer(dialer);
  let proxy: ProxyServer | undefined;
  let gate: Gate | undefined;

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
        case 'check':
          return checkEdge({ dialer, entropy, now });
        case 'nudge':
          return nudge(stack, argument as NudgeRequest);
        default:
          throw new CulvertError('internal', { text: `The proxy's worker knows no call '${name}'.` });
      }
    },
    close: () => proxy?.close(),
  };
}

function nudge(stack: FlowParts['stack'], { address, port, payload }: NudgeRequest): undefined {
  const destination = parseAddress(address);
  if (destination === undefined) return;
  // The channel ends by itself: nothing is heard there, but the tunnel hears that something came back.
  stack.openUdp({ destination, port })?.send(payload);
  // Who ignores a datagram still answers a connection, if only with a reset.
  stack.connectTcp({ destination, port }, AbortSignal.timeout(nudgeMs)).then(
    (stream) => stream.on('error', () => undefined).destroy(),
    () => undefined,
  );
}

function rulesIn(text: string): readonly SplitRule[] {
  const rules = parseRules(text);
  if (!('problems' in rules)) return rules;
  throw new CulvertError('internal', { text: 'The rules for the proxy make no sense.' });
}
