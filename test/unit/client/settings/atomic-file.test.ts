// Files of the state directory: whole or as they were, and what a full disk means. /dev/full is a disk without room.
import {
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { Journal } from '../../../../client/host/journal.ts';
import { appendFlushed, writeAtomic } from '../../../../client/settings/atomic-file.ts';

const full = '/dev/full';
const diskFull = expect.objectContaining({ code: 'store-full' });

describe('a file of the state directory', () => {
  let folder = '';
  let path = '';

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'culvert-atomic-'));
    path = join(folder, 'deep', 'settings.json');
  });

  afterEach(() => rmSync(folder, { recursive: true, force: true }));

  test('is written whole, in a folder that is made for it, for the owner alone', () => {
    writeAtomic(path, 'one');
    writeAtomic(path, 'two');

    expect(readFileSync(path, 'utf8')).toBe('two');
    expect(statSync(path).mode & 0o777).toBe(0o600);
    expect(readdirSync(join(folder, 'deep'))).toEqual(['settings.json']);
  });

  test.runIf(existsSync(full))('stays as it was on a full disk, of which nothing more is taken', () => {
    writeAtomic(path, 'one');
    symlinkSync(full, `${path}.new`);

    expect(() => writeAtomic(path, 'two')).toThrow(diskFull);
    expect(readFileSync(path, 'utf8')).toBe('one');
    expect(readdirSync(join(folder, 'deep'))).toEqual(['settings.json']);
  });

  test.runIf(existsSync(full))('that cannot be added to on a full disk says so', () => {
    expect(() => appendFlushed(full, 'line\n')).toThrow(diskFull);
  });
});

describe('the journal after half a line', () => {
  let folder = '';

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'culvert-torn-'));
  });

  afterEach(() => rmSync(folder, { recursive: true, force: true }));

  test('can still be read when something was added behind it', () => {
    const path = join(folder, 'journal.jsonl');
    const place = { boot: 'b1', netns: 'net:[1]' };
    writeFileSync(path, '{"boot":"b1","netns":"net:[1]","cha');

    new Journal(path, place).record({ kind: 'nft-table', family: 'inet', table: 'culvert' });

    expect(new Journal(path, place).pending()).toEqual([
      { kind: 'nft-table', family: 'inet', table: 'culvert' },
    ]);
  });
});
