/**
 * Files of the system that have an owner and a history: what stands at a path, whatever its kind, and putting it
 * back as that kind. Follows no links: a link is what stands there.
 */

import {
  closeSync,
  fchmodSync,
  fsyncSync,
  lstatSync,
  openSync,
  readFileSync,
  readlinkSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { dirname, join } from 'node:path';

/** What stands at a path. `text` of a link is what a reader gets through it, undefined where it leads nowhere. */
export type FileState =
  | { readonly kind: 'absent' }
  | { readonly kind: 'file'; readonly text: string; readonly mode: number }
  | { readonly kind: 'link'; readonly target: string; readonly text: string | undefined };

export interface HostFiles {
  look(path: string): FileState;
  /** What a reader gets, undefined where there is nothing to read. */
  read(path: string): string | undefined;
  /** Makes `path` be that, at once for readers where the system can. Throws the system's error. */
  put(path: string, state: FileState): void;
}

/** Whether a value from a file of ours is a state. */
export function isFileState(value: unknown): value is FileState {
  if (typeof value !== 'object' || value === null) return false;
  const { kind, text, mode, target } = value as Record<string, unknown>;
  if (kind === 'absent') return true;
  if (kind === 'file') return typeof text === 'string' && Number.isInteger(mode);
  return kind === 'link' && typeof target === 'string' && (text === undefined || typeof text === 'string');
}

/** Nobody's resolv.conf is larger. */
const maxTextBytes = 64 * 1024;

export const systemFiles: HostFiles = {
  look(path) {
    let stat: ReturnType<typeof lstatSync>;
    try {
      stat = lstatSync(path);
    } catch (error) {
      if (isGone(error)) return { kind: 'absent' };
      throw error;
    }
    if (stat.isSymbolicLink()) {
      return { kind: 'link', target: readlinkSync(path), text: this.read(path) };
    }
    return { kind: 'file', text: this.read(path) ?? '', mode: stat.mode & 0o7777 };
  },

  read(path) {
    try {
      return readFileSync(path).subarray(0, maxTextBytes).toString('utf8');
    } catch (error) {
      if (isGone(error)) return undefined;
      throw error;
    }
  },

  put(path, state) {
    if (state.kind === 'absent') {
      removeOrEmpty(path);
      return;
    }
    const fresh = join(dirname(path), `.culvert-${process.pid}.new`);
    rmSync(fresh, { force: true });
    try {
      if (state.kind === 'link') symlinkSync(state.target, fresh);
      else writeFlushed(fresh, state.text, state.mode);
      renameSync(fresh, path);
    } catch (error) {
      rmSync(fresh, { force: true });
      // Mounted onto that very path, as containers do, or a folder that is closed to us: then in place.
      if (state.text === undefined || !isInPlaceOnly(error)) throw error;
      writeFileSync(path, state.text);
    }
  },
};

function writeFlushed(path: string, text: string, mode: number): void {
  const file = openSync(path, 'wx', mode);
  try {
    fchmodSync(file, mode); // Whatever our umask is.
    writeSync(file, text);
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
}

/** A mount point cannot be removed; empty is the nearest. */
function removeOrEmpty(path: string): void {
  try {
    rmSync(path, { force: true });
  } catch (error) {
    if (!isInPlaceOnly(error)) throw error;
    writeFileSync(path, '');
  }
}

function isGone(error: unknown): boolean {
  const { code } = error as NodeJS.ErrnoException;
  return code === 'ENOENT' || code === 'ENOTDIR' || code === 'ELOOP';
}

function isInPlaceOnly(error: unknown): boolean {
  const { code } = error as NodeJS.ErrnoException;
  return code === 'EBUSY' || code === 'EXDEV' || code === 'EACCES' || code === 'EROFS';
}
