/** `culvert pause`: off for a while. */

import type { Command } from 'commander';
import type { CliContext, SharedFlags } from '../context.ts';
import { findDaemon } from '../daemon-link.ts';
import { durationFlag, withSharedFlags } from '../flags.ts';
import { renderStatus } from '../render.ts';

export function addPause(program: Command, context: CliContext): void {
  const command = program
    .command('pause')
    .argument('<duration>', 'how long, as 15m or 2h; a day at most', durationFlag)
    .description('turn protection off for a while; it comes back by itself, or by culvert connect')
    .action(async (forMs: number, flags: SharedFlags) => {
      const client = await findDaemon(context, flags);
      const status = await client.call('pause', { forMs });
      context.print(flags.json === true ? JSON.stringify(status) : renderStatus(status));
    });
  withSharedFlags(command);
}
