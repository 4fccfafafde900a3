/**
 * What this edge changed on its host, written and flushed before the change is made, so that a crash
 * leaves a list to undo (house.md 1.11). One JSON line an entry. Knows no change's meaning: undo.ts does.
 */

import { closeSync, existsSync, fsyncSync, openSync, readFileSync, rmSync, writeSync } from 'node:fs';
import { dirname } from 'node:path';
import { CulvertError } from '../../shared/core/control/codes.ts';

export type HostChange =
  | { readonly kind: 'nft-table'; readonly table: string }
  /** A rule by mark, for both families, and the routing table that it leads to: ours alone. */
  | {
      readonly kind: 'path-route';
      /** 'MARK/MASK' in hex. */
      readonly mark: string;
      readonly table: number;
      readonly priority: number;
    }
  /** `path` below /proc/sys. */
  | { readonly kind: 'sysctl'; readonly path: string; readonly before: string; readonly after: string }
  /** A unix socket, whose file a kill leaves behind. */
  | { readonly kind: 'socket-file'; readonly path: string };

const kinds: readonly string[] = [
  'nft-table',
  'path-route',
  'sysctl',
  'socket-file',
] satisfies HostChange['kind'][];

/** Which running kernel and which network namespace an entry is about: elsewhere it means nothing. */
export interface HostPlace {
  readonly boot: string;
  readonly netns: string;
}

interface Entry extends HostPlace {
  readonly change: HostChange;
}

/** Most entries of one run; far above what a host with many interfaces needs. */
const maxEntries = 10_000;

export class HostJournal {
  readonly path: string;
  readonly #place: HostPlace;
  readonly #entries: Entry[];

  /** Reads what an earlier run left. Throws 'journal-unreadable' where a line makes no sense. */
  constructor(path: string, place: HostPlace) {
    this.path = path;
    this.#place = place;
    this.#entries = readEntries(path);
  }

  /** Changes of this boot and namespace that were made and not undone, newest first. */
  get pending(): readonly HostChange[] {
    const here = this.#entries.filter(
      (one) => one.boot === this.#place.boot && one.netns === this.#place.netns,
    );
    return here.map((one) => one.change).toReversed();
  }

  /** Writes the change down and waits for the disk. Call it before making the change. */
  record(change: HostChange): void {
    if (this.#entries.length === maxEntries)
      throw new CulvertError('internal', { text: 'The journal is full.' });
    const entry: Entry = { ...this.#place, change };
    const isNew = !existsSync(this.path);
    const file = openSync(this.path, 'a', 0o600);
    try {
      writeSync(file, `${JSON.stringify(entry)}\n`);
      fsyncSync(file);
    } finally {
      closeSync(file);
    }
    if (isNew) syncFolder(dirname(this.path));
    this.#entries.push(entry);
  }

  /** Forgets everything. Call it after all has been undone. */
  clear(): void {
    rmSync(this.path, { force: true });
    this.#entries.length = 0;
  }
}

/** Where this process stands. */
export function hostPlace(readText: (path: string) => string, readLink: (path: string) => string): HostPlace {
  return { boot: readText('/proc/sys/kernel/random/boot_id').trim(), netns: readLink('/proc/self/ns/net') };
}

function readEntries(path: string): Entry[] {
  if (!existsSync(path)) return [];
  const lines = readFileSync(path, 'utf8').split('\n');
  // A last line without its newline was cut off by a crash before its change was made.
  lines.pop();
  return lines.map((line, i) => {
    const entry = parseEntry(line);
    if (entry !== undefined) return entry;
    throw new CulvertError('journal-unreadable', {
      text: `Line ${i + 1} of the journal ${path} makes no sense.`,
      remedy: `Look at "nft list tables" and "sysctl net.ipv4.ip_forward", then remove the file: rm ${path}`,
    });
  });
}

function parseEntry(line: string): Entry | undefined {
  try {
    const entry = JSON.parse(line) as Entry;
    const known = kinds.includes(entry.change.kind);
    return known && typeof entry.boot === 'string' && typeof entry.netns === 'string' ? entry : undefined;
  } catch {
    return undefined; // the caller says which line
  }
}

function syncFolder(path: string): void {
  const folder = openSync(path, 'r');
  try {
    fsyncSync(folder);
  } finally {
    closeSync(folder);
  }
}
