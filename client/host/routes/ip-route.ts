/**
 * Makes a RoutesPlan hold through `ip`, journalled before. Routes and addresses go with the
 * interface when it goes, so only rules and the sysctl need undoing. Safe to repeat.
 */

import type { Log } from '../../../shared/core/base/ports.ts';
import { CulvertError } from '../../../shared/core/control/codes.ts';
import type { Run } from '../../../shared/node/run.ts';
import type { RoutesPort } from '../../driver/ports.ts';
import type { Journal } from '../journal.ts';
import type { SysctlFiles } from '../sysctl.ts';
import type { RoutesPlan, RulePlan } from './plan.ts';

const validMark = 'net/ipv4/conf/all/src_valid_mark';

/** Linux: File exists. */
const EEXIST = 17;

export interface IpRoutesOptions {
  readonly journal: Journal;
  readonly run: Run;
  readonly sysctl: SysctlFiles;
  readonly log: Log;
}

export class IpRoutes implements RoutesPort {
  readonly #options: IpRoutesOptions;

  constructor(options: IpRoutesOptions) {
    this.#options = options;
  }

  async apply(plan: RoutesPlan): Promise<void> {
    const { run } = this.#options;
    if (plan.needsValidMark) this.#allowMarkedReplies();
    await run('ip', ['-batch', '-'], { stdin: lines(plan.link) });
    for (const { family, lines: routes } of plan.routes) {
      await run('ip', [`-${family}`, '-batch', '-'], { stdin: lines(routes) });
    }
    for (const rule of plan.rules) await this.#addRule(rule);
  }

  async #addRule(rule: RulePlan): Promise<void> {
    const { journal, run } = this.#options;
    journal.record({ kind: 'ip-rule', family: rule.family, words: rule.words });
    try {
      await run('ip', [`-${rule.family}`, 'rule', 'add', ...rule.words]);
    } catch (error) {
      // Left by a run that was killed: it is the rule that we want.
      if (!(error instanceof CulvertError && error.errno === EEXIST)) throw error;
    }
  }

  #allowMarkedReplies(): void {
    const { journal, sysctl, log } = this.#options;
    const before = sysctl.read(validMark);
    if (before === undefined || before === '1') return;
    journal.record({ kind: 'sysctl', path: validMark, before, after: '1' });
    if (!sysctl.write(validMark, '1')) {
      log.warn('a kernel setting cannot be changed; replies may be dropped where rp_filter is 1', {
        path: validMark,
      });
    }
  }
}

function lines(words: readonly string[]): string {
  return `${words.join('\n')}\n`;
}
