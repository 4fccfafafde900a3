/**
 * Takes back what the journal lists, newest first: at exit, and at start after a crash. Every step may
 * be repeated, and a value that somebody else has changed since is left alone.
 */

import { unreachable } from '../../shared/core/base/assert.ts';
import type { Log } from '../../shared/core/base/ports.ts';
import type { Run } from '../../shared/node/run.ts';
import type { KernelSettings } from './forwarding.ts';
import type { HostChange, HostJournal } from './journal.ts';
import { removeTable } from './kernel-nat.ts';
import { removePathRoute } from './kernel-path-host.ts';
import { removeStaleSocket } from './stale-socket.ts';

export interface UndoTools {
  readonly run: Run;
  readonly settings: KernelSettings;
  readonly log: Log;
}

/**
 * Undoes everything that is pending. The journal is emptied only where all of it succeeded, so that
 * the next start tries again. Returns how many changes were taken back.
 */
export async function undoJournal(journal: HostJournal, tools: UndoTools): Promise<number> {
  const pending = journal.pending;
  let failures = 0;
  for (const change of pending) {
    try {
      await undoChange(change, tools);
    } catch (cause) {
      failures++;
      tools.log.error('a host change could not be undone', { kind: change.kind, why: String(cause) });
    }
  }
  if (failures === 0) journal.clear();
  return pending.length - failures;
}

async function undoChange(change: HostChange, tools: UndoTools): Promise<void> {
  switch (change.kind) {
    case 'nft-table':
      return removeTable(change.table, tools.run);
    case 'path-route':
      return removePathRoute(change, tools.run);
    case 'sysctl':
      if (tools.settings.read(change.path) === change.after) tools.settings.write(change.path, change.before);
      return undefined;
    case 'socket-file':
      return removeStaleSocket(change.path);
    default:
      return unreachable(change);
  }
}
