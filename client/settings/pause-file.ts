/** A pause on disk, so that it survives the daemon. What makes no sense is no pause. */

import { readFileSync, rmSync } from 'node:fs';
import { type UnixMs, unixMs } from '../../shared/core/base/time.ts';
import type { StoredPause } from '../liveness/rest.ts';
import { writeAtomic } from './atomic-file.ts';

export class PauseFile {
  readonly #path: string;

  constructor(path: string) {
    this.#path = path;
  }

  read(): StoredPause | undefined {
    try {
      const { untilMs, askedMs } = JSON.parse(readFileSync(this.#path, 'utf8')) as Record<string, unknown>;
      if (typeof untilMs !== 'number' || typeof askedMs !== 'number') return undefined;
      const until: UnixMs = unixMs(untilMs);
      return Number.isFinite(untilMs) && Number.isFinite(askedMs) ? { untilMs: until, askedMs } : undefined;
    } catch {
      return undefined; // Never paused.
    }
  }

  write(pause: StoredPause | undefined): void {
    if (pause === undefined) rmSync(this.#path, { force: true });
    else writeAtomic(this.#path, `${JSON.stringify(pause)}\n`);
  }
}
