/** Reads a file with a secret: a password, or a configuration with a key in it. Refuses one that others can read. */

import { closeSync, fstatSync, openSync, readFileSync } from 'node:fs';
import { CulvertError } from '../shared/core/control/codes.ts';

const maxSecretBytes = 1024 * 1024;

/** Throws CulvertError 'file-unreadable', which never quotes the content. */
export function readSecretText(path: string): string {
  let file: number;
  try {
    file = openSync(path, 'r');
  } catch (cause) {
    const isMissing = (cause as NodeJS.ErrnoException).code === 'ENOENT';
    const text = isMissing ? `there is no file ${path}` : `the file ${path} cannot be read`;
    throw new CulvertError('file-unreadable', { text, cause });
  }
  try {
    const { mode, size } = fstatSync(file);
    if ((mode & 0o077) !== 0) {
      throw new CulvertError('file-unreadable', {
        text: `the file ${path} can be read by other users; close it: chmod 600 ${path}`,
      });
    }
    if (size > maxSecretBytes)
      throw new CulvertError('file-unreadable', { text: `the file ${path} is too large` });
    return readFileSync(file, 'utf8');
  } finally {
    closeSync(file);
  }
}
