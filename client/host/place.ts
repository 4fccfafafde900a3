/** Which kernel and which network namespace this process runs in, for the journal. */

import { readFileSync, readlinkSync } from 'node:fs';
import type { HostPlace } from './journal.ts';

export function hostPlace(): HostPlace {
  return {
    boot: readOr(() => readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim()),
    netns: netns(),
  };
}

function netns(): string {
  return readOr(() => readlinkSync('/proc/self/ns/net'));
}

/** Where there is no /proc there is also nothing of ours to undo. */
function readOr(read: () => string): string {
  try {
    return read();
  } catch {
    return 'unknown';
  }
}
