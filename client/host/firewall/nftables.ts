/**
 * Makes a FirewallPolicy hold through `nft`, in one transaction, journalled before, and again where another program
 * took it away. One change at a time. Decides nothing.
 */

import type { Log } from '../../../shared/core/base/ports.ts';
import type { Run } from '../../../shared/node/run.ts';
import type { FirewallPort } from '../../driver/ports.ts';
import { noSplit, type SplitView } from '../../split/view.ts';
import type { Journal } from '../journal.ts';
import type { Examination } from './examination.ts';
import { type FirewallPolicy, tableFamily, tableName } from './policy.ts';
import { rulesetFor } from './ruleset.ts';

export interface NftablesOptions {
  readonly journal: Journal;
  readonly run: Run;
  readonly log: Log;
  /** What goes around the tunnel now. */
  readonly split?: () => SplitView;
  /** Servers that the daemon may ask beside the tunnel now, for the names of rules. */
  readonly ruleServers?: () => readonly string[];
  /** What the daemon itself may ask beside the tunnel now, for a diagnosis. */
  readonly examined?: () => Examination | undefined;
}

export class NftablesFirewall implements FirewallPort {
  readonly #options: NftablesOptions;
  #policy: FirewallPolicy | undefined;
  /** What the kernel said that our table is, after we wrote it; undefined until it was asked. */
  #written: string | undefined;
  #last: Promise<unknown> = Promise.resolve();

  constructor(options: NftablesOptions) {
    this.#options = options;
  }

  /** Rejects where nft refuses; then the rules that held before still hold. */
  apply(policy: FirewallPolicy): Promise<void> {
    return this.#inTurn(async () => {
      await this.#write(policy);
      this.#policy = policy;
    });
  }

  /** What goes around the tunnel is something else now. */
  refresh(): Promise<void> {
    return this.#inTurn(async () => {
      if (this.#policy !== undefined) await this.#write(this.#policy);
    });
  }

  /** Writes our table again where another program changed or removed it. True where that was so. */
  verify(): Promise<boolean> {
    return this.#inTurn(async () => {
      const policy = this.#policy;
      if (policy === undefined) return false;
      const found = await this.#listing();
      if (this.#written === undefined && found !== undefined) {
        this.#written = found;
        return false;
      }
      if (found !== undefined && found === this.#written) return false;
      await this.#write(policy);
      this.#options.log.warn('another program took our firewall rules away; they hold again');
      return true;
    });
  }

  /** Nobody writes it any more until the next `apply`: it is about to be removed. */
  release(): Promise<void> {
    return this.#inTurn(async () => {
      this.#policy = undefined;
      this.#written = undefined;
    });
  }

  async #write(policy: FirewallPolicy): Promise<void> {
    const { journal, run, split = () => noSplit, ruleServers = () => [] } = this.#options;
    const examines = this.#options.examined?.();
    const own = { ruleServers: ruleServers(), ...(examines === undefined ? {} : { examines }) };
    const script = rulesetFor({ ...policy, ...own }, split());
    journal.record({ kind: 'nft-table', family: tableFamily, table: tableName });
    this.#written = undefined;
    await run('nft', ['-f', '-'], { stdin: script });
  }

  /** Undefined where there is no such table. */
  async #listing(): Promise<string | undefined> {
    const words = ['list', 'table', tableFamily, tableName];
    const { exitCode, stdout } = await this.#options.run('nft', words, { allowFailure: true });
    return exitCode === 0 ? stdout : undefined;
  }

  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const done = this.#last.then(work);
    this.#last = done.catch(() => undefined);
    return done;
  }
}
