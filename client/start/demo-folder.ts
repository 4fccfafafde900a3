/**
 * The temporary folder of a demonstration without root: ours alone, named so that a later one finds it again
 * if we are killed. Knows no Linux: the system's place for temporary files, and process numbers.
 */

import { lstatSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const prefix = 'culvert-demo-';
const ownerFile = 'owner';
/** Longer paths of sockets are refused by some systems (macOS: 104 bytes with the end mark). */
const maxFolderLength = 70;
const shortFolder = '/tmp';
/** A folder without an owner may be one that is being made at this moment. */
const youngMs = 60_000;

/** Made anew; only we may look into it (0700). Throws where there is no place for temporary files. */
export function makeDemoFolder(): string {
  const folder = mkdtempSync(join(place(), prefix));
  writeFileSync(join(folder, ownerFile), `${process.pid}\n`, { mode: 0o600 });
  for (const name of ['edge', 'client']) mkdirSync(join(folder, name), { mode: 0o700 });
  return folder;
}

export function removeDemoFolder(folder: string): void {
  rmSync(folder, { recursive: true, force: true, maxRetries: 3 });
}

/** Removes folders of ours whose demonstration no longer runs. Returns how many. */
export function sweepDemoFolders(): number {
  let removed = 0;
  for (const name of readdirSync(place())) {
    const folder = join(place(), name);
    if (!name.startsWith(prefix) || !isOurs(folder) || isInUse(folder)) continue;
    removeDemoFolder(folder);
    removed++;
  }
  return removed;
}

function place(): string {
  const usual = tmpdir();
  return usual.length > maxFolderLength && process.platform !== 'win32' ? shortFolder : usual;
}

/** A folder that somebody else made under our name is left alone. */
function isOurs(folder: string): boolean {
  const found = lstatSync(folder, { throwIfNoEntry: false });
  return found?.isDirectory() === true && found.uid === (process.getuid?.() ?? found.uid);
}

function isInUse(folder: string): boolean {
  try {
    return isAlive(Number(readFileSync(join(folder, ownerFile), 'utf8')));
  } catch {
    const made = lstatSync(folder, { throwIfNoEntry: false })?.mtimeMs ?? 0;
    return Date.now() - made < youngMs;
  }
}

function isAlive(pid: number): boolean {
  if (!Number.isInteger(pid) || pid <= 0) return false;
  try {
    process.kill(pid, 0);
    return true;
  } catch (cause) {
    // Not ours to signal, but there.
    return (cause as NodeJS.ErrnoException).code === 'EPERM';
  }
}
