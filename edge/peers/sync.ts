/**
 * Keeps a running edge in step with its store: after a write of this process at once (`nudge`), after one
 * of another process (the command line) at the next look. What is to be done is given to `apply`, one
 * change at a time; where that fails, it is tried again at the next look.
 */

import type { Log } from '../../shared/core/base/ports.ts';
import type { UnixMs } from '../../shared/core/base/time.ts';
import { keyText } from './peer-changes.ts';
import type { SessionKey } from './session-keys.ts';
import type { DeviceRecord, PeerStore } from './store.ts';
import { type DeviceChanges, DevicePeers } from './sync-plan.ts';

export interface DeviceSyncParts {
  readonly store: PeerStore;
  /** Makes it so: the tunnel's peers first, then flows and sockets of those that are cut. */
  readonly apply: (changes: DeviceChanges) => Promise<void>;
  readonly unixNow: () => UnixMs;
  readonly log: Log;
}

/** How often to call `look`: a tenth of the second that a revocation may take. */
export const lookEveryMs = 100;

export class DeviceSync {
  readonly #parts: DeviceSyncParts;
  readonly #peers = new DevicePeers();
  #revision = -1;
  #seenWrites = -1;
  #nextDue: UnixMs | undefined;
  /** For the next pull, so that nothing changes between a plan and its end. At most two keys a device. */
  readonly #heard = new Map<string, Uint8Array>();
  /** For the next pull; one a device. */
  readonly #sessions = new Map<string, SessionKey>();
  #failed = false;
  /** The pull that runs, and the one that waits for it: whoever asks meanwhile shares that. */
  #running: Promise<void> | undefined;
  #waiting: Promise<void> | undefined;

  /** Gives all devices to `apply` before it resolves; rejects where that fails. */
  static async start(parts: DeviceSyncParts): Promise<DeviceSync> {
    const sync = new DeviceSync(parts);
    await sync.#pull();
    return sync;
  }

  private constructor(parts: DeviceSyncParts) {
    this.#parts = parts;
  }

  /** As last read; every device, active or not. */
  get devices(): ReadonlyMap<string, DeviceRecord> {
    return this.#peers.devices;
  }

  /** The device with this key, also its former one while that works. */
  deviceOf(publicKey: Uint8Array): DeviceRecord | undefined {
    return this.#peers.deviceOf(publicKey);
  }

  /** Call after every write of this process. Resolves when the tunnel has followed. Never rejects. */
  nudge(): Promise<void> {
    if (this.#running === undefined) {
      this.#running = this.#attempt().finally(() => {
        this.#running = undefined;
      });
      return this.#running;
    }
    this.#waiting ??= this.#running.then(() => {
      this.#waiting = undefined;
      return this.nudge();
    });
    return this.#waiting;
  }

  /** Call every `lookEveryMs`: microseconds where nothing has happened. Never rejects. */
  async look(): Promise<void> {
    const now = this.#parts.unixNow();
    let writes: number;
    try {
      writes = this.#parts.store.writesElsewhere();
    } catch (cause) {
      return this.#complain(cause);
    }
    const isDue = this.#nextDue !== undefined && this.#nextDue <= now;
    if (writes === this.#seenWrites && !isDue && !this.#failed) return;
    this.#seenWrites = writes;
    await this.nudge();
  }

  /** Gives a device a key for one session. False where somebody has that key. Resolves when the tunnel has it. */
  async openSession(id: string, session: SessionKey): Promise<boolean> {
    if (this.#peers.deviceOf(session.publicKey) !== undefined) return false;
    // Between two pulls, so that nothing changes between a plan and its end.
    this.#sessions.set(id, session);
    await this.nudge();
    return true;
  }

  /** The tunnel had a handshake with that key: a rotation can be completed, a session takes over or ends. */
  async heard(publicKey: Uint8Array): Promise<void> {
    if (!this.#peers.awaits(publicKey)) return;
    this.#heard.set(keyText(publicKey), publicKey);
    await this.nudge();
  }

  async #attempt(): Promise<void> {
    try {
      await this.#pull();
      if (this.#failed) this.#parts.log.info('devices are in step again');
      this.#failed = false;
    } catch (cause) {
      this.#complain(cause);
    }
  }

  #complain(cause: unknown): void {
    // Once: it is tried ten times a second.
    if (!this.#failed) {
      const why = cause instanceof Error ? cause.message : String(cause);
      this.#parts.log.error('the tunnel does not follow the store', { why });
    }
    this.#failed = true;
  }

  async #pull(): Promise<void> {
    const { store, apply, unixNow } = this.#parts;
    const page = await store.since(this.#revision);
    if (page.whole) {
      const kept = new Set(page.devices.map((device) => device.id));
      for (const id of this.#peers.devices.keys()) if (!kept.has(id)) this.#peers.remove(id);
    }
    for (const device of page.devices) this.#peers.set(device);
    for (const id of page.removed) this.#peers.remove(id);
    this.#revision = page.revision;
    for (const [id, session] of this.#sessions)
      if (this.#peers.devices.has(id)) this.#peers.openSession(id, session);
    this.#sessions.clear();
    for (const key of this.#heard.values()) this.#peers.heard(key);
    this.#heard.clear();
    const now = unixNow();
    if (this.#nextDue !== undefined && this.#nextDue <= now) this.#peers.passTime(now);
    const plan = this.#peers.plan(now);
    if (!plan.isEmpty) await apply(plan);
    this.#peers.done(now);
    if (!plan.isEmpty || (this.#nextDue !== undefined && this.#nextDue <= now)) {
      this.#nextDue = this.#peers.nextDue(now);
    }
  }
}
