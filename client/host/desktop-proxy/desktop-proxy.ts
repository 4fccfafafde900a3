/**
 * `culvert proxy system on|off`: tells this user's desktop to use the local proxy, and to stop doing so. Runs in
 * the user's own session, never in the daemon; stays until `off` or `culvert restore`, across reboots.
 */

import { renameSync } from 'node:fs';
import { CulvertError } from '../../../shared/core/control/codes.ts';
import type { Run } from '../../../shared/node/run.ts';
import { desktopJournalPath } from '../../settings/paths.ts';
import { type HostPlace, Journal } from '../journal.ts';
import { applyValues, type DesktopChange, desktopPlace, undoStores } from './apply.ts';
import {
  type DesktopStore,
  type DesktopValue,
  desktopStores,
  desktopValues,
  type ProxyAddress,
} from './plan.ts';
import { openStore, type StoreAccess } from './stores.ts';

export interface DesktopProxyTools {
  readonly run: Run;
  readonly home: string;
  /** From `desktopJournal`. */
  readonly journal: Journal;
}

export interface DesktopProxyOutcome {
  /** The stores that use the proxy now. */
  readonly stores: readonly DesktopStore[];
  /** One sentence each, for what could not be done or was left alone. */
  readonly notes: readonly string[];
}

export interface DesktopProxyStatus {
  readonly stores: readonly DesktopStore[];
  /** Values that somebody changed since, as `place key`. */
  readonly changedSince: readonly string[];
}

/** A desktop's settings outlive a boot and know no network. */
const anywhere: HostPlace = { boot: 'any', netns: 'any' };

/** Throws 'journal-unreadable'. */
export function desktopJournal(stateDir: string): Journal {
  return new Journal(desktopJournalPath(stateDir), anywhere);
}

/** The journal, and where it cannot be read an empty one; the old one then lies beside it. */
export function desktopJournalForRestore(stateDir: string): {
  readonly journal: Journal;
  readonly isLost: boolean;
} {
  try {
    return { journal: desktopJournal(stateDir), isLost: false };
  } catch (error) {
    if (!(error instanceof CulvertError && error.code === 'journal-unreadable')) throw error;
    const path = desktopJournalPath(stateDir);
    renameSync(path, `${path}.unreadable`);
    return { journal: desktopJournal(stateDir), isLost: true };
  }
}

/**
 * Makes the desktop use `proxy`; undefined puts back what was there before. Repeating it changes nothing.
 * Throws 'desktop-unchanged' where no store took it, and then nothing is changed.
 */
export async function setDesktopProxy(
  proxy: ProxyAddress | undefined,
  tools: DesktopProxyTools,
): Promise<DesktopProxyOutcome> {
  const { run, home, journal } = tools;
  const found = await openAll(run);
  if (proxy === undefined) return { stores: [], notes: (await undoStores(found, journal)).map(leftAlone) };
  const stores: DesktopStore[] = [];
  const notes: string[] = [];
  for (const [store, access] of found) {
    if (access === undefined) continue;
    try {
      await turnOn(desktopValues(store, proxy, home), access, journal);
      stores.push(store);
    } catch (error) {
      if (!(error instanceof CulvertError)) throw error;
      await undoStores(new Map([[store, access]]), journal);
      notes.push(`${storeNames[store]} was left as it is: ${error.message}`);
    }
  }
  if (stores.length === 0) throw new CulvertError('desktop-unchanged', { text: notes.join(' ') });
  return { stores, notes };
}

/** Changes nothing. */
export async function desktopProxyStatus(tools: DesktopProxyTools): Promise<DesktopProxyStatus> {
  const found = await openAll(tools.run);
  const stores = new Set<DesktopStore>();
  const changedSince: string[] = [];
  for (const change of changesIn(tools.journal)) {
    const current = await found.get(change.store)?.read(change);
    if (current === change.after) stores.add(change.store);
    else changedSince.push(desktopPlace(change));
  }
  return { stores: desktopStores.filter((store) => stores.has(store)), changedSince };
}

const storeNames: Readonly<Record<DesktopStore, string>> = {
  gnome: 'GNOME',
  kde: 'KDE',
  environment: 'The environment of new sessions',
};

async function turnOn(values: readonly DesktopValue[], access: StoreAccess, journal: Journal): Promise<void> {
  const store = values[0]?.store;
  if (store === undefined) return;
  if (await holds(values, access, journal)) return;
  // From another port, or half done: first what was there before us, so that it is what we go back to.
  await undoStores(new Map([[store, access]]), journal);
  await applyValues(values, access, journal);
}

/** Whether everything is ours already. */
async function holds(
  values: readonly DesktopValue[],
  access: StoreAccess,
  journal: Journal,
): Promise<boolean> {
  const known = new Map(
    changesIn(journal).map((change) => [`${change.store} ${desktopPlace(change)}`, change.after]),
  );
  for (const { value, ...key } of values) {
    if (known.get(`${key.store} ${desktopPlace(key)}`) !== value) return false;
    if ((await access.read(key)) !== value) return false;
  }
  return true;
}

async function openAll(run: Run): Promise<Map<DesktopStore, StoreAccess | undefined>> {
  const found = new Map<DesktopStore, StoreAccess | undefined>();
  for (const store of desktopStores) found.set(store, await openStore(store, run));
  return found;
}

function changesIn(journal: Journal): readonly DesktopChange[] {
  return journal.pending().filter((change) => change.kind === 'desktop-value');
}

function leftAlone(change: DesktopChange): string {
  return `${desktopPlace(change)} was changed by somebody else since, so it was left alone.`;
}
