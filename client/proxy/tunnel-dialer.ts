/**
 * The Dialer of the proxy: connections and datagrams by the TCP/IP stack inside the tunnel. Names are resolved at
 * its far end. Nothing here can reach the network outside: it has no other way out than the stack.
 */

import type { Duplex } from 'node:stream';
import { equalBytes } from '../../shared/core/base/bytes.ts';
import { formatAddress, type Prefix, parseAddress, prefixContains } from '../../shared/core/base/ip.ts';
import { after, type MonoMs, minuteMs, monoMs } from '../../shared/core/base/time.ts';
import type { ConnectError, ConnectFailure, StackHost } from '../../shared/node/flows/contract.ts';
import { isLoopbackAddress } from './access.ts';
import { DialError, type Dialer, type DialFailure, type DialRequest, type UdpFlow } from './dialer.ts';
import { interleave, raceConnect } from './happy-eyeballs.ts';
import { TunnelFlow } from './tunnel-flow.ts';
import type { TunnelNames } from './tunnel-names.ts';

export interface TunnelDialerOptions {
  readonly stack: Pick<StackHost, 'connectTcp' | 'openUdp'>;
  readonly names: TunnelNames;
  /** Our own addresses in the tunnel. */
  readonly own: readonly Uint8Array[];
  /** Where the tunnel leads: the file's AllowedIPs. */
  readonly reachable: readonly Prefix[];
  readonly now: () => MonoMs;
}

const failures: Readonly<Record<ConnectFailure, readonly [DialFailure, string]>> = {
  refused: ['refused', 'The destination refused the connection.'],
  unreachable: ['unreachable', 'The destination cannot be reached.'],
  timeout: ['timeout', 'The destination did not answer in time.'],
  full: ['unreachable', 'There are too many connections through the tunnel.'],
  closed: ['tunnel-down', 'The tunnel has ended.'],
};

/** After IPv6 lost against IPv4, IPv4 goes first for this long. */
const familyMemoryMs = 10 * minuteMs;

export class TunnelDialer implements Dialer {
  readonly #options: TunnelDialerOptions;
  #ipv4FirstUntil: MonoMs = monoMs(0);

  constructor(options: TunnelDialerOptions) {
    this.#options = options;
  }

  async dialTcp(request: DialRequest): Promise<Duplex> {
    const { host, port, signal } = request;
    signal.throwIfAborted();
    const first = this.#options.now() < this.#ipv4FirstUntil ? 4 : 16;
    const addresses = interleave(await this.#addressesOf(host, signal), first);
    const { connection, address } = await raceConnect({
      addresses,
      signal,
      connect: (destination, own) => this.#connect(destination, port, own),
      discard: (late) => late.on('error', ignore).destroy(),
    });
    // Both families were there and the second won: it would win the next time, too.
    if (addresses[0]?.length === 16 && address.length === 4) {
      this.#ipv4FirstUntil = after(this.#options.now(), familyMemoryMs);
    }
    return connection;
  }

  openUdp(): UdpFlow {
    return new TunnelFlow({
      stack: this.#options.stack,
      addressesOf: (host, signal) => this.#addressesOf(host, signal),
    });
  }

  /** At least one that the tunnel leads to. */
  async #addressesOf(host: string, signal: AbortSignal): Promise<readonly Uint8Array[]> {
    const numeric = parseAddress(host);
    const addresses = numeric === undefined ? await this.#options.names.resolve(host, signal) : [numeric];
    const allowed = addresses.filter((address) => this.#refusal(address) === undefined);
    if (allowed.length > 0) return allowed;
    throw this.#refusal(addresses[0] ?? new Uint8Array(4)) ?? new DialError('unreachable', 'No address.');
  }

  /** Why we do not even try; undefined where we do. */
  #refusal(address: Uint8Array): DialError | undefined {
    const { own, reachable } = this.#options;
    if (isLoopbackAddress(address) || address.every((byte) => byte === 0)) {
      return new DialError('denied', 'The proxy does not lead to this machine itself.');
    }
    if (own.some((one) => equalBytes(one, address))) {
      return new DialError('denied', "That is this machine's own address inside the tunnel.");
    }
    if (!own.some((one) => one.length === address.length)) {
      return new DialError('unreachable', `This tunnel carries no IPv${address.length === 4 ? 4 : 6}.`);
    }
    if (!reachable.some((prefix) => prefixContains(prefix, address))) {
      return new DialError('unreachable', `This tunnel does not lead to ${formatAddress(address)}.`);
    }
    return undefined;
  }

  async #connect(destination: Uint8Array, port: number, signal: AbortSignal): Promise<Duplex> {
    try {
      return await this.#options.stack.connectTcp({ destination, port }, signal);
    } catch (error) {
      throw signal.aborted ? (signal.reason as Error) : dialErrorOf(error);
    }
  }
}

function dialErrorOf(error: unknown): DialError {
  const failure = (error as Partial<ConnectError>).failure ?? 'unreachable';
  const [kind, sentence] = failures[failure];
  return new DialError(kind, sentence, error);
}

function ignore(): void {}
