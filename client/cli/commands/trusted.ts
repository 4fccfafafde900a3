/** `culvert trusted`: Wi-Fi networks in which protection rests, by their names. */

import type { Command } from 'commander';
import type { TrustedList } from '../../../shared/core/control/rest-api.ts';
import type { CliContext, SharedFlags } from '../context.ts';
import { findDaemon } from '../daemon-link.ts';
import { withSharedFlags } from '../flags.ts';

const warning =
  'Anybody can give a network such a name: trust is a convenience here, and no protection against a twin.';

export function addTrusted(program: Command, context: CliContext): void {
  const trusted = program.command('trusted').description('networks in which protection rests');
  const show = (list: TrustedList, flags: SharedFlags): void =>
    context.print(flags.json === true ? JSON.stringify(list) : render(list));
  const list = trusted
    .command('list')
    .description('the names on the list')
    .action(async (flags: SharedFlags) =>
      show(await (await findDaemon(context, flags)).call('trusted'), flags),
    );
  const add = trusted
    .command('add')
    .argument('<ssid>', 'name of the Wi-Fi')
    .description('let protection rest in a Wi-Fi of this name')
    .action(async (ssid: string, flags: SharedFlags) => {
      const client = await findDaemon(context, flags);
      if (flags.json !== true) context.note(warning);
      show(await client.call('trust', { ssid }), flags);
    });
  const remove = trusted
    .command('remove')
    .argument('<ssid>', 'name of the Wi-Fi')
    .description('protect this machine there again')
    .action(async (ssid: string, flags: SharedFlags) =>
      show(await (await findDaemon(context, flags)).call('distrust', { ssid }), flags),
    );
  for (const command of [list, add, remove]) withSharedFlags(command);
}

function render({ ssids, wired, current }: TrustedList): string {
  const names = ssids.map((ssid) => `  ${ssid}${ssid === current ? '   (you are here)' : ''}`);
  const all = [...names, ...(wired ? ['  every network by cable'] : [])];
  return all.length === 0 ? 'No network is trusted: protection never rests by itself.' : all.join('\n');
}
