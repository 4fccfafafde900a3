/** `culvert disconnect`: protection off, all changes undone. */

import type { Command } from 'commander';
import type { CliContext, SharedFlags } from '../context.ts';
import { findDaemon } from '../daemon-link.ts';
import { withSharedFlags } from '../flags.ts';
import { renderStatus } from '../render.ts';

export function addDisconnect(program: Command, context: CliContext): void {
  const command = program
    .command('disconnect')
    .description('turn protection off and undo all changes to this machine')
    .action(async (flags: SharedFlags) => {
      const client = await findDaemon(context, flags);
      const status = await client.call('disconnect');
      context.print(flags.json === true ? JSON.stringify(status) : renderStatus(status));
    });
  withSharedFlags(command);
}
