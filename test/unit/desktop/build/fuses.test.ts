// The fuses of an Electron binary, on a stand-in: a program that runs, with the bytes behind it that Electron has inside.
import { spawnSync } from 'node:child_process';
import { chmodSync, lstatSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { type Fuse, readFuses, setFuses, wrongFuses } from '../../../../desktop/build/fuses.ts';
import { ownElectron } from '../../../../desktop/build/own-electron.ts';

const program = fileURLToPath(new URL('../../../../desktop/build/fuses-program.ts', import.meta.url));
/** Programs start slowly on a loaded machine. */
const slowMs = 120_000;
/** Where Electron's build puts its fuses (its docs, tutorial/fuses), then version and number of fuses. */
const sentinel = 'dL7pKGdnNz796PbbjQWNKmHXBZaB9tsX';
/** As Electron is built: run as Node, Node's options and inspector, file privileges on; the others off. */
const usual = '101100011';
const inFolder = '010000001';
const packed = '010011001';

let folder = '';
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'culvert-fuses-'));
});
afterEach(() => rmSync(folder, { recursive: true }));

function standIn(name = 'electron', wire = usual): string {
  const path = join(folder, name);
  const code = '#!/bin/sh\necho "$0 $1 $(cat "$(dirname "$0")/resources.pak")"\nexit 7\n';
  const bytes = [
    Buffer.from(code),
    Buffer.alloc(100_000, 0xcc),
    Buffer.from(sentinel),
    Buffer.from([1, wire.length]),
    Buffer.from(wire),
    Buffer.alloc(5000, 0xdd),
  ];
  writeFileSync(path, Buffer.concat(bytes));
  chmodSync(path, 0o755);
  return path;
}

function wireOf(path: string): string {
  const bytes = readFileSync(path);
  const at = bytes.indexOf(sentinel) + sentinel.length;
  return bytes.subarray(at + 2, at + 2 + (bytes[at + 1] ?? 0)).toString('latin1');
}

function stateOf(fuses: readonly Fuse[], name: string): string | undefined {
  return fuses.find((fuse) => fuse.name === name)?.state;
}

describe('the fuses', () => {
  test.each([
    ['folder', inFolder],
    ['packed', packed],
  ] as const)(
    'are set for a binary with its app in a %s, and nothing else in the file changes',
    async (profile, wire) => {
      const path = standIn();
      const before = readFileSync(path);

      await setFuses(path, profile);

      const after = readFileSync(path);
      const changed = [...after].flatMap((byte, at) => (byte === before[at] ? [] : [at]));
      expect(wireOf(path)).toBe(wire);
      expect(after.length).toBe(before.length);
      expect(changed.length).toBe(wire.split('').filter((state, at) => state !== usual[at]).length);
    },
  );

  test('are read back by name, and judged', async () => {
    const path = standIn();
    expect(wrongFuses(await readFuses(path), 'folder')).toContain('RunAsNode is on, and must be off.');

    await setFuses(path, 'folder');

    const fuses = await readFuses(path);
    expect(stateOf(fuses, 'EnableNodeCliInspectArguments')).toBe('off');
    expect(stateOf(fuses, 'EnableCookieEncryption')).toBe('on');
    expect(wrongFuses(fuses, 'folder')).toEqual([]);
    expect(wrongFuses(fuses, 'packed')).toEqual([
      'EnableEmbeddedAsarIntegrityValidation is off, and must be on.',
      'OnlyLoadAppFromAsar is off, and must be on.',
    ]);
  });

  test('leave a binary alone that has one which nobody here decided about', async () => {
    const path = standIn('electron', `${usual}1`);

    await expect(setFuses(path, 'folder')).rejects.toThrow();

    expect(wireOf(path)).toBe(`${usual}1`);
    expect(wrongFuses(await readFuses(path), 'folder').join()).toContain('fuse 9 is not known here');
  });

  test('are not looked for in what is no Electron', async () => {
    const path = join(folder, 'other');
    writeFileSync(path, 'no fuses');

    await expect(setFuses(path, 'folder')).rejects.toThrow(/sentinel/);
  });
});

describe('npm run desktop:fuses', () => {
  function run(...words: string[]) {
    const { status, stdout, stderr } = spawnSync(process.execPath, [program, ...words], { encoding: 'utf8' });
    return { status, stdout, stderr };
  }

  test(
    'only looks with --check, and fails where one is wrong',
    () => {
      const path = standIn();

      const before = run(path, '--check');
      const set = run(path);
      const after = run(path, '--check');

      expect(before.status).toBe(1);
      expect(before.stderr).toContain('RunAsNode is on');
      expect(set).toMatchObject({ status: 0, stderr: '' });
      expect(set.stdout).toMatch(/^RunAsNode +off$/m);
      expect(after.status).toBe(0);
      expect(wireOf(path)).toBe(inFolder);
    },
    slowMs,
  );

  test(
    'knows packed apps, and says how it is used',
    () => {
      const path = standIn();

      expect(run(path, '--packed').status).toBe(0);
      expect(wireOf(path)).toBe(packed);
      expect(run()).toMatchObject({ status: 2, stderr: expect.stringContaining('Usage') });
      expect(run(path, '--no-such').status).toBe(2);
      expect(run(join(folder, 'none')).status).toBe(1);
    },
    slowMs,
  );
});

describe('the Electron of npm run desktop', () => {
  test('is a copy with our fuses beside links to everything else; the original stays as it is', async () => {
    const original = standIn();
    writeFileSync(join(folder, 'resources.pak'), 'pictures');
    mkdirSync(join(folder, 'locales'));
    const copyFolder = join(folder, 'locales', 'copy');

    const copy = await ownElectron(original, copyFolder);

    expect(copy).toBe(join(copyFolder, 'electron'));
    expect([wireOf(original), wireOf(copy ?? '')]).toEqual([usual, inFolder]);
    expect(lstatSync(join(copyFolder, 'resources.pak')).isSymbolicLink()).toBe(true);
    const ran = spawnSync(copy ?? '', ['app'], { encoding: 'utf8' });
    expect([ran.status, ran.stdout]).toEqual([7, `${copy} app pictures\n`]);
  });

  test('is made once, and again where the original or the copy changed', async () => {
    const original = standIn();
    const copyFolder = join(folder, 'copy');
    const copy = (await ownElectron(original, copyFolder)) ?? '';
    const first = lstatSync(copy).ino;
    expect(lstatSync((await ownElectron(original, copyFolder)) ?? '').ino).toBe(first);

    await setFuses(copy, 'packed');
    await ownElectron(original, copyFolder);
    expect(wireOf(copy)).toBe(inFolder);
    writeFileSync(original, Buffer.concat([readFileSync(original), Buffer.from('newer')]));
    await ownElectron(original, copyFolder);

    expect(readFileSync(copy).toString('latin1')).toMatch(/newer$/);
    expect(wireOf(copy)).toBe(inFolder);
  });

  test('is the named program itself where that holds no fuses, as a script', async () => {
    const path = join(folder, 'electron');
    writeFileSync(path, '#!/bin/sh\nexec /usr/lib/electron/electron "$@"\n');

    expect(await ownElectron(path, join(folder, 'copy'))).toBeUndefined();
    expect(await ownElectron(join(folder, 'gone'), join(folder, 'copy'))).toBeUndefined();
  });
});
