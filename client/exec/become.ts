/**
 * This process becomes another program: same pid, same terminal, same parent, so that its exit code and every
 * signal are its own. What Node changed for itself is put back first.
 */

import { accessSync, constants, statSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { CulvertError } from '../../shared/core/control/codes.ts';
import { errno } from '../../shared/node/ffi/errno.ts';
import { type ProcessCalls, processCalls } from '../../shared/node/ffi/process-calls.ts';

const standardStreams: readonly number[] = [0, 1, 2];
const setDescriptorFlags = 2;
const getStatusFlags = 3;
const setStatusFlags = 4;
const nonBlocking = 0x800;
/** SIGPIPE and SIGXFSZ, which Node ignores, and the ignoring would be inherited. */
const ignoredByNode: readonly number[] = [13, 25];

/**
 * The file that `name` stands for, as a shell would find it. Throws 'command-not-found' or
 * 'command-not-executable'.
 */
export function findCommand(name: string, path: string | undefined): string {
  const places = name.includes('/')
    ? [name]
    : (path ?? '').split(delimiter).map((folder) => join(folder, name));
  let exists = false;
  for (const place of name === '' ? [] : places) {
    try {
      if (!statSync(place).isFile()) continue;
      exists = true;
      accessSync(place, constants.X_OK);
      return place;
    } catch {
      // Not there, or not for us: the next folder may have it.
    }
  }
  throw exists
    ? new CulvertError('command-not-executable', { text: `'${name}' may not be executed.` })
    : new CulvertError('command-not-found', { text: `There is no program '${name}'.` });
}

/** Never returns. Throws CulvertError where the system refuses; then nothing has happened. */
export function become(words: readonly string[]): never {
  const [name = '', ...rest] = words;
  const file = findCommand(name, process.env['PATH']);
  const calls = processCalls();
  if (calls === undefined) {
    if (process.execve === undefined) throw new CulvertError('unsupported-platform');
    return process.execve(file, [name, ...rest], process.env);
  }
  cleanUp(calls);
  calls.execvp(file, words);
  const number = calls.errno();
  throw new CulvertError('command-not-executable', {
    text:
      number === errno.ENOENT ? `The interpreter of '${name}' is missing.` : `'${name}' cannot be executed.`,
    errno: number,
  });
}

function cleanUp(calls: ProcessCalls): void {
  for (const fd of standardStreams) {
    calls.fcntl(fd, setDescriptorFlags, 0);
    const flags = calls.fcntl(fd, getStatusFlags, 0);
    if (flags >= 0 && (flags & nonBlocking) !== 0) calls.fcntl(fd, setStatusFlags, flags & ~nonBlocking);
  }
  for (const signal of ignoredByNode) calls.resetSignal(signal);
}

/** Takes away what the launcher added for this program alone (shared/launch/run.sh). Call before becoming the user's. */
export function dropLent(): void {
  for (const name of (process.env['CULVERT_LENT'] ?? '').split(' ')) {
    if (name !== '') delete process.env[name];
  }
  delete process.env['CULVERT_LENT'];
}
