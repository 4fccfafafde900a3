/**
 * Accounts and groups of this machine, as its files name them, and who of them may command the system's daemon. Accounts
 * of a directory (LDAP and the like) are in no file: they get in by the group, from their next login on.
 */

import { readFileSync } from 'node:fs';
import type { SocketAccess } from '../../shared/node/control/socket-access.ts';

/** Members may command the system's daemon. */
export const commandGroup = 'culvert';

/** Texts of /etc/group and /etc/passwd. */
export interface AccountFiles {
  readonly groups: string;
  readonly accounts: string;
}

/** More have to come in by the group alone: the list on the socket would not fit into its file system any more. */
const mostListed = 100;

export function readAccountFiles(): AccountFiles {
  return { groups: textOf('/etc/group'), accounts: textOf('/etc/passwd') };
}

/** Number of a group in the text of /etc/group. */
export function groupId(groups: string, name: string): number | undefined {
  return numberIn(fieldsOf(groups, name)?.[2]);
}

/** Names of its members, as the file lists them. */
export function memberNames(groups: string, name: string): readonly string[] {
  return (fieldsOf(groups, name)?.[3] ?? '').split(',').filter((one) => one !== '');
}

/** Root, the group, and its members at once. */
export function systemAccess(files: AccountFiles = readAccountFiles()): SocketAccess {
  const folderMode = 0o755;
  const gid = groupId(files.groups, commandGroup);
  // Without the group only the owner commands.
  if (gid === undefined) return { mode: 0o600, folderMode };
  const users = memberNames(files.groups, commandGroup)
    .map((name) => numberIn(fieldsOf(files.accounts, name)?.[2]))
    .filter((id) => id !== undefined)
    .slice(0, mostListed);
  return { mode: 0o660, gid, users, folderMode };
}

function fieldsOf(text: string, name: string): readonly string[] | undefined {
  return text
    .split('\n')
    .find((line) => line.startsWith(`${name}:`))
    ?.split(':');
}

function numberIn(text: string | undefined): number | undefined {
  return text !== undefined && /^\d{1,10}$/.test(text) ? Number(text) : undefined;
}

function textOf(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return ''; // A machine without such a file has no such names.
  }
}
