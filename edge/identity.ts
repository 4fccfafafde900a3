/**
 * The edge's key pair: one file with the private key as `wg genkey` writes it, readable by its owner
 * alone, created where it is missing. The key stays in bytes; only the file ever holds it as text.
 */

import { createPrivateKey, createPublicKey, generateKeyPairSync } from 'node:crypto';
import { closeSync, fstatSync, fsyncSync, openSync, readFileSync, writeSync } from 'node:fs';
import { CulvertError } from '../shared/core/control/codes.ts';

export interface EdgeIdentity {
  /** 32 bytes. */
  readonly privateKey: Uint8Array;
  /** 32 bytes. */
  readonly publicKey: Uint8Array;
  /** The file did not exist before. */
  readonly created: boolean;
}

const keySize = 32;
/** What stands before a raw X25519 private key in PKCS#8 (RFC 8410). */
const pkcs8Prefix = Buffer.from('302e020100300506032b656e04220420', 'hex');

export function readOrCreateIdentity(path: string): EdgeIdentity {
  const found = readSecretKey(path);
  const privateKey = found ?? createPrivateKeyFile(path);
  return { privateKey, publicKey: publicKeyOf(privateKey), created: found === undefined };
}

/** Reads a 32-byte key in base64 from a file of one line that others cannot read. Undefined where there is no file. */
export function readSecretKey(path: string): Uint8Array | undefined {
  let file: number;
  try {
    file = openSync(path, 'r');
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw new CulvertError('file-unreadable', { text: `The key file ${path} cannot be read.`, cause });
  }
  try {
    if ((fstatSync(file).mode & 0o077) !== 0) {
      throw new CulvertError('file-unreadable', {
        text: `The key file ${path} can be read by other users.`,
        remedy: `Close it, and think about a new key: chmod 600 ${path}`,
      });
    }
    return decodeKey(readFileSync(file), path);
  } finally {
    closeSync(file);
  }
}

function decodeKey(text: Buffer, path: string): Uint8Array {
  const trimmed = text.toString('latin1').trim();
  const key = Buffer.from(trimmed, 'base64');
  text.fill(0);
  if (key.length === keySize && key.toString('base64') === trimmed) return takeBytes(key);
  throw new CulvertError('file-unreadable', {
    text: `${path} does not hold a key.`,
    remedy: 'It must hold one line as `wg genkey` or `wg genpsk` prints it.',
  });
}

/** Moves bytes out of Node's shared pool. */
function takeBytes(buffer: Buffer): Uint8Array {
  const bytes = Uint8Array.from(buffer);
  buffer.fill(0);
  return bytes;
}

function createPrivateKeyFile(path: string): Uint8Array {
  const der = generateKeyPairSync('x25519').privateKey.export({ type: 'pkcs8', format: 'der' });
  const key = Uint8Array.from(der.subarray(-keySize));
  der.fill(0);
  try {
    const file = openSync(path, 'wx', 0o600);
    try {
      writeSync(file, `${Buffer.from(key).toString('base64')}\n`);
      fsyncSync(file);
    } finally {
      closeSync(file);
    }
  } catch (cause) {
    throw new CulvertError('file-unreadable', {
      text: `The key file ${path} cannot be written.`,
      remedy: 'Check the permissions of its folder, or name another with privateKeyFile.',
      cause,
    });
  }
  return key;
}

function publicKeyOf(privateKey: Uint8Array): Uint8Array {
  const der = Buffer.concat([pkcs8Prefix, privateKey]);
  const key = createPublicKey(createPrivateKey({ key: der, format: 'der', type: 'pkcs8' }));
  der.fill(0);
  return Uint8Array.from(key.export({ type: 'spki', format: 'der' }).subarray(-keySize));
}
