/**
 * Carries what a program in its own network begins: every connection and every flow of datagrams goes on
 * through a Dialer, dialled first and accepted afterwards, so that the program sees a refusal as a refusal.
 */

import type { Duplex } from 'node:stream';
import { formatAddress } from '../../shared/core/base/ip.ts';
import type { FlowEnd, Refusal } from '../../shared/core/netstack/events.ts';
import type { StackHost, TcpIncoming, UdpChannel } from '../../shared/node/flows/contract.ts';
import { splice } from '../../shared/node/flows/splice.ts';
import {
  DialError,
  type Dialer,
  type DialFailure,
  type DialRequest,
  type UdpFlow,
  type UdpMessage,
} from '../proxy/dialer.ts';
import { NameRelay } from './name-relay.ts';
import { dnsPort } from './settings.ts';

/** What the program sees: "connection refused", "no route to host", or nothing at all. */
const refusals: Readonly<Record<DialFailure, Refusal>> = {
  refused: 'reset',
  'tunnel-down': 'reset',
  denied: 'reset',
  unreachable: 'unreachable',
  'name-not-found': 'unreachable',
  timeout: 'drop',
};

export interface FlowRelayOptions {
  readonly stack: StackHost;
  readonly dialer: Dialer;
  /** Inside the tunnel; empty: names fail at once. */
  readonly resolvers: readonly string[];
  /** Counts milliseconds. */
  readonly now: () => number;
}

/** All flows of one socket of the program: one port at the far end, as a NAT would have it (RFC 4787 REQ-1). */
interface PortRelay {
  readonly flow: UdpFlow;
  /** By the other end. */
  readonly channels: Map<string, UdpChannel>;
}

export class FlowRelay {
  readonly #stack: StackHost;
  readonly #dialer: Dialer;
  readonly #names: NameRelay;
  /** By the program's end. Bounded by the stack's limit of flows. */
  readonly #ports = new Map<string, PortRelay>();

  constructor({ stack, dialer, resolvers, now }: FlowRelayOptions) {
    this.#stack = stack;
    this.#dialer = dialer;
    this.#names = new NameRelay(dialer, resolvers, now);
  }

  /** Listens on the stack from now on. Call once. */
  start(): void {
    const stack = this.#stack;
    stack.onTcp((incoming) => this.#carry(incoming, incoming.destination));
    stack.onUdp((channel) => this.#carryUdp(channel));
    stack.listenTcp(dnsPort, (incoming) => this.#carryQuestions(incoming));
    stack.listenUdp(dnsPort, (channel) => this.#names.serve(channel));
  }

  #carryQuestions(incoming: TcpIncoming): void {
    const { resolver } = this.#names;
    if (resolver === undefined) incoming.refuse('reset');
    else this.#carry(incoming, resolver);
  }

  #carry(incoming: TcpIncoming, to: FlowEnd | string): void {
    const abort = new AbortController();
    incoming.onGone(() => abort.abort());
    const place =
      typeof to === 'string'
        ? { host: to, port: dnsPort }
        : { host: formatAddress(to.address), port: to.port };
    void this.#join(incoming, { ...place, signal: abort.signal });
  }

  /** Never rejects. */
  async #join(incoming: TcpIncoming, request: DialRequest): Promise<void> {
    let far: Duplex;
    try {
      far = await this.#dialer.dialTcp(request);
    } catch (error) {
      incoming.refuse(error instanceof DialError ? refusals[error.failure] : 'unreachable');
      return;
    }
    // Each end learns of the other's trouble by its closing.
    far.on('error', () => {});
    const near = incoming.accept()?.on('error', () => {});
    if (near === undefined) far.destroy();
    else splice(near, far);
  }

  #carryUdp(channel: UdpChannel): void {
    const near = endKey(channel.remote);
    const relay = this.#ports.get(near) ?? this.#openPort(near);
    if (relay === undefined) return channel.refuse('unreachable');
    const host = formatAddress(channel.local.address);
    const { port } = channel.local;
    const far = placeKey(host, port);
    relay.channels.set(far, channel);
    channel.onClose(() => {
      if (relay.channels.get(far) === channel) relay.channels.delete(far);
      if (relay.channels.size > 0 || this.#ports.get(near) !== relay) return;
      this.#ports.delete(near);
      relay.flow.close();
    });
    channel.onMessage((bytes) => relay.flow.send(host, port, bytes));
  }

  #openPort(near: string): PortRelay | undefined {
    try {
      const relay: PortRelay = { flow: this.#dialer.openUdp(), channels: new Map() };
      relay.flow.onMessage((message) => deliver(relay, message));
      this.#ports.set(near, relay);
      return relay;
    } catch {
      return undefined; // No tunnel now; the program is told.
    }
  }
}

/** Only whom the program has written to may answer. */
function deliver(relay: PortRelay, { host, port, bytes }: UdpMessage): void {
  relay.channels.get(placeKey(host, port))?.send(bytes);
}

function endKey(end: FlowEnd): string {
  return placeKey(formatAddress(end.address), end.port);
}

function placeKey(host: string, port: number): string {
  return `${host} ${port}`;
}
