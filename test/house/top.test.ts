// The top folder is fixed, and so are the versions of everything that is installed.
import { readdirSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { read, root } from './tree.ts';

interface Manifest {
  readonly name: string;
  readonly bin?: Record<string, string>;
  readonly dependencies?: Record<string, string>;
  readonly devDependencies?: Record<string, string>;
  readonly optionalDependencies?: Record<string, string>;
}

interface Locked {
  readonly resolved?: string;
  readonly link?: boolean;
  readonly integrity?: string;
  readonly optional?: boolean;
  readonly os?: string | readonly string[];
  readonly cpu?: string | readonly string[];
  readonly libc?: string | readonly string[];
  readonly optionalDependencies?: Record<string, string>;
}

interface Lock {
  readonly packages: Record<string, Locked>;
}

const fixed = [
  'LICENSE',
  'README.md',
  'client',
  'desktop',
  'edge',
  'package-lock.json',
  'package.json',
  'shared',
  'test',
  'tsconfig.json',
];
const ignoredByGit = ['node_modules', 'dist', 'coverage'];

const manifest = JSON.parse(read('package.json')) as Manifest;
const lock = JSON.parse(read('package-lock.json')) as Lock;

describe('the top folder', () => {
  test('holds exactly the fixed entries, besides dotfiles', () => {
    const entries = readdirSync(root).filter((name) => !name.startsWith('.') && !ignoredByGit.includes(name));

    expect(entries.toSorted()).toEqual(fixed);
  });

  test('ignores in git what is built or installed', () => {
    const ignored = read('.gitignore').split('\n');

    for (const name of ignoredByGit) expect(ignored).toContain(`${name}/`);
  });
});

describe('dependencies', () => {
  const all = { ...manifest.dependencies, ...manifest.devDependencies, ...manifest.optionalDependencies };

  test('are pinned to one exact version', () => {
    const loose = Object.entries(all).filter(
      ([, version]) => !/^(\d+\.\d+\.\d+|file:shared\/launch)$/.test(version),
    );

    expect(loose).toEqual([]);
  });

  test('are the ones in the lockfile', () => {
    const missing = Object.keys(all).filter((name) => lock.packages[`node_modules/${name}`] === undefined);

    expect(missing).toEqual([]);
  });

  test('carry a checksum wherever culvert runs, and name no server', () => {
    const installed = Object.entries(lock.packages).filter(
      ([path, entry]) => path.includes('node_modules/') && !entry.link && mayRunHere(entry),
    );

    expect(installed.length).toBeGreaterThan(50);
    expect(installed.filter(([, entry]) => entry.integrity === undefined)).toEqual([]);
    expect(Object.values(lock.packages).filter((entry) => entry.resolved?.includes('://'))).toEqual([]);
  });

  test('have every optional package in the lockfile, or `npm ci` refuses it (npm run lock adds them)', () => {
    const wanted = Object.values(lock.packages).flatMap((entry) =>
      Object.keys(entry.optionalDependencies ?? {}),
    );
    const locked = new Set(Object.keys(lock.packages).map((path) => path.replace(/^.*node_modules\//, '')));

    expect(wanted.length).toBeGreaterThan(20);
    expect(wanted.filter((name) => !locked.has(name))).toEqual([]);
  });

  test('run no scripts of their own when they are installed', () => {
    expect(read('.npmrc').split('\n')).toContain('ignore-scripts=true');
  });
});

/** Linux with glibc on the two processors that the launchers know. Packages for other systems may lack a checksum. */
function mayRunHere(entry: Locked): boolean {
  if (!entry.optional || entry.os === undefined) return true;
  const processor =
    entry.cpu === undefined || listOf(entry.cpu).some((cpu) => cpu === 'x64' || cpu === 'arm64');
  return listOf(entry.os).includes('linux') && processor && !listOf(entry.libc ?? []).includes('musl');
}

/** npm copies these fields as the package wrote them: one word, or a list. */
function listOf(words: string | readonly string[]): readonly string[] {
  return typeof words === 'string' ? [words] : words;
}
