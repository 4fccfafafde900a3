/** `culvert diag`: a redacted report, shown before it is written. */

import { writeFileSync } from 'node:fs';
import { createInterface } from 'node:readline/promises';
import type { Command } from 'commander';
import { CulvertError } from '../../../shared/core/control/codes.ts';
import type { CliContext, SharedFlags } from '../context.ts';
import { findDaemon } from '../daemon-link.ts';
import { withSharedFlags } from '../flags.ts';

interface DiagFlags extends SharedFlags {
  readonly output?: string;
  readonly yes?: boolean;
}

export function addDiag(program: Command, context: CliContext): void {
  const command = program
    .command('diag')
    .description('a report of this machine for people who help, without keys, names and public addresses')
    .option('--output <file>', 'write it there, once you have read it')
    .option('--yes', 'write it without asking')
    .action(async (flags: DiagFlags) => {
      const { text } = await (await findDaemon(context, flags)).call('diagnosis');
      const { output } = flags;
      if (flags.json !== true) context.print(text.trimEnd());
      if (output === undefined) {
        if (flags.json === true) context.print(JSON.stringify({ text }));
        return;
      }
      const isAllowed = flags.yes === true || (flags.json !== true && (await confirm(output)));
      if (!isAllowed) {
        throw new CulvertError('not-confirmed', {
          remedy: `To write it: culvert diag --output ${output} --yes`,
        });
      }
      write(output, text);
      if (flags.json === true) context.print(JSON.stringify({ text, written: output }));
      else context.note(`Written to ${output}.`);
    });
  withSharedFlags(command);
}

async function confirm(path: string): Promise<boolean> {
  if (!process.stdin.isTTY) return false;
  const lines = createInterface({ input: process.stdin, output: process.stderr });
  try {
    return /^y(es)?$/i.test((await lines.question(`Write exactly this to ${path}? [y/N] `)).trim());
  } finally {
    lines.close();
  }
}

function write(path: string, text: string): void {
  try {
    // Never over something that is there.
    writeFileSync(path, text, { mode: 0o600, flag: 'wx' });
  } catch (cause) {
    const isThere = (cause as NodeJS.ErrnoException).code === 'EEXIST';
    throw new CulvertError('file-unwritable', {
      text: isThere ? `The file ${path} exists already.` : `The file ${path} cannot be written.`,
      cause,
    });
  }
}
