/**
 * The path of type wireguard: through another edge, or any WireGuard server, as its client. A tunnel of our own
 * engine that ends in a userspace stack; nothing of this machine is touched.
 */

import type { Duplex } from 'node:stream';
import type { Endpoint } from '../../shared/core/base/endpoint.ts';
import { type Prefix, prefixContains } from '../../shared/core/base/ip.ts';
import type { FlowEnd } from '../../shared/core/netstack/events.ts';
import type { DeviceChange, DeviceStatus } from '../../shared/core/tunnel/config.ts';
import type {
  ConnectError,
  ConnectFailure,
  FarUdp,
  StackHost,
  UdpChannel,
} from '../../shared/node/flows/contract.ts';
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
}

/** A name that could not be looked up is asked again after this. */
const lookUpAgainMs = 15_000;

export class WireguardPath implements EgressPath {
  readonly type = 'wireguard';
  readonly id: string;
  readonly #options: WireguardOptions;
  readonly #tunnel: HopTunnel;
  readonly #allowed: readonly Prefix[];
  #trouble: string | undefined = 'its tunnel is being set up';
  #timer: NodeJS.Timeout | undefined;
  #isClosed = false;
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
    return this.#trouble;
  }

  async dialTcp({ end }: PathTarget, signal: AbortSignal): Promise<Duplex> {
    this.#check(end);
    try {
      return await this.#tunnel.host.connectTcp({ destination: end.address, port: end.port }, signal);
    } catch (cause) {
      throw signal.aborted ? signal.reason : stackError(cause);
    }
  }

  async openUdp({ end }: PathTarget): Promise<FarUdp> {
    this.#check(end);
    const channel = this.#tunnel.host.openUdp({ destination: end.address, port: end.port });
    if (channel === undefined)
      throw new PathError('path', 'unreachable', 'There are too many flows on this path.');
    return new ChannelFlow(channel);
  }

  async openEcho({ end }: PathTarget): Promise<FarUdp> {
    this.#check(end);
    const channel = this.#tunnel.host.openEcho({ destination: end.address });
    if (channel === undefined)
      throw new PathError('path', 'unreachable', 'There are too many pings on this path.');
    return new ChannelFlow(channel);
  }

  bytes(): number {
    return this.#tunnel.status().peers.reduce((sum, peer) => sum + peer.rxBytes + peer.txBytes, 0);
  }

  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    clearTimeout(this.#timer);
    this.#tunnel.end();
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
