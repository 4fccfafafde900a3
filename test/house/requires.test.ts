// What tests say when the machine lacks something: the reason, and the line that would bring it.
import { describe, expect, test } from 'vitest';
import { addCounts, noCounts, summaryLine } from '../run/counts.ts';
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
