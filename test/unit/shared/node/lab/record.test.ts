/** Records of labs: found by whoever comes later, and only where their owner is dead. */

import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import {
  deadRecords,
  type LabRecord,
  markOf,
  removeRecord,
  writeRecord,
} from '../../../../../shared/node/lab/record.ts';

let folder: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'culvert-lab-test-'));
});

afterEach(() => rmSync(folder, { recursive: true, force: true }));

const here = process.platform === 'linux' ? test : test.skip;

function record(id: string, owner: LabRecord['owner']): LabRecord {
  return { id, owner, namespaces: [`${id}-client`], folders: [] };
}

here('a lab whose owner runs is left alone', () => {
  const owner = markOf(process.pid)!;

  writeRecord(record('lab-1', owner), folder);

  expect(deadRecords(folder)).toEqual([]);
});

here('a lab is found dead where another process has its number now', () => {
  const owner = markOf(process.pid)!;
  const dead = record('lab-1', { ...owner, startTicks: '1' });

  writeRecord(dead, folder);

  expect(deadRecords(folder)).toEqual([dead]);
});

test('a lab is found dead where nobody has its number', () => {
  // Above the largest number that a process may have.
  const dead = record('lab-1', { pid: 4_194_305, startTicks: '5' });

  writeRecord(dead, folder);

  expect(deadRecords(folder)).toEqual([dead]);
});

test('a removed record is gone', () => {
  writeRecord(record('lab-1', { pid: 4_194_305, startTicks: '5' }), folder);

  removeRecord('lab-1', folder);

  expect(deadRecords(folder)).toEqual([]);
});

test.each(['', '{', 'null', '{"id":1}', '{"id":"x","owner":{"pid":4194305}}'])(
  'a record that makes no sense is thrown away: %j',
  (text) => {
    writeFileSync(join(folder, 'x.json'), text);

    expect(deadRecords(folder)).toEqual([]);
    expect(readdirSync(folder)).toEqual([]);
  },
);

test('there are no records where no lab ever was', () => {
  expect(deadRecords(join(folder, 'missing'))).toEqual([]);
});
