/** Lets the engine's compilers take code up sooner than usual while it is rehearsed: a rehearsal is short. */

import { setFlagsFromString } from 'node:v8';

/** A setting of the engine: what it is meanwhile, and what Node has. */
export interface CompilerSetting {
  readonly flag: string;
  readonly soon: number;
  readonly usual: number;
}

/** For the whole process from now on, whose other threads should have little to do. Call what comes back to end it. */
export function compileSoon(settings: readonly CompilerSetting[]): () => void {
  for (const { flag, soon } of settings) setFlagsFromString(`${flag}=${soon}`);
  return () => {
    for (const { flag, usual } of settings) setFlagsFromString(`${flag}=${usual}`);
  };
}
