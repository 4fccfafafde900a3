/** `culvert-edge doctor`: what is wrong with this edge, one sentence and one fix each. */

import type { Command } from 'commander';
import { examine, type Finding } from '../../doctor/examine.ts';
import { addSharedFlags, configPath, dataFolder, print, type SharedFlags } from '../place.ts';

const marks: Readonly<Record<Finding['verdict'], string>> = { good: 'ok', warning: '!', bad: 'X' };

export function addDoctor(program: Command, exitWith: (code: number) => void): void {
  addSharedFlags(program.command('doctor'))
    .description('check clock, ports, forwarding, resolvers, certificate, disk and kernel')
    .action(async (flags: SharedFlags) => {
      const findings = await examine({ dataFolder: dataFolder(flags), configPath: configPath(flags) });
      print(flags, findings, () => `${findings.map(lineOf).join('\n')}\n`);
      if (findings.some((finding) => finding.verdict === 'bad')) exitWith(1);
    });
}

function lineOf({ verdict, subject, text, remedy }: Finding): string {
  const line = `${marks[verdict].padEnd(3)} ${subject}: ${text}`;
  return remedy === undefined ? line : `${line}\n      ${remedy}`;
}
