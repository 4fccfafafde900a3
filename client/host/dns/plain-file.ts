/**
 * DNS through /etc/resolv.conf itself: what was there is remembered whole, with its kind, before ours is written,
 * and comes back only while the file is still ours. A file is removed only where it is what we wrote, to the letter.
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
  /** Likewise of what we wrote before that: it stands there until the new one does. */
  readonly earlier?: string;
}

const usualMode = 0o644;

/**
 * The change that puts our file in the place of what is there now. Made by `writeOurs`, journalled before. Where an
 * earlier run of ours left its file, what stood before that one counts: `left`, from the journal. Without a journal
 * nobody knows that, so the file is kept like any other.
 */
export function planOurs(
  path: string,
  servers: readonly string[],
  files: HostFiles,
  left: ResolvConfChange | undefined,
): { readonly change: ResolvConfChange; readonly text: string } {
  const now = files.look(path);
  const isLeft = now.kind !== 'absent' && (now.text ?? '').startsWith(resolvConfMark);
  const before = isLeft ? (left?.before ?? now) : now;
  const text = ourResolvConf(servers, before.kind === 'absent' ? '' : (before.text ?? ''));
  const change = { kind: 'resolv-conf', path, before, written: hashOf(text) } as const;
  const isKnown = left !== undefined && isUntouched(left, files);
  return { change: isKnown ? { ...change, earlier: hashOf(files.read(path) ?? '') } : change, text };
}

/** True where what stood before bears our mark itself, and no journal knows it: what it names answers nobody. */
export function isOrphan({ before }: ResolvConfChange): boolean {
  return before.kind !== 'absent' && (before.text ?? '').startsWith(resolvConfMark);
}

export function writeOurs(path: string, text: string, files: HostFiles): void {
  files.put(path, { kind: 'file', text, mode: usualMode });
}

/** True while the file is what we wrote, to the letter. */
export function isUntouched({ path, written, earlier }: ResolvConfChange, files: HostFiles): boolean {
  const text = files.read(path);
  if (text === undefined) return false;
  const hash = hashOf(text);
  return hash === written || hash === earlier;
}

/** True while nobody else wrote the file anew since; somebody may have changed a line of it. */
export function isOurs(change: ResolvConfChange, files: HostFiles): boolean {
  return isUntouched(change, files) || (files.read(change.path) ?? '').startsWith(resolvConfMark);
}

/** Puts back what was there. False where the file is somebody else's by now: theirs stays. */
export function undoOurs(change: ResolvConfChange, files: HostFiles): boolean {
  // Where nothing stood before, putting back is removing, which cannot be taken back: not what others have changed.
  const mayUndo = change.before.kind === 'absent' ? isUntouched(change, files) : isOurs(change, files);
  if (!mayUndo) return false;
  files.put(change.path, change.before);
  return true;
}

function hashOf(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}
