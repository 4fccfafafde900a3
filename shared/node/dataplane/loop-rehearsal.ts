/**
 * The whole packet loop, system calls and all, run some thousand times before the first real packet:
 * two throwaway devices talk to each other over the loopback interface, and a pair of sockets stands
 * for the TUN interface. The engine then has the packet path compiled; otherwise the first minutes of
 * a quiet tunnel, whose packets are few, would run interpreted, at one and a half times the delay.
 *
 * Only for speed: whatever goes wrong ends it early. Nothing real is touched but two UDP ports, which
 * are bound to any number for that time and closed again. Keys are drawn and wiped.
 */

import type { Entropy } from '../../core/base/ports.ts';
import { type CryptoSuite, keySize } from '../../core/crypto/suite.ts';
import { ipv6DestinationAt, ipv6SourceAt } from '../../core/packet/ipv6.ts';
import { virtioHeaderSize } from '../../core/packet/virtio-header.ts';
import type { Limits } from '../../core/session/limits.ts';
import { TunnelDevice } from '../../core/tunnel/device.ts';
import type { Clock } from '../clock.ts';
import type { Libc } from '../ffi/libc.ts';
import type { WorkerMemory } from '../ffi/memory.ts';
import { AF_UNIX, SOCK_CLOEXEC, SOCK_DGRAM, SOCK_NONBLOCK } from '../ffi/structs.ts';
import { silentLog } from '../silent-log.ts';
import { TunLinux } from '../tun/tun-linux.ts';
import { UdpLinux } from '../udp/udp-linux.ts';
import type { LoopBatches } from './batches.ts';
import { DataplaneLoop } from './loop.ts';
import { Outbox } from './outbox.ts';
import { Pace } from './pace.ts';
import { PollDriver } from './poll-driver.ts';
import {
  putPacket,
  type RehearsalPacket,
  rehearsalMtu,
  rehearsalPacketBytes,
  rehearsalPackets,
} from './rehearsal-packets.ts';

export interface LoopRehearsalOptions {
  readonly libc: Libc;
  /** Takes about 460 KiB of it. */
  readonly memory: WorkerMemory;
  readonly suite: CryptoSuite;
  readonly entropy: Entropy;
  readonly clock: Clock;
  /** Empty, and empty again afterwards. */
  readonly batches: LoopBatches;
  /** Rung now and then. */
  readonly eventFd: number;
  /** Packets to send back and forth. */
  readonly rounds: number;
  /** It ends then, wherever it is. */
  readonly budgetMs: number;
  /** The first act alone, or the others; default: all. */
  readonly part?: 'first' | 'rest';
}

/** So short that sessions, timers and keepalives have their turn too. */
const limits: Partial<Limits> = {
  rekeyAfterTimeMs: 4,
  rekeyTimeoutMs: 3,
  keepaliveTimeoutMs: 2,
  jitterMs: 1,
  initiationMinIntervalMs: 0,
};
const refreshIntervalMs = 2;
/** Shares of the rounds, each with fresh devices. */
const acts: readonly number[] = [0.02, 0.08, 0.9];
const roundsBetweenRings = 32;
const roundsBetweenTrims = 8;
const wakesOfStream = 64;
const roundsBetweenPairs = 5;
const roundsBetweenStrays = 16;
const strayPacket: RehearsalPacket = { version: 6, protocol: 'icmp', size: 56 };
/** What each end may send: of everything, and of a few addresses among others. */
const allowedIps: Pair<readonly string[]> = [
  ['0.0.0.0/0', '::/0'],
  ['10.0.0.0/32', '10.0.0.0/24', '10.9.0.0/16', 'fd00::/128', 'fd00::/64', 'fd09::/32'],
];
/** Turns after which a packet is lost, a handshake included. */
const mostTurns = 8;
const mostLost = 8;
/** A turn that waits in vain. */
const sleepMs = 1;

/** Returns how many packets went there and back. Throws only for a bug. */
export function rehearseLoop(options: LoopRehearsalOptions): number {
  const rounds = loopRehearsal(options);
  for (;;) {
    const { done, value } = rounds.next();
    if (done === true) return value;
  }
}

/** How many packets went there and back so far, after each round and at the end. */
export type LoopRehearsal = Generator<number, number, void>;

/**
 * The same round by round, a millisecond or two each, for whoever has other things to do between them: `batches` may be
 * used then. Whoever does not finish it must end it (`return`).
 */
export function* loopRehearsal(options: LoopRehearsalOptions): LoopRehearsal {
  const { libc, memory } = options;
  const pair = memory.alloc(8);
  const kind = SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC;
  if (libc.socketpair(AF_UNIX, kind, 0, memory.base + pair) !== 0) return 0;
  const device = { fd: memory.view.getInt32(pair, true), offload: 'uso' } as const;
  const far = memory.view.getInt32(pair + 4, true);
  const parts = { libc, memory, log: silentLog };
  const tun = new TunLinux({ ...parts, name: '', mtu: rehearsalMtu, device });
  const ends = [new UdpLinux(parts), new UdpLinux(parts)] as const;
  try {
    for (const udp of ends) udp.bind(0);
    // The engine's idea of an object's shape settles with the first few objects: the real ones shall
    // be like those that it compiled for.
    let done = 0;
    for (const [i, share] of acts.entries()) {
      if (options.part !== undefined && (options.part === 'first') !== (i === 0)) continue;
      const pace = i === 0 ? briskPace(options.clock) : new Pace();
      const rehearsal = new Rehearsal(options, tun, ends, far, pace);
      for (const went of rehearsal.run(share)) {
        done += went;
        yield done;
      }
    }
    return done;
  } catch {
    // No port to be had: then the engine learns from real packets.
    return 0;
  } finally {
    for (const udp of ends) udp.close();
    tun.close();
    libc.close(far);
    for (const batch of Object.values(options.batches)) batch.clear();
  }
}

type Pair<T> = readonly [T, T];

class Rehearsal {
  readonly #options: LoopRehearsalOptions;
  readonly #far: number;
  readonly #packet: number;
  readonly #ring: number;
  readonly #devices: Pair<TunnelDevice>;
  readonly #drivers: Pair<PollDriver>;
  /** Of what lies at `#packet`. */
  #length = 0;

  constructor(options: LoopRehearsalOptions, tun: TunLinux, ends: Pair<UdpLinux>, far: number, pace: Pace) {
    const { memory } = options;
    this.#options = options;
    this.#far = far;
    this.#packet = memory.alloc(rehearsalPacketBytes, 8);
    this.#ring = memory.alloc(8, 8);
    memory.words[this.#ring >>> 2] = 1;
    const devices = twoDevices(options, ends);
    const outbox = new Outbox(() => undefined);
    const driver = (device: TunnelDevice, udp: UdpLinux): PollDriver =>
      new PollDriver({
        ...options,
        loop: new DataplaneLoop({
          ...options,
          device,
          udp,
          tun,
          onEvent: (event) => outbox.add(event),
          refreshIntervalMs,
        }),
        ports: [tun, udp],
        outbox,
        takeMessages: () => true,
        longestSleepMs: sleepMs,
        pace,
      });
    this.#devices = devices;
    this.#drivers = [driver(devices[0], ends[0]), driver(devices[1], ends[1])];
  }

  /** Plays a part of the rounds; says of each how many packets went there and back. */
  *run(share: number): Generator<number, void, void> {
    const { rounds, budgetMs, clock, libc, memory, eventFd } = this.#options;
    const until = clock.now() + share * budgetMs;
    const [a, b] = this.#drivers;
    let lost = 0;
    for (let round = 0; round < share * rounds && clock.now() < until && lost < mostLost; round++) {
      if (round % roundsBetweenRings === 0) libc.write(eventFd, memory.base + this.#ring, 8);
      // The compilers take tens of megabytes for moments, and the C library would keep them.
      if (round % roundsBetweenTrims === 0) libc.mallocTrim(0);
      this.#put(round);
      // Now and then two in a row, without an answer between them.
      const twice = round % roundsBetweenPairs === 0 && this.#cross(a, b);
      if (twice) this.#put(round);
      const went = this.#cross(a, b) && this.#cross(b, a);
      if (!went) lost++;
      if (round % roundsBetweenStrays === 0) this.#strays(a, b);
      yield went ? 1 : 0;
    }
    for (const device of this.#devices) device.wipe();
  }

  #strays(a: PollDriver, b: PollDriver): void {
    this.#stray(b, ipv6DestinationAt);
    this.#stray(a, ipv6SourceAt);
    b.turn();
  }

  #put(round: number): void {
    const packet = rehearsalPackets[round % rehearsalPackets.length]!;
    this.#length = putPacket(this.#options.memory.bytes, this.#packet, packet);
  }

  /** A packet with an address that nobody has: what answers it is thrown away. */
  #stray(from: PollDriver, addressAt: number): void {
    const { libc, memory } = this.#options;
    const at = memory.base + this.#packet;
    const length = putPacket(memory.bytes, this.#packet, strayPacket);
    memory.bytes[this.#packet + virtioHeaderSize + addressAt] = 1;
    libc.write(this.#far, at, length);
    from.turn();
    libc.read(this.#far, at, rehearsalPacketBytes);
  }

  /** Hands over what lies at `#packet`; what comes out lies there again. False where nothing came. */
  #cross(from: PollDriver, to: PollDriver): boolean {
    const { libc, memory } = this.#options;
    const at = memory.base + this.#packet;
    if (libc.write(this.#far, at, this.#length) < 0) return false;
    from.turn();
    for (let turns = 0; turns < mostTurns; turns++) {
      (turns % 2 === 0 ? to : from).turn();
      let came = false;
      // What was cut may come in parts; the last one goes on.
      for (let i = 0; i < rehearsalPackets.length; i++) {
        const length = libc.read(this.#far, at, rehearsalPacketBytes);
        if (length <= 0) break;
        this.#length = length;
        came = true;
      }
      if (came) return true;
    }
    return false;
  }
}

/** As after a stream of packets: waiting for more is rehearsed too. */
function briskPace(clock: Clock): Pace {
  const pace = new Pace();
  for (let i = 0; i < wakesOfStream; i++) pace.woke(clock.now());
  return pace;
}

/** Each knows the other at its port. */
function twoDevices(options: LoopRehearsalOptions, ends: Pair<UdpLinux>): Pair<TunnelDevice> {
  const { suite, entropy, clock } = options;
  const secrets = [new Uint8Array(keySize), new Uint8Array(keySize)] as const;
  for (const secret of secrets) entropy.fill(secret);
  const make = (me: 0 | 1, other: 0 | 1): TunnelDevice => {
    const device = new TunnelDevice({ suite, entropy, mtu: rehearsalMtu, limits });
    const publicKey = suite.publicKey(secrets[other]);
    const endpoint = { address: '127.0.0.1', port: ends[other].localPort };
    const peers = [{ publicKey, endpoint, allowedIps: allowedIps[me] }];
    device.configure({ privateKey: secrets[me], peers }, clock.now());
    return device;
  };
  const devices = [make(0, 1), make(1, 0)] as const;
  for (const secret of secrets) secret.fill(0);
  return devices;
}
