// What every file of the house looks like: named for what it holds, short, introduced by a comment, no barrel.
import { basename } from 'node:path';
import { describe, expect, test } from 'vitest';
import { pureFolders } from './rooms.ts';
import { allFiles, read, sources } from './tree.ts';

const longestFile = 400;
const bannedWords = [
  'util',
  'utils',
  'helper',
  'helpers',
  'common',
  'misc',
  'manager',
  'service',
  'data',
  'info',
];
/** The DNS service is really called that. */
const namedSo = ['edge/dns/service.ts'];

const code = sources('shared', 'client', 'edge', 'desktop');
const everything = allFiles();

describe('every source file', () => {
  test('opens with a comment that says what it is', () => {
    const silent = code.filter((path) => !/^(#!.*\n)?\s*(\/\/|\/\*)/.test(read(path)));

    expect(silent).toEqual([]);
  });

  test(`has at most ${longestFile} lines`, () => {
    const long = code.filter((path) => read(path).trimEnd().split('\n').length > longestFile);

    expect(long).toEqual([]);
  });

  test('has no default export', () => {
    const files = [...code, ...sources('test')].filter((path) => path !== 'test/vitest.config.ts');

    expect(files.filter((path) => /^export default\b|\bas default\b/m.test(read(path)))).toEqual([]);
  });

  test('has no TODO without the number of an issue', () => {
    const files = [...code, ...sources('test')].filter((path) => path !== 'test/house/files.test.ts');

    expect(files.filter((path) => /\b(TODO|FIXME|XXX)\b(?!\(#\d+\))/.test(read(path)))).toEqual([]);
  });

  test('waits for nothing in a pure room', () => {
    const pure = code.filter((path) => pureFolders.some((folder) => path.startsWith(folder)));
    const waiting = pure.filter((path) =>
      /^(?!\s*(?:\*|\/\/|\/\*)).*\b(?:async |await |Promise[<.])/m.test(read(path)),
    );

    expect(pure.length).toBeGreaterThan(10);
    expect(waiting).toEqual([]);
  });
});

describe('names', () => {
  test('say what a file holds, not what kind of thing it is', () => {
    const vague = everything
      .filter((path) => !namedSo.includes(path))
      .filter((path) =>
        path.split('/').some((part) => part.split(/[-.]/).some((word) => bannedWords.includes(word))),
      );

    expect(vague).toEqual([]);
  });

  test('are in kebab-case', () => {
    const odd = [...code, ...sources('test')].filter(
      (path) => !/^[a-z0-9]+([-.][a-z0-9]+)*\.tsx?$/.test(basename(path)),
    );

    expect(odd).toEqual([]);
  });

  test('have no barrel among them', () => {
    expect([...code, ...sources('test')].filter((path) => /(^|\/)(index|mod)\.tsx?$/.test(path))).toEqual([]);
  });
});
