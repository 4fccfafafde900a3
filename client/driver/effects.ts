/**
 * Carries out one effect through the ports and says which fact it led to. No decisions, no queue.
 */

import { unreachable } from '../../shared/core/base/assert.ts';
import type { Endpoint } from '../../shared/core/base/endpoint.ts';
import { CulvertError } from '../../shared/core/control/codes.ts';
import type { Effect } from '../connection/effect.ts';
import type { Fact } from '../connection/event.ts';
import { gateReasons } from '../connection/gate.ts';
import type { Problem, Reach } from '../connection/state.ts';
import { type FirewallPolicy, scopeOf } from '../host/firewall/policy.ts';
import { planRoutes, tunnelMark, usualMtu } from '../host/routes/plan.ts';
import type { Gate } from '../proxy/context.ts';
import type { DnsPlan, DriverPorts, EdgeProfile, TunnelPlan, TunnelPort } from './ports.ts';

/** Effects that wait for something; the driver does the others itself. */
export type OuterEffect = Exclude<Effect, { kind: 'cancel-pending' | 'set-timer' | 'clear-timer' }>;

export interface EffectContext {
  readonly ports: DriverPorts;
  /** Aborted when the result no longer matters. */
  readonly signal: AbortSignal;
  /** For facts that the tunnel announces later. */
  readonly onFact: (fact: Fact) => void;
}

/** Resolves with the fact that the effect's success is, if it is one. Rejects where it failed. */
export async function perform(effect: OuterEffect, context: EffectContext): Promise<Fact | undefined> {
  const { ports, signal, onFact } = context;
  switch (effect.kind) {
    case 'remember-wish':
      ports.wish.remember(effect.on ? effect.edge : undefined);
      return undefined;
    case 'set-firewall':
      await ports.firewall.apply(policyFor(effect, ports));
      return undefined;
    case 'resolve': {
      const places = await ports.resolver.resolve(ports.edges.profile(effect.edge), signal);
      return { kind: 'resolved', ...places };
    }
    case 'set-gate':
      await ports.proxy.setGate(gateFor(effect));
      return undefined;
    case 'open-port': {
      const edge = ports.edges.profile(effect.edge);
      await ports.host.open?.();
      await ports.proxy.openPort({ edge, mtu: mtuFor(edge, ports), access: ports.settings().proxy });
      return undefined;
    }
    case 'start-tunnel': {
      // What takes a while goes on beside it.
      if (effect.reach === 'device') ports.dns.prepare?.(dnsPlan(effect.edge, ports));
      await tunnelOf(effect.reach, ports).start(tunnelPlan(effect, ports), onFact);
      return { kind: 'tunnel-started' };
    }
    case 'release-dns':
      await ports.dns.stop();
      return undefined;
    case 'set-dns':
      if (effect.edge === undefined) await ports.host.open?.();
      await ports.dns.start(dnsPlan(effect.edge, ports));
      return { kind: 'dns-ready' };
    case 'set-routes':
      await ports.routes.apply(routesFor(ports.edges.profile(effect.edge), ports));
      return { kind: 'routes-set' };
    case 'send-probe':
      await tunnelOf(effect.reach, ports).probe();
      return undefined;
    case 'renew-session':
      await tunnelOf(effect.reach, ports).renew(effect.endpoints);
      return undefined;
    case 'seek-edge':
      seekEdge(effect, context);
      return undefined;
    case 'stop-tunnel':
      await tunnelOf(effect.reach, ports).stop(effect.keeps);
      return undefined;
    case 'restore-host':
      await ports.proxy.close();
      // What of it fails is in the journal, and tried again by the next line.
      await ports.dns.stop().catch(() => undefined);
      await ports.host.restore();
      return { kind: 'host-restored' };
    default:
      return unreachable(effect);
  }
}

function dnsPlan(edgeName: string | undefined, ports: DriverPorts): DnsPlan {
  const { mode, interfaceName } = ports.settings();
  if (edgeName === undefined) return { mode };
  return { mode, tunnel: { interfaceName, edge: ports.edges.profile(edgeName) } };
}

/** Who carries the packets. */
export function tunnelOf(reach: Reach, ports: Pick<DriverPorts, 'tunnel' | 'proxy'>): TunnelPort {
  return reach === 'proxy' ? ports.proxy : ports.tunnel;
}

/** Not waited for: the driver has more urgent things to do than to look up a name. */
function seekEdge(effect: Extract<Effect, { kind: 'seek-edge' }>, { ports, onFact }: EffectContext): void {
  const { edge, endpoints, silent } = effect;
  const profile = knownProfile(edge, ports);
  if (profile === undefined) return;
  ports.resolver.seek({ edge: profile, endpoints, silent }).then(
    (found) => onFact({ kind: 'sought', edge, ...found }),
    () => undefined, // Nothing found is no news; it is sought again while the edge is silent.
  );
}

function gateFor({ state, keeps }: Extract<Effect, { kind: 'set-gate' }>): Gate {
  if (state === 'connected') return { kind: 'open' };
  const closed = { kind: 'closed', reason: gateReasons[state] } as const;
  return keeps === true ? { ...closed, keeps } : closed;
}

function tunnelPlan(effect: Extract<Effect, { kind: 'start-tunnel' }>, ports: DriverPorts): TunnelPlan {
  const edge = ports.edges.profile(effect.edge);
  const { interfaceName } = ports.settings();
  // Only the firewall of the device asks for a mark, and setting one takes privileges.
  const mark = effect.reach === 'device' ? tunnelMark : 0;
  return { edge, endpoints: effect.endpoints, interfaceName, mtu: mtuFor(edge, ports), mark };
}

/** An error as data. */
export function problemOf(error: unknown): Problem {
  const known = error instanceof CulvertError ? error : new CulvertError('internal', { cause: error });
  const detail =
    error instanceof CulvertError ? '' : ` (${error instanceof Error ? error.message : String(error)})`;
  return { code: known.code, text: `${known.message}${detail}`, remedy: known.remedy };
}

export function policyFor(
  effect: Extract<Effect, { kind: 'set-firewall' }>,
  ports: DriverPorts,
): FirewallPolicy {
  const { interfaceName } = ports.settings();
  const { policy, endpoints, keepsTunnel = false } = effect;
  const lookout = policy === 'blocked' || policy === 'connected' ? undefined : ports.portal?.lookout();
  const own = effect.edge === undefined ? undefined : ports.openings?.(effect.edge);
  const base = {
    kind: policy,
    interfaceName,
    keepsTunnel,
    mark: tunnelMark,
    endpoints: withOpenings(endpoints, own?.udp ?? []),
    ...(own === undefined || own.tcp.length === 0 ? {} : { tlsEndpoints: own.tcp }),
    ...(effect.way === undefined ? {} : { way: effect.way }),
    ...(lookout === undefined ? {} : { lookout }),
  };
  if (effect.edge === undefined) return { ...base, nameServers: [], addresses: [], scope: 'everything' };
  const edge = knownProfile(effect.edge, ports);
  // An edge that was removed meanwhile: closing everything is always right.
  if (edge === undefined) return { ...base, nameServers: [], addresses: [], scope: 'everything' };
  return {
    ...base,
    nameServers: effect.policy === 'blocked' ? [] : ports.resolver.nameServers(edge),
    addresses: edge.config.interface.addresses.map(withoutLength),
    scope: scopeOf(allowedIpsOf(edge)),
  };
}

/** Each place once; what is on our own loopback is let through anyway. */
function withOpenings(endpoints: readonly Endpoint[], more: readonly Endpoint[]): readonly Endpoint[] {
  if (more.length === 0) return endpoints;
  const outside = endpoints.filter(({ address }) => !address.startsWith('127.'));
  const isNew = ({ address, port }: Endpoint): boolean =>
    !outside.some((one) => one.address === address && one.port === port);
  return [...outside, ...more.filter(isNew)];
}

export function allowedIpsOf(edge: EdgeProfile): readonly string[] {
  return edge.config.peers.flatMap((peer) => peer.allowedIps);
}

export function withoutLength(prefix: string): string {
  return prefix.split('/')[0] ?? prefix;
}

function knownProfile(name: string, ports: DriverPorts): EdgeProfile | undefined {
  try {
    return ports.edges.profile(name);
  } catch {
    return undefined; // The caller closes everything then.
  }
}

function routesFor(edge: EdgeProfile, ports: DriverPorts): ReturnType<typeof planRoutes> {
  return planRoutes({
    interfaceName: ports.settings().interfaceName,
    addresses: edge.config.interface.addresses,
    allowedIps: allowedIpsOf(edge),
    resolvers: edge.config.interface.dns,
    mtu: mtuFor(edge, ports),
    ipv6: ports.ipv6(),
  });
}

function mtuFor(edge: EdgeProfile, ports: DriverPorts): number {
  const { mtu } = ports.settings();
  return mtu === 0 ? usualMtu(edge.config.interface) : mtu;
}
