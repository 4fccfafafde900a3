/** Keys and certificates as files of their owner alone. Errors are 'bad-certificate' with the file's name. */

import { createPrivateKey, generateKeyPairSync, type KeyObject } from 'node:crypto';
import { closeSync, fstatSync, fsyncSync, openSync, readFileSync, renameSync, writeSync } from 'node:fs';
import { CulvertError } from '../../shared/core/control/codes.ts';

/** The P-256 key of that file, which is made where it is missing. */
export function readOrCreateKey(path: string): { readonly key: KeyObject; readonly pem: string } {
  const text = readPrivate(path);
  const key =
    text === undefined ? generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey : parseKey(text, path);
  const pem = key.export({ type: 'pkcs8', format: 'pem' }).toString();
  if (text === undefined) writePrivate(path, pem);
  return { key, pem };
}

export function parseKey(text: string, path: string): KeyObject {
  try {
    return createPrivateKey(text);
  } catch (cause) {
    throw new CulvertError('bad-certificate', { text: `${path} holds no private key in PEM.`, cause });
  }
}

/** Like readOptional, and nobody else may be able to read it. */
export function readPrivate(path: string): string | undefined {
  const text = readOptional(path);
  if (text === undefined) return undefined;
  const file = openSync(path, 'r');
  try {
    if ((fstatSync(file).mode & 0o077) === 0) return text;
  } finally {
    closeSync(file);
  }
  throw new CulvertError('bad-certificate', {
    text: `The key file ${path} can be read by other users.`,
    remedy: `Close it, and think about a new key: chmod 600 ${path}`,
  });
}

export function readOptional(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw new CulvertError('bad-certificate', { text: `${path} cannot be read.`, cause });
  }
}

/** Whole or not at all, for its owner alone. */
export function writePrivate(path: string, text: string): void {
  const fresh = `${path}.new`;
  try {
    const file = openSync(fresh, 'w', 0o600);
    try {
      writeSync(file, text);
      fsyncSync(file);
    } finally {
      closeSync(file);
    }
    renameSync(fresh, path);
  } catch (cause) {
    throw new CulvertError('bad-certificate', { text: `${path} cannot be written.`, cause });
  }
}
