/**
 * What a program sees of name resolution, in its own mount namespace: a resolv.conf with our resolver, no
 * module of nsswitch that asks somebody else, and none of the sockets behind which resolvers of the host sit.
 * Nothing is written to a disk: the files lie in memory that only this namespace sees.
 */

import { existsSync, lstatSync, mkdirSync, readFileSync, realpathSync, writeFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { CulvertError } from '../../shared/core/control/codes.ts';
import { errnoName } from '../../shared/node/ffi/errno.ts';
import type { ProcessCalls } from '../../shared/node/ffi/process-calls.ts';

const MS_BIND = 4096;
const MS_NOSUID_NODEV = 2 | 4;
const MNT_DETACH = 2;
const resolvConf = '/etc/resolv.conf';
const nsswitch = '/etc/nsswitch.conf';
/** Folders with sockets of resolvers: a path is not bound to a network. */
const resolverFolders: readonly string[] = ['/run/systemd/resolve', '/run/nscd', '/run/avahi-daemon'];
/** A folder that every system has; covered for a moment only. */
const workshop = '/tmp';

export function coverNames(calls: ProcessCalls, resolver: string): void {
  const files = new Map([[resolvConf, `nameserver ${resolver}\noptions edns0\n`]]);
  const hosts = existsSync(nsswitch) ? plainHosts(readFileSync(nsswitch, 'utf8')) : undefined;
  if (hosts !== undefined) files.set(nsswitch, hosts);
  const targets = new Map([...files].map(([path, text]) => [realPathOf(path), text]));

  const hidden = resolverFolders.filter((folder) => existsSync(folder));
  mountMemory(calls, workshop);
  try {
    for (const folder of hidden) mountMemory(calls, folder);
    for (const [target, text] of targets) placeFile(calls, { target, text, hidden });
  } finally {
    // The files live on where they are bound to.
    calls.unmount(workshop, MNT_DETACH);
  }
}

/** The text of nsswitch.conf with hosts looked up in the file and by DNS, and nowhere else. Pure. */
export function plainHosts(text: string): string {
  const lines = text.split('\n').filter((line) => !/^\s*hosts\s*:/.test(line));
  return `${lines.join('\n').trimEnd()}\nhosts: files dns\n`.trimStart();
}

function placeFile(
  calls: ProcessCalls,
  {
    target,
    text,
    hidden,
  }: { readonly target: string; readonly text: string; readonly hidden: readonly string[] },
): void {
  if (hidden.some((folder) => target.startsWith(`${folder}/`))) {
    mkdirSync(dirname(target), { recursive: true });
    writeFileSync(target, text);
    return;
  }
  // A system without the file cannot be given one; programs then ask 127.0.0.1, where nobody is.
  if (!existsSync(target)) return;
  const source = join(workshop, basename(target));
  writeFileSync(source, text);
  check(calls, calls.mount(source, target, null, MS_BIND, null), target);
}

function mountMemory(calls: ProcessCalls, folder: string): void {
  check(calls, calls.mount('culvert', folder, 'tmpfs', MS_NOSUID_NODEV, 'size=64k,mode=0755'), folder);
}

/** A link that leads nowhere stands for the place it names. */
function realPathOf(path: string): string {
  try {
    return realpathSync(path);
  } catch {
    return lstatSync(path, { throwIfNoEntry: false }) === undefined
      ? path
      : join(dirname(path), basename(path));
  }
}

function check(calls: ProcessCalls, result: number, target: string): void {
  if (result === 0) return;
  throw new CulvertError('exec-failed', {
    text: `${target} cannot be replaced for the program (${errnoName(calls.errno())}).`,
  });
}
