/** What the guardian runs when the daemon died: gives the network back, unless a new daemon answers already. Hidden. */

import type { Command } from 'commander';
import { run } from '../../../shared/node/run.ts';
import { livingDaemon } from '../../control/daemon-mark.ts';
import { hostPlace } from '../../host/place.ts';
import { openForRestore, undoAll } from '../../host/restore.ts';
import { systemSysctl } from '../../host/sysctl.ts';
import { journalPath } from '../../settings/paths.ts';
import type { CliContext } from '../context.ts';

/** For whoever starts the daemon again. */
const graceMs = 3000;
const lookMs = 500;

export function addGuardian(program: Command, context: CliContext): void {
  program
    .command('guardian', { hidden: true })
    .requiredOption('--state-dir <dir>', "the daemon's state directory")
    .action(async ({ stateDir }: { readonly stateDir: string }) => {
      for (let waitedMs = 0; waitedMs < graceMs; waitedMs += lookMs) {
        await new Promise((resolve) => setTimeout(resolve, lookMs));
        if ((await livingDaemon(stateDir)) !== undefined) return;
      }
      // The wish stays: a daemon that is started later connects again.
      const undone = await undoAll(openForRestore(journalPath(stateDir), hostPlace()), {
        run,
        sysctl: systemSysctl,
      });
      context.note(undone.join('\n'));
    });
}
