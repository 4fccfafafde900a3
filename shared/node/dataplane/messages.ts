/**
 * The contract of a running tunnel as the main thread sees it, and the messages that carry it to
 * the packet worker. thread-link.ts (userspace) and wgtools/kernel-device.ts (kernel) implement it.
 */

import type { LogFields } from '../../core/base/ports.ts';
import type { DeviceChange, DeviceStatus } from '../../core/tunnel/config.ts';
import type { TunnelEvent } from '../../core/tunnel/events.ts';

/** A running WireGuard tunnel, wherever its packets are handled. */
export interface TunnelBackend {
  readonly kind: 'userspace' | 'kernel';
  /** Name of the network interface. */
  readonly interfaceName: string;
  /** Applies a change as a whole, or rejects with an error that has `code` and, from the system, `errno` (positive). */
  configure(change: DeviceChange): Promise<void>;
  status(): Promise<DeviceStatus>;
  /**
   * There is no network: what is sent into the tunnel waits unread, and what is due may be late by a minute. Absent:
   * it makes no difference here.
   */
  rest?(isResting: boolean): Promise<void>;
  /** Facts from the tunnel. Returns the function that ends the subscription. */
  onEvent(listener: (event: TunnelEvent) => void): () => void;
  /** Called once when the tunnel ends by itself: the interface is gone ('gone') or a bug ('failed'). */
  onEnd(listener: (why: 'gone' | 'failed', detail: string) => void): void;
  /** Ends the tunnel, closes its sockets and the interface. Idempotent. */
  stop(): Promise<void>;
}

/** A worker that can become a tunnel, and has neither key nor socket nor interface until then. It wakes for nothing else. */
export interface BlankWorker<Options, Backend extends TunnelBackend> {
  /**
   * It becomes this tunnel, and belongs to it. Once. Rejects with CulvertError, with nothing left behind; where the worker
   * was ended or ended by itself, too.
   */
  begin(options: Options): Promise<Backend>;
  /** As of TunnelBackend. Whoever takes the tunnel sets another. */
  onEnd(listener: (why: 'gone' | 'failed', detail: string) => void): void;
  /** Idempotent. */
  stop(): Promise<void>;
}

/** Main thread to worker. */
export type ToWorker =
  | { readonly kind: 'configure'; readonly id: number; readonly change: DeviceChange }
  | { readonly kind: 'status'; readonly id: number }
  | { readonly kind: 'rest'; readonly id: number; readonly isResting: boolean }
  | { readonly kind: 'stop'; readonly id: number };

/** Worker to main thread. */
export type FromWorker =
  | { readonly kind: 'ready'; readonly interfaceName: string }
  | { readonly kind: 'done'; readonly id: number }
  | { readonly kind: 'status'; readonly id: number; readonly status: DeviceStatus }
  | { readonly kind: 'error'; readonly id: number; readonly error: WorkerError }
  | { readonly kind: 'event'; readonly event: TunnelEvent }
  | {
      readonly kind: 'log';
      readonly level: 'debug' | 'info' | 'warn' | 'error';
      readonly text: string;
      readonly fields: LogFields;
    }
  | { readonly kind: 'ended'; readonly why: 'gone' | 'failed'; readonly detail: string };

export interface WorkerError {
  readonly code: string;
  readonly text: string;
  readonly remedy?: string;
  readonly errno?: number;
}
