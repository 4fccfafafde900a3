/**
 * Puts the guard and NAT table of guard-rules.ts into the kernel, as one transaction, and takes it out.
 */

import { CulvertError } from '../../shared/core/control/codes.ts';
import { firstLine, type Run } from '../../shared/node/run.ts';
import {
  type GuardDrop,
  type GuardPlan,
  guardCounter,
  guardDrops,
  guardScript,
  guardTable,
  removalScript,
} from './guard-rules.ts';
import type { HostJournal } from './journal.ts';

/** Journals, then applies. Replaces the table of an earlier call or run as a whole. */
export async function applyGuard(plan: GuardPlan, journal: HostJournal, run: Run): Promise<void> {
  await applyTable(guardTable, guardScript(plan), journal, run);
}

/** The same for another table of ours, by its whole script. */
export async function applyTable(
  table: string,
  script: string,
  journal: HostJournal,
  run: Run,
): Promise<void> {
  const known = journal.pending.some((change) => change.kind === 'nft-table' && change.table === table);
  if (!known) journal.record({ kind: 'nft-table', table });
  await nft(script, run);
}

/** Fine where there is no such table. */
export async function removeTable(table: string, run: Run): Promise<void> {
  await nft(removalScript(table), run);
}

/** Packets that the guard has dropped since it was last applied, by reason; empty where that cannot be known. */
export async function readGuardDrops(run: Run): Promise<Readonly<Partial<Record<GuardDrop, number>>>> {
  const words = ['-j', 'list', 'counters', 'table', 'inet', guardTable];
  const result = await run('nft', words, { allowFailure: true });
  return result.exitCode === 0 ? parseGuardDrops(result.stdout) : {};
}

/** What the guard has dropped since the edge started: the table's own counters end with every change of it. */
export class GuardCounts {
  readonly #run: Run;
  #past: Partial<Record<GuardDrop, number>> = {};

  constructor(run: Run) {
    this.#run = run;
  }

  async read(): Promise<Readonly<Partial<Record<GuardDrop, number>>>> {
    const sum = { ...this.#past };
    for (const [reason, count] of Object.entries(await readGuardDrops(this.#run)))
      sum[reason as GuardDrop] = (sum[reason as GuardDrop] ?? 0) + count;
    return sum;
  }

  /** Call before the guard is applied again. */
  async keep(): Promise<void> {
    this.#past = await this.read();
  }
}

/** Of `nft -j list counters`. */
export function parseGuardDrops(text: string): Readonly<Partial<Record<GuardDrop, number>>> {
  const counts: Partial<Record<GuardDrop, number>> = {};
  for (const [, name, packets] of text.matchAll(/"name": ?"(\w+)"[^{}]*?"packets": ?(\d+)/g)) {
    const reason = guardDrops.find((one) => guardCounter(one) === name);
    if (reason !== undefined) counts[reason] = Number(packets);
  }
  return counts;
}

/** One transaction: all of it or nothing. */
export async function nft(script: string, run: Run): Promise<void> {
  const result = await run('nft', ['-f', '-'], { stdin: script, allowFailure: true });
  if (result.exitCode === 0) return;
  throw new CulvertError('command-failed', {
    text: `nftables refused the edge's rules: ${firstLine(result.stderr)}`,
    remedy: 'Check that this kernel has nf_tables with NAT: nft list ruleset',
  });
}
