/**
 * The path of type source: a given source address, a given interface, or both. Without an interface the machine's
 * own routing must send that source out by the right uplink.
 */

import { createSocket, type Socket as UdpSocket } from 'node:dgram';
import { connect, type NetConnectOpts, type Socket } from 'node:net';
import { type NetworkInterfaceInfo, networkInterfaces } from 'node:os';
import type { Duplex } from 'node:stream';
import { formatAddress, parseAddress } from '../../shared/core/base/ip.ts';
import type { FlowEnd } from '../../shared/core/netstack/events.ts';
import type { FarUdp } from '../../shared/node/flows/contract.ts';
import { directRead, markDirect } from '../../shared/node/flows/direct-read.ts';
import { bindUdpToDevice, canBindDevice, openBoundTcp } from './bind-device.ts';
import { connectedUdp } from './connected-udp.ts';
import { askPing, EchoSocket } from './echo-socket.ts';
import { type EgressPath, type FlowProtocol, PathError, type PathTarget } from './path.ts';
import { directError } from './path-errors.ts';
import { awaitConnection } from './upstream-dial.ts';

export interface SourceOptions {
  /** Numeric; undefined: the interface's. */
  readonly address: string | undefined;
  readonly interfaceName: string | undefined;
}

type Interfaces = NodeJS.Dict<NetworkInterfaceInfo[]>;

const keepAliveMs = 120_000;

export class SourcePath implements EgressPath {
  readonly type = 'source';
  readonly id: string;
  readonly #options: SourceOptions;
  readonly #family: number | undefined;
  readonly #interfaces: () => Interfaces;

  /** `interfaces`: for tests. */
  constructor(id: string, options: SourceOptions, interfaces: () => Interfaces = recentInterfaces) {
    this.id = id;
    this.#options = options;
    this.#family = options.address === undefined ? undefined : parseAddress(options.address)?.length;
    this.#interfaces = interfaces;
  }

  carries(protocol: FlowProtocol, family: number): boolean {
    if (this.#family !== undefined && this.#family !== family) return false;
    return protocol !== 'icmp' || askPing(family === 4 ? 4 : 16).isAllowed;
  }

  trouble(): string | undefined {
    const { address, interfaceName } = this.#options;
    const all = this.#interfaces();
    if (interfaceName !== undefined) {
      if (all[interfaceName] === undefined) return `there is no interface ${interfaceName} with an address`;
      if (!canBindDevice() && address === undefined) return 'native calls are missing here';
      return undefined;
    }
    const isHere = Object.values(all).some((list) => list?.some((one) => one.address === address));
    // 127.0.0.0/8 is this machine's without standing anywhere.
    return isHere || address?.startsWith('127.') === true
      ? undefined
      : `this machine does not have ${address}`;
  }

  async dialTcp({ end }: PathTarget, signal: AbortSignal): Promise<Duplex> {
    if (signal.aborted) throw signal.reason;
    try {
      return await awaitConnection(this.#connect(end), signal);
    } catch (cause) {
      throw signal.aborted ? signal.reason : directError(cause);
    }
  }

  async openUdp({ end }: PathTarget): Promise<FarUdp> {
    const source = this.#sourceFor(end.address.length);
    const { interfaceName } = this.#options;
    const socket = createSocket({
      type: end.address.length === 4 ? 'udp4' : 'udp6',
      // Addresses are numeric: what is asked is the answer.
      lookup: (host, _options, callback) => callback(null, host, end.address.length === 4 ? 4 : 6),
    });
    try {
      await bound(socket, source);
      if (interfaceName !== undefined && !bindUdpToDevice(socket, interfaceName)) throw noDevice();
      return await connectedUdp(socket, end);
    } catch (cause) {
      socket.close();
      throw directError(cause);
    }
  }

  async openEcho({ end }: PathTarget): Promise<FarUdp> {
    const address = parseAddress(this.#sourceFor(end.address.length));
    try {
      return new EchoSocket(end.address, { address, interfaceName: this.#options.interfaceName });
    } catch (cause) {
      throw directError(cause);
    }
  }

  close(): void {
    // Nothing of its own.
  }

  #connect(end: FlowEnd): Socket {
    const source = this.#sourceFor(end.address.length);
    const { interfaceName } = this.#options;
    const fd = openBoundTcp(parseAddress(source) ?? new Uint8Array(4), interfaceName);
    if (fd === undefined && interfaceName !== undefined) throw noDevice();
    const options: NetConnectOpts & { readonly manualStart: boolean } = {
      host: formatAddress(end.address),
      port: end.port,
      // Without native calls the system binds it, with a port of its own; also what it says where it cannot.
      ...(fd === undefined ? { localAddress: source } : { fd }),
      // A socket that has a descriptor would be read before it is connected.
      manualStart: fd !== undefined,
      allowHalfOpen: true,
      noDelay: true,
      keepAlive: true,
      keepAliveInitialDelay: keepAliveMs,
      autoSelectFamily: false,
      onread: directRead(),
    };
    const socket = connect(options);
    markDirect(socket);
    return socket;
  }

  /** Throws PathError where the path has no address of the family. */
  #sourceFor(family: number): string {
    const { address, interfaceName } = this.#options;
    if (address !== undefined && this.#family === family) return address;
    const wanted = family === 4 ? 'IPv4' : 'IPv6';
    const own = this.#interfaces()[interfaceName ?? '']?.find(
      (one) => one.family === wanted && !one.address.startsWith('fe80:'),
    );
    if (address === undefined && own !== undefined) return own.address;
    throw new PathError('path', 'unreachable', `This path has no ${wanted} address.`);
  }
}

function noDevice(): PathError {
  return new PathError('path', 'unreachable', 'The interface of this path cannot be used.');
}

function bound(socket: UdpSocket, address: string): Promise<void> {
  return new Promise((resolve, reject) => {
    socket.once('error', reject);
    socket.bind({ address, port: 0 }, () => {
      socket.off('error', reject);
      resolve();
    });
  });
}

/** Every new flow asks, and the system takes its time to list them. */
const interfacesLifeMs = 500;
let listed: ReturnType<typeof networkInterfaces> = {};
let listedAt = Number.NEGATIVE_INFINITY;

/** The machine's interfaces as they are, or were a moment ago. */
function recentInterfaces(): ReturnType<typeof networkInterfaces> {
  const now = performance.now();
  if (now - listedAt < interfacesLifeMs) return listed;
  listed = networkInterfaces();
  listedAt = now;
  return listed;
}
