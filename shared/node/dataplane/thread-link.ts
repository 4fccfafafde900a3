/**
 * The main thread's handle of a packet worker: begin, configure, ask, subscribe, stop. The main thread
 * never sees a packet. A worker that has begun sleeps in poll(2), so every message is followed by a nudge
 * through an eventfd.
 */

import { MessageChannel, type MessagePort, receiveMessageOnPort, Worker } from 'node:worker_threads';
import { assert } from '../../core/base/assert.ts';
import type { Log } from '../../core/base/ports.ts';
import { CulvertError } from '../../core/control/codes.ts';
import type { DeviceChange, DeviceStatus } from '../../core/tunnel/config.ts';
import type { TunnelEvent } from '../../core/tunnel/events.ts';
import { type Libc, requireLibc } from '../ffi/libc.ts';
import { EFD_CLOEXEC, EFD_NONBLOCK } from '../ffi/structs.ts';
import type { BlankWorker, FromWorker, ToWorker, TunnelBackend } from './messages.ts';
import { ringMemory } from './ring.ts';
import type { FirstMessage, ThreadOptions, ThreadStart, UdpKind } from './thread-body.ts';
import { ringControl, type UdpRingMemory } from './udp-ring.ts';
import { toCulvertError } from './worker-error.ts';

export interface BlankThreadOptions {
  /** The program's worker entry: its `packet-thread.ts`. */
  readonly entry: URL;
  readonly log: Log;
  /** Default: 'dgram' where CULVERT_UDP says so, else 'linux'. */
  readonly udp?: UdpKind;
}

export interface TunnelThreadOptions extends ThreadOptions, BlankThreadOptions {}

/** A packet worker that has no interface yet. */
export type BlankThread = BlankWorker<ThreadOptions, TunnelBackend>;

/** Each direction's ring to the socket worker. */
const ringBytes = 4 * 1024 * 1024;

/**
 * Starts a packet worker on a new TUN interface. Rejects with CulvertError where the interface or
 * the privileges for it cannot be had; nothing is left behind then.
 */
export async function startTunnelThread(options: TunnelThreadOptions): Promise<TunnelBackend> {
  const { entry, log, udp, ...threadOptions } = options;
  return startBlankThread({ entry, log, ...(udp === undefined ? {} : { udp }) }).begin(threadOptions);
}

/** Starts one that is ready to be begun, at once or much later. Throws CulvertError where there are no native calls. */
export function startBlankThread(options: BlankThreadOptions): BlankThread {
  return new ThreadLink(options, requireLibc());
}

interface Waiter {
  readonly resolve: (status: DeviceStatus | undefined) => void;
  readonly reject: (error: Error) => void;
}

type EndListener = (why: 'gone' | 'failed', detail: string) => void;

class ThreadLink implements TunnelBackend, BlankThread {
  readonly kind = 'userspace';
  interfaceName = '';
  readonly #ready: Promise<void>;
  readonly #libc: Libc;
  readonly #log: Log;
  readonly #worker: Worker;
  readonly #port: MessagePort;
  readonly #eventFd: number;
  #socketWorker: Worker | undefined;
  readonly #nudge = new Uint8Array(8);
  readonly #stopFlag = new Int32Array(new SharedArrayBuffer(4));
  #isBegun = false;
  readonly #waiters = new Map<number, Waiter>();
  readonly #listeners = new Set<(event: TunnelEvent) => void>();
  #endListener: EndListener | undefined;
  #nextId = 1;
  #ended: { readonly why: 'gone' | 'failed'; readonly detail: string } | undefined;
  #stopping: Promise<void> | undefined;
  readonly #exited: Promise<void>;

  constructor({ entry, log, udp }: BlankThreadOptions, libc: Libc) {
    this.#libc = libc;
    const udpKind = udp ?? (process.env['CULVERT_UDP'] === 'dgram' ? 'dgram' : 'linux');
    const udpRing = udpKind === 'dgram' ? this.#startSocketWorker() : undefined;
    this.#log = log;
    this.#nudge[0] = 1;
    this.#eventFd = libc.eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    const { port1, port2 } = new MessageChannel();
    this.#port = port1;
    const start: ThreadStart = {
      port: port2,
      eventFd: this.#eventFd,
      stopFlag: this.#stopFlag,
      udpRing,
    };
    this.#worker = new Worker(entry, { workerData: start, transferList: [port2] });
    process.on('exit', this.#onProcessExit);
    let readyNow: () => void;
    let failed: (error: Error) => void;
    this.#ready = new Promise((resolve, reject) => {
      readyNow = resolve;
      failed = reject;
    });
    this.#ready.catch(() => undefined); // Whoever begins learns of it.
    const take = (message: FromWorker): void => {
      if (message.kind === 'ready') {
        this.interfaceName = message.interfaceName;
        readyNow();
      } else if (message.kind === 'error' && message.id === 0) {
        failed(toCulvertError(message.error));
      } else {
        this.#receive(message);
      }
    };
    this.#port.on('message', take);
    this.#worker.on('error', (error) => {
      failed(error);
      this.#end('failed', error instanceof Error ? (error.stack ?? error.message) : String(error));
    });
    this.#exited = new Promise((resolve) => {
      this.#worker.on('exit', () => {
        process.off('exit', this.#onProcessExit);
        // The exit may overtake the last messages, which say why.
        for (let next = receiveMessageOnPort(port1); next !== undefined; next = receiveMessageOnPort(port1)) {
          take(next.message as FromWorker);
        }
        failed(new CulvertError('internal', { text: 'The packet worker ended before it was ready.' }));
        this.#end('failed', 'The packet worker ended without a word.');
        this.#rejectAll(new CulvertError('internal', { text: 'The packet worker has ended.' }));
        libc.close(this.#eventFd);
        this.#port.close();
        if (udpRing !== undefined) libc.close(udpRing.eventFd);
        void (this.#socketWorker?.terminate() ?? Promise.resolve(0)).then(() => resolve());
      });
    });
  }

  /** Node's own sockets, in a worker of their own, since the packet worker runs no event loop. */
  #startSocketWorker(): UdpRingMemory {
    const shared: UdpRingMemory = {
      control: new SharedArrayBuffer(4 * ringControl.words),
      toSockets: ringMemory(ringBytes),
      fromSockets: ringMemory(ringBytes),
      eventFd: this.#libc.eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK),
    };
    this.#socketWorker = new Worker(new URL('./udp-thread.ts', import.meta.url), { workerData: shared });
    this.#socketWorker.on('error', (error) => this.#end('failed', String(error)));
    return shared;
  }

  async begin(options: ThreadOptions): Promise<TunnelBackend> {
    assert(!this.#isBegun, 'a worker becomes one tunnel');
    this.#isBegun = true;
    this.interfaceName = options.interfaceName;
    this.#port.postMessage({ kind: 'begin', options } satisfies FirstMessage);
    await this.#ready;
    return this;
  }

  async configure(change: DeviceChange): Promise<void> {
    await this.#ask((id) => ({ kind: 'configure', id, change }));
  }

  async status(): Promise<DeviceStatus> {
    const status = await this.#ask((id) => ({ kind: 'status', id }));
    if (status === undefined)
      throw new CulvertError('internal', { text: 'The packet worker sent no status.' });
    return status;
  }

  async rest(isResting: boolean): Promise<void> {
    await this.#ask((id) => ({ kind: 'rest', id, isResting }));
  }

  onEvent(listener: (event: TunnelEvent) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  onEnd(listener: EndListener): void {
    this.#endListener = listener;
    if (this.#ended !== undefined) listener(this.#ended.why, this.#ended.detail);
  }

  stop(): Promise<void> {
    this.#stopping ??= this.#stop();
    return this.#stopping;
  }

  async #stop(): Promise<void> {
    if (this.#ended === undefined) {
      Atomics.store(this.#stopFlag, 0, 1);
      if (this.#isBegun) this.#wake();
      else this.#port.postMessage({ kind: 'stop', id: 0 } satisfies FirstMessage);
    }
    await this.#exited;
  }

  #ask(message: (id: number) => ToWorker): Promise<DeviceStatus | undefined> {
    if (this.#ended !== undefined || this.#stopping !== undefined) {
      return Promise.reject(new CulvertError('internal', { text: 'The packet worker has ended.' }));
    }
    const id = this.#nextId++;
    return new Promise((resolve, reject) => {
      this.#waiters.set(id, { resolve, reject });
      this.#port.postMessage(message(id));
      this.#wake();
    });
  }

  #receive(message: FromWorker): void {
    if (message.kind === 'event') {
      for (const listener of this.#listeners) listener(message.event);
    } else if (message.kind === 'log') {
      this.#log[message.level](message.text, message.fields);
    } else if (message.kind === 'ended') {
      this.#end(message.why, message.detail);
    } else if (message.kind !== 'ready') {
      const waiter = this.#waiters.get(message.id);
      this.#waiters.delete(message.id);
      if (message.kind === 'error') waiter?.reject(toCulvertError(message.error));
      else waiter?.resolve(message.kind === 'status' ? message.status : undefined);
    }
  }

  #end(why: 'gone' | 'failed', detail: string): void {
    if (this.#ended !== undefined || this.#stopping !== undefined) return;
    this.#ended = { why, detail };
    this.#endListener?.(why, detail);
  }

  #rejectAll(error: Error): void {
    for (const waiter of this.#waiters.values()) waiter.reject(error);
    this.#waiters.clear();
  }

  #wake(): void {
    this.#libc.writeBytes(this.#eventFd, this.#nudge);
  }

  /** process.exit waits for workers; one that sleeps in poll(2) must be told. */
  readonly #onProcessExit = (): void => {
    Atomics.store(this.#stopFlag, 0, 1);
    this.#wake();
  };
}
