/**
 * One UDP flow, or one series of echo requests: two bounded queues and when it was last used. Its consumer sees it
 * as UdpFlow.
 */

import { protocolIcmp, protocolIcmp6, protocolUdp } from '../packet/transport.ts';
import { udpHeaderSize } from '../packet/udp.ts';
import type { ChunkPool } from './byte-queue.ts';
import { DatagramQueue } from './datagram-queue.ts';
import type { FlowEnd, FlowKind, Refusal, UdpFlow } from './events.ts';
import { type FlowNode, flowKeyOf } from './flow-table.ts';
import { type IpPath, ipPath } from './ip-output.ts';
import type { NetLimits } from './limits.ts';
import type { Sleeper } from './wake-heap.ts';

/** What IPv4 can carry with both headers; a little less than IPv6 could. */
const maxPayload = 65_507;
const dnsPort = 53;
/** An echo message is its whole ICMP message: header and payload. */
export const echoHeaderSize = 8;

export interface UdpEnds {
  readonly local: FlowEnd;
  readonly remote: FlowEnd;
  /** Who the limits of one source count; undefined for flows that we begin. */
  readonly source: string | undefined;
  /** Default 'udp'. For 'echo' both ports are the identifier. */
  readonly kind?: FlowKind;
}

export class UdpSocket implements UdpFlow, FlowNode<UdpSocket>, Sleeper {
  readonly key: Uint8Array;
  hash = 0;
  chained: UdpSocket | undefined;
  wakeAt: number = Number.POSITIVE_INFINITY;
  heapIndex = -1;
  isReady = false;

  attachment: unknown;
  readonly kind: FlowKind;
  readonly local: FlowEnd;
  readonly remote: FlowEnd;
  readonly source: string | undefined;
  readonly path: IpPath;
  readonly idleMs: number;
  readonly arrived: DatagramQueue;
  readonly leaving: DatagramQueue;
  isOpen = true;
  /** Out of the table. */
  isEnded = false;
  /** Negative until the stack first saw it. */
  usedAt = -1;
  mtu: number;
  toldReadable = false;
  refusal: Refusal | undefined;
  /** Header of the last echo request, for an error about it; undefined for UDP. */
  readonly lastEcho: Uint8Array | undefined;
  readonly #markReady: (socket: UdpSocket) => void;

  constructor(
    ends: UdpEnds,
    pool: ChunkPool,
    limits: NetLimits,
    mtu: number,
    markReady: (socket: UdpSocket) => void,
  ) {
    const { local, remote, kind = 'udp' } = ends;
    this.kind = kind;
    this.lastEcho = kind === 'echo' ? new Uint8Array(echoHeaderSize) : undefined;
    this.key = flowKeyOf(remote.address, remote.port, local.address, local.port);
    this.path = ipPath(local.address, remote.address, protocolOf(kind, local.address.length));
    this.local = { address: this.path.local, port: local.port };
    this.remote = { address: this.path.remote, port: remote.port };
    this.source = ends.source;
    this.idleMs = idleMsOf(this, limits);
    this.arrived = new DatagramQueue(pool, limits.udpQueueBytes);
    this.leaving = new DatagramQueue(pool, limits.udpQueueBytes);
    this.mtu = mtu;
    this.#markReady = markReady;
  }

  get nextLength(): number {
    return this.arrived.nextLength;
  }

  receive(into: Uint8Array): number {
    const length = this.arrived.nextLength;
    this.toldReadable = false;
    if (length < 0) return -1;
    this.arrived.copyPart(0, Math.min(length, into.length), into, 0);
    this.arrived.shift();
    return length;
  }

  send(bytes: Uint8Array, start = 0, end: number = bytes.length): boolean {
    if (!this.isOpen || end - start > maxPayload) return false;
    if (this.kind === 'echo' && end - start < echoHeaderSize) return false;
    if (!this.leaving.push(bytes, start, end)) return false;
    this.#markReady(this);
    return true;
  }

  close(): void {
    if (!this.isOpen) return;
    this.isOpen = false;
    this.#markReady(this);
  }

  /** Header and content of the next leaving datagram, in bytes. */
  get leavingSize(): number {
    return this.leaving.nextLength + this.addedSize;
  }

  /** Bytes in front of the content of a datagram. */
  get addedSize(): number {
    return this.kind === 'echo' ? 0 : udpHeaderSize;
  }
}

function protocolOf(kind: FlowKind, family: number): number {
  if (kind === 'udp') return protocolUdp;
  return family === 4 ? protocolIcmp : protocolIcmp6;
}

function idleMsOf({ kind, local, remote }: UdpFlow, limits: NetLimits): number {
  if (kind === 'echo') return limits.echoIdleMs;
  return remote.port === dnsPort || local.port === dnsPort ? limits.udpDnsIdleMs : limits.udpIdleMs;
}
