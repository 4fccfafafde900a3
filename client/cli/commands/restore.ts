/** `culvert restore`: undo what culvert did to this machine, with or without a daemon. */

import type { Command } from 'commander';
import { defaultStateDir } from '../../../shared/node/control/places.ts';
import { ControlClient } from '../../../shared/node/control/socket-client.ts';
import { run } from '../../../shared/node/run.ts';
import { livingDaemon } from '../../control/daemon-mark.ts';
import { desktopJournalForRestore } from '../../host/desktop-proxy/desktop-proxy.ts';
import { hostPlace } from '../../host/place.ts';
import { openForRestore, undoAll } from '../../host/restore.ts';
import { systemSysctl } from '../../host/sysctl.ts';
import { journalPath, settingsPath, wishPath } from '../../settings/paths.ts';
import { SettingsStore } from '../../settings/store.ts';
import { WishFile } from '../../settings/wish.ts';
import type { CliContext, SharedFlags } from '../context.ts';
import { withSharedFlags } from '../flags.ts';

interface RestoreFlags extends SharedFlags {
  readonly stateDir?: string;
}

export function addRestore(program: Command, context: CliContext): void {
  const command = program
    .command('restore')
    .description('undo everything culvert did to this machine; needs no daemon')
    .option('--state-dir <dir>', "the daemon's state directory")
    .action(async (flags: RestoreFlags) => {
      const stateDir = flags.stateDir ?? defaultStateDir(context.account);
      const socket = flags.socket ?? (await livingDaemon(stateDir));
      const disconnected = socket !== undefined && (await askDaemon(socket, context));
      const journal = openForRestore(journalPath(stateDir), hostPlace());
      // First the wish: a daemon that starts now must not close what we open.
      new WishFile(wishPath(stateDir)).remember(undefined);
      const tools = { run, sysctl: systemSysctl };
      const desktop = desktopJournalForRestore(stateDir);
      const undone = [...(await undoAll(journal, tools)), ...(await undoAll(desktop.journal, tools))];
      if (desktop.isLost) {
        context.note(
          "What was changed in this desktop's proxy settings cannot be read any more: look there.",
        );
      }
      if (isLockedDown(stateDir)) {
        context.note('Lockdown is on: a daemon that runs or starts closes this machine again.');
        context.note('To end that: culvert settings set lockdown off');
      }
      if (flags.json === true) context.print(JSON.stringify({ disconnected, undone }));
      else context.print(sentences(disconnected, undone));
    });
  withSharedFlags(command);
}

/** A living daemon would close the machine again, so it is asked to let go first. */
async function askDaemon(socket: string, context: CliContext): Promise<boolean> {
  try {
    await new ControlClient(socket).call('disconnect');
    return true;
  } catch (error) {
    context.note(`The daemon did not disconnect: ${error instanceof Error ? error.message : String(error)}`);
    return false;
  }
}

function sentences(disconnected: boolean, undone: readonly string[]): string {
  const first = disconnected ? ['The daemon disconnected and undid its changes.'] : [];
  const lines = [...first, ...undone];
  return lines.length === 0 ? 'Nothing to undo.' : lines.join('\n');
}

function isLockedDown(stateDir: string): boolean {
  try {
    return new SettingsStore(settingsPath(stateDir)).current.lockdown;
  } catch {
    return false; // Settings that cannot be read must not keep anybody from opening the machine.
  }
}
