/**
 * The path of type wireguard: through another edge, or any WireGuard server, as its client. A tunnel of our own
 * engine that ends in a userspace stack; nothing of this machine is touched.
 */

import type { Duplex } from 'node:stream';
import type { Endpoint } from '../../shared/core/base/endpoint.ts';
import { type Prefix, prefixContains } from '../../shared/core/base/ip.ts';
import type { MonoMs } from '../../shared/core/base/time.ts';
import type { FlowEnd } from '../../shared/core/netstack/events.ts';
import type { DeviceChange, DeviceStatus } from '../../shared/core/tunnel/config.ts';
import type { DisguiseRules } from '../../shared/core/wire/disguise-rules.ts';
import type {
  ConnectError,
  ConnectFailure,
  FarUdp,
  StackHost,
  UdpChannel,
} from '../../shared/node/flows/contract.ts';
import type { Timing } from './dial-race.ts';
import { type HopCounts, HopWatch } from './hop-watch.ts';
import {
  type EgressPath,
  type FailureKind,
  type FailureOf,
  type FlowProtocol,
  PathError,
  type PathTarget,
} from './path.ts';

/** A peer whose endpoint may be a name. */
export interface HopPeer {
  readonly publicKey: Uint8Array;
  readonly presharedKey: Uint8Array | undefined;
  readonly host: string;
  readonly port: number;
  readonly persistentKeepalive: number;
  readonly allowedIps: readonly Prefix[];
  readonly allowedTexts: readonly string[];
}

/** Can be cloned between threads. */
export interface HopConfig {
  readonly privateKey: Uint8Array;
  readonly addresses: readonly Uint8Array[];
  readonly mtu: number;
  /** Absent: messages are as WireGuard's are. */
  readonly disguise?: DisguiseRules | undefined;
  readonly peers: readonly HopPeer[];
}

/** What a hop needs of its tunnel: StackTunnel has it. */
export interface HopTunnel {
  readonly host: StackHost;
  configure(change: DeviceChange): Promise<void>;
  status(): DeviceStatus;
  end(): void;
}

export interface WireguardOptions {
  readonly config: HopConfig;
  readonly openTunnel: (config: HopConfig) => HopTunnel;
  /** Numeric address of an endpoint's host; undefined where it cannot be had now. */
  readonly lookUp: (host: string) => Promise<string | undefined>;
  readonly timing: Timing;
}

/** A dial that waits, and since when. */
interface WaitingDial {
  readonly stop: AbortController;
  readonly from: MonoMs;
}

/** A name that could not be looked up is asked again after this. */
const lookUpAgainMs = 15_000;
/** How often the tunnel is looked at while flows begin, and while the other side is silent. */
const lookMs = 100;
const silentLookMs = 500;
/** A flow towards a side that is known to be silent waits so long for it to come back. */
const silentPatienceMs = 1200;

export class WireguardPath implements EgressPath {
  readonly type = 'wireguard';
  readonly id: string;
  readonly #options: WireguardOptions;
  readonly #tunnel: HopTunnel;
  readonly #allowed: readonly Prefix[];
  #trouble: string | undefined = 'its tunnel is being set up';
  #timer: NodeJS.Timeout | undefined;
  #isClosed = false;
  readonly #watch = new HopWatch();
  readonly #waiting: Set<WaitingDial> = new Set();
  #cancelLook: (() => void) | undefined;
  /** The tunnel is configured for the first time. Rejects where its configuration is not accepted. */
  readonly ready: Promise<void>;

  /** Throws CulvertError where the tunnel cannot be had. */
  constructor(id: string, options: WireguardOptions) {
    this.id = id;
    this.#options = options;
    this.#allowed = options.config.peers.flatMap((peer) => peer.allowedIps);
    this.#tunnel = options.openTunnel(options.config);
    this.ready = this.#configure();
  }

  carries(_protocol: FlowProtocol, family: number): boolean {
    const { addresses } = this.#options.config;
    return (
      addresses.some((own) => own.length === family) &&
      this.#allowed.some((prefix) => prefix.address.length === family)
    );
  }

  trouble(): string | undefined {
    return this.#trouble ?? this.#watch.trouble(this.#options.timing.now());
  }

  /** Whether the other side answers is known after two seconds; an address behind it may take its time. */
  async dialTcp({ end }: PathTarget, signal: AbortSignal): Promise<Duplex> {
    this.#check(end);
    if (signal.aborted) throw signal.reason;
    const dial: WaitingDial = { stop: new AbortController(), from: this.#options.timing.now() };
    const onAbort = (): void => dial.stop.abort(signal.reason);
    signal.addEventListener('abort', onAbort, { once: true });
    this.#waiting.add(dial);
    this.#attend();
    try {
      const place = { destination: end.address, port: end.port };
      return await this.#tunnel.host.connectTcp(place, dial.stop.signal);
    } catch (cause) {
      throw dial.stop.signal.aborted ? dial.stop.signal.reason : stackError(cause);
    } finally {
      this.#waiting.delete(dial);
      signal.removeEventListener('abort', onAbort);
    }
  }

  async openUdp({ end }: PathTarget): Promise<FarUdp> {
    this.#check(end);
    const channel = this.#tunnel.host.openUdp({ destination: end.address, port: end.port });
    if (channel === undefined)
      throw new PathError('path', 'unreachable', 'There are too many flows on this path.');
    this.#attend();
    return new ChannelFlow(channel);
  }

  async openEcho({ end }: PathTarget): Promise<FarUdp> {
    this.#check(end);
    const channel = this.#tunnel.host.openEcho({ destination: end.address });
    if (channel === undefined)
      throw new PathError('path', 'unreachable', 'There are too many pings on this path.');
    this.#attend();
    return new ChannelFlow(channel);
  }

  bytes(): number {
    return this.#tunnel.status().peers.reduce((sum, peer) => sum + peer.rxBytes + peer.txBytes, 0);
  }

  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    clearTimeout(this.#timer);
    this.#cancelLook?.();
    this.#tunnel.end();
  }

  /** A flow begins: whether the other side is there is looked at until that is known. */
  #attend(): void {
    if (this.#trouble !== undefined || this.#isClosed) return;
    this.#watch.look(this.#counts(), this.#options.timing.now());
    this.#ask(this.#watch.handleFlow(this.#options.timing.now()));
    this.#cancelLook ??= this.#options.timing.after(lookMs, () => this.#look());
  }

  #look(): void {
    this.#cancelLook = undefined;
    if (this.#isClosed) return;
    const { timing } = this.#options;
    const now = timing.now();
    this.#ask(this.#watch.look(this.#counts(), now));
    if (this.#watch.isSilent) {
      for (const { stop, from } of this.#waiting) if (now - from >= silentPatienceMs) stop.abort(silence);
    } else if (!this.#watch.isWaiting && this.#waiting.size > 0) {
      // What was heard was not about this one.
      this.#watch.handleFlow(now);
    }
    if (!this.#watch.isWaiting) return;
    const ms = this.#watch.isSilent && this.#waiting.size === 0 ? silentLookMs : lookMs;
    this.#cancelLook = timing.after(ms, () => this.#look());
  }

  #ask(step: 'nothing' | 'ask'): void {
    if (step === 'nothing' || this.#isClosed) return;
    const { peers } = this.#options.config;
    const renew = { updateOnly: true, renew: true, allowedIps: [] };
    const change = { peers: peers.map(({ publicKey }) => ({ publicKey, ...renew })) };
    // Where it cannot be asked it cannot answer either.
    void this.#tunnel.configure(change).catch(() => undefined);
  }

  #counts(): HopCounts {
    const counts = { received: 0, sent: 0 };
    for (const { rxBytes, txBytes } of this.#tunnel.status().peers) {
      counts.received += rxBytes;
      counts.sent += txBytes;
    }
    return counts;
  }

  #check(end: FlowEnd): void {
    if (this.#allowed.some((prefix) => prefixContains(prefix, end.address))) return;
    throw new PathError('path', 'unreachable', 'The other side of this path does not take that address.');
  }

  async #configure(): Promise<void> {
    const { config, lookUp } = this.#options;
    const endpoints = await Promise.all(config.peers.map((peer) => lookUp(peer.host)));
    if (this.#isClosed) return;
    const isMissing = endpoints.includes(undefined);
    await this.#tunnel.configure({
      privateKey: config.privateKey,
      ...(config.disguise === undefined ? {} : { disguise: config.disguise }),
      listenPort: 0,
      replacePeers: true,
      peers: config.peers.map((peer, i) => peerChange(peer, endpoints[i])),
    });
    this.#trouble = isMissing ? 'the name of its endpoint cannot be looked up' : undefined;
    if (!isMissing || this.#isClosed) return;
    this.#timer = setTimeout(() => void this.#configure().catch(() => undefined), lookUpAgainMs);
    this.#timer.unref();
  }
}

function peerChange(peer: HopPeer, address: string | undefined): DeviceChange['peers'][number] {
  const endpoint: Endpoint | undefined = address === undefined ? undefined : { address, port: peer.port };
  return {
    publicKey: peer.publicKey,
    ...(peer.presharedKey === undefined ? {} : { presharedKey: peer.presharedKey }),
    ...(endpoint === undefined ? {} : { endpoint }),
    persistentKeepalive: peer.persistentKeepalive,
    allowedIps: peer.allowedTexts,
  };
}

const silence = new PathError('path', 'timeout', "The other side of this path's tunnel does not answer.");

const failures: Readonly<Record<ConnectFailure, readonly [FailureOf, FailureKind, string]>> = {
  refused: ['destination', 'refused', 'Nobody listens there.'],
  unreachable: ['destination', 'unreachable', 'The destination cannot be reached.'],
  timeout: ['destination', 'timeout', 'The destination does not answer.'],
  full: ['path', 'unreachable', 'There are too many connections on this path.'],
  closed: ['path', 'unreachable', 'The tunnel of this path is closed.'],
};

function stackError(cause: unknown): PathError {
  const failure = failures[(cause as ConnectError).failure];
  return failure === undefined
    ? new PathError('path', 'unreachable', 'The tunnel of this path does not work.', cause)
    : new PathError(...failure, cause);
}

class ChannelFlow implements FarUdp {
  readonly #channel: UdpChannel;
  #isOpen = true;

  constructor(channel: UdpChannel) {
    this.#channel = channel;
  }

  send(bytes: Uint8Array): void {
    this.#channel.send(bytes);
  }

  onMessage(listener: (bytes: Uint8Array) => void): void {
    this.#channel.onMessage(listener);
  }

  onClose(listener: () => void): void {
    this.#channel.onClose(() => {
      if (!this.#isOpen) return;
      this.#isOpen = false;
      listener();
    });
  }

  close(): void {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    this.#channel.close();
  }
}
