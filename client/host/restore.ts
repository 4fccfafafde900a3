/**
 * Undoes what the journal lists, newest first, so that the firewall goes last. Needs no daemon.
 * Idempotent, and tolerant of things that are gone already. Undoes nothing that is not ours.
 */

import { rmSync } from 'node:fs';
import { CulvertError } from '../../shared/core/control/codes.ts';
import type { Run } from '../../shared/node/run.ts';
import type { HostPort } from '../driver/ports.ts';
import { noSplit } from '../split/view.ts';
import { desktopPlace, type Undone, undoDesktopValue } from './desktop-proxy/apply.ts';
import { type HostFiles, systemFiles } from './dns/host-files.ts';
import { undoOurs } from './dns/plain-file.ts';
import { removeResolvconf } from './dns/resolvconf.ts';
import { tableFamily, tableName } from './firewall/policy.ts';
import { type HostChange, type HostPlace, Journal } from './journal.ts';
import { planRoutes, tunnelTable } from './routes/plan.ts';
import type { SysctlFiles } from './sysctl.ts';

export interface RestoreTools {
  readonly run: Run;
  readonly sysctl: SysctlFiles;
  /** Default: the system's. */
  readonly files?: HostFiles;
}

export class HostRestorer implements HostPort {
  readonly #journal: Journal;
  readonly #tools: RestoreTools;

  constructor(journal: Journal, tools: RestoreTools) {
    this.#journal = journal;
    this.#tools = tools;
  }

  /** Undoes all that is pending, on demand but for the firewall. What fails stays in the journal, and the rest is undone all the same. */
  async restore(keepFirewall = false): Promise<void> {
    await undoAll(this.#journal, this.#tools, (change) => keepFirewall && change.kind === 'nft-table');
  }

  /** Of all changes the firewall alone. */
  async open(): Promise<void> {
    await undoAll(this.#journal, this.#tools, (change) => change.kind !== 'nft-table');
  }
}

/** Returns what was undone, as sentences. Throws 'restore-incomplete' after having tried everything. */
export async function undoAll(
  journal: Journal,
  tools: RestoreTools,
  stays: (change: HostChange) => boolean = () => false,
): Promise<readonly string[]> {
  const undone: string[] = [];
  const failures: string[] = [];
  for (const change of journal.pending().filter((one) => !stays(one))) {
    try {
      const outcome = await undo(change, tools);
      journal.forget(change);
      undone.push(outcome === 'foreign' ? foreignSentence(change) : sentence(change));
    } catch (error) {
      failures.push(error instanceof Error ? error.message : String(error));
    }
  }
  if (failures.length > 0) {
    throw new CulvertError('restore-incomplete', {
      text: `Not everything could be undone: ${failures.join('; ')}`,
      remedy: 'Run as root: culvert restore',
    });
  }
  return undone;
}

/** Undoes what is pending of DNS alone. Throws the first failure, after having tried everything. */
export async function undoDns(journal: Journal, tools: RestoreTools): Promise<void> {
  let problem: Error | undefined;
  for (const change of journal.pending()) {
    if (change.kind !== 'resolv-conf' && change.kind !== 'resolvconf') continue;
    try {
      await undo(change, tools);
      journal.forget(change);
    } catch (error) {
      problem ??= error instanceof Error ? error : new Error(String(error));
    }
  }
  if (problem !== undefined) throw problem;
}

/** The journal that is there; where it cannot be read, one that lists all that we ever do. */
export function openForRestore(path: string, place: HostPlace): Journal {
  try {
    return new Journal(path, place);
  } catch (error) {
    if (!(error instanceof CulvertError && error.code === 'journal-unreadable')) throw error;
    rmSync(path, { force: true });
    const journal = new Journal(path, place);
    for (const change of everythingWeDo()) journal.record(change);
    return journal;
  }
}

function everythingWeDo(): readonly HostChange[] {
  const shape = {
    interfaceName: 'any',
    addresses: [],
    allowedIps: ['0.0.0.0/0', '::/0'],
    mtu: 0,
    ipv6: true,
  };
  const { rules } = planRoutes(shape, { ...noSplit, outsideGroup: 'any' });
  return [
    { kind: 'nft-table', family: tableFamily, table: tableName },
    ...([4, 6] as const).map((family): HostChange => ({ kind: 'route-table', family, table: tunnelTable })),
    ...rules.map(({ family, words }): HostChange => ({ kind: 'ip-rule', family, words })),
  ];
}

async function undo(change: HostChange, tools: RestoreTools): Promise<Undone | undefined> {
  switch (change.kind) {
    case 'nft-table': {
      const table = `table ${change.family} ${change.table}`;
      await tools.run('nft', ['-f', '-'], { stdin: `add ${table}\ndelete ${table}\n` });
      return undefined;
    }
    case 'ip-rule':
      await deleteRule(change.family, change.words, tools.run);
      return undefined;
    case 'route-table':
      await flushTable(change.family, change.table, tools.run);
      return undefined;
    case 'desktop-value':
      return undoDesktopValue(change, tools.run);
    case 'resolv-conf':
      return undoOurs(change, tools.files ?? systemFiles) ? undefined : 'foreign';
    case 'resolvconf':
      await removeResolvconf(tools.run);
      return undefined;
    default: {
      // Somebody else changed it since: theirs stays.
      if (tools.sysctl.read(change.path) !== change.after) return undefined;
      if (!tools.sysctl.write(change.path, change.before)) {
        throw new CulvertError('restore-incomplete', { text: `/proc/sys/${change.path} cannot be written.` });
      }
      return undefined;
    }
  }
}

/** Linux: no such rule, or no such family on this machine. */
const goneErrnos: readonly (number | undefined)[] = [2, 95, 97];

async function deleteRule(family: 4 | 6, words: readonly string[], run: Run): Promise<void> {
  try {
    await run('ip', [`-${family}`, 'rule', 'del', ...words]);
  } catch (error) {
    if (!(error instanceof CulvertError && goneErrnos.includes(error.errno))) throw error;
  }
}

/** `ip` counts a table that does not exist as a failure; there is nothing to undo then. */
async function flushTable(family: 4 | 6, table: number, run: Run): Promise<void> {
  await run('ip', [`-${family}`, 'route', 'flush', 'table', String(table)], { allowFailure: true });
}

function sentence(change: HostChange): string {
  switch (change.kind) {
    case 'nft-table':
      return `firewall: removed table ${change.family} ${change.table}`;
    case 'ip-rule':
      return `routing: removed IPv${change.family} rule ${change.words.join(' ')}`;
    case 'route-table':
      return `routing: emptied IPv${change.family} table ${change.table}`;
    case 'resolv-conf':
      return `DNS: put ${change.path} back as it was`;
    case 'resolvconf':
      return `DNS: removed the record ${change.record} of resolvconf`;
    case 'desktop-value':
      return `desktop: set ${desktopPlace(change)} back to ${change.before ?? 'its default'}`;
    default:
      return `kernel: set ${change.path} back to ${change.before}`;
  }
}

function foreignSentence(change: HostChange): string {
  const what =
    change.kind === 'desktop-value'
      ? desktopPlace(change)
      : change.kind === 'resolv-conf'
        ? change.path
        : change.kind;
  return `left alone, because somebody else changed it since: ${what}`;
}
