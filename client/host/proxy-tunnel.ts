/**
 * The tunnel of mode proxy: a flow worker that holds WireGuard, a TCP/IP stack and the proxy's port. Changes nothing
 * on this machine and needs no privileges. Where the worker ends, its port and its connections end with it.
 */

import { isDeepStrictEqual } from 'node:util';
import type { Endpoint } from '../../shared/core/base/endpoint.ts';
import { type Prefix, parseAddress, parsePrefix, prefixContains } from '../../shared/core/base/ip.ts';
import type { Log } from '../../shared/core/base/ports.ts';
import { CulvertError } from '../../shared/core/control/codes.ts';
import type { ProxyStatus } from '../../shared/core/control/status.ts';
import type { DeviceStatus } from '../../shared/core/tunnel/config.ts';
import type { TunnelEvent } from '../../shared/core/tunnel/events.ts';
import { zeroKey } from '../../shared/core/uapi/values.ts';
import type { FlowBackend } from '../../shared/node/flows/contract.ts';
import type { Fact } from '../connection/event.ts';
import type { PeerEndpoint, Proof } from '../connection/state.ts';
import { allowedIpsOf, withoutLength } from '../driver/effects.ts';
import type { EdgeProfile, ProxyPlan, ProxyPort, TunnelPlan } from '../driver/ports.ts';
import { type ProbeTarget, probeTarget } from '../driver/probe-target.ts';
import type { Gate } from '../proxy/context.ts';
import type { EdgeVerdict } from '../proxy/edge-check.ts';
import type { ProxyCalls, ProxySettings } from '../proxy/role.ts';
import type { SessionKeys } from '../quantum/session-keeper.ts';
import { announce, copiesFor, deviceChangeFor, endedProblem, rekeyFor, renewalFor } from './tunnel-facts.ts';

export interface ProxyWorkerPlan {
  readonly mtu: number;
  /** Our addresses in the tunnel, 4 or 16 bytes. */
  readonly addresses: readonly Uint8Array[];
  readonly settings: ProxySettings;
}

export interface ProxyTunnelOptions {
  readonly startWorker: (plan: ProxyWorkerPlan) => Promise<FlowBackend>;
  /** A send went unanswered for a second. */
  readonly onUnanswered: () => void;
  /** Datagrams are lost on their way to us. */
  readonly onLossy?: () => void;
  /** Much was sent for a second. */
  readonly onSending?: () => void;
  /** The list of the split tunnel, as text; absent: everything goes into the tunnel. */
  readonly rules?: () => string;
  readonly log: Log;
}

/** A worker that stands, with its port bound. */
interface Open {
  plan: ProxyPlan;
  readonly backend: FlowBackend;
  readonly port: number;
}

/** One run of the tunnel, from start to stop. */
interface Run {
  readonly plan: TunnelPlan;
  readonly onFact: (fact: Fact) => void;
  readonly unsubscribe: () => void;
  proving: Proving;
}

/** How far the proof is; begun anew where the device gives a peer up. */
interface Proving {
  /** Before it, silence of the far end says nothing about what is there. */
  handshaked: boolean;
  /** An authenticated packet came back. */
  answered: boolean;
  isChecking: boolean;
  verdict: EdgeVerdict | undefined;
  isDone: boolean;
}

/** IPv6 needs as much (RFC 8200 §5), and the stack promises it. */
const smallestMtu = 1280;
const loopback = '127.0.0.1';
/** Where a file names no resolver: asked through the tunnel, like everything else. */
const defaultResolvers: readonly string[] = ['1.1.1.1', '2606:4700:4700::1111'];

export class ProxyTunnel implements ProxyPort {
  readonly #options: ProxyTunnelOptions;
  #open: Open | undefined;
  #run: Run | undefined;

  constructor(options: ProxyTunnelOptions) {
    this.#options = options;
  }

  get place(): ProxyStatus | undefined {
    if (this.#open === undefined) return undefined;
    const { port, plan } = this.#open;
    return { address: `${loopback}:${port}`, resolvers: resolversOf(plan.edge) };
  }

  async openPort(plan: ProxyPlan): Promise<void> {
    if (this.#open !== undefined && isDeepStrictEqual(this.#open.plan, plan)) return;
    if (await this.#becomes(plan)) return;
    await this.close();
    const backend = await this.#options.startWorker(workerPlan(plan));
    const rules = this.#options.rules?.() ?? '';
    try {
      if (rules !== '') await ask(backend, 'split', rules);
      const port = await ask(backend, 'listen', plan.access);
      const open: Open = { plan, backend, port };
      this.#open = open;
      backend.onEnd((why, detail) => this.#ended(open, why, detail));
    } catch (error) {
      await backend.stop();
      throw error;
    }
  }

  /** The worker that stands takes over another edge's tunnel, on the same port. False where it cannot, or there is none. */
  async #becomes(plan: ProxyPlan): Promise<boolean> {
    const open = this.#open;
    if (open === undefined || this.#run !== undefined) return false;
    const { mtu, access } = open.plan;
    if (mtu !== plan.mtu || !isDeepStrictEqual(access, plan.access)) return false;
    try {
      await ask(open.backend, 'become', workerPlan(plan).settings);
    } catch {
      return false; // It ended meanwhile.
    }
    if (this.#open !== open) return false;
    open.plan = plan;
    return true;
  }

  /** The list of the split tunnel is another one: for connections from now on. Never rejects. */
  async handleRules(): Promise<void> {
    const { backend } = this.#open ?? {};
    if (backend === undefined) return;
    try {
      await ask(backend, 'split', this.#options.rules?.() ?? '');
    } catch (error) {
      this.#options.log.error('the proxy did not take the rules; it is closed', { text: String(error) });
      await this.close();
    }
  }

  async setGate(gate: Gate): Promise<void> {
    const { backend } = this.#open ?? {};
    if (backend === undefined) return;
    try {
      await ask(backend, 'gate', gate);
    } catch (error) {
      // A gate that does not close must not stay.
      await this.close();
      if (gate.kind === 'open') throw error;
    }
  }

  async start(plan: TunnelPlan, onFact: (fact: Fact) => void): Promise<void> {
    const open = this.#open;
    if (open === undefined)
      throw new CulvertError('tunnel-ended', { text: 'The worker of the proxy has ended.' });
    await this.stop();
    const unsubscribe = open.backend.onEvent((event) => this.#hear(event));
    this.#run = { plan, onFact, unsubscribe, proving: unproven() };
    try {
      await open.backend.configure(deviceChangeFor(plan));
    } catch (error) {
      await this.stop();
      throw error;
    }
  }

  /** The port stays, and refuses; the keys go. */
  async stop(): Promise<void> {
    const run = this.#run;
    this.#run = undefined;
    if (run === undefined) return;
    run.unsubscribe();
    try {
      await this.#open?.backend.configure({ privateKey: zeroKey(), replacePeers: true, peers: [] });
    } catch {
      await this.close(); // A tunnel that does not stop is ended with its worker.
    }
  }

  /** As of HostTunnel. */
  async rekey(keys: SessionKeys | undefined, present: 'goes on' | 'ends'): Promise<void> {
    const run = this.#run;
    if (run !== undefined) await this.#open?.backend.configure(rekeyFor(run.plan, keys, present));
  }

  async probe(): Promise<void> {
    const { backend } = this.#open ?? {};
    const run = this.#run;
    if (backend === undefined || run === undefined) return;
    const { proving } = run;
    const target = probeTarget(run.plan.edge);
    if (target !== undefined) await ask(backend, 'nudge', nudgeOf(target));
    if (proving.isDone || !proving.handshaked || proving.isChecking || proving.verdict !== undefined) return;
    proving.isChecking = true;
    const judge = (verdict: EdgeVerdict): void => {
      proving.isChecking = false;
      proving.verdict = verdict;
      this.#settle(run);
    };
    // Not awaited: the driver has other things to do while the far end thinks.
    void ask(backend, 'check', undefined).then(judge, () => judge({ kind: 'stock' }));
  }

  async renew(endpoints: readonly PeerEndpoint[]): Promise<void> {
    const { backend } = this.#open ?? {};
    const run = this.#run;
    if (backend === undefined || run === undefined) return;
    // What is there may be another: a new session is proven anew.
    if (run.proving.isDone) run.proving = unproven();
    await backend.configure(renewalFor(run.plan, endpoints));
  }

  /** As HostTunnel does. */
  async alsoTo(places: readonly Endpoint[], ask: boolean): Promise<void> {
    const run = this.#run;
    if (run !== undefined) await this.#open?.backend.configure(copiesFor(run.plan, places, ask));
  }

  async status(): Promise<DeviceStatus | undefined> {
    return this.#run === undefined ? undefined : this.#open?.backend.status();
  }

  async rest(isResting: boolean): Promise<void> {
    await this.#open?.backend.rest?.(isResting);
  }

  async close(): Promise<void> {
    this.#run?.unsubscribe();
    this.#run = undefined;
    const open = this.#open;
    this.#open = undefined;
    await open?.backend.stop();
  }

  #hear(event: TunnelEvent): void {
    const run = this.#run;
    const { backend } = this.#open ?? {};
    if (run === undefined || backend === undefined) return;
    if (event.kind === 'gave-up') run.proving = unproven();
    if (event.kind === 'established') run.proving.handshaked = true;
    if (event.kind === 'confirmed') {
      run.proving.handshaked = run.proving.answered = true;
      this.#settle(run);
      return;
    }
    announce(event, { ...this.#options, backend, onFact: run.onFact });
  }

  /** Our edge must answer its challenge; of a stock server any authenticated packet is enough. */
  #settle(run: Run): void {
    const { verdict, answered, isDone } = run.proving;
    if (run !== this.#run || isDone || verdict === undefined) return;
    if (verdict.kind === 'stock' && !answered) return;
    run.proving.isDone = true;
    run.onFact(
      verdict.kind === 'edge' ? { kind: 'confirmed', proof: proofOf(verdict) } : { kind: 'confirmed' },
    );
  }

  #ended(open: Open, why: 'gone' | 'failed', detail: string): void {
    this.#options.log.error('the worker of the proxy ended by itself', { why, detail });
    if (this.#open !== open) return;
    this.#open = undefined;
    const run = this.#run;
    this.#run = undefined;
    run?.unsubscribe();
    run?.onFact({ kind: 'tunnel-ended', problem: endedProblem('failed') });
  }
}

function unproven(): Proving {
  return { handshaked: false, answered: false, isChecking: false, verdict: undefined, isDone: false };
}

/** Asks the worker by name, with the types that the role declares. */
async function ask<Name extends keyof ProxyCalls>(
  backend: FlowBackend,
  name: Name,
  argument: ProxyCalls[Name][0],
): Promise<ProxyCalls[Name][1]> {
  return (await backend.call(name, argument)) as ProxyCalls[Name][1];
}

function proofOf({ rttMs, visibleAddress }: Extract<EdgeVerdict, { kind: 'edge' }>): Proof {
  return visibleAddress === undefined ? { rttMs } : { rttMs, visibleAddress };
}

function nudgeOf({ address, port, payload }: ProbeTarget): ProxyCalls['nudge'][0] {
  return { address, port, payload };
}

function workerPlan({ edge, mtu }: ProxyPlan): ProxyWorkerPlan {
  const texts = edge.config.interface.addresses.map(withoutLength);
  return {
    mtu: Math.max(mtu, smallestMtu),
    addresses: texts.map(parseAddress).filter((address) => address !== undefined),
    settings: { addresses: texts, resolvers: resolversOf(edge), reachable: allowedIpsOf(edge) },
  };
}

/**
 * The file's resolvers, else 1.1.1.1; of them those that the tunnel leads to. None at all: then names fail.
 */
export function resolversOf(edge: EdgeProfile): readonly string[] {
  const { dns, addresses } = edge.config.interface;
  const reachable = allowedIpsOf(edge)
    .map(parsePrefix)
    .filter((prefix) => prefix !== undefined);
  const families = new Set(addresses.map((address) => parseAddress(withoutLength(address))?.length));
  const leads = (text: string): boolean => {
    const address = parseAddress(text);
    return address !== undefined && families.has(address.length) && contains(reachable, address);
  };
  return (dns.length > 0 ? dns : defaultResolvers).filter(leads);
}

function contains(prefixes: readonly Prefix[], address: Uint8Array): boolean {
  return prefixes.some((prefix) => prefixContains(prefix, address));
}
