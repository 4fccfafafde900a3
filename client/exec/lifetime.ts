/**
 * How long the network of a program must live: until the program has ended, and whatever it left running in
 * that network, and until what they sent last is delivered.
 */

import { readdirSync, readlinkSync } from 'node:fs';
import { secondMs } from '../../shared/core/base/time.ts';

export interface LifetimeOptions {
  /** Connections that are not closed yet. */
  readonly connections: () => number;
  /** As /proc/PID/ns/net names it. */
  readonly netns: string;
  readonly onEnd: () => void;
}

const lookMs: number = secondMs / 4;
/** For last words: a connection that takes longer to close is given up. */
const lingerMs: number = 15 * secondMs;

/** Call once the program itself has ended. Calls `onEnd` once. */
export function outlive(options: LifetimeOptions): void {
  let aloneSince: number | undefined;
  const look = (): void => {
    const now = performance.now();
    if (isInhabited(options.netns)) aloneSince = undefined;
    else aloneSince ??= now;
    const isOver = aloneSince !== undefined && (options.connections() === 0 || now - aloneSince >= lingerMs);
    if (isOver) options.onEnd();
    else setTimeout(look, lookMs);
  };
  look();
}

/** Whether any process lives in that network. Those of other users cannot. */
function isInhabited(netns: string): boolean {
  return readdirSync('/proc').some((name) => /^\d+$/.test(name) && netnsOf(name) === netns);
}

function netnsOf(pid: string): string | undefined {
  try {
    return readlinkSync(`/proc/${pid}/ns/net`);
  } catch {
    return undefined; // Gone meanwhile, or somebody else's.
  }
}
