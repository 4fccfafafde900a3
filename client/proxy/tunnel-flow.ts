/**
 * A UDP flow of the proxy on the stack inside the tunnel: one channel a destination, all from one port where the
 * stack has it free. Bounded: the channel that was silent the longest makes room; silent ones the stack ends.
 */

import { formatAddress } from '../../shared/core/base/ip.ts';
import type { StackHost, UdpChannel } from '../../shared/node/flows/contract.ts';
import type { UdpFlow, UdpMessage } from './dialer.ts';

export interface TunnelFlowOptions {
  readonly stack: Pick<StackHost, 'openUdp'>;
  /** Rejects where there is none, or where the tunnel does not lead there. */
  readonly addressesOf: (host: string, signal: AbortSignal) => Promise<readonly Uint8Array[]>;
}

/** Destinations of one flow at a time. */
export const maxChannels = 256;
/** Destinations whose name is being looked up, and datagrams that wait for each. */
const maxLookUps = 32;
const maxWaiting = 16;

export class TunnelFlow implements UdpFlow {
  readonly #options: TunnelFlowOptions;
  readonly #abort = new AbortController();
  /** By host and port as they were asked for; the one used last is the last. */
  readonly #channels = new Map<string, UdpChannel>();
  readonly #waiting = new Map<string, Uint8Array[]>();
  #listener: ((message: UdpMessage) => void) | undefined;
  /** Our port, once there is one. */
  #port: number | undefined;

  constructor(options: TunnelFlowOptions) {
    this.#options = options;
  }

  send(host: string, port: number, bytes: Uint8Array): void {
    if (this.#abort.signal.aborted) return;
    const key = `${host} ${port}`;
    const channel = this.#channels.get(key);
    if (channel !== undefined) {
      this.#channels.delete(key);
      this.#channels.set(key, channel);
      channel.send(bytes);
      return;
    }
    const waiting = this.#waiting.get(key);
    if (waiting !== undefined) {
      if (waiting.length < maxWaiting) waiting.push(Uint8Array.from(bytes));
      return;
    }
    if (this.#waiting.size >= maxLookUps) return;
    this.#waiting.set(key, [Uint8Array.from(bytes)]);
    void this.#open(key, host, port);
  }

  onMessage(listener: (message: UdpMessage) => void): void {
    this.#listener = listener;
  }

  close(): void {
    if (this.#abort.signal.aborted) return;
    this.#abort.abort(new Error('the flow is closed'));
    this.#listener = undefined;
    this.#waiting.clear();
    for (const channel of this.#channels.values()) channel.close();
    this.#channels.clear();
  }

  async #open(key: string, host: string, port: number): Promise<void> {
    let address: Uint8Array | undefined;
    try {
      [address] = await this.#options.addressesOf(host, this.#abort.signal);
    } catch {
      // Nobody to tell: datagrams get lost.
    }
    const waiting = this.#waiting.get(key) ?? [];
    this.#waiting.delete(key);
    if (address === undefined || this.#abort.signal.aborted) return;
    const channel = this.#channelTo(address, port);
    if (channel === undefined) return;
    this.#adopt(key, channel);
    for (const bytes of waiting) channel.send(bytes);
  }

  #channelTo(destination: Uint8Array, port: number): UdpChannel | undefined {
    const { stack } = this.#options;
    const shared = this.#port === undefined ? undefined : { destination, port, sourcePort: this.#port };
    const channel =
      (shared === undefined ? undefined : stack.openUdp(shared)) ?? stack.openUdp({ destination, port });
    this.#port ??= channel?.local.port;
    return channel;
  }

  #adopt(key: string, channel: UdpChannel): void {
    const silentLongest = this.#channels.entries().next();
    if (this.#channels.size >= maxChannels && silentLongest.done !== true) {
      const [oldKey, old] = silentLongest.value;
      this.#channels.delete(oldKey);
      old.close();
    }
    this.#channels.set(key, channel);
    const host = formatAddress(channel.remote.address);
    const { port } = channel.remote;
    channel.onClose(() => {
      if (this.#channels.get(key) === channel) this.#channels.delete(key);
    });
    channel.onMessage((bytes) => this.#listener?.({ host, port, bytes }));
  }
}
