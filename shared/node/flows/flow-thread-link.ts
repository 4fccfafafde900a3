/**
 * The main thread's handle of a flow worker: begin, configure, ask, subscribe, stop. The main thread never sees a
 * packet nor a byte of a connection.
 */

import { MessageChannel, type MessagePort, receiveMessageOnPort, Worker } from 'node:worker_threads';
import { assert } from '../../core/base/assert.ts';
import type { Log } from '../../core/base/ports.ts';
import { CulvertError } from '../../core/control/codes.ts';
import type { DeviceChange, DeviceStatus } from '../../core/tunnel/config.ts';
import type { TunnelEvent } from '../../core/tunnel/events.ts';
import type { BlankWorker } from '../dataplane/messages.ts';
import { toCulvertError } from '../dataplane/worker-error.ts';
import { ffiAvailable } from '../ffi/libc.ts';
import type { FlowBackend, FlowThreadOptions } from './contract.ts';
import {
  endedWord,
  endingWord,
  type FlowThreadStart,
  type FromFlowWorker,
  type ToFlowWorker,
} from './flow-messages.ts';

/** How long a role may take to close before its worker is ended anyway. */
const stopPatienceMs = 10_000;
/** How long one that was told to end at once may take before it is ended from outside. */
const endPatienceMs = 500;

/** Starts a flow worker. Rejects with CulvertError where its role or its cryptography cannot be had. */
export async function startFlowThread(options: FlowThreadOptions): Promise<FlowBackend> {
  const { entry, log, ...rest } = options;
  return startBlankFlow({ entry, log }).begin(rest);
}

/** A flow worker that has no tunnel yet. */
export type BlankFlow = BlankWorker<Omit<FlowThreadOptions, 'entry' | 'log'>, FlowBackend>;

/** Starts one that is ready to be begun, at once or much later. */
export function startBlankFlow(options: Pick<FlowThreadOptions, 'entry' | 'log'>): BlankFlow {
  return new FlowLink(options);
}

/** An answer of the worker. */
type Answer = Extract<FromFlowWorker, { readonly kind: 'done' | 'status' | 'result' }>;

interface Waiter {
  readonly resolve: (answer: Answer) => void;
  readonly reject: (error: Error) => void;
}

type EndListener = (why: 'gone' | 'failed', detail: string) => void;

class FlowLink implements FlowBackend, BlankFlow {
  readonly kind = 'userspace';
  readonly interfaceName = '';
  readonly #ready: Promise<void>;
  readonly #log: Log;
  readonly #worker: Worker;
  readonly #port: MessagePort;
  readonly #waiters = new Map<number, Waiter>();
  readonly #listeners = new Set<(event: TunnelEvent) => void>();
  readonly #noticeListeners = new Set<(name: string, value: unknown) => void>();
  readonly #exited: Promise<void>;
  readonly #ending = new Int32Array(new SharedArrayBuffer(8));
  #endListener: EndListener | undefined;
  #ended: { readonly why: 'gone' | 'failed'; readonly detail: string } | undefined;
  #stopping: Promise<void> | undefined;
  #isBegun = false;
  #nextId = 1;
  #readyNow: () => void = () => {};
  #failed: (error: Error) => void = () => {};

  constructor({ entry, log }: Pick<FlowThreadOptions, 'entry' | 'log'>) {
    this.#log = log;
    const { port1, port2 } = new MessageChannel();
    this.#port = port1;
    const start: FlowThreadStart = { port: port2, ending: this.#ending };
    this.#worker = new Worker(entry, { workerData: start, transferList: [port2] });
    process.on('exit', this.#onProcessExit);
    this.#ready = new Promise((resolve, reject) => {
      this.#readyNow = resolve;
      this.#failed = reject;
    });
    this.#ready.catch(() => undefined); // Whoever begins learns of it.
    this.#port.on('message', (message: FromFlowWorker) => this.#receive(message));
    this.#worker.on('error', (error) => {
      const detail = error instanceof Error ? (error.stack ?? error.message) : String(error);
      this.#failed(new CulvertError('internal', { text: detail, cause: error }));
      this.#end('failed', detail);
    });
    this.#exited = new Promise((resolve) => {
      this.#worker.on('exit', () => {
        process.off('exit', this.#onProcessExit);
        this.#drain();
        resolve();
      });
    });
  }

  async begin({ udp, ...options }: Parameters<BlankFlow['begin']>[0]): Promise<FlowBackend> {
    assert(!this.#isBegun, 'a worker becomes one tunnel');
    this.#isBegun = true;
    const message = { kind: 'begin', options: { ...options, udp: udp ?? defaultUdp() } } as const;
    this.#port.postMessage(message satisfies ToFlowWorker);
    await this.#ready;
    return this;
  }

  async configure(change: DeviceChange): Promise<void> {
    await this.#ask((id) => ({ kind: 'configure', id, change }));
  }

  async status(): Promise<DeviceStatus> {
    const answer = await this.#ask((id) => ({ kind: 'status', id }));
    if (answer.kind !== 'status') throw new CulvertError('internal', { text: 'The worker sent no status.' });
    return answer.status;
  }

  async rest(isResting: boolean): Promise<void> {
    await this.#ask((id) => ({ kind: 'rest', id, isResting }));
  }

  async call(name: string, argument?: unknown): Promise<unknown> {
    const answer = await this.#ask((id) => ({ kind: 'call', id, name, argument }));
    return answer.kind === 'result' ? answer.value : undefined;
  }

  onEvent(listener: (event: TunnelEvent) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  onNotice(listener: (name: string, value: unknown) => void): () => void {
    this.#noticeListeners.add(listener);
    return () => this.#noticeListeners.delete(listener);
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
    if (this.#ended === undefined) this.#port.postMessage({ kind: 'stop', id: 0 } satisfies ToFlowWorker);
    const timers = [
      setTimeout(() => this.#endNow(), stopPatienceMs),
      setTimeout(() => void this.#worker.terminate(), stopPatienceMs + endPatienceMs),
    ];
    await this.#exited;
    for (const timer of timers) clearTimeout(timer);
  }

  #endNow(): void {
    Atomics.store(this.#ending, endingWord, 1);
    Atomics.notify(this.#ending, endingWord);
  }

  /** The process would end the thread from outside, which it may not survive. */
  readonly #onProcessExit = (): void => {
    if (!this.#isBegun) return; // It watches nothing.
    this.#endNow();
    Atomics.wait(this.#ending, endedWord, 0, endPatienceMs);
  };

  #ask(message: (id: number) => ToFlowWorker): Promise<Answer> {
    if (this.#ended !== undefined || this.#stopping !== undefined) {
      return Promise.reject(new CulvertError('internal', { text: 'The flow worker has ended.' }));
    }
    const id = this.#nextId++;
    return new Promise((resolve, reject) => {
      this.#waiters.set(id, { resolve, reject });
      this.#port.postMessage(message(id));
    });
  }

  #receive(message: FromFlowWorker): void {
    switch (message.kind) {
      case 'event':
        for (const listener of this.#listeners) listener(message.event);
        return;
      case 'notice':
        for (const listener of this.#noticeListeners) listener(message.name, message.value);
        return;
      case 'log':
        this.#log[message.level](message.text, message.fields);
        return;
      case 'ended':
        this.#end(message.why, message.detail);
        return;
      case 'ready':
        this.#readyNow();
        return;
      case 'error':
        if (message.id === 0) this.#failed(toCulvertError(message.error));
        else this.#take(message.id)?.reject(toCulvertError(message.error));
        return;
      default:
        this.#take(message.id)?.resolve(message);
    }
  }

  #take(id: number): Waiter | undefined {
    const waiter = this.#waiters.get(id);
    this.#waiters.delete(id);
    return waiter;
  }

  /** The worker is gone. Its exit may overtake the last messages, which say why. */
  #drain(): void {
    for (;;) {
      const next = receiveMessageOnPort(this.#port);
      if (next === undefined) break;
      this.#receive(next.message as FromFlowWorker);
    }
    this.#port.close();
    this.#failed(new CulvertError('internal', { text: 'The flow worker ended before it was ready.' }));
    this.#end('failed', 'The flow worker ended without a word.');
    for (const waiter of this.#waiters.values()) {
      waiter.reject(new CulvertError('internal', { text: 'The flow worker has ended.' }));
    }
    this.#waiters.clear();
  }

  #end(why: 'gone' | 'failed', detail: string): void {
    if (this.#ended !== undefined || this.#stopping !== undefined) return;
    this.#ended = { why, detail };
    this.#endListener?.(why, detail);
  }
}

function defaultUdp(): 'linux' | 'dgram' {
  return process.env['CULVERT_UDP'] === 'dgram' || !ffiAvailable().ok ? 'dgram' : 'linux';
}
