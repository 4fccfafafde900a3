/**
 * A userspace stack on a TUN interface, with the Linux kernel of this process's own network namespace as its
 * peer. Everything runs in one thread: the sockets of the test are the kernel's, the stack is stepped between
 * turns of the event loop. Loss is made by a seeded shim between the two.
 */

import { execFileSync } from 'node:child_process';
import koffi from 'koffi';
import { parseAddress } from '../../shared/core/base/ip.ts';
import type { CongestionName } from '../../shared/core/netstack/congestion/congestion.ts';
import type { NetEvent } from '../../shared/core/netstack/events.ts';
import { NetStack } from '../../shared/core/netstack/stack.ts';
import { PacketBatch } from '../../shared/core/packet/batch.ts';
import { systemClock } from '../../shared/node/clock.ts';
import { ffiAvailable } from '../../shared/node/ffi/libc.ts';
import { WorkerMemory } from '../../shared/node/ffi/memory.ts';
import { silentLog } from '../../shared/node/silent-log.ts';
import { TunLinux } from '../../shared/node/tun/tun-linux.ts';
import { seededEntropy, seededRandom } from './seeded.ts';

export const kernelAddress = { 4: '10.99.0.1', 6: 'fd99::1' } as const;
export const stackAddress = { 4: '10.99.0.2', 6: 'fd99::2' } as const;
/** Routed to the stack, which is not their owner. */
export const elsewhere = { 4: '198.18.5.5', 6: 'fd98::5' } as const;

export interface KernelPeerOptions {
  readonly congestion?: CongestionName;
  /** Share of packets lost in each direction. */
  readonly loss?: number;
  readonly seed?: number;
  readonly mtu?: number;
}

let names = 0;

/** Moves this process into a network namespace of its own, which ends with it. */
export function enterOwnNamespace(): void {
  const newNetworkNamespace = 0x4000_0000;
  const unshare = koffi.load(null).func('int unshare(int flags)');
  if (unshare(newNetworkNamespace) !== 0) throw new Error(`unshare: ${koffi.errno()}`);
  ip('link set lo up');
}

/** Runs `ip` in the namespace of this process. */
export function ip(words: string): string {
  return execFileSync('ip', words.split(' '), { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
}

export function addressBytes(text: string): Uint8Array {
  const bytes = parseAddress(text);
  if (bytes === undefined) throw new Error(`no address: ${text}`);
  return bytes;
}

let shared: { memory: WorkerMemory; arenas: [number, number] } | undefined;
const arenaBytes = 768 * 1024;

export class KernelPeer {
  readonly stack: NetStack;
  readonly tun: TunLinux;
  onEvent: (event: NetEvent) => void = () => {};
  /** Packets that the shim let through and took away. */
  passed = 0;
  lost = 0;
  loss: number;
  readonly #clock = systemClock();
  readonly #random: () => number;
  readonly #in: PacketBatch;
  readonly #out: PacketBatch;
  #isOpen = true;

  constructor(options: KernelPeerOptions = {}) {
    const { seed = 1, congestion = 'bbr', mtu = 1420 } = options;
    const ffi = ffiAvailable();
    if (!ffi.ok) throw new Error(ffi.reason);
    if (shared === undefined) {
      const memory = new WorkerMemory(16 * 1024 * 1024, ffi.libc);
      shared = { memory, arenas: [memory.alloc(arenaBytes, 64), memory.alloc(arenaBytes, 64)] };
    }
    const { memory, arenas } = shared;
    const batch = (start: number): PacketBatch =>
      new PacketBatch({
        bytes: memory.bytes,
        arenaStart: start,
        arenaEnd: start + arenaBytes,
        capacity: 1024,
        addressCapacity: 1,
      });
    this.#in = batch(arenas[0]);
    this.#out = batch(arenas[1]);
    this.loss = options.loss ?? 0;
    this.#random = seededRandom(seed);
    const name = `cvnet${names++}`;
    this.tun = new TunLinux({ libc: ffi.libc, memory, log: silentLog, name, mtu });
    ip(`addr add ${kernelAddress[4]}/24 dev ${name}`);
    ip(`addr add ${kernelAddress[6]}/64 dev ${name} nodad`);
    ip(`link set ${name} up`);
    ip(`route add 198.18.0.0/15 dev ${name}`);
    ip(`-6 route add fd98::/64 dev ${name}`);
    this.stack = new NetStack({
      entropy: seededEntropy(seed),
      addresses: [addressBytes(stackAddress[4]), addressBytes(stackAddress[6])],
      mtu,
      congestion,
      acceptAny: true,
    });
    this.#turn();
  }

  close(): void {
    this.#isOpen = false;
    this.tun.close();
  }

  #turn(): void {
    if (!this.#isOpen) return;
    for (let i = 0; i < 4; i++) {
      if (!this.#step()) break;
    }
    setImmediate(() => this.#turn());
  }

  /** One round of reading, stepping and writing. False where nothing happened. */
  #step(): boolean {
    this.#in.clear();
    this.#out.clear();
    if (this.tun.readBatch(this.#in) < 0) return false;
    this.#lose(this.#in);
    const now = this.#clock.now();
    const isDue = this.stack.nextTimeoutAt() <= now;
    if (this.#in.count > 0) this.stack.handlePackets(this.#in, now, this.#out);
    else if (isDue) this.stack.poll(now, this.#out);
    this.#lose(this.#out);
    const sent = this.#out.count;
    if (sent > 0) this.tun.writeBatch(this.#out);
    for (const event of this.stack.takeEvents()) this.onEvent(event);
    return sent > 0 || this.#in.count > 0;
  }

  #lose(batch: PacketBatch): void {
    if (this.loss <= 0) {
      this.passed += batch.count;
      return;
    }
    let kept = 0;
    for (let i = 0; i < batch.count; i++) {
      if (this.#random() < this.loss) {
        this.lost++;
        continue;
      }
      batch.offset[kept] = batch.offset[i]!;
      batch.length[kept] = batch.length[i]!;
      kept++;
    }
    this.passed += kept;
    batch.count = kept;
  }
}
