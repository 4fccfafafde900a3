/**
 * A userspace TCP/IP stack: IP packets in and out in batches, connections and flows for its consumer. Pure:
 * told the time, given its randomness. For the client's proxy mode (it opens connections through the tunnel)
 * and for an edge without privileges (it accepts for any destination: the consumer dials first, then decides).
 *
 * The invariant of its driver: after `handlePackets` or `poll` write `out`, then take the events, carry out
 * commands, and call `poll` again as soon as `nextTimeoutAt` says, which after a command is at once. Where
 * `out` was full, nothing is lost: what was left goes out with the next `poll`.
 *
 *     in → handlePackets ─→ fragments → tcp-demux → tcp-arrive → acknowledge, receive ┐
 *                                     → udp-flows, icmp-input                         ├→ events → consumer
 *     out ← transmit ← poll ← timers, commands ←──────────────────────────────────────┘
 *
 * What a packet can do is bounded by `NetLimits`; hostile input only counts (`counts`). Explicit congestion
 * notification, TCP fast open and urgent data are not implemented: the first two are never offered, urgent
 * data arrives in line.
 */

import { assert } from '../base/assert.ts';
import type { Entropy } from '../base/ports.ts';
import { type MonoMs, monoMs } from '../base/time.ts';
import type { PacketBatch } from '../packet/batch.ts';
import { ChunkPool } from './byte-queue.ts';
import type { CongestionName } from './congestion/congestion.ts';
import type { NetContext } from './context.ts';
import type { FlowEnd, NetCounts, NetEvent, Refusal, TcpConnection, UdpFlow } from './events.ts';
import { IpFragments } from './ip-fragments.ts';
import { IpInput } from './ip-input.ts';
import { defaultNetLimits, type NetLimits } from './limits.ts';
import { Population } from './population.ts';
import { SipHash, sipKeySize } from './siphash.ts';
import { TcpDemux } from './tcp-demux.ts';
import { UdpFlows } from './udp-flows.ts';
import { UdpSocket } from './udp-socket.ts';
import { WakeHeap } from './wake-heap.ts';

export interface NetStackOptions {
  readonly entropy: Entropy;
  /** Our addresses, 4 or 16 bytes: they answer echo requests, and the first of a family is the source of what we open. */
  readonly addresses: readonly Uint8Array[];
  /** Largest IP packet that we send and promise to take; at least 1280. */
  readonly mtu: number;
  /** Whether connections and flows to addresses that are not ours are announced. Default: no, they are strays. */
  readonly acceptAny?: boolean;
  readonly limits?: Partial<NetLimits>;
  /** Default 'bbr'. */
  readonly congestion?: CongestionName;
}

/** Where to connect or send to. */
export interface Destination {
  readonly destination: Uint8Array;
  readonly port: number;
  /** Default: our first address of the family. Need not be ours. */
  readonly source?: Uint8Array;
  /** Default: a random free port. */
  readonly sourcePort?: number;
}

const smallestMtu = 1280;

export class NetStack {
  readonly counts: NetCounts = {
    malformed: 0,
    stray: 0,
    overLimit: 0,
    unacceptable: 0,
    challengeAcks: 0,
    resetsSent: 0,
    noRoom: 0,
    icmpErrors: 0,
    echoes: 0,
  };
  readonly #context: NetContext;
  readonly #tcp: TcpDemux;
  readonly #udp: UdpFlows;
  readonly #echo: UdpFlows;
  readonly #fragments: IpFragments;
  readonly #input: IpInput;
  #takenEvents: NetEvent[] = [];

  constructor(options: NetStackOptions) {
    const { entropy, mtu, addresses } = options;
    assert(mtu >= smallestMtu, 'the MTU carries IPv6');
    const limits = { ...defaultNetLimits, ...options.limits };
    const key = new Uint8Array(sipKeySize);
    entropy.fill(key);
    this.#context = {
      entropy,
      limits,
      pool: new ChunkPool(limits.memoryBytes),
      secret: new SipHash(key),
      counts: this.counts,
      congestion: options.congestion ?? 'bbr',
      own: addresses.map((address) => address.slice()),
      mtu,
      now: monoMs(0),
      events: [],
      ready: [],
      sleepers: new WakeHeap(),
      hungry: new Set(),
      population: new Population(limits),
      repliesLeft: 0,
      repliesSince: Number.NEGATIVE_INFINITY,
    };
    this.#tcp = new TcpDemux(this.#context);
    this.#udp = new UdpFlows(this.#context, { flows: limits.udpFlows, perSource: limits.udpFlowsPerSource });
    this.#echo = new UdpFlows(this.#context, {
      flows: limits.echoFlows,
      perSource: limits.echoFlowsPerSource,
    });
    this.#fragments = new IpFragments(this.#context);
    const rooms = { tcp: this.#tcp, udp: this.#udp, echo: this.#echo, fragments: this.#fragments };
    this.#input = new IpInput(this.#context, rooms, options.acceptAny ?? false);
  }

  /** Numbers for status and tests. */
  get usage(): {
    readonly connections: number;
    readonly halfOpen: number;
    readonly timeWait: number;
    readonly udpFlows: number;
    readonly echoFlows: number;
    readonly reassemblies: number;
    readonly memoryBytes: number;
  } {
    const { population, pool } = this.#context;
    return {
      connections: population.connections,
      halfOpen: population.halfOpen,
      timeWait: population.timeWait,
      udpFlows: this.#udp.size,
      echoFlows: this.#echo.size,
      reassemblies: this.#fragments.size,
      memoryBytes: pool.usedBytes,
    };
  }

  /** Takes packets (borrowed until return) and sends what follows from them. */
  handlePackets(batch: PacketBatch, now: MonoMs, out: PacketBatch): void {
    this.#context.now = now;
    for (let i = 0; i < batch.count; i++) {
      this.#input.handle(batch.bytes, batch.offset[i]!, batch.length[i]!, now, out);
    }
    this.poll(now, out);
  }

  /** Does what is due by `now`: timers, and what commands asked for. */
  poll(now: MonoMs, out: PacketBatch): void {
    this.#context.now = now;
    this.#fragments.expire(now);
    this.#udp.poll(now, out);
    this.#echo.poll(now, out);
    this.#tcp.poll(now, out);
  }

  /** When `poll` is due; a time in the past where something waits, Infinity where nothing will happen by itself. */
  nextTimeoutAt(): number {
    const { ready, sleepers } = this.#context;
    if (ready.length > 0) return 0;
    return Math.min(sleepers.nextAt(), this.#udp.nextAt(), this.#echo.nextAt(), this.#fragments.nextAt());
  }

  /** What happened since the last call. Borrowed until the next call. */
  takeEvents(): readonly NetEvent[] {
    const taken = this.#context.events;
    this.#takenEvents.length = 0;
    this.#context.events = this.#takenEvents;
    this.#takenEvents = taken;
    return taken;
  }

  /** Opens a connection; 'tcp-opened' or 'tcp-closed' follows. Undefined where a limit is reached. */
  connectTcp(to: Destination): TcpConnection | undefined {
    const ends = this.#endsOf(to);
    return ends === undefined ? undefined : this.#tcp.connect(ends);
  }

  /** Our addresses are others now. What runs from the ones before is the caller's to end. */
  setAddresses(addresses: readonly Uint8Array[]): void {
    this.#context.own = addresses.map((address) => address.slice());
  }

  /** Connections to this port of our own addresses are announced. */
  listenTcp(port: number): void {
    this.#input.tcpPorts.add(port);
  }

  /** Datagrams to this port of our own addresses are announced. */
  listenUdp(port: number): void {
    this.#input.udpPorts.add(port);
  }

  stopListening(port: number): void {
    this.#input.tcpPorts.delete(port);
    this.#input.udpPorts.delete(port);
  }

  /** Answers a 'tcp-incoming' connection with SYN-ACK. False where it is gone meanwhile. */
  accept(connection: TcpConnection): boolean {
    return this.#tcp.accept(connection);
  }

  /** Answers what came in with a refusal. 'reset' is 'unreachable' for UDP. */
  refuse(flow: TcpConnection | UdpFlow, refusal: Refusal): void {
    if (flow instanceof UdpSocket) (flow.kind === 'udp' ? this.#udp : this.#echo).refuse(flow, refusal);
    else this.#tcp.refuse(flow as TcpConnection, refusal);
  }

  /** A flow to send datagrams on. Undefined where a limit is reached or the flow exists. */
  openUdp(to: Destination): UdpFlow | undefined {
    const ends = this.#endsOf(to);
    if (ends === undefined) return undefined;
    if (ends.local.port !== 0) return this.#udp.open({ ...ends, source: undefined });
    const port = this.#udp.freePort(ends);
    return port === 0
      ? undefined
      : this.#udp.open({ ...ends, local: { ...ends.local, port }, source: undefined });
  }

  /** A series of echo requests; `port` counts for nothing. Undefined where a limit is reached. */
  openEcho(to: Destination): UdpFlow | undefined {
    const ends = this.#endsOf(to);
    if (ends === undefined) return undefined;
    const { local, remote } = ends;
    const port = this.#echo.freeIdentifier(local.address, remote.address);
    return port === 0
      ? undefined
      : this.#echo.open({
          local: { ...local, port },
          remote: { ...remote, port },
          source: undefined,
          kind: 'echo',
        });
  }

  #endsOf(to: Destination): { readonly local: FlowEnd; readonly remote: FlowEnd } | undefined {
    const { destination, port } = to;
    const source = to.source ?? this.#context.own.find((address) => address.length === destination.length);
    if (source === undefined || source.length !== destination.length) return undefined;
    return { local: { address: source, port: to.sourcePort ?? 0 }, remote: { address: destination, port } };
  }
}
