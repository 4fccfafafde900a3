/**
 * Whether a program can have a network of its own here, and with which words of `unshare`. Tried, not guessed:
 * kernels, containers and security modules forbid it in many ways.
 */

import { spawnSync } from 'node:child_process';
import { accessSync, constants } from 'node:fs';
import { ffiAvailable } from '../../shared/node/ffi/libc.ts';
import type { IsolationVerdict } from './plan.ts';

const tryMs = 5000;
const devicePath = '/dev/net/tun';

/** Words that follow `unshare`. */
export function unshareWords(ownUser: boolean): readonly string[] {
  const user = ownUser ? ['--user', '--map-current-user', '--keep-caps'] : [];
  return [...user, '--net', '--mount'];
}

export function tryIsolation(): IsolationVerdict {
  const ffi = ffiAvailable();
  if (!ffi.ok) return { ok: false, reason: ffi.reason };
  try {
    accessSync(devicePath, constants.R_OK | constants.W_OK);
  } catch {
    return { ok: false, reason: `${devicePath} is missing or not for this account` };
  }
  let reason = '';
  // Root needs no user namespace, and keeps its rights over files without one.
  for (const ownUser of process.getuid?.() === 0 ? [false, true] : [true]) {
    const words = [...unshareWords(ownUser), '--', 'true'];
    const tried = spawnSync('unshare', words, {
      encoding: 'utf8',
      timeout: tryMs,
      env: { ...process.env, LC_ALL: 'C' },
    });
    if (tried.status === 0 && hasProgram('setsid')) return { ok: true, ownUser };
    reason ||= reasonOf(tried.error, tried.stderr);
  }
  return { ok: false, reason };
}

function hasProgram(name: string): boolean {
  return spawnSync(name, ['--version'], { timeout: tryMs }).error === undefined;
}

function reasonOf(error: Error | undefined, complaint: string | null): string {
  if (error !== undefined) return 'the programs unshare and setsid of util-linux are missing';
  const line = (complaint ?? '').split('\n')[0]?.trim();
  return line === undefined || line === '' ? 'unshare does not work' : line;
}
