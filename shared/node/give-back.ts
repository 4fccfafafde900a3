/**
 * Gives back memory that a program needed to start and does not need to run: what the cache of compiled code was read
 * into, free memory of the C library, and the pages of Node's own program file that lie there unused. Those stay in the
 * system's memory as parts of a file: whichever is wanted again is mapped again, without the disk. Changes no behaviour,
 * and does less where native calls or /proc are missing.
 */

import { readFileSync } from 'node:fs';
import { flushCompileCache } from 'node:module';
import { ffiAvailable } from './ffi/libc.ts';
import { MADV_DONTNEED } from './ffi/structs.ts';
import { collectGarbage } from './heap.ts';
import { startIdleTimer } from './idle-timer.ts';

/**
 * After the last change: what a connection rehearses is over by the first, where nobody else needs the processor, and
 * everything by the second. Then every minute in which there was work; where there was none the waits double.
 */
const delaysMs = [3000, 20_000, 60_000] as const;
const longestDelayMs = 16 * 60_000;
/** Processor time between two looks that has brought in what can be given back. Sleeping takes less. */
const workMs = 100;

export interface MappedRange {
  readonly address: number;
  /** In bytes, whole pages. */
  readonly length: number;
}

export interface SettledMemoryOptions {
  /** Tests give others. */
  readonly giveBack?: () => void;
  /** Processor time of this process until now, milliseconds. */
  readonly workedMs?: () => number;
  readonly schedule?: (delayMs: number, work: () => void) => () => void;
}

/** Gives back a while after the last change, and afterwards where there was work. Keeps no program alive. */
export class SettledMemory {
  readonly #giveBack: () => void;
  readonly #workedMs: () => number;
  readonly #schedule: (delayMs: number, work: () => void) => () => void;
  #seenMs = 0;
  #what: string | undefined;
  #cancel: (() => void) | undefined;
  #isClosed = false;

  constructor(options: SettledMemoryOptions = {}) {
    const { giveBack = giveBackMemory, workedMs = processorMs, schedule = startIdleTimer } = options;
    this.#giveBack = giveBack;
    this.#workedMs = workedMs;
    this.#schedule = schedule;
  }

  /** Call when the program is ready and whenever it may do something else. `what`: in a word; the same again is no change. */
  handleChange(what: string): void {
    if (what === this.#what) return;
    this.#what = what;
    this.#later(0);
  }

  /** Idempotent. */
  close(): void {
    this.#isClosed = true;
    this.#cancel?.();
  }

  #later(step: number): void {
    this.#cancel?.();
    if (this.#isClosed) return;
    this.#cancel = this.#schedule(delayMs(step), () => {
      const hasWorked = this.#workedMs() - this.#seenMs >= workMs;
      if (hasWorked) {
        this.#giveBack();
        this.#seenMs = this.#workedMs();
      }
      this.#later(hasWorked ? Math.min(step + 1, delaysMs.length - 1) : step + 1);
    });
  }
}

function delayMs(step: number): number {
  const usual = delaysMs[step];
  if (usual !== undefined) return usual;
  return Math.min(longestDelayMs, delaysMs[2] * 2 ** (step - delaysMs.length + 1));
}

/** For the whole process, but the heap of this thread alone. Tens of milliseconds of work. Never throws. */
export function giveBackMemory(): void {
  collectGarbage();
  giveBackCompiled();
  const ffi = ffiAvailable();
  if (!ffi.ok) return;
  for (const { address, length } of untouchedPages(readMappings(), process.execPath)) {
    ffi.libc.madvise(address, length, MADV_DONTNEED);
  }
}

/** The cache of compiled code of this thread, which is also written to disk now, and free memory of the C library. */
export function giveBackCompiled(): void {
  flushCompileCache();
  const ffi = ffiAvailable();
  if (ffi.ok) ffi.libc.mallocTrim(0);
}

/**
 * Where /proc/self/smaps has `program` mapped for reading alone, without one page that was written to (the linker writes
 * to some, and others may be swapped out): the file has all that is there. Another file could be changed under us; a
 * program that runs cannot be.
 */
export function untouchedPages(mappings: string, program: string): readonly MappedRange[] {
  const found: MappedRange[] = [];
  for (const text of mappings.split(/^(?=[0-9a-f]+-[0-9a-f]+ )/m)) {
    const [, from, to, path] = /^([0-9a-f]+)-([0-9a-f]+) r-[x-]p \S+ \S+ \d+ +(\S.*)$/m.exec(text) ?? [];
    if (from === undefined || to === undefined || path !== program) continue;
    if (!/^Anonymous: +0 kB$/m.test(text) || !/^Swap: +0 kB$/m.test(text)) continue;
    const address = Number.parseInt(from, 16);
    found.push({ address, length: Number.parseInt(to, 16) - address });
  }
  return found;
}

function processorMs(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
}

/** Empty where the system has no such file. */
function readMappings(): string {
  try {
    return readFileSync('/proc/self/smaps', 'utf8');
  } catch {
    return '';
  }
}
