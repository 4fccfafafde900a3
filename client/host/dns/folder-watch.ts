/**
 * Tells when something in a folder was written, once it has settled. The folder, not the file: a file that is
 * replaced is another one.
 */

import { type FSWatcher, watch } from 'node:fs';

/** Editors write in several steps; one look after them is enough. */
const settleMs = 200;

export class FolderWatch {
  readonly #watcher: FSWatcher;
  #settle: NodeJS.Timeout | undefined;

  /** `name`: only of that entry; undefined: of any. Throws the system's error. */
  constructor(folder: string, name: string | undefined, onChange: () => void) {
    this.#watcher = watch(folder, { persistent: false }, (_event, changed) => {
      if (name !== undefined && changed !== null && changed !== name) return;
      clearTimeout(this.#settle);
      this.#settle = setTimeout(onChange, settleMs);
    });
    this.#watcher.on('error', () => this.close());
  }

  /** Idempotent. */
  close(): void {
    clearTimeout(this.#settle);
    this.#watcher.close();
  }
}
