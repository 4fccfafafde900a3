/**
 * Where the daemon keeps its files and where its sockets are, for the daemon, the command line and
 * the desktop (product.md §5).
 */

import { homedir } from 'node:os';
import { dirname, join } from 'node:path';

export const systemSocketFolder = '/run/culvert';
/** Of the daemon of the whole device. */
export const systemSocket: string = join(systemSocketFolder, 'control.sock');
/** What polkit is told of us; `culvert service install` writes it, and the window looks there which program to run. */
export const polkitPolicyPath = '/usr/share/polkit-1/actions/org.culvert.policy';
const systemStateDir = '/var/lib/culvert';

export interface Account {
  readonly isRoot: boolean;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly home: string;
}

export function ownAccount(): Account {
  return { isRoot: process.getuid?.() === 0, env: process.env, home: homedir() };
}

export function defaultStateDir(account: Account): string {
  if (account.isRoot) return systemStateDir;
  const base = account.env['XDG_STATE_HOME'];
  return join(base === undefined || base === '' ? join(account.home, '.local', 'state') : base, 'culvert');
}

/** The control socket of a daemon that this account starts. */
export function defaultSocket(account: Account, stateDir: string): string {
  if (account.isRoot) return systemSocket;
  const runtime = account.env['XDG_RUNTIME_DIR'];
  const folder = runtime === undefined || runtime === '' ? stateDir : join(runtime, 'culvert');
  return join(folder, 'control.sock');
}

/** Where a client looks, in this order: our own daemon, then the system's. */
export function candidateSockets(account: Account): readonly string[] {
  const own = defaultSocket(account, defaultStateDir(account));
  return account.isRoot ? [own] : [own, systemSocket];
}

/** The read-only socket beside a control socket. */
export function statusSocketBeside(controlSocket: string): string {
  return join(dirname(controlSocket), 'status.sock');
}
