/** `culvert lan`: opens and closes the network around this machine. */

import type { Command } from 'commander';
import type { LanView } from '../../../shared/core/control/split-api.ts';
import type { CliContext, SharedFlags } from '../context.ts';
import { findDaemon } from '../daemon-link.ts';
import { durationFlag, withSharedFlags } from '../flags.ts';

export function addLan(program: Command, context: CliContext): void {
  const lan = program
    .command('lan')
    .description('reach printers and other devices of the network around you');
  const show = (view: LanView, flags: SharedFlags): void =>
    context.print(flags.json === true ? JSON.stringify(view) : renderLan(view));
  const status = lan
    .command('status')
    .description('whether it is open, and which networks it is about')
    .action(async (flags: SharedFlags) => show(await (await findDaemon(context, flags)).call('lan'), flags));
  const allow = lan
    .command('allow')
    .argument('[duration]', 'how long, as 15m or 2h; without it, until it is blocked', durationFlag)
    .description('open it; only private networks that this machine is connected to')
    .action(async (forMs: number | undefined, flags: SharedFlags) => {
      const client = await findDaemon(context, flags);
      const body = { open: true, ...(forMs === undefined ? {} : { forMs }) };
      show(await client.call('changeLan', body), flags);
    });
  const block = lan
    .command('block')
    .description('close it')
    .action(async (flags: SharedFlags) =>
      show(await (await findDaemon(context, flags)).call('changeLan', { open: false }), flags),
    );
  for (const command of [status, allow, block]) withSharedFlags(command);
}

function renderLan({ open, until, networks }: LanView): string {
  const list = networks.map((one) => `  ${one.prefix} on ${one.interface}`);
  if (!open) return 'The network around you is closed while the tunnel is on.';
  const first = `The network around you can be reached${until === undefined ? ' until you block it' : ` until ${until}`}.`;
  return [first, ...(list.length === 0 ? ['There is no private network around you now.'] : list)].join('\n');
}
