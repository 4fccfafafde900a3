/** Flags that several commands share, in the same words everywhere. */

import { type Command, InvalidArgumentError } from 'commander';
import { parseDuration } from './duration.ts';

/** `--json` and `--socket`, which every command knows. */
export function withSharedFlags(command: Command): Command {
  return command
    .option('--json', 'print JSON; errors are JSON on standard error')
    .option('--socket <path>', "the daemon's control socket");
}

/** For commander: a duration in milliseconds, or wrong usage. */
export function durationFlag(text: string): number {
  const durationMs = parseDuration(text);
  if (durationMs === undefined) throw new InvalidArgumentError('Write it as 20s, 500ms or 2m.');
  return durationMs;
}
