/**
 * The tunnel of an edge: one packet worker, or several that share nothing, each with its own port,
 * interface and devices (`workers` in edge.yaml). Between their interfaces the kernel's routes decide.
 */

import type { Log } from '../shared/core/base/ports.ts';
import type { DeviceChange, DeviceStatus } from '../shared/core/tunnel/config.ts';
import type { TunnelEvent } from '../shared/core/tunnel/events.ts';
import { routeChanges, type ShardRoute, shardRoutes } from '../shared/core/tunnel/shard-routes.ts';
import type { TunnelBackend } from '../shared/node/dataplane/messages.ts';
import { type ShardedBackend, startShardedTunnel } from '../shared/node/dataplane/sharded-backend.ts';
import { startTunnelThread } from '../shared/node/dataplane/thread-link.ts';
import type { Run } from '../shared/node/run.ts';
import type { EdgeConfig } from './config.ts';
import { applyRoutes, type RouteSources } from './host/worker-routes.ts';
import { gatewaysOf, workerOf } from './plan.ts';

/** A tunnel that may need routes of its own. */
export interface EdgeTunnel extends TunnelBackend {
  /** Call once, when the interfaces are up; from then on every change keeps the routes right. */
  route(): Promise<void>;
}

export interface EdgeTunnelOptions {
  readonly config: EdgeConfig;
  /** The worker's entry file. */
  readonly entry: URL;
  readonly log: Log;
  readonly run: Run;
}

/** Rejects with CulvertError; nothing is left behind then. */
export async function startEdgeTunnel(options: EdgeTunnelOptions): Promise<EdgeTunnel> {
  const { config, entry, log, run } = options;
  const { interfaceName, mtu, workers, udpPorts } = config;
  if (workers === 1) {
    const tunnel = await startTunnelThread({ entry, interfaceName, mtu, log });
    return Object.assign(tunnel, { route: () => Promise.resolve() });
  }
  const tunnel = await startShardedTunnel({
    shards: workers,
    entry,
    interfaceName,
    mtu,
    log,
    ports: udpPorts,
    shardOf: (publicKey) => workerOf(publicKey, workers),
  });
  return new RoutedTunnel(tunnel, gatewaysOf(config), run);
}

class RoutedTunnel implements EdgeTunnel {
  readonly kind = 'userspace';
  readonly interfaceName: string;
  readonly #tunnel: ShardedBackend;
  readonly #sources: RouteSources;
  readonly #run: Run;
  #routes: readonly ShardRoute[] = [];
  #isRouted = false;
  /** Changes of routes wait for each other. */
  #last: Promise<void> = Promise.resolve();

  constructor(tunnel: ShardedBackend, sources: RouteSources, run: Run) {
    this.#sources = sources;
    this.interfaceName = tunnel.interfaceName;
    this.#tunnel = tunnel;
    this.#run = run;
  }

  route(): Promise<void> {
    this.#isRouted = true;
    return this.#follow();
  }

  async configure(change: DeviceChange): Promise<void> {
    await this.#tunnel.configure(change);
    if (this.#isRouted) await this.#follow();
  }

  status(): Promise<DeviceStatus> {
    return this.#tunnel.status();
  }

  onEvent(listener: (event: TunnelEvent) => void): () => void {
    return this.#tunnel.onEvent(listener);
  }

  onEnd(listener: (why: 'gone' | 'failed', detail: string) => void): void {
    this.#tunnel.onEnd(listener);
  }

  stop(): Promise<void> {
    return this.#tunnel.stop();
  }

  #follow(): Promise<void> {
    const done = this.#last.then(() => this.#followNow());
    // Whoever asked learns of the failure; the next change tries all of it again.
    this.#last = done.catch(() => undefined);
    return done;
  }

  async #followNow(): Promise<void> {
    const wanted = shardRoutes(await this.#tunnel.shards());
    await applyRoutes(routeChanges(this.#routes, wanted), this.#sources, this.#run);
    this.#routes = wanted;
  }
}
