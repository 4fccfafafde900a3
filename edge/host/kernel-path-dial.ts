/**
 * A path of the kernel backend as the measurements see it: connects by a socket of this program that carries the
 * path's mark, and so leaves where devices' packets do. Devices' own flows never come here.
 */

import { connect, type Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { formatAddress } from '../../shared/core/base/ip.ts';
import type { FlowEnd } from '../../shared/core/netstack/events.ts';
import { ffiAvailable } from '../../shared/node/ffi/libc.ts';
import { SO_MARK, SOL_SOCKET } from '../../shared/node/ffi/structs.ts';
import type { FarUdp } from '../../shared/node/flows/contract.ts';
import {
  type EgressPath,
  type FlowProtocol,
  PathError,
  type PathTarget,
  type PathType,
} from '../egress/path.ts';
import { directError } from '../egress/path-errors.ts';
import { awaitConnection } from '../egress/upstream-dial.ts';
import type { RouteFamily } from './kernel-path-routes.ts';

export interface KernelPathOptions {
  readonly id: string;
  readonly type: PathType;
  /** 0: none, as for what follows the main table. */
  readonly mark: number;
  /** Source addresses that it has for itself. */
  readonly sources: readonly string[];
  /** Families that may ever go this way. */
  readonly families: ReadonlySet<RouteFamily>;
}

/** Room for a mark. The engine keeps arrays of this size at one place, out of its own heap. */
const value = new Uint8Array(256);

export class KernelPath implements EgressPath {
  readonly id: string;
  readonly type: PathType;
  readonly #options: KernelPathOptions;
  #open: ReadonlySet<RouteFamily> = new Set();
  #trouble: string | undefined = 'it is being set up';
  /** Of a path of type wireguard. */
  #hop: { trouble(): string | undefined } | undefined;

  constructor(options: KernelPathOptions) {
    this.id = options.id;
    this.type = options.type;
    this.#options = options;
  }

  /** What the host's routes say of it now. */
  follow(open: ReadonlySet<RouteFamily>, trouble: string | undefined): void {
    this.#open = open;
    this.#trouble = trouble;
  }

  /** The tunnel by which it goes, which knows its own troubles. */
  followHop(hop: { trouble(): string | undefined }): void {
    this.#hop = hop;
  }

  carries(_protocol: FlowProtocol, family: number): boolean {
    return this.type !== 'block' && this.#options.families.has(family === 4 ? 'v4' : 'v6');
  }

  trouble(): string | undefined {
    return this.#trouble ?? this.#hop?.trouble();
  }

  /** The same for one family alone. */
  troubleOf(family: RouteFamily): string | undefined {
    const trouble = this.trouble();
    if (trouble !== undefined || this.#open.has(family)) return trouble;
    return `there is no route of IP${family} by it`;
  }

  async dialTcp({ end }: PathTarget, signal: AbortSignal): Promise<Duplex> {
    if (signal.aborted) throw signal.reason;
    // A tunnel that is silent is asked all the same: that is how it is heard again.
    const isClosed = this.#trouble !== undefined || !this.#open.has(end.address.length === 4 ? 'v4' : 'v6');
    if (isClosed) throw new PathError('path', 'unreachable', 'Nothing can go this way now.');
    try {
      return await awaitConnection(this.#connect(end), signal);
    } catch (cause) {
      throw signal.aborted ? signal.reason : directError(cause);
    }
  }

  openUdp(): Promise<FarUdp> {
    return Promise.reject(new PathError('path', 'unreachable', 'The kernel forwards datagrams itself.'));
  }

  close(): void {
    // Its routes are the controller's.
  }

  #connect(end: FlowEnd): Socket {
    const socket = connect({
      host: formatAddress(end.address),
      port: end.port,
      noDelay: true,
      autoSelectFamily: false,
    });
    const isFour = end.address.length === 4;
    const own = this.#options.sources.find((source) => source.includes(':') !== isFour);
    const needsMark = this.#options.mark !== 0;
    if (needsMark && !markSocket(socket, this.#options.mark, own ?? (isFour ? '0.0.0.0' : '::'))) {
      socket.on('error', () => undefined);
      socket.destroy();
      throw new PathError('path', 'unreachable', 'The socket cannot be marked for this path.');
    }
    return socket;
  }
}

/** What Node has behind a socket; it has no public name. */
interface TcpHandle {
  readonly fd?: number;
  bind?(address: string, port: number): number;
  bind6?(address: string, port: number, flags: number): number;
}

/** The socket has begun to connect in this turn of the event loop. False where that cannot be done. */
function markSocket(socket: Socket, mark: number, address: string): boolean {
  const ffi = ffiAvailable();
  const handle = Reflect.get(socket, '_handle') as TcpHandle | null | undefined;
  // Only a bound socket has a descriptor already; this must happen before its first packet.
  const isBound = (address.includes(':') ? handle?.bind6?.(address, 0, 0) : handle?.bind?.(address, 0)) === 0;
  const fd = handle?.fd;
  if (!ffi.ok || !isBound || fd === undefined || fd < 0) return false;
  new DataView(value.buffer).setUint32(0, mark, true);
  return ffi.libc.setsockopt(fd, SOL_SOCKET, SO_MARK, ffi.libc.addressOf(value), 4) === 0;
}
