/** Lets the engine's compilers take code up sooner than usual while it is rehearsed: a rehearsal is short. */

import { setFlagsFromString } from 'node:v8';

/** After how many calls of a function. What is absent stays as usual. */
export interface Sooner {
  /** The middle compiler takes it up. */
  readonly maglevCalls: number;
  /** The last one does. */
  readonly turbofanCalls?: number;
  /** It is calm: calls are counted anew whenever it met something new. */
  readonly calmCalls?: number;
}

/** The engine's flags, with what Node has. */
const usual = {
  maglevCalls: ['--invocation-count-for-maglev', 400],
  turbofanCalls: ['--invocation-count-for-turbofan', 3000],
  calmCalls: ['--minimum-invocations-after-ic-update', 500],
  /** How many of the last one run at a time; 0 = any. */
  turbofans: ['--concurrent-turbofan-max-threads', 0],
} as const;
/** More take the processor from the rehearsal. */
const turbofans = 2;

/** For the whole process from now on, whose other threads should have little to do. Call what comes back to end it. */
export function compileSoon(sooner: Sooner): () => void {
  const changed = Object.entries({ ...sooner, turbofans }).map(([name, soon]) => {
    const [flag, before] = usual[name as keyof typeof usual];
    return { flag, soon, before };
  });
  for (const { flag, soon } of changed) setFlagsFromString(`${flag}=${soon}`);
  return () => {
    for (const { flag, before } of changed) setFlagsFromString(`${flag}=${before}`);
  };
}
