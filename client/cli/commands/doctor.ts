/** `culvert doctor`: one sentence, one fix. Exits 1 where something is wrong. */

import type { Command } from 'commander';
import { CulvertError } from '../../../shared/core/control/codes.ts';
import type { CliContext, SharedFlags } from '../context.ts';
import { findDaemon } from '../daemon-link.ts';
import { withSharedFlags } from '../flags.ts';
import { renderLines } from './netcheck.ts';

export function addDoctor(program: Command, context: CliContext): void {
  const command = program
    .command('doctor')
    .description('what is wrong between this machine and the edge, asked at both ends: one sentence, one fix')
    .action(async (flags: SharedFlags) => {
      const client = await findDaemon(context, flags);
      if (flags.json !== true) context.note('Asking both ends; this takes up to half a minute.');
      const report = await client.call('doctor');
      const { fault, text, remedy, lines } = report;
      if (flags.json === true) context.print(JSON.stringify(report));
      else context.print([text, remedy, '', renderLines(lines)].join('\n'));
      if (fault !== 'healthy') throw new CulvertError('fault-found', { text: `${text} (${fault})`, remedy });
    });
  withSharedFlags(command);
}
