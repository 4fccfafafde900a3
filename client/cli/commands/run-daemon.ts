/** `culvert daemon`: run it here, or start it and return once its socket exists. */

import { resolve } from 'node:path';
import type { Command } from 'commander';
import { defaultSocket, defaultStateDir } from '../../../shared/node/control/places.ts';
import { problemOf } from '../../driver/effects.ts';
import type { CliContext, SharedFlags } from '../context.ts';
import { type StartReport, startDetached } from '../daemon-link.ts';
import { withSharedFlags } from '../flags.ts';

interface DaemonFlags extends SharedFlags {
  readonly stateDir?: string;
  readonly foreground?: boolean;
}

export function addDaemon(program: Command, context: CliContext): void {
  const command = program
    .command('daemon')
    .description('run the daemon; without --foreground it detaches once its socket exists')
    .option('--state-dir <dir>', 'where it keeps keys, settings and its log')
    .option('--foreground', 'stay, and write the log to standard error')
    .action((flags: DaemonFlags) => startOrRun(context, flags));
  withSharedFlags(command);
}

async function startOrRun(context: CliContext, flags: DaemonFlags): Promise<void> {
  const { account } = context;
  const stateDir = resolve(flags.stateDir ?? defaultStateDir(account));
  const socket = resolve(flags.socket ?? defaultSocket(account, stateDir));
  if (flags.foreground === true) {
    await runHere(context, { stateDir, socket });
    return;
  }
  const pid = await startDetached(context.entry, { stateDir, socket });
  const text = `The daemon runs (process ${pid}, socket ${socket}).`;
  context.print(flags.json === true ? JSON.stringify({ pid, socket, stateDir }) : text);
}

async function runHere(context: CliContext, places: { stateDir: string; socket: string }): Promise<void> {
  try {
    await context.runDaemon({
      ...places,
      isSystem: context.account.isRoot,
      onReady: () => report({ kind: 'ready' }),
    });
  } catch (error) {
    report({ kind: 'failed', ...problemOf(error) });
    throw error;
  }
}

/** To the command that started us, if one did. */
function report(message: StartReport): void {
  if (process.send === undefined || !process.connected) return;
  process.send(message, () => {
    if (process.connected) process.disconnect();
  });
}
