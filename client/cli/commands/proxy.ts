/** `culvert proxy`: the local proxy's port and password, where it is, and the desktop's settings for it. */

import { readFileSync } from 'node:fs';
import type { Command } from 'commander';
import { CulvertError } from '../../../shared/core/control/codes.ts';
import type { Status } from '../../../shared/core/control/status.ts';
import type { CliContext, SharedFlags } from '../context.ts';
import { needDaemon } from '../daemon-link.ts';
import { withSharedFlags } from '../flags.ts';
import { renderProxy } from '../render.ts';
import { addProxySystem } from './proxy-system.ts';

interface PasswordFlags extends SharedFlags {
  readonly username?: string;
  readonly passwordFile?: string;
  readonly remove?: boolean;
}

/** Standard input, as a file. */
const standardInput = 0;
const longestPasswordFile = 4096;

export function addProxy(program: Command, context: CliContext): void {
  const proxy = program.command('proxy').description('the local proxy of mode proxy');
  const port = proxy
    .command('port')
    .argument('<number>', 'port on 127.0.0.1; 0 takes a free one')
    .description('choose the port')
    .action(async (number: string, flags: SharedFlags) => {
      const client = await needDaemon(context, flags);
      await client.call('changeSettings', { 'proxy.port': number });
      show(await client.call('status'), context, flags);
    });
  const status = proxy
    .command('status')
    .description('where it is and whether it carries anything')
    .action(async (flags: SharedFlags) => {
      const client = await needDaemon(context, flags);
      show(await client.call('status'), context, flags);
    });
  const password = proxy
    .command('password')
    .description('ask programs for a name and a password, which is read from a file or standard input')
    .option('--username <name>', 'the name that programs must give')
    .option('--password-file <file>', 'its first line is the password (default: standard input)')
    .option('--remove', 'ask for none')
    .action(async (flags: PasswordFlags) => {
      const patch = credentialsIn(flags);
      const client = await needDaemon(context, flags);
      await client.call('changeSettings', patch);
      show(await client.call('status'), context, flags);
    });
  for (const command of [port, status, password]) withSharedFlags(command);
  addProxySystem(proxy, context);
}

function credentialsIn(flags: PasswordFlags): Readonly<Record<string, string | null>> {
  if (flags.remove === true) return { 'proxy.username': null, 'proxy.password': null };
  if (flags.username === undefined || flags.username === '') {
    throw new CulvertError('bad-usage', {
      text: 'A name is missing.',
      remedy: 'Give one: culvert proxy password --username NAME --password-file FILE',
    });
  }
  return { 'proxy.username': flags.username, 'proxy.password': readPassword(flags.passwordFile) };
}

/** Never an argument: those can be read by every user of the machine. */
function readPassword(file: string | undefined): string {
  let text: string;
  try {
    text = readFileSync(file === undefined || file === '-' ? standardInput : file, 'utf8');
  } catch (cause) {
    const text = `The password cannot be read from ${file ?? 'standard input'}.`;
    throw new CulvertError('file-unreadable', { text, cause });
  }
  const password = text.slice(0, longestPasswordFile).split(/\r?\n/, 1)[0] ?? '';
  if (password === '') throw new CulvertError('bad-usage', { text: 'The password is empty.' });
  return password;
}

function show(status: Status, context: CliContext, flags: SharedFlags): void {
  const { mode, state, proxy } = status;
  if (flags.json === true) context.print(JSON.stringify({ mode, state, ...proxy }));
  else context.print(renderProxy(status));
}
