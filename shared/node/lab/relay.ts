/**
 * The acting part of the relay: moves IP packets between two TUN interfaces, as two impaired links say
 * (impaired-link.ts). Every packet crosses alone: the interfaces have no offloads.
 */

import type { MonoMs } from '../../core/base/time.ts';
import { CulvertError } from '../../core/control/codes.ts';
import { errno } from '../ffi/errno.ts';
import type { Libc } from '../ffi/libc.ts';
import { WorkerMemory } from '../ffi/memory.ts';
import * as abi from '../ffi/structs.ts';
import {
  type DeviceContext,
  openDevice,
  setInterfaceMtu,
  setQueueLength,
  type TunDevice,
} from '../tun/tun-linux-device.ts';
import { ImpairedLink } from './impaired-link.ts';
import {
  defaultRelayMtu,
  defaultRelaySlots,
  type RelayAnswer,
  type RelaySettings,
} from './relay-settings.ts';
import { seededChance } from './seeded-chance.ts';

/** Behind every fd an interface of this name, until it is moved and renamed. */
export interface RelayInterfaces {
  readonly first: string;
  readonly second: string;
}

/** Of each end, read in one go before what is due is written. */
const readsAtOnce = 64;
/** What waits in the system while we are busy. */
const queueLength = 4096;
const virtioHeaderSize = 10;
/** Longest sleep with nothing under way, and without a look at the descriptors. */
const idleMs = 20;
const napMs = 0.25;
const timerSlackNs = 5000;
const reserveBytes = 65_536;

interface End {
  readonly device: TunDevice;
  readonly headerSize: number;
  /** For packets that come from this end. */
  readonly link: ImpairedLink;
}

export class Relay {
  readonly #libc: Libc;
  readonly #memory: WorkerMemory;
  readonly #first: End;
  readonly #second: End;
  readonly #arena: number;
  readonly #slotSize: number;
  readonly #pollFds: number;
  readonly #freeSlots: Uint32Array;
  #freeCount: number;
  /** Takes packets for which there is no slot. */
  readonly #spill: number;
  /** By slot, header included. */
  readonly #lengths: Uint32Array;
  #refused = 0;

  /** Makes the interfaces in this network namespace, down and without addresses. Throws CulvertError. */
  constructor(libc: Libc, settings: RelaySettings, names: RelayInterfaces) {
    const { mtu = defaultRelayMtu, slots = defaultRelaySlots, seed } = settings;
    this.#libc = libc;
    this.#slotSize = (mtu + virtioHeaderSize + 63) & ~63;
    this.#memory = new WorkerMemory((slots + 1) * this.#slotSize + reserveBytes, libc);
    const scratch = this.#memory.alloc(abi.ifreq.size);
    this.#pollFds = this.#memory.alloc(2 * abi.pollfd.size);
    this.#arena = this.#memory.alloc((slots + 1) * this.#slotSize, 64);
    this.#freeSlots = Uint32Array.from({ length: slots }, (_, i) => i);
    this.#freeCount = slots;
    this.#spill = slots;
    this.#lengths = new Uint32Array(slots + 1);
    const context = { libc, memory: this.#memory, scratch };
    const forward = new ImpairedLink(settings.forward, slots, seededChance(seed));
    const backward = new ImpairedLink(settings.backward, slots, seededChance(seed + 1));
    this.#first = openEnd(context, names.first, mtu, forward);
    this.#second = openEnd(context, names.second, mtu, backward);
    for (const [i, end] of [this.#first, this.#second].entries()) {
      const at = this.#pollFds + i * abi.pollfd.size;
      this.#memory.view.setInt32(at + abi.pollfd.fd, end.device.fd, true);
      this.#memory.view.setInt16(at + abi.pollfd.events, abi.POLLIN, true);
    }
    libc.prctl(abi.PR_SET_TIMERSLACK, timerSlackNs);
  }

  get forward(): ImpairedLink {
    return this.#first.link;
  }

  get backward(): ImpairedLink {
    return this.#second.link;
  }

  counts(): RelayAnswer {
    return { forward: this.forward.counts, backward: this.backward.counts, refused: this.#refused };
  }

  /** Reads what is there, writes what is due. Returns how many packets moved. Throws where an interface is gone. */
  step(now: MonoMs): number {
    return (
      this.#read(this.#first, now) +
      this.#read(this.#second, now) +
      this.#write(this.#first.link, this.#second, now) +
      this.#write(this.#second.link, this.#first, now)
    );
  }

  /** Blocks until there is something to do, `idleMs` at most. */
  wait(now: MonoMs): void {
    const due = Math.min(
      this.forward.nextTimeout() ?? Number.POSITIVE_INFINITY,
      this.backward.nextTimeout() ?? Number.POSITIVE_INFINITY,
    );
    const gapMs = Math.min(idleMs, due - now);
    if (gapMs <= 0) return;
    // The system counts whole milliseconds when it waits for descriptors: the rest is slept, in small naps.
    if (gapMs >= 1) this.#libc.poll(this.#memory.base + this.#pollFds, 2, Math.floor(gapMs));
    else this.#libc.usleep(Math.ceil(Math.min(napMs, gapMs) * 1000));
  }

  close(): void {
    for (const end of [this.#first, this.#second]) this.#libc.close(end.device.fd);
    this.#memory.close();
  }

  #read(from: End, now: MonoMs): number {
    const { device, headerSize, link } = from;
    for (let i = 0; i < readsAtOnce; i++) {
      const slot = this.#freeCount === 0 ? this.#spill : (this.#freeSlots[this.#freeCount - 1] ?? 0);
      const length = this.#libc.read(device.fd, this.#addressOf(slot), this.#slotSize);
      if (length <= headerSize) {
        if (length < 0) this.#checkAlive();
        return i;
      }
      if (slot === this.#spill) {
        link.handleOverflow(length - headerSize);
      } else if (link.handlePacket(slot, length - headerSize, now) === 'ok') {
        this.#freeCount--;
      }
      this.#lengths[slot] = length;
    }
    return readsAtOnce;
  }

  #write(link: ImpairedLink, to: End, now: MonoMs): number {
    let moved = 0;
    for (;;) {
      const slot = link.takeDue(now);
      if (slot < 0) return moved;
      for (let i = 0; i < link.copies; i++) {
        const written = this.#libc.write(to.device.fd, this.#addressOf(slot), this.#lengths[slot] ?? 0);
        if (written < 0) this.#refused++;
      }
      this.#freeSlots[this.#freeCount++] = slot;
      moved++;
    }
  }

  #addressOf(slot: number): number {
    return this.#memory.base + this.#arena + slot * this.#slotSize;
  }

  /** After a read that failed. An interface that is down has nothing to read; one that is gone ends the relay. */
  #checkAlive(): void {
    const number = this.#libc.errno();
    if (number === errno.EAGAIN || number === errno.EINTR || number === errno.EIO) return;
    throw new CulvertError('no-tun', { text: 'An interface of the relay is gone.', errno: number });
  }
}

function openEnd(context: DeviceContext, name: string, mtu: number, link: ImpairedLink): End {
  const { libc } = context;
  const device = openDevice(context, name);
  // One packet a read, with a finished checksum.
  libc.ioctl(device.fd, abi.TUNSETOFFLOAD, 0);
  const socket = libc.socket(abi.AF_INET, abi.SOCK_DGRAM | abi.SOCK_CLOEXEC, 0);
  try {
    setInterfaceMtu(context, socket, name, mtu);
    setQueueLength(context, socket, name, queueLength);
  } finally {
    libc.close(socket);
  }
  return { device, headerSize: device.offload === 'none' ? 0 : virtioHeaderSize, link };
}
