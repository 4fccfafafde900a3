/** `culvert status`: what is, once or as it changes. */

import type { Command } from 'commander';
import { CulvertError } from '../../../shared/core/control/codes.ts';
import type { Status } from '../../../shared/core/control/status.ts';
import { candidateSockets, statusSocketBeside } from '../../../shared/node/control/places.ts';
import { ControlClient } from '../../../shared/node/control/socket-client.ts';
import type { CliContext, SharedFlags } from '../context.ts';
import { findDaemon } from '../daemon-link.ts';
import { withSharedFlags } from '../flags.ts';
import { renderStatus } from '../render.ts';

interface StatusFlags extends SharedFlags {
  readonly watch?: boolean;
}

export function addStatus(program: Command, context: CliContext): void {
  const command = program
    .command('status')
    .description('what the daemon does now')
    .option('--watch', 'print it again after every change, until interrupted')
    .action(async (flags: StatusFlags) => {
      const print = (status: Status): void =>
        context.print(flags.json === true ? JSON.stringify(status) : renderStatus(status));
      if (flags.watch !== true) {
        print(await readStatus(context, flags));
        return;
      }
      const client = await findDaemon(context, flags);
      for await (const status of client.events(new AbortController().signal)) {
        print(status);
        if (flags.json !== true) context.print('');
      }
      throw new CulvertError('daemon-not-running', { text: 'The daemon ended.' });
    });
  withSharedFlags(command);
}

/** Who may not command may still look, through the socket beside. */
async function readStatus(context: CliContext, flags: SharedFlags): Promise<Status> {
  try {
    return await (await findDaemon(context, flags)).call('status');
  } catch (error) {
    if (!(error instanceof CulvertError && error.code === 'no-permission')) throw error;
    const control = flags.socket ?? candidateSockets(context.account).at(-1) ?? '';
    return new ControlClient(statusSocketBeside(control)).call('status');
  }
}
