/**
 * Who may use a socket file: owner, one group, and single accounts at once. Membership of a group begins with the next
 * login of a person; a list on the socket itself holds from now on.
 */

import { chmodSync, chownSync } from 'node:fs';
import { setAccessList } from '../ffi/access-calls.ts';

export interface SocketAccess {
  /** Permission bits, for example 0o600. */
  readonly mode: number;
  /** Owning group; absent: the process's own. */
  readonly gid?: number;
  /** Accounts that may use it as the group may, by number. */
  readonly users?: readonly number[];
  /** Permission bits of the folder where we make it. */
  readonly folderMode: number;
}

/** True where the list of accounts holds, or there is none to set. Owner of the file only; throws where it may not. */
export function giveAccess(path: string, { mode, gid, users }: SocketAccess): boolean {
  if (gid !== undefined) chownSync(path, process.getuid?.() ?? 0, gid);
  chmodSync(path, mode);
  if (users === undefined) return true;
  const [owner, group, other] = [(mode >> 6) & 7, (mode >> 3) & 7, mode & 7];
  // Without one it has to go on, too: an earlier list would stay.
  return setAccessList(path, { owner, group, other, named: group, users }) || users.length === 0;
}
