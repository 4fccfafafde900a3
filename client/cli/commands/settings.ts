/** `culvert settings`: list, get, set, reset. */

import type { Command } from 'commander';
import type { SettingEntry } from '../../../shared/core/control/api.ts';
import { CulvertError } from '../../../shared/core/control/codes.ts';
import { secretSettings } from '../../settings/schema.ts';
import type { CliContext, SharedFlags } from '../context.ts';
import { findDaemon } from '../daemon-link.ts';
import { withSharedFlags } from '../flags.ts';
import { renderSettings } from '../render.ts';

export function addSettings(program: Command, context: CliContext): void {
  const settings = program.command('settings').description('how culvert behaves');
  const list = settings
    .command('list')
    .description('print all settings')
    .action(async (flags: SharedFlags) => {
      const client = await findDaemon(context, flags);
      const all = await client.call('settings');
      context.print(flags.json === true ? JSON.stringify(all) : renderSettings(all));
    });
  const get = settings
    .command('get')
    .argument('<name>')
    .description('print the value of one setting')
    .action(async (name: string, flags: SharedFlags) => {
      const client = await findDaemon(context, flags);
      printOne(await client.call('settings'), name, { context, flags });
    });
  const set = settings
    .command('set')
    .argument('<name>')
    .argument('<value>')
    .description('change one setting')
    .action(async (name: string, value: string, flags: SharedFlags) => {
      refuseSecret(name);
      const client = await findDaemon(context, flags);
      printOne(await client.call('changeSettings', { [name]: value }), name, { context, flags });
    });
  const reset = settings
    .command('reset')
    .argument('[name]', 'default: all of them')
    .description('take the default again')
    .action(async (name: string | undefined, flags: SharedFlags) => {
      const client = await findDaemon(context, flags);
      const names = name === undefined ? (await client.call('settings')).map((entry) => entry.name) : [name];
      const all = await client.call('changeSettings', Object.fromEntries(names.map((one) => [one, null])));
      if (name !== undefined) printOne(all, name, { context, flags });
      else context.print(flags.json === true ? JSON.stringify(all) : renderSettings(all));
    });
  for (const command of [list, get, set, reset]) withSharedFlags(command);
}

/** Arguments can be read by every user of the machine. */
function refuseSecret(name: string): void {
  if (!secretSettings.has(name)) return;
  throw new CulvertError('bad-usage', {
    text: `${name} is a secret and not taken from the command line.`,
    remedy: 'Use: culvert proxy password --username NAME --password-file FILE',
  });
}

interface Output {
  readonly context: CliContext;
  readonly flags: SharedFlags;
}

function printOne(all: readonly SettingEntry[], name: string, { context, flags }: Output): void {
  const entry = all.find((one) => one.name === name);
  if (entry === undefined)
    throw new CulvertError('unknown-setting', { text: `There is no setting named '${name}'.` });
  context.print(flags.json === true ? JSON.stringify(entry) : String(entry.value));
}
