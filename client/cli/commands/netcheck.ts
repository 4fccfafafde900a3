/** `culvert netcheck`: what this network lets through, one line each. */

import type { Command } from 'commander';
import type { NetLineView } from '../../../shared/core/control/net-api.ts';
import type { CliContext, SharedFlags } from '../context.ts';
import { findDaemon } from '../daemon-link.ts';
import { withSharedFlags } from '../flags.ts';

const marks: Readonly<Record<NetLineView['verdict'], string>> = {
  good: 'ok',
  warning: '!',
  bad: 'X',
  unknown: '?',
};

export function addNetcheck(program: Command, context: CliContext): void {
  const command = program
    .command('netcheck')
    .description('what this network lets through: sign-in, DNS, UDP, TLS, sizes, clock; takes some seconds')
    .action(async (flags: SharedFlags) => {
      const client = await findDaemon(context, flags);
      if (flags.json !== true)
        context.note('Asking the network and the edge; this takes up to half a minute.');
      const report = await client.call('netcheck');
      context.print(flags.json === true ? JSON.stringify(report) : renderLines(report.lines));
    });
  withSharedFlags(command);
}

/** A mark, what it is about, one sentence. */
export function renderLines(lines: readonly NetLineView[]): string {
  const width = Math.max(...lines.map(({ subject }) => subject.length), 0);
  return lines
    .map(({ verdict, subject, text }) => `${marks[verdict].padEnd(3)} ${subject.padEnd(width)}  ${text}`)
    .join('\n');
}
