// What tests say when the machine lacks something: the reason, and the line that would bring it.
import { describe, expect, test } from 'vitest';
import {
  addCounts,
  type FileCounts,
  filesToRunAgain,
  noCounts,
  replaceCounts,
  summaryLine,
} from '../run/counts.ts';
import { checkNeeds, requireNamespaces, requireTools } from '../support/requires.ts';

describe('the needs of a test', () => {
  test('are met where nothing is asked for', () => {
    expect(checkNeeds({})).toEqual({ ok: true });
  });

  test('name every missing program and how to get it', () => {
    const verdict = requireTools('sh', 'no-such-program', 'nor-this');

    expect(verdict).toMatchObject({ ok: false, reason: 'needs no-such-program, nor-this' });
    expect(verdict).toHaveProperty('enable', expect.stringContaining('npm test'));
  });

  test('give the same verdict about namespaces each time', () => {
    expect(requireNamespaces()).toEqual(requireNamespaces());
  });
});

describe('the summary', () => {
  test('is one line of three numbers', () => {
    const counts = addCounts({ ...noCounts, passed: 2 }, { passed: 1, failed: 1, skipped: [{ name: 'x' }] });

    expect(summaryLine(counts)).toBe('3 passed, 1 failed, 1 skipped');
  });
});

describe('a second run of red files', () => {
  const red = (project: string, file: string): FileCounts => ({
    project,
    file,
    counts: { passed: 1, failed: 1, skipped: [] },
  });
  const filesOf = (...files: readonly FileCounts[]): readonly string[] =>
    filesToRunAgain({ counts: noCounts, red: files }).map(({ file }) => file);

  test('is for few files of real programs in real time, and for nothing else', () => {
    expect(filesOf(red('net', 'a'), red('desktop', 'b'))).toEqual(['a', 'b']);
    expect(filesOf(red('fast', 'a'))).toEqual([]);
    expect(filesOf(red('net', 'a'), red('contract', 'b'))).toEqual([]);
    expect(filesOf(...['a', 'b', 'c', 'd', 'e'].map((file) => red('net', file)))).toEqual([]);
  });

  test('takes the place of the first in the numbers', () => {
    const first = { passed: 3, failed: 1, skipped: [{ name: 'x' }] };
    const all = addCounts({ passed: 10, failed: 0, skipped: [{ name: 'x' }, { name: 'y' }] }, first);

    const counts = replaceCounts(all, first, { passed: 4, failed: 0, skipped: [{ name: 'x' }] });

    expect(summaryLine(counts)).toBe('14 passed, 0 failed, 3 skipped');
  });
});
