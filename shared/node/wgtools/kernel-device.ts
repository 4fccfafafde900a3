/**
 * A tunnel in the kernel's WireGuard module, with the same contract as the userspace one: made by
 * `ip link add … type wireguard`, changed by `wg syncconf`, read by `wg show … dump`.
 * It is tested for what it would run; running it needs a kernel that has the module.
 */

import { randomBytes } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { isZero } from '../../core/base/bytes.ts';
import { unixMs } from '../../core/base/time.ts';
import { CulvertError } from '../../core/control/codes.ts';
import type { DeviceChange, DeviceStatus, PeerStatus } from '../../core/tunnel/config.ts';
import type { TunnelEvent } from '../../core/tunnel/events.ts';
import { applyChange } from '../../core/uapi/device-change.ts';
import { formatHexKey } from '../../core/uapi/values.ts';
import type { WgConfig, WgPeer } from '../../core/uapi/wg-config.ts';
import { isPlain } from '../../core/wire/disguise-rules.ts';
import type { TunnelBackend } from '../dataplane/messages.ts';
import { firstLine, type Run, run as realRun } from '../run.ts';
import { uapiPath } from '../uapi/uapi-socket.ts';
import { KernelEvents } from './kernel-events.ts';
import { WgTool } from './wg.ts';

/** How often the kernel is asked for news while somebody listens. */
export const kernelPollMs = 1_000;

export interface KernelDeviceOptions {
  readonly interfaceName: string;
  readonly run?: Run;
  /** Calls `act` again and again; returns what ends it. For tests. */
  readonly every?: (periodMs: number, act: () => void) => () => void;
  /** For tests; default: what /sys says. */
  readonly readMtu?: (interfaceName: string) => Promise<number>;
}

/**
 * True where the kernel can make WireGuard interfaces: makes one of a random name and takes it away
 * again. Throws 'not-root' where that cannot be tried.
 */
export async function kernelModuleAvailable(run: Run = realRun): Promise<boolean> {
  const name = `cvt${randomBytes(5).toString('hex')}`;
  const added = await run('ip', addLink(name), { allowFailure: true });
  if (added.exitCode !== 0) {
    if (/not permitted|permission denied/i.test(added.stderr)) throw new CulvertError('not-root');
    return false;
  }
  await run('ip', deleteLink(name));
  return true;
}

/** Makes the interface. Throws 'interface-exists', 'not-root' or 'no-kernel-wireguard'. */
export async function createKernelDevice(options: KernelDeviceOptions): Promise<KernelDevice> {
  uapiPath(options.interfaceName); // Refuses names that are none.
  const run = options.run ?? realRun;
  const added = await run('ip', addLink(options.interfaceName), { allowFailure: true });
  if (added.exitCode !== 0) throw creationError(firstLine(added.stderr));
  return new KernelDevice({ ...options, run });
}

export class KernelDevice implements TunnelBackend {
  readonly kind = 'kernel';
  readonly interfaceName: string;
  readonly #run: Run;
  readonly #wg: WgTool;
  readonly #every: (periodMs: number, act: () => void) => () => void;
  readonly #readMtu: (interfaceName: string) => Promise<number>;
  readonly #events = new KernelEvents();
  readonly #listeners = new Set<(event: TunnelEvent) => void>();
  #endListener: ((why: 'gone' | 'failed', detail: string) => void) | undefined;
  #endPolling: (() => void) | undefined;
  #isPolling = false;
  #stopped: Promise<void> | undefined;
  /** Changes are read, merged and written, so they come one after the other. */
  #last: Promise<unknown> = Promise.resolve();

  /** The interface exists already: use createKernelDevice. */
  constructor(options: KernelDeviceOptions) {
    this.interfaceName = options.interfaceName;
    this.#run = options.run ?? realRun;
    this.#wg = new WgTool(this.#run);
    this.#every = options.every ?? repeat;
    this.#readMtu = options.readMtu ?? mtuOf;
  }

  configure(change: DeviceChange): Promise<void> {
    const turn = this.#last.then(() => this.#merge(change));
    this.#last = turn.catch(() => undefined); // The caller hears of it; the next change is not its fault.
    return turn;
  }

  async status(): Promise<DeviceStatus> {
    const status = await this.#wg.dump(this.interfaceName);
    const mtu = await this.#readMtu(this.interfaceName);
    return { ...status, dataplane: { suite: 'kernel', udp: 'kernel', tun: 'kernel', mtu } };
  }

  onEvent(listener: (event: TunnelEvent) => void): () => void {
    this.#listeners.add(listener);
    this.#startPolling();
    return () => {
      this.#listeners.delete(listener);
      if (this.#listeners.size === 0 && this.#endListener === undefined) this.#stopPolling();
    };
  }

  onEnd(listener: (why: 'gone' | 'failed', detail: string) => void): void {
    this.#endListener = listener;
    this.#startPolling();
  }

  stop(): Promise<void> {
    this.#stopPolling();
    this.#stopped ??= this.#last.then(() => this.#remove());
    return this.#stopped;
  }

  async #merge(change: DeviceChange): Promise<void> {
    if (change.disguise !== undefined && !isPlain(change.disguise)) throw new CulvertError('kernel-disguise');
    const current = await this.#wg.dump(this.interfaceName);
    await this.#wg.configure('syncconf', this.interfaceName, planConfig(current, change));
  }

  async #remove(): Promise<void> {
    const removed = await this.#run('ip', deleteLink(this.interfaceName), { allowFailure: true });
    if (removed.exitCode === 0 || /cannot find device/i.test(removed.stderr)) return;
    throw new CulvertError('command-failed', { text: `ip link del: ${firstLine(removed.stderr)}` });
  }

  #startPolling(): void {
    if (this.#stopped !== undefined) return;
    this.#endPolling ??= this.#every(kernelPollMs, () => void this.#poll());
  }

  #stopPolling(): void {
    this.#endPolling?.();
    this.#endPolling = undefined;
  }

  async #poll(): Promise<void> {
    if (this.#isPolling) return;
    this.#isPolling = true;
    const seen = await this.#wg.dump(this.interfaceName).catch(asCulvertError);
    this.#isPolling = false;
    if (this.#endPolling === undefined) return;
    if (seen instanceof CulvertError) {
      if (isGone(seen)) this.#announceEnd(seen.message);
      return; // Any other failure may pass: the next poll tells.
    }
    for (const event of this.#events.update(seen, unixMs(Date.now()))) {
      for (const listener of this.#listeners) listener(event);
    }
  }

  #announceEnd(detail: string): void {
    if (this.#endPolling === undefined) return;
    this.#stopPolling();
    this.#endListener?.('gone', detail);
    this.#endListener = undefined;
  }
}

/**
 * The file for `wg syncconf` that has the effect of `change` on a device with the settings `current`:
 * everything is named, because syncconf resets what a file leaves out. Endpoints are the exception: only
 * those of the change, or one that a peer moved to meanwhile would be undone.
 */
export function planConfig(current: DeviceStatus, change: DeviceChange): WgConfig {
  const target = applyChange(current, change);
  const moved = new Set<string>();
  for (const peer of change.peers) if (peer.endpoint !== undefined) moved.add(formatHexKey(peer.publicKey));
  const { privateKey, listenPort, fwmark } = target;
  return {
    interface: {
      ...(privateKey === undefined ? {} : { privateKey }),
      listenPort,
      fwmark,
      addresses: [],
      dns: [],
      searchDomains: [],
    },
    peers: target.peers.map((peer) => planPeer(peer, moved.has(formatHexKey(peer.publicKey)))),
    ignored: [],
  };
}

function planPeer(peer: PeerStatus, withEndpoint: boolean): WgPeer {
  const { publicKey, presharedKey, endpoint, persistentKeepalive, allowedIps } = peer;
  const place = endpoint === undefined ? undefined : { host: endpoint.address, port: endpoint.port };
  return {
    publicKey,
    ...(isZero(presharedKey) ? {} : { presharedKey }),
    ...(withEndpoint && place !== undefined ? { endpoint: place } : {}),
    persistentKeepalive,
    allowedIps,
  };
}

function addLink(name: string): readonly string[] {
  return ['link', 'add', 'dev', name, 'type', 'wireguard'];
}

function deleteLink(name: string): readonly string[] {
  return ['link', 'del', 'dev', name];
}

function creationError(complaint: string): CulvertError {
  if (/file exists/i.test(complaint)) return new CulvertError('interface-exists');
  if (/not permitted|permission denied/i.test(complaint)) return new CulvertError('not-root');
  if (/unknown device type|not supported/i.test(complaint)) return new CulvertError('no-kernel-wireguard');
  return new CulvertError('command-failed', { text: `ip link add: ${complaint}` });
}

function isGone(error: CulvertError): boolean {
  const noDevice = 19;
  const noProtocol = 93; // What `wg` says of a missing interface where the module is gone too.
  return error.errno === noDevice || error.errno === noProtocol;
}

function asCulvertError(error: unknown): CulvertError {
  return error instanceof CulvertError ? error : new CulvertError('internal', { cause: error });
}

function repeat(periodMs: number, act: () => void): () => void {
  const timer = setInterval(act, periodMs);
  timer.unref();
  return () => clearInterval(timer);
}

async function mtuOf(interfaceName: string): Promise<number> {
  const mtu = Number(await readFile(`/sys/class/net/${interfaceName}/mtu`, 'utf8').catch(() => '0'));
  return Number.isInteger(mtu) ? mtu : 0;
}
