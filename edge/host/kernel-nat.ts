/**
 * Puts the guard and NAT table of guard-rules.ts into the kernel, as one transaction, and takes it out.
 */

import { CulvertError } from '../../shared/core/control/codes.ts';
import { firstLine, type Run } from '../../shared/node/run.ts';
import { type GuardPlan, guardScript, guardTable, removalScript } from './guard-rules.ts';
import type { HostJournal } from './journal.ts';

/** Journals, then applies. Replaces the table of an earlier call or run as a whole. */
export async function applyGuard(plan: GuardPlan, journal: HostJournal, run: Run): Promise<void> {
  const known = journal.pending.some((change) => change.kind === 'nft-table');
  if (!known) journal.record({ kind: 'nft-table', table: guardTable });
  await nft(guardScript(plan), run);
}

/** Fine where there is no such table. */
export async function removeGuard(run: Run): Promise<void> {
  await nft(removalScript(), run);
}

async function nft(script: string, run: Run): Promise<void> {
  const result = await run('nft', ['-f', '-'], { stdin: script, allowFailure: true });
  if (result.exitCode === 0) return;
  throw new CulvertError('command-failed', {
    text: `nftables refused the edge's rules: ${firstLine(result.stderr)}`,
    remedy: 'Check that this kernel has nf_tables with NAT: nft list ruleset',
  });
}
