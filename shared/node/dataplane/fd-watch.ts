/**
 * Watches the descriptors of a UdpPort from Node's event loop, so that a thread with natively opened
 * sockets can also have Node's own. Tells readiness and nothing else; reading is up to the loop.
 */

import { assert } from '../../core/base/assert.ts';
import type { FdWatcher, Native } from '../ffi/native.ts';

/** Most descriptors at a time: they are bits of a small number. */
const maxFds = 16;

export class FdWatch {
  /** Called while something can be read, once or more a turn. */
  onReadable: (() => void) | undefined;
  readonly #native: Native;
  #watchers: readonly FdWatcher[] = [];
  #ready = 0;

  constructor(native: Native) {
    this.#native = native;
  }

  /** Watches exactly these from now on. Call as soon as a port opened or closed sockets, in the same turn. */
  set(fds: readonly number[]): void {
    assert(fds.length <= maxFds, 'a port has few descriptors');
    this.close();
    this.#watchers = fds.map((fd, i) =>
      this.#native.watch(fd, () => {
        this.#ready |= 1 << i;
        this.onReadable?.();
      }),
    );
  }

  /** Bit i: descriptor i had something since the last call. */
  takeReady(): number {
    const ready = this.#ready;
    this.#ready = 0;
    return ready;
  }

  /** Watches nothing. Idempotent. */
  close(): void {
    for (const watcher of this.#watchers) watcher.close();
    this.#watchers = [];
    this.#ready = 0;
  }
}
