/** The edge's key file: closed to others, made once, in the form that `wg` knows. */

import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { readOrCreateIdentity } from '../../../edge/identity.ts';

let folder: string;
let path: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'culvert-identity-'));
  path = join(folder, 'edge.key');
});

afterEach(() => rmSync(folder, { recursive: true, force: true }));

test('a missing key is made, for its owner alone', () => {
  const identity = readOrCreateIdentity(path);

  expect(identity.created).toBe(true);
  expect(statSync(path).mode & 0o777).toBe(0o600);
  expect(readFileSync(path, 'utf8')).toBe(`${Buffer.from(identity.privateKey).toString('base64')}\n`);
});

test('a key that is there is kept', () => {
  const first = readOrCreateIdentity(path);
  const second = readOrCreateIdentity(path);

  expect(second).toEqual({ ...first, created: false });
});

test('the public key is the one that `wg pubkey` gives for the private one', () => {
  writeFileSync(path, 'AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyA=\n', { mode: 0o600 });

  const { publicKey } = readOrCreateIdentity(path);

  expect(Buffer.from(publicKey).toString('base64')).toBe('B6N8vBQgk8i3VdwbEOhstCY3StFqqFPtC9/AsrhtHHw=');
});

test.each(['', 'abc\n', `${'A'.repeat(43)}\n`, `${Buffer.alloc(33).toString('base64')}\n`])(
  'a file without a key is refused and kept: %j',
  (text) => {
    writeFileSync(path, text, { mode: 0o600 });

    expect(() => readOrCreateIdentity(path)).toThrow(expect.objectContaining({ code: 'file-unreadable' }));
    expect(readFileSync(path, 'utf8')).toBe(text);
  },
);

test('a key that others can read is refused', () => {
  readOrCreateIdentity(path);
  chmodSync(path, 0o644);

  expect(() => readOrCreateIdentity(path)).toThrow(
    expect.objectContaining({ remedy: expect.stringContaining('chmod 600') }),
  );
});

test('a key that cannot be written is an error, and no file is left', () => {
  const missing = join(folder, 'no', 'edge.key');

  expect(() => readOrCreateIdentity(missing)).toThrow(expect.objectContaining({ code: 'file-unreadable' }));
  expect(existsSync(missing)).toBe(false);
});
