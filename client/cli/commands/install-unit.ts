/** `culvert service`: the daemon of the whole device as a unit of systemd. */

import { existsSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import type { Command } from 'commander';
import { CulvertError } from '../../../shared/core/control/codes.ts';
import { defaultStateDir, polkitPolicyPath } from '../../../shared/node/control/places.ts';
import { run } from '../../../shared/node/run.ts';
import { installUnit, removeUnit, unitText } from '../../host/systemd.ts';
import { unitJournalPath } from '../../settings/paths.ts';
import type { CliContext, SharedFlags } from '../context.ts';
import { withSharedFlags } from '../flags.ts';

interface InstallFlags extends SharedFlags {
  readonly print?: boolean;
}

export function addService(program: Command, context: CliContext): void {
  const group = program
    .command('service')
    .description('run the daemon of the whole device from the start of this machine, by systemd');
  const say = (sentences: readonly string[], flags: SharedFlags): void => {
    if (flags.json === true) context.print(JSON.stringify({ done: sentences }));
    else context.print(sentences.length === 0 ? 'Nothing to remove.' : sentences.join('\n'));
  };
  const stateDir = defaultStateDir({ ...context.account, isRoot: true });
  const install = group
    .command('install')
    .description('install, enable and start it')
    .option('--print', 'only print the unit')
    .action(async (flags: InstallFlags) => {
      const plan = { node: process.execPath, entry: resolve(context.entry), stateDir };
      if (flags.print === true) {
        const unit = unitText(plan);
        context.print(flags.json === true ? JSON.stringify({ unit }) : unit.trimEnd());
        return;
      }
      needRoot(context);
      const launcher = resolve(dirname(plan.entry), '../shared/launch/culvert');
      const polkit = existsSync(launcher) ? { polkit: { path: polkitPolicyPath, program: launcher } } : {};
      say(await installUnit({ ...plan, ...polkit }, { run, journal: unitJournalPath(stateDir) }), flags);
    });
  const remove = group
    .command('remove')
    .description('stop it and take it away; settings and edges stay')
    .action(async (flags: SharedFlags) => {
      needRoot(context);
      say(await removeUnit({ run, journal: unitJournalPath(stateDir) }), flags);
    });
  for (const command of [install, remove]) withSharedFlags(command);
}

function needRoot(context: CliContext): void {
  if (!context.account.isRoot) throw new CulvertError('not-root', { text: 'This needs root.' });
}
