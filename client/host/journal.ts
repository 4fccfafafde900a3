/**
 * What we changed on this host, one JSON line an entry, flushed to disk BEFORE the change is made,
 * so that a crash leaves a list to undo. Holds how to undo each change as data; restore.ts does it.
 */

import { readFileSync, rmSync } from 'node:fs';
import { CulvertError } from '../../shared/core/control/codes.ts';
import { appendFlushed, writeAtomic } from '../settings/atomic-file.ts';
import { type DesktopStore, desktopStores } from './desktop-proxy/plan.ts';
import { isFileState } from './dns/host-files.ts';
import type { DnsChange } from './dns/system-dns.ts';

export type HostChange =
  | DnsChange
  | { readonly kind: 'nft-table'; readonly family: string; readonly table: string }
  /** `words` as after `ip rule add`. */
  | { readonly kind: 'ip-rule'; readonly family: 4 | 6; readonly words: readonly string[] }
  /** All routes in a table of our own, made and undone as a whole. */
  | { readonly kind: 'route-table'; readonly family: 4 | 6; readonly table: number }
  /** `path` below /proc/sys. */
  | { readonly kind: 'sysctl'; readonly path: string; readonly before: string; readonly after: string }
  /** A value of the user's desktop (desktop-proxy/plan.ts); `before` null: nothing was set. */
  | {
      readonly kind: 'desktop-value';
      readonly store: DesktopStore;
      readonly place: string;
      readonly key: string;
      readonly before: string | null;
      readonly after: string;
    };

/** Which running kernel and which network namespace an entry is about: elsewhere it means nothing. */
export interface HostPlace {
  readonly boot: string;
  readonly netns: string;
}

interface Entry extends HostPlace {
  readonly change: HostChange;
}

/** Far above what one connection needs; more means a bug or a forged file. */
const maxEntries = 1000;

export class Journal {
  readonly path: string;
  readonly #place: HostPlace;
  /** Oldest first, of this boot, other namespaces' included. */
  #entries: readonly Entry[];
  /** The file also has lines of earlier boots, or half a line, and must be written anew before anything is added. */
  #isStale: boolean;

  /** Throws 'journal-unreadable' where a line makes no sense. */
  constructor(path: string, place: HostPlace) {
    this.path = path;
    this.#place = place;
    const { entries, isTorn } = readEntries(path);
    this.#entries = entries.filter((entry) => entry.boot === place.boot || isLasting(entry.change));
    this.#isStale = isTorn || this.#entries.length < entries.length;
  }

  /** Changes of this boot and namespace that are not undone, newest first. */
  pending(): readonly HostChange[] {
    return this.#entries
      .filter((entry) => this.#isHere(entry))
      .map((entry) => entry.change)
      .toReversed();
  }

  /**
   * Writes down that `change` is about to be made. Once is enough: a change that is already pending is
   * not written again (of a sysctl the first `before` is the true one).
   */
  record(change: HostChange): void {
    const key = keyOf(change);
    if (this.pending().some((known) => keyOf(known) === key)) return;
    if (this.#entries.length >= maxEntries) {
      throw new CulvertError('journal-unreadable', { text: 'The journal of host changes is full.' });
    }
    const entry: Entry = { ...this.#place, change };
    const entries = [...this.#entries, entry];
    if (this.#isStale) this.#rewrite(entries);
    else this.#append(entry);
    this.#entries = entries;
  }

  /** Like `record`, but in the place of an entry about the same thing, in one step. */
  amend(change: HostChange): void {
    const key = keyOf(change);
    const at = this.#entries.findIndex((entry) => this.#isHere(entry) && keyOf(entry.change) === key);
    if (at < 0) {
      this.record(change);
      return;
    }
    const entries = this.#entries.with(at, { ...this.#place, change });
    this.#rewrite(entries);
    this.#entries = entries;
  }

  /** Writes down that `change` is undone. */
  forget(change: HostChange): void {
    const key = keyOf(change);
    const kept = this.#entries.filter((entry) => !this.#isHere(entry) || keyOf(entry.change) !== key);
    if (kept.length === this.#entries.length) return;
    if (kept.length === 0) rmSync(this.path, { force: true });
    else this.#rewrite(kept);
    this.#entries = kept;
  }

  /** Files do not belong to a network namespace, and outlive the kernel that they were written under. */
  #isHere(entry: Entry): boolean {
    return isLasting(entry.change) || entry.netns === this.#place.netns;
  }

  #append(entry: Entry): void {
    try {
      appendFlushed(this.path, `${JSON.stringify(entry)}\n`);
    } catch (cause) {
      // Half a line may be there: whatever was written behind it could not be read.
      this.#isStale = true;
      throw cause;
    }
  }

  #rewrite(entries: readonly Entry[]): void {
    writeAtomic(this.path, entries.map((entry) => `${JSON.stringify(entry)}\n`).join(''));
    this.#isStale = false;
  }
}

function isLasting(change: HostChange): boolean {
  return change.kind === 'resolv-conf' || change.kind === 'resolvconf';
}

function keyOf(change: HostChange): string {
  switch (change.kind) {
    case 'sysctl':
      return `sysctl ${change.path}`;
    case 'desktop-value':
      return `desktop ${change.store} ${change.place} ${change.key}`;
    case 'resolv-conf':
      return `file ${change.path}`;
    case 'resolvconf':
      return `resolvconf ${change.record}`;
    case 'nft-table':
      return `nft ${change.family} ${change.table}`;
    case 'route-table':
      return `table ${change.family} ${change.table}`;
    default:
      return `rule ${change.family} ${change.words.join(' ')}`;
  }
}

interface Written {
  readonly entries: readonly Entry[];
  /** The last line has no end. */
  readonly isTorn: boolean;
}

function readEntries(path: string): Written {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return { entries: [], isTorn: false };
    throw new CulvertError('journal-unreadable', { cause });
  }
  const lines = text.split('\n');
  // A line without its end was being written when the power went: its change was never made.
  const isTorn = lines.pop() !== '';
  if (lines.length > maxEntries) throw new CulvertError('journal-unreadable');
  return { entries: lines.filter((line) => line !== '').map(parseEntry), isTorn };
}

function parseEntry(line: string): Entry {
  let entry: unknown;
  try {
    entry = JSON.parse(line);
  } catch (cause) {
    throw new CulvertError('journal-unreadable', { cause });
  }
  if (!isEntry(entry)) throw new CulvertError('journal-unreadable');
  return entry;
}

function isEntry(value: unknown): value is Entry {
  if (typeof value !== 'object' || value === null) return false;
  const { boot, netns, change } = value as Partial<Entry>;
  return typeof boot === 'string' && typeof netns === 'string' && isChange(change);
}

function isChange(value: unknown): value is HostChange {
  if (typeof value !== 'object' || value === null) return false;
  const one = value as Record<string, unknown>;
  const isText = (field: unknown): boolean => typeof field === 'string';
  switch (one['kind']) {
    case 'nft-table':
      return isText(one['family']) && isText(one['table']);
    case 'route-table':
      return (one['family'] === 4 || one['family'] === 6) && Number.isInteger(one['table']);
    case 'ip-rule':
      return (
        (one['family'] === 4 || one['family'] === 6) &&
        Array.isArray(one['words']) &&
        one['words'].every(isText)
      );
    case 'resolv-conf':
      return (
        isText(one['path']) &&
        isFileState(one['before']) &&
        isText(one['written']) &&
        (one['earlier'] === undefined || isText(one['earlier']))
      );
    case 'resolvconf':
      return isText(one['record']);
    case 'sysctl':
      return isText(one['path']) && isText(one['before']) && isText(one['after']);
    case 'desktop-value':
      return (
        desktopStores.some((store) => store === one['store']) &&
        isText(one['place']) &&
        isText(one['key']) &&
        (one['before'] === null || isText(one['before'])) &&
        isText(one['after'])
      );
    default:
      return false;
  }
}
