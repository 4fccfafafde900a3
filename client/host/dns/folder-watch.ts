/**
 * Tells when something in a folder was written, once it has settled. The folder, not the file: a file that is
 * replaced is another one. The file, too: one that is mounted there (containers) is written in another folder.
 */

import { type FSWatcher, watch } from 'node:fs';
import { join } from 'node:path';

/** Editors write in several steps; one look after them is enough. */
const settleMs = 200;

export class FolderWatch {
  readonly #watcher: FSWatcher;
  #file: FSWatcher | undefined;
  #settle: NodeJS.Timeout | undefined;

  /** `name`: only of that entry; undefined: of any. Throws the system's error. */
  constructor(folder: string, name: string | undefined, onChange: () => void) {
    const path = name === undefined ? undefined : join(folder, name);
    const changed = (): void => {
      clearTimeout(this.#settle);
      this.#settle = setTimeout(() => {
        this.#watchFile(path, changed);
        onChange();
      }, settleMs);
    };
    this.#watcher = watch(folder, { persistent: false }, (_event, entry) => {
      if (name === undefined || entry === null || entry === name) changed();
    });
    this.#watcher.on('error', () => this.close());
    this.#watchFile(path, changed);
  }

  /** Anew after each change: it may be another file. */
  #watchFile(path: string | undefined, changed: () => void): void {
    this.#file?.close();
    this.#file = undefined;
    if (path === undefined) return;
    try {
      this.#file = watch(path, { persistent: false }, changed);
      this.#file.on('error', () => this.#file?.close());
    } catch {
      // It is not there now; the folder tells when it is.
    }
  }

  /** Idempotent. */
  close(): void {
    clearTimeout(this.#settle);
    this.#watcher.close();
    this.#file?.close();
    this.#file = undefined;
  }
}
