/**
 * DNS through /etc/resolv.conf itself: what was there is remembered whole, with its kind, before ours is written,
 * and comes back only while the file is still ours.
 */

import { createHash } from 'node:crypto';
import type { FileState, HostFiles } from './host-files.ts';
import { ourResolvConf, resolvConfMark } from './resolv-conf.ts';

/** How to undo our file, for the journal. */
export interface ResolvConfChange {
  readonly kind: 'resolv-conf';
  readonly path: string;
  readonly before: FileState;
  /** SHA-256 of what we wrote, hex. */
  readonly written: string;
}

const usualMode = 0o644;

/**
 * The change that puts our file in the place of what is there now. Made by `writeOurs`, journalled before. Where an
 * earlier run of ours left its file, what stood before that one counts: `left`, from the journal.
 */
export function planOurs(
  path: string,
  servers: readonly string[],
  files: HostFiles,
  left: ResolvConfChange | undefined,
): { readonly change: ResolvConfChange; readonly text: string } {
  const now = files.look(path);
  const isLeft = now.kind !== 'absent' && (now.text ?? '').startsWith(resolvConfMark);
  const before = isLeft ? (left?.before ?? { kind: 'absent' }) : now;
  const text = ourResolvConf(servers, before.kind === 'absent' ? '' : (before.text ?? ''));
  return { change: { kind: 'resolv-conf', path, before, written: hashOf(text) }, text };
}

export function writeOurs(path: string, text: string, files: HostFiles): void {
  files.put(path, { kind: 'file', text, mode: usualMode });
}

/** True while nobody else wrote the file since. */
export function isOurs(change: ResolvConfChange, files: HostFiles): boolean {
  const text = files.read(change.path);
  return text !== undefined && (hashOf(text) === change.written || text.startsWith(resolvConfMark));
}

/** Puts back what was there. False where the file is somebody else's by now: theirs stays. */
export function undoOurs(change: ResolvConfChange, files: HostFiles): boolean {
  if (!isOurs(change, files)) return false;
  files.put(change.path, change.before);
  return true;
}

function hashOf(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}
