/** `culvert account`: who may command the daemon of the whole device without sudo. */

import type { Command } from 'commander';
import { CulvertError } from '../../../shared/core/control/codes.ts';
import { systemSocket } from '../../../shared/node/control/places.ts';
import { run } from '../../../shared/node/run.ts';
import { readAccountFiles } from '../../host/accounts.ts';
import {
  type AccountPlaces,
  accountMeant,
  allowAccount,
  allowedAccounts,
  askerOf,
  disallowAccount,
} from '../../host/allowed-accounts.ts';
import type { CliContext, SharedFlags } from '../context.ts';
import { withSharedFlags } from '../flags.ts';

export function addAccount(program: Command, context: CliContext): void {
  const group = program
    .command('account')
    .description('who may command the daemon of the whole device without sudo');
  const list = group
    .command('list')
    .description('the accounts that may')
    .action((flags: SharedFlags) => {
      const accounts = allowedAccounts(placesFor(flags));
      if (flags.json === true) context.print(JSON.stringify({ accounts }));
      else context.print(accounts.length === 0 ? 'Root alone.' : ['root', ...accounts].join('\n'));
    });
  const commands = [list];
  for (const [verb, text, change] of [
    ['allow', 'let an account; without a name the one that asks', allowAccount],
    ['remove', 'take that away again', disallowAccount],
  ] as const) {
    const command = group
      .command(verb)
      .argument('[user]', 'name of the account')
      .description(text)
      .action(async (user: string | undefined, flags: SharedFlags) => {
        if (!context.account.isRoot) throw new CulvertError('not-root', { text: 'This needs root.' });
        const asker = askerOf(process.env);
        // Whoever comes by pkexec names nothing but themselves, least of all a file.
        if (asker.isOwnOnly && flags.socket !== undefined) throw new CulvertError('bad-usage');
        const name = await accountMeant(user, asker, run);
        const done = await change(name, placesFor(flags));
        context.print(flags.json === true ? JSON.stringify({ account: name, done }) : done.join('\n'));
      });
    commands.push(command);
  }
  for (const command of commands) withSharedFlags(command);
}

function placesFor({ socket = systemSocket }: SharedFlags): AccountPlaces {
  return { run, socket, files: readAccountFiles };
}
