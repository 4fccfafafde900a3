/**
 * A mark in the state directory: which process serves it, on which socket. Two daemons on one state
 * directory would undo each other's changes.
 */

import { readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { CulvertError } from '../../shared/core/control/codes.ts';
import { isSocketAlive } from '../../shared/node/control/socket-server.ts';
import { writeAtomic } from '../settings/atomic-file.ts';

const fileName = 'daemon.json';

/** Takes the state directory. Throws 'daemon-running' where a living daemon has it. */
export async function claimStateDir(stateDir: string, socket: string): Promise<void> {
  const other = await livingDaemon(stateDir);
  if (other !== undefined) {
    throw new CulvertError('daemon-running', {
      text: `A culvert daemon runs already with ${stateDir}; its socket is ${other}.`,
    });
  }
  writeAtomic(join(stateDir, fileName), `${JSON.stringify({ pid: process.pid, socket })}\n`);
}

export function leaveStateDir(stateDir: string): void {
  rmSync(join(stateDir, fileName), { force: true });
}

/** The control socket of the daemon that serves this state directory, if one lives. */
export async function livingDaemon(stateDir: string): Promise<string | undefined> {
  let mark: { pid?: unknown; socket?: unknown };
  try {
    mark = JSON.parse(readFileSync(join(stateDir, fileName), 'utf8')) as typeof mark;
  } catch {
    return undefined; // No mark, or one that a power cut left half.
  }
  if (typeof mark.socket !== 'string' || typeof mark.pid !== 'number') return undefined;
  return isProcess(mark.pid) && (await isSocketAlive(mark.socket)) ? mark.socket : undefined;
}

function isProcess(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}
