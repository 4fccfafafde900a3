/**
 * Changes values of the desktop and puts them back: every old value is in the journal before the new one is
 * set, and what somebody else set since is theirs. Idempotent.
 */

import { CulvertError } from '../../../shared/core/control/codes.ts';
import type { Run } from '../../../shared/node/run.ts';
import type { HostChange, Journal } from '../journal.ts';
import type { DesktopStore, DesktopValue } from './plan.ts';
import { openStore, type StoreAccess } from './stores.ts';

export type DesktopChange = Extract<HostChange, { kind: 'desktop-value' }>;

/** 'foreign': somebody changed it since, so it was left alone. */
export type Undone = 'restored' | 'foreign';

/** Sets the values in their order. Throws 'desktop-unchanged' where one does not hold; the caller undoes. */
export async function applyValues(
  values: readonly DesktopValue[],
  access: StoreAccess,
  journal: Journal,
): Promise<void> {
  for (const { value: after, ...key } of values) {
    const before = (await access.read(key)) ?? null;
    journal.record({ kind: 'desktop-value', ...key, before, after });
    await access.write(key, after);
    // Without a session to write to, gsettings says yes and forgets.
    if ((await access.read(key)) !== after) {
      throw new CulvertError('desktop-unchanged', {
        text: `${desktopPlace(key)} does not keep its value.`,
      });
    }
  }
  await access.announce();
}

/** Undoes one change. Throws where the store cannot be written, and then the change stays in the journal. */
export async function undoDesktopValue(change: DesktopChange, run: Run): Promise<Undone> {
  const access = await openStore(change.store, run);
  // A desktop that was removed has no values.
  if (access === undefined) return 'foreign';
  const undone = await undoIn(access, change);
  await access.announce();
  return undone;
}

/** Undoes what the journal has of these stores, newest first. Returns what was left alone. */
export async function undoStores(
  stores: ReadonlyMap<DesktopStore, StoreAccess | undefined>,
  journal: Journal,
): Promise<readonly DesktopChange[]> {
  const left: DesktopChange[] = [];
  for (const change of journal.pending()) {
    if (change.kind !== 'desktop-value' || !stores.has(change.store)) continue;
    const access = stores.get(change.store);
    if (access === undefined || (await undoIn(access, change)) === 'foreign') left.push(change);
    journal.forget(change);
  }
  for (const access of stores.values()) await access?.announce();
  return left;
}

/** For people. */
export function desktopPlace({ place, key }: { readonly place: string; readonly key: string }): string {
  return key === '' ? place : `${place} ${key}`;
}

async function undoIn(access: StoreAccess, change: DesktopChange): Promise<Undone> {
  const before = change.before ?? undefined;
  const current = await access.read(change);
  // Also where the power went between the journal and the change.
  if (current === before) return 'restored';
  if (current !== change.after) return 'foreign';
  await access.write(change, before);
  if ((await access.read(change)) === before) return 'restored';
  throw new CulvertError('restore-incomplete', {
    text: `${desktopPlace(change)} cannot be set back to ${change.before ?? 'its default'}.`,
    remedy: 'Run it in your desktop session: culvert proxy system off',
  });
}
