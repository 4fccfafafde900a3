/**
 * The tunnel of a path of type wireguard for the kernel backend: a packet worker of our own with an interface of its
 * own. The default route stays as it is: only what carries the path's mark goes in, so the tunnel's own datagrams
 * leave like any other of this host. The interface goes with the process.
 */

import { lookup } from 'node:dns/promises';
import { readFileSync } from 'node:fs';
import { formatAddress, parseAddress } from '../../shared/core/base/ip.ts';
import type { Log } from '../../shared/core/base/ports.ts';
import type { DeviceChange } from '../../shared/core/tunnel/config.ts';
import type { TunnelBackend } from '../../shared/node/dataplane/messages.ts';
import { startTunnelThread } from '../../shared/node/dataplane/thread-link.ts';
import type { Run } from '../../shared/node/run.ts';
import type { Timing } from '../egress/dial-race.ts';
import { type HopCounts, HopWatch } from '../egress/hop-watch.ts';
import type { HopConfig } from '../egress/path-wireguard.ts';
import { threadEntry } from '../thread-entry.ts';
import type { KernelSettings } from './forwarding.ts';
import { strictFilter } from './kernel-path-host.ts';
import { bringUp } from './link.ts';

export interface HopOptions {
  /** Of the path; for the log. */
  readonly id: string;
  readonly config: HopConfig;
  readonly interfaceName: string;
  readonly run: Run;
  readonly settings: KernelSettings;
  readonly log: Log;
  readonly timing: Timing;
  /** The other side fell silent, or is heard again. */
  readonly onSilence: () => void;
}

/** How often the interface's counters are looked at, and while an answer is waited for. */
const lookMs = 500;
const soonMs = 100;
/** A name that could not be looked up is asked again after this. */
const lookUpAgainMs = 15_000;

export class PathHop {
  readonly #options: HopOptions;
  readonly #tunnel: TunnelBackend;
  #trouble: string | undefined = 'its tunnel is being set up';
  #timer: NodeJS.Timeout | undefined;
  #isClosed = false;
  #hasEnded = false;
  readonly #watch = new HopWatch();
  #cancelLook: () => void = () => undefined;

  /** Rejects with CulvertError where the interface cannot be had; nothing is left behind then. */
  static async open(options: HopOptions): Promise<PathHop> {
    const { config, interfaceName, log, run, settings } = options;
    const { mtu } = config;
    const tunnel = await startTunnelThread({ entry: threadEntry('packet-thread'), interfaceName, mtu, log });
    const hop = new PathHop(options, tunnel);
    try {
      await hop.#configure();
      const addresses = config.addresses.map((address) => `${formatAddress(address)}/${address.length * 8}`);
      await bringUp({ interfaceName, mtu, addresses }, run);
      // Answers come back by it, though the main table leads elsewhere. The interface is our own.
      const strict = strictFilter(interfaceName, settings);
      if (strict !== undefined) settings.write(strict, '2');
      hop.#look();
      return hop;
    } catch (cause) {
      await hop.close();
      throw cause;
    }
  }

  private constructor(options: HopOptions, tunnel: TunnelBackend) {
    this.#options = options;
    this.#tunnel = tunnel;
    tunnel.onEvent(({ kind }) => {
      if (kind === 'established') this.#hear(() => this.#watch.handleAnswer());
    });
    tunnel.onEnd((why, detail) => {
      this.#hasEnded = true;
      this.#trouble = 'its tunnel has ended';
      options.log.error('the tunnel of a path has ended', { path: options.id, why, detail });
    });
  }

  /** Half a sentence where nothing can go this way now. */
  trouble(): string | undefined {
    return this.#trouble ?? this.#watch.trouble(this.#options.timing.now());
  }

  /** Its other side does not answer: whoever must go this way may be told at once. */
  get isSilent(): boolean {
    return this.#watch.isSilent;
  }

  /** By itself: its interface is gone, and it must be opened anew. */
  get hasEnded(): boolean {
    return this.#hasEnded;
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    clearTimeout(this.#timer);
    this.#cancelLook();
    await this.#tunnel.stop();
  }

  #look(): void {
    if (this.#isClosed) return;
    const { timing } = this.#options;
    const counts = this.#counts();
    this.#hear(() => {
      if (counts !== undefined && this.#watch.look(counts, timing.now()) === 'ask') this.#ask();
    });
    const ms = this.#watch.isWaiting && !this.#watch.isSilent ? soonMs : lookMs;
    this.#cancelLook = timing.after(ms, () => this.#look());
  }

  #hear(tell: () => void): void {
    const before = this.#watch.isSilent;
    tell();
    if (this.#watch.isSilent !== before && !this.#isClosed) this.#options.onSilence();
  }

  #ask(): void {
    const renew = { updateOnly: true, renew: true, allowedIps: [] };
    const peers = this.#options.config.peers.map(({ publicKey }) => ({ publicKey, ...renew }));
    // A tunnel that has ended says so by itself.
    void this.#tunnel.configure({ peers }).catch(() => undefined);
  }

  /** What the interface has carried, as the kernel counts it. */
  #counts(): HopCounts | undefined {
    const folder = `/sys/class/net/${this.#tunnel.interfaceName}/statistics`;
    try {
      const [received, sent] = ['rx_packets', 'tx_packets'].map((one) => count(`${folder}/${one}`));
      return { received: received ?? 0, sent: sent ?? 0 };
    } catch {
      return undefined; // The interface was taken away, which is noticed elsewhere.
    }
  }

  async #configure(): Promise<void> {
    const { privateKey, disguise, peers } = this.#options.config;
    const endpoints = await Promise.all(peers.map((peer) => addressOf(peer.host)));
    if (this.#isClosed) return;
    const isMissing = endpoints.includes(undefined);
    await this.#tunnel.configure({
      privateKey,
      ...(disguise === undefined ? {} : { disguise }),
      listenPort: 0,
      replacePeers: true,
      peers: peers.map((peer, i) => peerChange(peer, endpoints[i])),
    });
    this.#trouble = isMissing ? 'the name of its endpoint cannot be looked up' : undefined;
    if (!isMissing || this.#isClosed) return;
    this.#timer = setTimeout(() => void this.#configure().catch(() => undefined), lookUpAgainMs);
    this.#timer.unref();
  }
}

function count(path: string): number {
  return Number(readFileSync(path, 'latin1'));
}

function peerChange(
  peer: HopConfig['peers'][number],
  address: string | undefined,
): DeviceChange['peers'][number] {
  return {
    publicKey: peer.publicKey,
    ...(peer.presharedKey === undefined ? {} : { presharedKey: peer.presharedKey }),
    ...(address === undefined ? {} : { endpoint: { address, port: peer.port } }),
    persistentKeepalive: peer.persistentKeepalive,
    allowedIps: peer.allowedTexts,
  };
}

async function addressOf(host: string): Promise<string | undefined> {
  if (parseAddress(host) !== undefined) return host;
  return lookup(host).then(
    (found) => found.address,
    () => undefined,
  );
}
