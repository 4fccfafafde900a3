/**
 * The tunnel of a whole-device mode: a packet worker on a TUN interface, configured from an edge's
 * file, with its UAPI socket, so that `wg show` reads it. Decides nothing.
 */

import { createSocket } from 'node:dgram';
import type { Endpoint } from '../../shared/core/base/endpoint.ts';
import type { Log } from '../../shared/core/base/ports.ts';
import type { DeviceStatus } from '../../shared/core/tunnel/config.ts';
import type { TunnelBackend } from '../../shared/node/dataplane/messages.ts';
import type { UapiServer, UapiServerOptions } from '../../shared/node/uapi/uapi-socket.ts';
import type { Fact } from '../connection/event.ts';
import type { PeerEndpoint } from '../connection/state.ts';
import type { TunnelPlan, TunnelPort } from '../driver/ports.ts';
import { type ProbeTarget, probeTarget } from '../driver/probe-target.ts';
import type { SessionKeys } from '../quantum/session-keeper.ts';
import { announce, copiesFor, deviceChangeFor, endedProblem, rekeyFor, renewalFor } from './tunnel-facts.ts';

export interface HostTunnelOptions {
  readonly startThread: (interfaceName: string, mtu: number) => Promise<TunnelBackend>;
  readonly serveUapi: (options: UapiServerOptions) => Promise<UapiServer>;
  /** A send went unanswered for a second. */
  readonly onUnanswered: () => void;
  readonly log: Log;
}

interface Open {
  readonly backend: TunnelBackend;
  readonly plan: TunnelPlan;
  readonly unsubscribe: () => void;
  readonly uapi: UapiServer | undefined;
}

export class HostTunnel implements TunnelPort {
  readonly #options: HostTunnelOptions;
  #open: Open | undefined;

  constructor(options: HostTunnelOptions) {
    this.#options = options;
  }

  async start(plan: TunnelPlan, onFact: (fact: Fact) => void): Promise<void> {
    await this.stop();
    const backend = await this.#options.startThread(plan.interfaceName, plan.mtu);
    const { log, onUnanswered } = this.#options;
    const unsubscribe = backend.onEvent((event) => announce(event, { backend, onFact, onUnanswered, log }));
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
    this.#open = { backend, plan, unsubscribe, uapi: await this.#serve(backend, onFact) };
  }

  async stop(): Promise<void> {
    const open = this.#open;
    this.#open = undefined;
    if (open === undefined) return;
    open.unsubscribe();
    await open.uapi?.close();
    await open.backend.stop();
  }

  async probe(): Promise<void> {
    const target = this.#open === undefined ? undefined : probeTarget(this.#open.plan.edge);
    if (target !== undefined) await sendDatagram(target);
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
  async rekey(keys: SessionKeys | undefined): Promise<void> {
    const open = this.#open;
    if (open !== undefined) await open.backend.configure(rekeyFor(open.plan, keys));
  }

  async status(): Promise<DeviceStatus | undefined> {
    return this.#open?.backend.status();
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

function sendDatagram(target: ProbeTarget): Promise<void> {
  const socket = createSocket(target.from.includes(':') ? 'udp6' : 'udp4');
  return new Promise<void>((resolve, reject) => {
    socket.once('error', reject);
    socket.bind(0, target.from, () => {
      socket.send(target.payload, target.port, target.address, (error) =>
        error === null ? resolve() : reject(error),
      );
    });
  }).finally(() => socket.close());
}
