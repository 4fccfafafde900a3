/**
 * What a packet worker does for its first packets, so that the engine has compiled the code by then: handshakes in
 * memory and a little of the whole loop before it says that it is ready, and the rest of the loop and more handshakes,
 * less than half a second together, round by round while no packet waits or none has come for a while.
 */

import { rehearsal, rehearse } from '../../core/tunnel/rehearsal.ts';
import { compileSoon } from '../compile-soon.ts';
import { EFD_CLOEXEC, EFD_NONBLOCK } from '../ffi/structs.ts';
import { giveBackCompiled } from '../give-back.ts';
import { type LoopRehearsalOptions, loopRehearsal } from './loop-rehearsal.ts';
import type { SpareStep } from './poll-driver.ts';

/** The first handshake of a fresh program takes 12 ms, after this many about 2; they cost 20 ms together. */
const handshakes = 8;
/** A quarter less again after these, which cost 0.2 s and are made when nothing else is to be done. */
const spareHandshakes = 400;
/** Enough for the engine to have taken up all of the packet path, with the settings below. */
const packets = 800;
/** Real packets have taught the engine by then. */
const longestMs = 5000;
/** Enough calls for what is rehearsed so often. */
const sooner = { maglevCalls: 100, turbofanCalls: 600 };

export type WarmUpOptions = Omit<LoopRehearsalOptions, 'rounds' | 'budgetMs' | 'eventFd' | 'part'>;

/**
 * What is left to do: `next` for one round, `return` to leave the rest. Between the end of this call and the first
 * `next` nothing is open. `withSockets`: also rehearses system calls, where UDP goes by way of them.
 */
export function warmUp(options: WarmUpOptions, withSockets: boolean): Generator<SpareStep, void, void> {
  const { suite, entropy, batches } = options;
  const { fromUdp: input, toTun, out } = batches;
  const parts = { suite, entropy, input, toTun, out };
  const first = eagerly(options, function* (eventFd) {
    rehearse({ ...parts, rounds: handshakes });
    // What the engine thinks of an object's shape settles with the first few: the real ones come after those.
    if (withSockets) yield* loopPart(options, eventFd, 'first');
  });
  for (const _round of first);
  return rest();

  function* rest(): Generator<SpareStep, void, void> {
    if (withSockets) yield* eagerly(options, (eventFd) => loopPart(options, eventFd, 'rest'));
    yield 'quiet';
    // Enough of them for the usual settings. Who is never quiet has real ones.
    for (const _made of rehearsal({ ...parts, rounds: spareHandshakes })) yield 'quiet';
    giveBackCompiled();
  }
}

function* loopPart(
  options: WarmUpOptions,
  eventFd: number,
  part: 'first' | 'rest',
): Generator<'soon', void, void> {
  const rounds = { ...options, eventFd, rounds: packets, budgetMs: longestMs, part };
  for (const _round of loopRehearsal(rounds)) yield 'soon';
}

/** While the compilers take up what they see sooner than usual. */
function* eagerly(
  { libc }: WarmUpOptions,
  work: (eventFd: number) => Generator<'soon', void, void>,
): Generator<'soon', void, void> {
  // Its own: what the main thread rings must not be taken by a rehearsal.
  const eventFd = libc.eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  // The setting is the whole process's; its other threads have little to do at this time.
  const asUsual = compileSoon(sooner);
  try {
    yield* work(eventFd);
  } finally {
    asUsual();
    libc.close(eventFd);
    giveBackCompiled();
  }
}
