/**
 * The daemon's log lines: the last ones in memory for `culvert logs`, and a file of bounded size in
 * the state directory. One file back is kept.
 */

import { appendFileSync, renameSync, statSync } from 'node:fs';
import type { LogLines } from '../../shared/core/control/api.ts';

const maxLines = 1_000;
const maxFileBytes = 1024 * 1024;

export class LogRing {
  readonly #path: string | undefined;
  #lines: string[] = [];
  /** Number of the newest line; the first one is 1. */
  #last = 0;
  #fileBytes: number;

  /** Without a path nothing is written to disk. */
  constructor(path: string | undefined) {
    this.#path = path;
    this.#fileBytes = path === undefined ? 0 : sizeOf(path);
  }

  /** Takes one line, its line break included. Never throws: losing a line must not end the program. */
  write(line: string): void {
    this.#last += 1;
    this.#lines.push(line.trimEnd());
    if (this.#lines.length > 2 * maxLines) this.#lines = this.#lines.slice(-maxLines);
    this.#writeFile(line);
  }

  /** Lines after number `after`, as far as they are kept. */
  read(after: number): LogLines {
    const kept = this.#lines.slice(-maxLines);
    const first = this.#last - kept.length;
    return { lines: kept.slice(Math.max(0, after - first)), last: this.#last };
  }

  #writeFile(line: string): void {
    if (this.#path === undefined) return;
    try {
      if (this.#fileBytes > maxFileBytes) {
        renameSync(this.#path, `${this.#path}.1`);
        this.#fileBytes = 0;
      }
      appendFileSync(this.#path, line, { mode: 0o600 });
      this.#fileBytes += Buffer.byteLength(line);
    } catch {
      // A full disk: the lines in memory remain.
    }
  }
}

function sizeOf(path: string): number {
  try {
    return statSync(path).size;
  } catch {
    return 0; // Not there yet.
  }
}
