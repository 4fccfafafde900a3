// A README may only name what exists; what is still to come carries the words "not built yet", and loses them once built.
import { describe, expect, test } from 'vitest';
import { promisedPaths } from './readme.ts';
import { allFiles, read } from './tree.ts';

const readmes = allFiles().filter((path) => path.endsWith('README.md'));

/** Files, and folders that hold one: git knows no empty folder. */
const present = new Set(
  allFiles().flatMap((path) => path.split('/').map((_part, i, parts) => parts.slice(0, i + 1).join('/'))),
);

function exists(candidates: readonly string[]): boolean {
  return candidates.some((path) => present.has(path));
}

describe('the READMEs', () => {
  test('are there for the project and for each top folder', () => {
    for (const folder of ['', 'shared/', 'client/', 'edge/', 'desktop/', 'test/'])
      expect(readmes).toContain(`${folder}README.md`);
  });

  test.each(readmes)('%s names only paths that exist', (readme) => {
    const missing = promisedPaths(readme, read(readme))
      .filter((one) => !one.notBuilt && !exists(one.candidates))
      .map((one) => `${readme}:${one.line} ${one.written}`);

    expect(missing).toEqual([]);
  });

  test.each(readmes)('%s calls nothing "not built yet" that is there', (readme) => {
    const built = promisedPaths(readme, read(readme))
      .filter((one) => one.onMap && one.notBuilt && exists(one.candidates))
      .map((one) => `${readme}:${one.line} ${one.written}`);

    expect(built).toEqual([]);
  });

  test.each(['shared/core', 'shared/node', 'client', 'edge', 'desktop', 'test'])(
    'have every room of %s on a map',
    (floor) => {
      const readme = `${floor.split('/')[0] ?? ''}/README.md`;
      const mapped = new Set(promisedPaths(readme, read(readme)).flatMap((one) => one.candidates));
      const depth = floor.split('/').length + 1;
      const files = allFiles(floor).filter((path) => path.split('/').length > depth);
      const rooms = new Set(files.map((path) => path.split('/').slice(0, depth).join('/')));

      expect([...rooms].filter((room) => !mapped.has(room))).toEqual([]);
    },
  );

  test('promise paths that the reader finds: maps by indentation, text by backticks', () => {
    const text = [
      'see `core/base/ip.ts` or `tunnel+doh`',
      '```map',
      'core/  pure',
      '  base/',
      '    ip.ts  text',
      'node/',
      '  x.ts  (not built yet)',
      '```',
    ];

    const found = promisedPaths('shared/README.md', text.join('\n'));

    expect(found.map((one) => [one.candidates.at(-1), one.notBuilt])).toEqual([
      ['shared/core/base/ip.ts', false],
      ['shared/core', false],
      ['shared/core/base', false],
      ['shared/core/base/ip.ts', false],
      ['shared/node', false],
      ['shared/node/x.ts', true],
    ]);
  });
});
