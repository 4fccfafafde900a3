/**
 * Lets an account command the system's daemon, and takes that away again: the group for every later login, the socket's
 * own list at once. Needs root. Whoever came by pkexec may speak for their own account alone.
 */

import { lstatSync } from 'node:fs';
import { CulvertError } from '../../shared/core/control/codes.ts';
import { giveAccess } from '../../shared/node/control/socket-access.ts';
import type { Run } from '../../shared/node/run.ts';
import { type AccountFiles, commandGroup, groupId, memberNames, systemAccess } from './accounts.ts';

export interface AccountPlaces {
  readonly run: Run;
  /** The control socket of the system's daemon. */
  readonly socket: string;
  readonly files: () => AccountFiles;
}

/** Who asked, by the environment that pkexec or sudo made. */
export interface Asker {
  /** Number of the account; undefined: root itself. */
  readonly uid: number | undefined;
  /** By pkexec: only for themselves. */
  readonly isOwnOnly: boolean;
}

interface Account {
  readonly name: string;
  readonly uid: number;
}

/** As useradd takes them; never an option of a program. */
const accountName = /^[A-Za-z_][A-Za-z0-9_.@-]{0,31}\$?$/;

export function askerOf(env: Readonly<Record<string, string | undefined>>): Asker {
  const { PKEXEC_UID, SUDO_UID } = env;
  if (PKEXEC_UID !== undefined) return { uid: numberOf(PKEXEC_UID), isOwnOnly: true };
  return { uid: numberOf(SUDO_UID), isOwnOnly: false };
}

/** The account that is meant: the named one, else whoever asks. Throws 'unknown-account' and 'not-your-account'. */
export async function accountMeant(name: string | undefined, asker: Asker, run: Run): Promise<string> {
  if (name === undefined && asker.uid === undefined) {
    throw new CulvertError('bad-usage', { text: 'Say whose account: culvert account allow USER' });
  }
  const account = await findAccount(name ?? String(asker.uid), run);
  if (asker.isOwnOnly && account.uid !== asker.uid) throw new CulvertError('not-your-account');
  return account.name;
}

/** Idempotent. What was done, in sentences. */
export async function allowAccount(name: string, places: AccountPlaces): Promise<readonly string[]> {
  const { run, files } = places;
  if (groupId(files().groups, commandGroup) === undefined) {
    await run('groupadd', ['--system', commandGroup]);
  }
  if (!isMember(name, files())) await run('gpasswd', ['--add', name, commandGroup]);
  switch (applyNow(places)) {
    case 'now':
      return [`${name} may command culvert from now on.`];
    case 'next-login':
      return [`${name} may command culvert after logging in again.`];
    case 'no-daemon':
      return [`${name} may command culvert as soon as its daemon runs.`];
  }
}

/** Idempotent. What was done, in sentences. */
export async function disallowAccount(name: string, places: AccountPlaces): Promise<readonly string[]> {
  const { run, files } = places;
  if (!isMember(name, files())) return [`${name} was not allowed to command culvert.`];
  await run('gpasswd', ['--delete', name, commandGroup]);
  applyNow(places);
  return [
    `${name} may not command culvert any more.`,
    'A session that began with the permission keeps it until it ends.',
  ];
}

/** Names of the accounts that may. */
export function allowedAccounts({ files }: Pick<AccountPlaces, 'files'>): readonly string[] {
  return memberNames(files().groups, commandGroup);
}

/** The socket that stands there gets what the daemon would give it at its next start. */
function applyNow({ socket, files }: AccountPlaces): 'now' | 'next-login' | 'no-daemon' {
  // Never another kind of file, wherever somebody's words lead.
  if (lstatSync(socket, { throwIfNoEntry: false })?.isSocket() !== true) return 'no-daemon';
  return giveAccess(socket, systemAccess(files())) ? 'now' : 'next-login';
}

function isMember(name: string, { groups }: AccountFiles): boolean {
  return memberNames(groups, commandGroup).includes(name);
}

/** By name or by number. Asks the system, which knows also accounts that are in no file. */
async function findAccount(key: string, run: Run): Promise<Account> {
  const unknown = new CulvertError('unknown-account', { text: `There is no account '${key}' here.` });
  if (!accountName.test(key) && numberOf(key) === undefined) throw unknown;
  const { exitCode, stdout } = await run('getent', ['passwd', key], { allowFailure: true });
  const [name = '', , id] = stdout.split('\n')[0]?.split(':') ?? [];
  const uid = numberOf(id);
  if (exitCode !== 0 || uid === undefined || !accountName.test(name)) throw unknown;
  return { name, uid };
}

function numberOf(text: string | undefined): number | undefined {
  return text !== undefined && /^\d{1,10}$/.test(text) ? Number(text) : undefined;
}
