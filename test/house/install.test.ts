// When `npm start` and `npm test` install: the table of shared/launch/stale.mjs.
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { describe, expect, test } from 'vitest';
import { root } from './tree.ts';

interface Lock {
  packages: Record<
    string,
    {
      version?: string;
      integrity?: string;
      dev?: boolean;
      optional?: boolean;
      os?: string[];
      libc?: string[];
    }
  >;
}
interface System {
  os: string;
  cpu: string;
  libc: string;
}
type StaleReason = (
  wanted: Lock,
  present: Lock | undefined,
  system: System,
  development: boolean,
) => string | undefined;

const place = pathToFileURL(join(root, 'shared', 'launch', 'stale.mjs')).href;
const { staleReason } = (await import(place)) as { staleReason: StaleReason };

const a = { version: '1.0.0', integrity: 'sha512-a' };
const wanted: Lock = {
  packages: {
    '': { version: '0.1.0' },
    'node_modules/a': a,
    'node_modules/tool': { ...a, dev: true },
    'node_modules/other-system': { ...a, optional: true, os: ['plan9'] },
    'node_modules/never-seen': { version: '1.0.0', optional: true, os: ['linux'], libc: ['musl'] },
  },
};

const linux = { os: 'linux', cpu: 'x64', libc: 'glibc' };

describe('whether to install', () => {
  test.each<[string, Lock | undefined, boolean, string | undefined]>([
    ['nothing there', undefined, false, 'nothing is installed yet'],
    ['everything there', { packages: { 'node_modules/a': a, 'node_modules/tool': a } }, true, undefined],
    ['tools absent, not needed', { packages: { 'node_modules/a': a } }, false, undefined],
    ['tools absent, needed', { packages: { 'node_modules/a': a } }, true, 'node_modules/tool is missing'],
    ['a package absent', { packages: {} }, false, 'node_modules/a is missing'],
    [
      'another version',
      { packages: { 'node_modules/a': { ...a, version: '1.0.1' } } },
      false,
      'node_modules/a is not the version in package-lock.json',
    ],
    [
      'one too many',
      { packages: { 'node_modules/a': a, 'node_modules/b': a } },
      false,
      'node_modules/b is no longer in package-lock.json',
    ],
  ])('%s', (_name, present, development, reason) => {
    expect(staleReason(wanted, present, linux, development)).toBe(reason);
  });

  test('asks for the optional package of this system, not for those of others', () => {
    const native: Lock = {
      packages: { 'node_modules/native': { ...a, optional: true, os: ['linux'], libc: ['glibc'] } },
    };

    expect(staleReason(native, { packages: {} }, linux, false)).toBe('node_modules/native is missing');
    expect(staleReason(native, { packages: {} }, { ...linux, libc: 'musl' }, false)).toBeUndefined();
    expect(staleReason(native, { packages: {} }, { ...linux, os: 'darwin' }, false)).toBeUndefined();
  });
});
