/** `culvert enroll`: this machine joins an edge by an invitation. Also known as `registration new`. */

import type { Command } from 'commander';
import type { EnrollResult } from '../../../shared/core/control/enroll-api.ts';
import { readInvite } from '../../enroll/enrollment.ts';
import type { CliContext, SharedFlags } from '../context.ts';
import { needDaemon } from '../daemon-link.ts';
import { withSharedFlags } from '../flags.ts';

interface EnrollFlags extends SharedFlags {
  readonly name?: string;
}

export function addEnroll(program: Command, context: CliContext): void {
  withEnroll(program.command('enroll'), context);
}

/** The same under another name. */
export function withEnroll(command: Command, context: CliContext): void {
  withSharedFlags(command)
    .argument('<link>', 'the invitation: culvert://…')
    .description('join an edge by its invitation; starts a daemon where none answers')
    .option('--name <name>', 'how the edge calls this device (default: the name of this machine)')
    .action(async (link: string, flags: EnrollFlags) => {
      readInvite(link); // Before a daemon is started for it.
      const client = await needDaemon(context, flags);
      const { name } = flags;
      const result = await client.call('enroll', { link, ...(name === undefined ? {} : { name }) });
      context.print(flags.json === true ? JSON.stringify(result) : enrolledText(result));
    });
}

function enrolledText({ edge, device }: EnrollResult): string {
  return `This machine is ${device.name} at the edge ${edge.name} now, with ${device.addresses.join(' and ')}. Next: culvert connect --wait`;
}
