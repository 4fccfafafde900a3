/** Writes to files of a state directory, on disk when it returns, readable by their owner only. */

import { closeSync, fsyncSync, mkdirSync, openSync, renameSync, rmSync, writeSync } from 'node:fs';
import { dirname } from 'node:path';
import { CulvertError } from '../../shared/core/control/codes.ts';

/** A whole file or nothing. Throws 'store-full' where the disk is full; the file is then as it was. */
export function writeAtomic(path: string, text: string): void {
  const fresh = `${path}.new`;
  try {
    writeFlushed(fresh, 'w', text);
    renameSync(fresh, path);
  } catch (cause) {
    // What is left of it would take room that somebody needs.
    rmSync(fresh, { force: true });
    throw cause;
  }
}

/** At the end of a file. Where it throws ('store-full' and others), a part of the text may be there. */
export function appendFlushed(path: string, text: string): void {
  writeFlushed(path, 'a', text);
}

function writeFlushed(path: string, flag: 'a' | 'w', text: string): void {
  try {
    mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
    const file = openSync(path, flag, 0o600);
    try {
      writeSync(file, text);
      fsyncSync(file);
    } finally {
      closeSync(file);
    }
  } catch (cause) {
    throw explained(cause);
  }
}

function explained(cause: unknown): unknown {
  const { code } = cause as NodeJS.ErrnoException;
  if (code !== 'ENOSPC' && code !== 'EDQUOT') return cause;
  return new CulvertError('store-full', {
    text: 'The disk is full: what culvert wanted to keep could not be written.',
    cause,
  });
}
