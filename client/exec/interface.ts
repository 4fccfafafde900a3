/**
 * Addresses, routes and "up" for the interfaces of a fresh network namespace, by the ioctls of netdevice(7):
 * no other program is needed for it.
 */

import { parseAddress } from '../../shared/core/base/ip.ts';
import { CulvertError } from '../../shared/core/control/codes.ts';
import { errnoName } from '../../shared/node/ffi/errno.ts';
import type { Libc } from '../../shared/node/ffi/libc.ts';
import type { WorkerMemory } from '../../shared/node/ffi/memory.ts';
import * as abi from '../../shared/node/ffi/structs.ts';

const SIOCADDRT = 0x890b;
const SIOCSIFFLAGS = 0x8914;
const SIOCSIFADDR = 0x8916;
const SIOCSIFNETMASK = 0x891c;
const RTF_UP = 1;
const IFF_RUNNING = 0x40;

/** struct rtentry: destination, mask and device; the gateway stays empty. */
const rtentry = { size: 120, destination: 8, gateway: 24, mask: 40, flags: 56, device: 88 } as const;
/** struct in6_ifreq */
const in6Ifreq = { size: 24, address: 0, prefix: 16, index: 20 } as const;
/** struct in6_rtmsg; the destination ::/0 is all zeros. */
const in6Rtmsg = { size: 80, metric: 56, flags: 72, index: 76 } as const;

const routeMetric = 1024;

export class InterfaceSetup {
  readonly #libc: Libc;
  readonly #memory: WorkerMemory;
  readonly #scratch: number;
  readonly #device: number;

  constructor(libc: Libc, memory: WorkerMemory) {
    this.#libc = libc;
    this.#memory = memory;
    this.#scratch = memory.alloc(rtentry.size);
    this.#device = memory.alloc(abi.ifreq.nameSize);
  }

  /** The program's own loopback, shared with nobody. */
  loopbackUp(): void {
    this.#withSocket(abi.AF_INET, (socket) => this.#up(socket, 'lo'));
  }

  /** Gives the interface its addresses, switches it on and sends everything there. */
  configure(name: string, addresses: readonly string[]): void {
    const parsed = addresses.map((text) => parseAddress(text)).filter((address) => address !== undefined);
    this.#withSocket(abi.AF_INET, (socket) => {
      const address = parsed.find((one) => one.length === 4);
      if (address !== undefined) {
        this.#setAddress4(socket, name, SIOCSIFADDR, address);
        this.#setAddress4(socket, name, SIOCSIFNETMASK, Uint8Array.of(255, 255, 255, 255));
      }
      this.#up(socket, name);
      this.#addRoute4(socket, name);
    });
    const sixes = parsed.filter((one) => one.length === 16);
    if (sixes.length === 0) return;
    const index = this.#withSocket(abi.AF_INET, (socket) => this.#indexOf(socket, name));
    this.#withSocket(abi.AF_INET6, (socket) => {
      for (const address of sixes) this.#addAddress6(socket, index, address);
      this.#addRoute6(socket, index);
    });
  }

  #withSocket<T>(family: number, use: (socket: number) => T): T {
    const socket = this.#libc.socket(family, abi.SOCK_DGRAM | abi.SOCK_CLOEXEC, 0);
    if (socket < 0) throw this.#failed('no socket');
    try {
      return use(socket);
    } finally {
      this.#libc.close(socket);
    }
  }

  #up(socket: number, name: string): void {
    this.#clear(name);
    this.#memory.view.setUint16(this.#scratch + abi.ifreq.value, abi.IFF_UP | IFF_RUNNING, true);
    this.#ask(socket, SIOCSIFFLAGS, `${name} up`);
  }

  #indexOf(socket: number, name: string): number {
    this.#clear(name);
    this.#ask(socket, abi.SIOCGIFINDEX, `index of ${name}`);
    return this.#memory.view.getInt32(this.#scratch + abi.ifreq.value, true);
  }

  #setAddress4(socket: number, name: string, request: number, address: Uint8Array): void {
    this.#clear(name);
    this.#putSockaddr(this.#scratch + abi.ifreq.value, address);
    this.#ask(socket, request, 'IPv4 address');
  }

  #addRoute4(socket: number, name: string): void {
    const { memory, at } = this.#cleared(rtentry.size);
    const any = new Uint8Array(4);
    this.#putSockaddr(at + rtentry.destination, any);
    this.#putSockaddr(at + rtentry.mask, any);
    memory.view.setUint16(at + rtentry.flags, RTF_UP, true);
    memory.bytes.fill(0, this.#device, this.#device + abi.ifreq.nameSize);
    memory.bytes.set(Buffer.from(name, 'latin1'), this.#device);
    memory.putPointer(at + rtentry.device, this.#device);
    this.#ask(socket, SIOCADDRT, 'IPv4 route');
  }

  #addAddress6(socket: number, index: number, address: Uint8Array): void {
    const { memory, at } = this.#cleared(in6Ifreq.size);
    memory.bytes.set(address, at + in6Ifreq.address);
    memory.view.setUint32(at + in6Ifreq.prefix, 128, true);
    memory.view.setInt32(at + in6Ifreq.index, index, true);
    this.#ask(socket, SIOCSIFADDR, 'IPv6 address');
  }

  #addRoute6(socket: number, index: number): void {
    const { memory, at } = this.#cleared(in6Rtmsg.size);
    memory.view.setUint32(at + in6Rtmsg.metric, routeMetric, true);
    memory.view.setUint32(at + in6Rtmsg.flags, RTF_UP, true);
    memory.view.setInt32(at + in6Rtmsg.index, index, true);
    this.#ask(socket, SIOCADDRT, 'IPv6 route');
  }

  #putSockaddr(at: number, address: Uint8Array): void {
    this.#memory.view.setUint16(at + abi.sockaddrIn.family, abi.AF_INET, true);
    this.#memory.bytes.set(address, at + abi.sockaddrIn.address);
  }

  #clear(name: string): void {
    const { memory, at } = this.#cleared(abi.ifreq.size);
    memory.bytes.set(Buffer.from(name, 'latin1'), at);
  }

  #cleared(size: number): { readonly memory: WorkerMemory; readonly at: number } {
    this.#memory.bytes.fill(0, this.#scratch, this.#scratch + size);
    return { memory: this.#memory, at: this.#scratch };
  }

  #ask(socket: number, request: number, what: string): void {
    if (this.#libc.ioctl(socket, request, this.#memory.base + this.#scratch) !== 0) throw this.#failed(what);
  }

  #failed(what: string): CulvertError {
    const text = `The program's network cannot be set up: ${what} (${errnoName(this.#libc.errno())}).`;
    return new CulvertError('exec-failed', { text });
  }
}
