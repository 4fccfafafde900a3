/**
 * What a packet worker does before its first packet, so that the engine has compiled the code by then:
 * handshakes in memory, then the whole loop over the system's sockets. About a fifth of a second.
 */

import { setFlagsFromString } from 'node:v8';
import { rehearse } from '../../core/tunnel/rehearsal.ts';
import { type LoopRehearsalOptions, rehearseLoop } from './loop-rehearsal.ts';

/** The first handshake of a fresh program takes 12 ms, after this many about 1.5; they cost 20 ms together. */
const handshakes = 8;
/** Enough for the engine to have taken up all of the packet path, with the settings below. */
const packets = 800;
const longestMs = 400;
/** After how many calls the engine's compilers take up a function, and how many run at a time (0 = any). */
const compilers = [
  { flag: '--invocation-count-for-maglev', soon: 100, usual: 400 },
  { flag: '--invocation-count-for-turbofan', soon: 600, usual: 3000 },
  { flag: '--concurrent-turbofan-max-threads', soon: 2, usual: 0 },
] as const;

/** `withSockets`: also rehearses system calls, where UDP goes by way of them. */
export function warmUp(
  options: Omit<LoopRehearsalOptions, 'rounds' | 'budgetMs'>,
  withSockets: boolean,
): void {
  const { suite, entropy, batches } = options;
  const { fromUdp: input, toTun, out } = batches;
  // The setting is the whole process's; its other threads have little to do at this time.
  for (const { flag, soon } of compilers) setFlagsFromString(`${flag}=${soon}`);
  try {
    rehearse({ suite, entropy, input, toTun, out, rounds: handshakes });
    if (withSockets) rehearseLoop({ ...options, rounds: packets, budgetMs: longestMs });
  } finally {
    for (const { flag, usual } of compilers) setFlagsFromString(`${flag}=${usual}`);
    options.libc.mallocTrim(0);
  }
}
