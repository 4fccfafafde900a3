/**
 * Makes a FirewallPolicy hold through `nft`, in one transaction, journalled before. Decides nothing.
 */

import type { Run } from '../../../shared/node/run.ts';
import type { FirewallPort } from '../../driver/ports.ts';
import type { Journal } from '../journal.ts';
import { type FirewallPolicy, tableFamily, tableName } from './policy.ts';
import { rulesetFor } from './ruleset.ts';

export class NftablesFirewall implements FirewallPort {
  readonly #journal: Journal;
  readonly #run: Run;

  constructor(journal: Journal, run: Run) {
    this.#journal = journal;
    this.#run = run;
  }

  /** Throws where nft refuses; then the rules that held before still hold. */
  async apply(policy: FirewallPolicy): Promise<void> {
    const script = rulesetFor(policy);
    this.#journal.record({ kind: 'nft-table', family: tableFamily, table: tableName });
    await this.#run('nft', ['-f', '-'], { stdin: script });
  }
}
