/** What passes between the main thread and a flow worker. */

import type { MessagePort } from 'node:worker_threads';
import type { FromWorker, ToWorker } from '../dataplane/messages.ts';
import type { FlowThreadOptions } from './contract.ts';

/** What the worker is told when it begins. */
export interface FlowWorkerOptions extends Omit<FlowThreadOptions, 'entry' | 'log' | 'udp'> {
  readonly udp: 'linux' | 'dgram';
}

/** The shape of `workerData`. */
export interface FlowThreadStart {
  readonly port: MessagePort;
  /** Shared words, see `endingWord` and `endedWord`. */
  readonly ending: Int32Array;
}

/** Word that the main thread sets where the worker must close its sockets at once, and notifies. */
export const endingWord = 0;
/** Word that the worker sets, and notifies, when it has. */
export const endedWord = 1;

/** `begin` comes once and first; `stop` may come instead of it. */
export type ToFlowWorker =
  | { readonly kind: 'begin'; readonly options: FlowWorkerOptions }
  | ToWorker
  | { readonly kind: 'call'; readonly id: number; readonly name: string; readonly argument: unknown };

export type FromFlowWorker =
  | FromWorker
  | { readonly kind: 'result'; readonly id: number; readonly value: unknown }
  | { readonly kind: 'notice'; readonly name: string; readonly value: unknown };
