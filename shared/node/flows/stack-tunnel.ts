/**
 * A tunnel that ends in a userspace stack, on the event loop of whoever opens it: device, loop, stack and sockets,
 * joined. A flow worker has one for its own tunnel, and may open more, for example towards another edge.
 */

import { assert } from '../../core/base/assert.ts';
import type { Entropy, Log } from '../../core/base/ports.ts';
import type { NetLimits } from '../../core/netstack/limits.ts';
import { NetStack } from '../../core/netstack/stack.ts';
import type { DeviceChange, DeviceStatus } from '../../core/tunnel/config.ts';
import { TunnelDevice } from '../../core/tunnel/device.ts';
import type { TunnelEvent } from '../../core/tunnel/events.ts';
import { type Clock, systemClock } from '../clock.ts';
import { Commands } from '../dataplane/commands.ts';
import { EventDriver } from '../dataplane/event-driver.ts';
import { FdWatch } from '../dataplane/fd-watch.ts';
import { DataplaneLoop } from '../dataplane/loop.ts';
import { requireLibc } from '../ffi/libc.ts';
import type { WorkerMemory } from '../ffi/memory.ts';
import { loadNative } from '../ffi/native.ts';
import { TunNetstack, type TurnJudge } from '../tun/tun-netstack.ts';
import type { UdpPort } from '../udp/port.ts';
import { UdpDgram } from '../udp/udp-dgram.ts';
import { UdpLinux } from '../udp/udp-linux.ts';
import { layStackGround, type StackGround } from './stack-ground.ts';
import { FlowHost } from './stack-host.ts';

export interface StackTunnelOptions {
  readonly udp: 'linux' | 'dgram';
  readonly log: Log;
  /** Largest packet inside the tunnel, 1280 at least. */
  readonly mtu: number;
  /** The stack's own addresses, 4 or 16 bytes. */
  readonly addresses: readonly Uint8Array[];
  /** Whether connections to other addresses are announced. */
  readonly acceptAny: boolean;
  readonly limits?: Partial<NetLimits>;
  /** Announces sends that are unanswered for so long; default: never. */
  readonly announceUnansweredMs?: number;
  /** Announces so many datagrams lost on their way to us; default: never. */
  readonly announceLostPackets?: number;
  readonly onEvent: (event: TunnelEvent) => void;
  /** The tunnel's from now on. Default: it is laid now. */
  readonly ground?: StackGround;
}

/** Sources in a tunnel are who they say, and what is half open is mostly a dial under way, not a flood. */
const tunnelLimits: Partial<NetLimits> = { halfOpen: 8192, halfOpenPerSource: 1024 };

/** Owns its sockets and memory until `end` or `close`. */
export class StackTunnel {
  readonly clock: Clock = systemClock();
  readonly entropy: Entropy;
  readonly host: FlowHost;
  readonly #commands: Commands;
  readonly #memory: WorkerMemory;
  readonly #device: TunnelDevice;
  readonly #udp: UdpPort;
  readonly #tun: TunNetstack;
  readonly #watch: FdWatch | undefined;
  readonly #loop: DataplaneLoop;
  readonly #driver: EventDriver;
  #isClosed = false;
  /** Changes wait for each other. */
  #last: Promise<void> = Promise.resolve();

  /** Throws CulvertError where the cryptography or the native calls cannot be had. */
  constructor(options: StackTunnelOptions) {
    const { mtu, addresses, acceptAny, limits = {}, log } = options;
    const { clock } = this;
    const { memory, suite, entropy, batches, replies } = options.ground ?? layStackGround(log);
    this.#memory = memory;
    this.entropy = entropy;
    this.#udp = options.udp === 'linux' ? this.#openLinux(log) : new UdpDgram({ log });
    this.#watch = options.udp === 'linux' ? newWatch() : undefined;
    const stack = new NetStack({
      entropy,
      addresses,
      mtu,
      acceptAny,
      limits: { ...tunnelLimits, ...limits },
    });
    this.host = new FlowHost({
      stack,
      addresses,
      wake: () => this.#tun.wake(),
      flush: () => this.#driver.flush(),
    });
    this.#tun = new TunNetstack({
      stack,
      clock,
      mtu,
      replies,
      onEvents: (events) => this.host.handleEvents(events),
    });
    const { announceUnansweredMs = 0, announceLostPackets = 0 } = options;
    const asked = { announceUnansweredMs, announceLostPackets };
    this.#device = new TunnelDevice({ suite, entropy, mtu, limits: asked });
    const parts = { device: this.#device, udp: this.#udp, tun: this.#tun, clock };
    this.#loop = new DataplaneLoop({ ...parts, batches, onEvent: options.onEvent });
    this.#commands = new Commands({ ...parts, suite: suite.name });
    const onGone = (): void => assert(false, 'a stack is never gone');
    this.#driver = new EventDriver({ ...parts, loop: this.#loop, watch: this.#watch, onGone });
  }

  /** Valid as a whole or not applied. Changes wait for each other. */
  configure(change: DeviceChange): Promise<void> {
    const done = this.#last.then(() => this.#configure(change));
    // Whoever asked learns of the failure; the next change goes on.
    this.#last = done.catch(() => undefined);
    return done;
  }

  status(): DeviceStatus {
    return this.#commands.status();
  }

  /** As of TunnelBackend. */
  rest(isResting: boolean): void {
    this.#loop.rest(isResting);
    this.#driver.schedule();
  }

  /** Lets packets pass from one peer to another without the stack. Undefined: none. */
  turn(judge: TurnJudge | undefined): void {
    this.#tun.turnJudge = judge;
  }

  /** Says goodbye to everybody who is connected, then closes. */
  end(): void {
    if (this.#isClosed) return;
    this.host.close();
    this.#loop.step();
    this.close();
  }

  /** At once. Idempotent. */
  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#driver.stop();
    this.#udp.close();
    this.#tun.close();
    this.#device.wipe();
    this.#memory.close();
  }

  async #configure(change: DeviceChange): Promise<void> {
    const before = this.#udp.pollFds;
    const changed = this.#commands.configureWhenBound(change);
    if (this.#udp.pollFds !== before) this.#watch?.set(this.#udp.pollFds);
    await changed;
    if (this.#isClosed) return;
    this.#loop.settle();
    this.#driver.schedule();
  }

  #openLinux(log: Log): UdpLinux {
    return new UdpLinux({ libc: requireLibc(), memory: this.#memory, log });
  }
}

function newWatch(): FdWatch {
  const loaded = loadNative();
  assert(loaded.ok, 'native sockets come with native calls');
  return new FdWatch(loaded.native);
}
