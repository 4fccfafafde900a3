/** `culvert logs`: what the daemon wrote lately. */

import { setTimeout as pause } from 'node:timers/promises';
import type { Command } from 'commander';
import type { CliContext, SharedFlags } from '../context.ts';
import { findDaemon } from '../daemon-link.ts';
import { withSharedFlags } from '../flags.ts';
import { renderLogLine } from '../render.ts';

interface LogFlags extends SharedFlags {
  readonly follow?: boolean;
}

const followEveryMs = 500;

export function addLogs(program: Command, context: CliContext): void {
  const command = program
    .command('logs')
    .description('the last lines of the log')
    .option('--follow', 'go on printing, until interrupted')
    .action(async (flags: LogFlags) => {
      const client = await findDaemon(context, flags);
      for (let after = 0; ; await pause(followEveryMs)) {
        const { lines, last } = await client.call('logs', { after });
        for (const line of lines) context.print(flags.json === true ? line : renderLogLine(line));
        after = last;
        if (flags.follow !== true) return;
      }
    });
  withSharedFlags(command);
}
