// Where edges were proven to be: what is kept, what is not, and what a damaged file means.
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { KnownAddresses } from '../../../../client/settings/known-addresses.ts';

describe('the addresses at which edges were found', () => {
  let folder = '';
  let path = '';

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'culvert-known-'));
    path = join(folder, 'addresses.json');
  });

  afterEach(() => rmSync(folder, { recursive: true, force: true }));

  test('are there again after a restart, the last one first, for the owner alone', () => {
    const known = new KnownAddresses(path);
    known.note('Edge.example', '203.0.113.1');
    known.note('edge.example', '2001:db8::1');

    expect(new KnownAddresses(path).of('edge.EXAMPLE')).toEqual(['2001:db8::1', '203.0.113.1']);
    expect(statSync(path).mode & 0o777).toBe(0o600);
  });

  test('leave out numeric hosts, names, and this machine itself', () => {
    const known = new KnownAddresses(path);
    known.note('203.0.113.1', '203.0.113.1');
    known.note('edge.example', 'elsewhere.example');
    known.note('edge.example', '127.0.0.1');
    known.note('edge.example', '::1');

    expect(known.of('edge.example')).toEqual([]);
    expect(known.of('203.0.113.1')).toEqual([]);
  });

  test('are four of a name and sixty-four names at most', () => {
    const known = new KnownAddresses(path);
    for (let i = 1; i <= 6; i++) known.note('edge.example', `203.0.113.${i}`);
    for (let i = 1; i <= 70; i++) known.note(`edge${i}.example`, '203.0.113.1');

    const kept = JSON.parse(readFileSync(path, 'utf8')) as Record<string, readonly string[]>;
    expect(Object.keys(kept)).toHaveLength(64);
    expect(known.of('edge70.example')).toEqual(['203.0.113.1']);
    expect(known.of('edge.example')).toEqual([]);
  });

  test('are nothing where the file is damaged', () => {
    for (const text of ['{', '[]', 'null', '{"edge.example":"203.0.113.1"}', '{"edge.example":[1,"x"]}']) {
      writeFileSync(path, text);

      expect(new KnownAddresses(path).of('edge.example')).toEqual([]);
    }
  });
});
