/**
 * The tunnel of a whole-device mode: a packet worker on a TUN interface, configured from an edge's
 * file, with its UAPI socket, so that `wg show` reads it. Decides nothing.
 */

import type { Endpoint } from '../../shared/core/base/endpoint.ts';
import type { Log } from '../../shared/core/base/ports.ts';
import type { DeviceStatus } from '../../shared/core/tunnel/config.ts';
import { zeroKey } from '../../shared/core/uapi/values.ts';
import type { TunnelBackend } from '../../shared/node/dataplane/messages.ts';
import type { UapiServer, UapiServerOptions } from '../../shared/node/uapi/uapi-socket.ts';
import type { Fact } from '../connection/event.ts';
import type { PeerEndpoint } from '../connection/state.ts';
import type { TunnelPlan, TunnelPort } from '../driver/ports.ts';
import { probeTarget } from '../driver/probe-target.ts';
import type { SessionKeys } from '../quantum/session-keeper.ts';
import { ProbeSocket } from './probe-socket.ts';
import { announce, copiesFor, deviceChangeFor, endedProblem, rekeyFor, renewalFor } from './tunnel-facts.ts';

export interface HostTunnelOptions {
  /** `disguised`: messages are not WireGuard's own, which no kernel can do. */
  readonly startThread: (interfaceName: string, mtu: number, disguised: boolean) => Promise<TunnelBackend>;
  readonly serveUapi: (options: UapiServerOptions) => Promise<UapiServer>;
  /** A send went unanswered for a second. */
  readonly onUnanswered: () => void;
  /** Datagrams are lost on their way to us. */
  readonly onLossy?: () => void;
  /** Much was sent for a second. */
  readonly onSending?: () => void;
  readonly log: Log;
}

/** A thread with its interface, and nothing that it could carry. */
interface Kept {
  readonly backend: TunnelBackend;
  readonly interfaceName: string;
  readonly mtu: number;
}

interface Open {
  readonly backend: TunnelBackend;
  readonly plan: TunnelPlan;
  readonly unsubscribe: () => void;
  /** Never rejects. */
  readonly uapi: Promise<UapiServer | undefined>;
}

export class HostTunnel implements TunnelPort {
  readonly #options: HostTunnelOptions;
  readonly #probes = new ProbeSocket();
  #open: Open | undefined;
  #kept: Kept | undefined;

  constructor(options: HostTunnelOptions) {
    this.#options = options;
  }

  async start(plan: TunnelPlan, onFact: (fact: Fact) => void): Promise<void> {
    const backend = await this.#backendFor(plan);
    const { log } = this.#options;
    const hears = { ...this.#options, backend, onFact };
    const unsubscribe = backend.onEvent((event) => announce(event, hears));
    try {
      // The mark comes first: not one datagram may leave without it.
      await backend.configure({ fwmark: plan.mark, peers: [] });
      await backend.configure(deviceChangeFor(plan));
    } catch (error) {
      unsubscribe();
      await backend.stop();
      throw error;
    }
    backend.onEnd((why, detail) => {
      log.error('the tunnel ended by itself', { why, detail });
      onFact({ kind: 'tunnel-ended', problem: endedProblem(why) });
    });
    // Nobody waits for what `wg show` asks.
    this.#open = { backend, plan, unsubscribe, uapi: this.#serve(backend, onFact) };
  }

  async stop(keeps = false): Promise<void> {
    const open = this.#open;
    const kept = this.#kept;
    this.#open = undefined;
    this.#kept = undefined;
    this.#probes.close();
    await kept?.backend.stop();
    if (open === undefined) return;
    open.unsubscribe();
    await (await open.uapi)?.close();
    if (keeps && (await this.#keep(open))) return;
    await open.backend.stop();
  }

  /** False where it has to be stopped. */
  async #keep({ backend, plan }: Open): Promise<boolean> {
    if (isDisguised(plan)) return false;
    const { interfaceName, mtu } = plan;
    const kept: Kept = { backend, interfaceName, mtu };
    try {
      await backend.configure({ privateKey: zeroKey(), replacePeers: true, peers: [] });
    } catch {
      return false; // It ended meanwhile.
    }
    this.#kept = kept;
    backend.onEnd(() => {
      if (this.#kept === kept) this.#kept = undefined;
    });
    return true;
  }

  /** What was kept where it fits, else another one. */
  async #backendFor(plan: TunnelPlan): Promise<TunnelBackend> {
    const { interfaceName, mtu } = plan;
    const kept = this.#kept;
    if (kept?.interfaceName === interfaceName && kept.mtu === mtu && !isDisguised(plan)) {
      this.#kept = undefined;
      return kept.backend;
    }
    await this.stop();
    return this.#options.startThread(interfaceName, mtu, isDisguised(plan));
  }

  async probe(): Promise<void> {
    const target = this.#open === undefined ? undefined : probeTarget(this.#open.plan.edge);
    if (target !== undefined) await this.#probes.send(target);
  }

  async renew(endpoints: readonly PeerEndpoint[]): Promise<void> {
    const open = this.#open;
    if (open !== undefined) await open.backend.configure(renewalFor(open.plan, endpoints));
  }

  /** Initiations go to these places, too; `ask`: and one is sent now. None: to no others any more. */
  async alsoTo(places: readonly Endpoint[], ask: boolean): Promise<void> {
    const open = this.#open;
    if (open !== undefined) await open.backend.configure(copiesFor(open.plan, places, ask));
  }

  /** Goes on with these keys; absent: with those of the file. Nothing happens without a tunnel. */
  async rekey(keys: SessionKeys | undefined, present: 'goes on' | 'ends'): Promise<void> {
    const open = this.#open;
    if (open !== undefined) await open.backend.configure(rekeyFor(open.plan, keys, present));
  }

  async status(): Promise<DeviceStatus | undefined> {
    return this.#open?.backend.status();
  }

  async rest(isResting: boolean): Promise<void> {
    await this.#open?.backend.rest?.(isResting);
  }

  /** `wg show` is a courtesy: without it the tunnel works as well. */
  async #serve(backend: TunnelBackend, onFact: (fact: Fact) => void): Promise<UapiServer | undefined> {
    const { log, serveUapi } = this.#options;
    if (backend.kind === 'kernel') return undefined; // `wg` asks the kernel itself.
    const { interfaceName } = backend;
    const problem = {
      code: 'tunnel-ended',
      text: 'Somebody removed the socket of the tunnel in /var/run/wireguard.',
      remedy: 'culvert starts it again.',
    } as const;
    const onGone = (): void => onFact({ kind: 'tunnel-ended', problem });
    try {
      return await serveUapi({ interfaceName, backend, onGone, log });
    } catch (error) {
      log.warn('wg show cannot read this tunnel', {
        text: error instanceof Error ? error.message : String(error),
      });
      return undefined;
    }
  }
}

function isDisguised({ edge }: TunnelPlan): boolean {
  return edge.config.interface.disguise !== undefined;
}
