/** A tunnel that only remembers its settings: the backend of a socket under test. */

import type { DeviceChange, DeviceStatus } from '../../shared/core/tunnel/config.ts';
import { applyChange, emptyStatus } from '../../shared/core/uapi/device-change.ts';

export class MemoryTunnel {
  current: DeviceStatus = emptyStatus();
  readonly changes: DeviceChange[] = [];
  /** The next change is rejected with this, once. */
  failure: unknown;

  async status(): Promise<DeviceStatus> {
    return this.current;
  }

  configure(change: DeviceChange): Promise<void> {
    const failure = this.failure;
    this.failure = undefined;
    if (failure !== undefined) return Promise.reject(failure);
    this.changes.push(change);
    this.current = applyChange(this.current, change);
    return Promise.resolve();
  }
}
