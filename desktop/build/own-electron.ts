// A copy of an Electron binary that is ours to change: the binary itself with our fuses, and links to all that lies
// beside it. The original stays as it is: it may be somebody else's, and Playwright can only start one with its inspector.
import { constants } from 'node:fs';
import { copyFile, mkdir, readdir, readFile, realpath, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { hasFuses, readFuses, setFuses, wrongFuses } from './fuses.ts';

/** Where the copy lies unless told otherwise. */
export const ownElectronFolder: string = fileURLToPath(
  new URL('../../dist/desktop/own-electron/', import.meta.url),
);

const stampName = 'made-from.json';

/**
 * Path of a copy of `binary` whose fuses are set and were read back. It is made again when the original changed.
 * Undefined where there is nothing to set: a script that starts another Electron.
 */
export async function ownElectron(
  binary: string,
  folder: string = ownElectronFolder,
): Promise<string | undefined> {
  const original = await realpath(binary).catch(() => undefined);
  if (original === undefined || !(await hasFuses(original))) return undefined;
  // The name decides whether Electron takes itself for a packaged app.
  const copy = join(folder, basename(original));
  const stamp = await stampOf(original);
  if (!(await isMadeFrom(folder, stamp)) || !(await isRight(copy))) {
    await make(original, copy);
    await setFuses(copy, 'folder');
    await writeFile(join(folder, stampName), stamp);
  }
  const wrong = wrongFuses(await readFuses(copy), 'folder');
  if (wrong.length > 0) throw new Error(wrong.join(' '));
  return copy;
}

async function make(original: string, copy: string): Promise<void> {
  const from = dirname(original);
  const folder = dirname(copy);
  await rm(folder, { recursive: true, force: true });
  await mkdir(folder, { recursive: true });
  await copyFile(original, copy, constants.COPYFILE_FICLONE);
  for (const name of await readdir(from)) {
    if (name !== basename(original)) await symlink(join(from, name), join(folder, name));
  }
}

async function stampOf(original: string): Promise<string> {
  const { size, mtimeMs } = await stat(original);
  return `${JSON.stringify({ original, size, mtimeMs })}\n`;
}

async function isMadeFrom(folder: string, stamp: string): Promise<boolean> {
  try {
    return (await readFile(join(folder, stampName), 'utf8')) === stamp;
  } catch {
    return false; // Never made, or not to its end.
  }
}

async function isRight(copy: string): Promise<boolean> {
  try {
    return wrongFuses(await readFuses(copy), 'folder').length === 0;
  } catch {
    return false; // Gone.
  }
}
