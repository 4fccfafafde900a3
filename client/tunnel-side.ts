/** The daemon's two tunnels: of the whole device, and behind the proxy; joined by daemon.ts. Neither is started. */

import type { Log } from '../shared/core/base/ports.ts';
import { CulvertError } from '../shared/core/control/codes.ts';
import { startBlankThread, startTunnelThread } from '../shared/node/dataplane/thread-link.ts';
import type { FlowBackend } from '../shared/node/flows/contract.ts';
import { startBlankFlow, startFlowThread } from '../shared/node/flows/flow-thread-link.ts';
import { serveUapi } from '../shared/node/uapi/uapi-socket.ts';
import { startBackend } from '../shared/node/wgtools/start-backend.ts';
import { reachOf } from './connection/state.ts';
import { EarlyThread } from './host/early-thread.ts';
import { ProxyTunnel, type ProxyWorkerPlan } from './host/proxy-tunnel.ts';
import { usualMtu } from './host/routes/plan.ts';
import { SpareThread } from './host/spare-thread.ts';
import type { SplitParts } from './host/split-parts.ts';
import { HostTunnel, type HostTunnelOptions } from './host/tunnel.ts';
import { proxyNetLimits } from './proxy/limits.ts';
import type { EdgeStore } from './settings/edges.ts';
import type { SettingsStore } from './settings/store.ts';
import { formatRules } from './split/rules.ts';

/** How long a send may be unanswered until the tunnel is asked; on a slow link longer (shared/core/tunnel/peer-timers.ts). */
const announceUnansweredMs = 250;
/** Lost datagrams, close together, that make somebody look whether UDP is slowed down. */
const announceLostPackets = 4;
const packetThread = { entry: besideUs('packet-thread') };
const flowThread = { entry: besideUs('flow-thread') };
const kernelInTls = {
  text: 'The WireGuard of the kernel cannot be carried inside TLS.',
  remedy: 'Let culvert do it: culvert settings set tunnel.backend auto',
};

export interface TunnelSideParts {
  readonly settings: SettingsStore;
  readonly edges: EdgeStore;
  readonly splitParts: SplitParts;
  readonly log: Log;
}

export interface TunnelSide {
  readonly tunnel: HostTunnel;
  readonly proxy: ProxyTunnel;
  /** These follow the connection; whoever ends the daemon closes them. */
  readonly early: EarlyThread;
  readonly spare: SpareThread;
}

export function makeTunnels(
  { settings, edges, splitParts, log }: TunnelSideParts,
  heard: Pick<HostTunnelOptions, 'onUnanswered' | 'onLossy' | 'onSending'>,
): TunnelSide {
  const rules = (): string => formatRules(splitParts.split.rules);
  const spare = makeSpare(settings, log);
  const start: HostTunnelOptions['startThread'] = (interfaceName, mtu, disguised) => {
    const { 'tunnel.backend': wanted, transport } = settings.current;
    const isTls = transport === 'tls';
    if (wanted === 'kernel' && isTls) return Promise.reject(new CulvertError('no-tls-way', kernelInTls));
    const choice = wanted === 'auto' && (disguised || isTls) ? 'userspace' : wanted;
    const own = { interfaceName, mtu, limits: { announceUnansweredMs, announceLostPackets } };
    return startBackend({
      choice,
      ...packetThread,
      ...own,
      log,
      startThread: (all) => spare.take('device')?.begin(own) ?? startTunnelThread(all),
    });
  };
  const early = new EarlyThread({
    start,
    wanted: (name) => {
      const own = edges.list().find((edge) => edge.name === name)?.config.interface;
      if (own === undefined) return undefined;
      const { 'tunnel.interface': interfaceName, 'tunnel.mtu': mtu } = settings.current;
      return [interfaceName, mtu === 0 ? usualMtu(own) : mtu, own.disguise !== undefined];
    },
  });
  const startWorker = (plan: ProxyWorkerPlan): Promise<FlowBackend> => {
    const fixed = {
      acceptAny: false,
      limits: proxyNetLimits,
      announceUnansweredMs,
      announceLostPackets,
    };
    const own = { ...fixed, ...plan };
    return spare.take('proxy')?.begin(own) ?? startFlowThread({ ...flowThread, log, ...own });
  };
  return {
    tunnel: new HostTunnel({ startThread: early.start, serveUapi, ...heard, log }),
    proxy: new ProxyTunnel({ startWorker, ...heard, rules, log }),
    early,
    spare,
  };
}

function makeSpare(settings: SettingsStore, log: Log): SpareThread {
  return new SpareThread({
    start: {
      device: () => startBlankThread({ ...packetThread, log }),
      proxy: () => startBlankFlow({ ...flowThread, log }),
    },
    wanted: () => {
      const { mode, 'tunnel.backend': backend } = settings.current;
      const reach = reachOf(mode);
      if (reach === 'device') return backend === 'userspace' ? reach : undefined;
      return reach === 'proxy' ? reach : undefined;
    },
    log,
  });
}

/** The entry of a worker: from sources `.ts`, from what was built `.js`. */
function besideUs(name: string): URL {
  return new URL(`./${name}${import.meta.url.slice(import.meta.url.lastIndexOf('.'))}`, import.meta.url);
}
