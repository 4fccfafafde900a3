/**
 * Makes a RoutesPlan hold through `ip`, journalled before, and again where another program changed it or the split
 * did. Addresses and routes into the tunnel go with the interface; rules, the sysctl and routes around the tunnel need
 * undoing. Safe to repeat. One change at a time.
 */

import type { Log } from '../../../shared/core/base/ports.ts';
import { CulvertError } from '../../../shared/core/control/codes.ts';
import type { Run } from '../../../shared/node/run.ts';
import type { RoutesPort } from '../../driver/ports.ts';
import { noSplit, type SplitView } from '../../split/view.ts';
import type { Journal } from '../journal.ts';
import type { SysctlFiles } from '../sysctl.ts';
import { cutConnections } from './cut-connections.ts';
import { type Family, planRoutes, type RoutesPlan, type RulePlan, tunnelTable } from './plan.ts';

const validMark = 'net/ipv4/conf/all/src_valid_mark';

const families: readonly Family[] = [4, 6];
/** Linux: File exists. */
const EEXIST = 17;

export interface IpRoutesOptions {
  readonly journal: Journal;
  readonly run: Run;
  readonly sysctl: SysctlFiles;
  readonly log: Log;
  /** What goes around the tunnel now. */
  readonly split?: () => SplitView;
}

export class IpRoutes implements RoutesPort {
  readonly #options: IpRoutesOptions;
  /** What holds, as far as we know. */
  #plan: RoutesPlan | undefined;
  #last: Promise<unknown> = Promise.resolve();

  constructor(options: IpRoutesOptions) {
    this.#options = options;
  }

  apply(plan: RoutesPlan): Promise<void> {
    return this.#inTurn(async () => {
      const wanted = this.#planned(plan);
      if (wanted.needsValidMark) this.#allowMarkedReplies();
      const gone = await this.#dropAddresses(wanted);
      await this.#options.run('ip', ['-batch', '-'], { stdin: lines(wanted.link) });
      await this.#take(wanted);
      // Last: whoever tries again at once finds the other tunnel's routes.
      await cutConnections(this.#options.run, gone, this.#options.log);
    });
  }

  /**
   * Of the edge before, where its interface was kept. First: a later address in the same network would go with it. Returns
   * the addresses that this machine has no more.
   */
  async #dropAddresses({ shape }: RoutesPlan): Promise<readonly string[]> {
    const before = this.#plan?.shape;
    if (before?.interfaceName !== shape.interfaceName) return [];
    const old = before.addresses.filter((one) => !shape.addresses.includes(one));
    if (old.length === 0) return [];
    const words = old.map((prefix) => `address del ${prefix} dev ${shape.interfaceName}`);
    // Where the interface is a new one they are gone already.
    await this.#options.run('ip', ['-force', '-batch', '-'], { stdin: lines(words), allowFailure: true });
    const present = new Set(shape.addresses.map(withoutLength));
    return old.map(withoutLength).filter((one) => !present.has(one));
  }

  /** What goes around the tunnel is something else now. */
  refresh(): Promise<void> {
    return this.#inTurn(async () => {
      if (this.#plan !== undefined) await this.#take(this.#planned(this.#plan));
    });
  }

  /** Puts rules and routes of ours back that another program took away. True where there were any. */
  verify(): Promise<boolean> {
    return this.#inTurn(async () => {
      const plan = this.#plan;
      if (plan === undefined) return false;
      const lost = await this.#lostFamilies(plan);
      if (lost.length === 0) return false;
      const part = {
        routes: plan.routes.filter((one) => lost.includes(one.family)),
        rules: plan.rules.filter((one) => lost.includes(one.family)),
      };
      await this.#add(part.routes, part.rules);
      this.#options.log.warn('another program took our routes away; they hold again');
      return true;
    });
  }

  /** Nobody writes them any more until the next `apply`: they are about to be removed. */
  release(): Promise<void> {
    return this.#inTurn(async () => {
      this.#plan = undefined;
    });
  }

  #planned(plan: RoutesPlan): RoutesPlan {
    return planRoutes(plan.shape, this.#options.split?.() ?? noSplit);
  }

  /** First away with what is no more, so that a range can change sides. */
  async #take(wanted: RoutesPlan): Promise<void> {
    const before = this.#plan;
    this.#plan = wanted;
    for (const { family, lines: old } of before?.routes ?? []) {
      const kept = wanted.routes.find((one) => one.family === family)?.lines ?? [];
      const gone = old.filter((line) => !kept.includes(line));
      if (gone.length === 0) continue;
      const words = gone.map((line) => line.replace('route replace', 'route del'));
      // What went with an interface is gone already.
      const options = { stdin: lines(words), allowFailure: true };
      await this.#options.run('ip', [`-${family}`, '-force', '-batch', '-'], options);
    }
    for (const rule of before?.rules ?? []) {
      if (!wanted.rules.some((one) => isSame(one, rule))) await this.#removeRule(rule);
    }
    await this.#add(wanted.routes, wanted.rules);
  }

  /** Both families at a time, routes before rules. */
  async #add(routes: RoutesPlan['routes'], rules: readonly RulePlan[]): Promise<void> {
    const { journal } = this.#options;
    for (const { family, lines: wanted } of routes) {
      if (wanted.some((line) => line.includes(' throw '))) {
        journal.record({ kind: 'route-table', family, table: tunnelTable });
      }
    }
    for (const { family, words } of rules) journal.record({ kind: 'ip-rule', family, words });
    const added = await Promise.allSettled(
      families.map((family) => {
        const wanted = routes.flatMap((one) => (one.family === family ? one.lines : []));
        return this.#addFamily(
          family,
          wanted,
          rules.filter((one) => one.family === family),
        );
      }),
    );
    for (const one of added) if (one.status === 'rejected') throw one.reason;
  }

  async #addFamily(family: Family, routes: readonly string[], rules: readonly RulePlan[]): Promise<void> {
    const wanted = [...routes, ...rules.map(({ words }) => `rule add ${words.join(' ')}`)];
    if (wanted.length === 0) return;
    try {
      await this.#options.run('ip', [`-${family}`, '-batch', '-'], { stdin: lines(wanted) });
    } catch (error) {
      // A rule that was left by a run that was killed ends a batch.
      if (!isThere(error)) throw error;
      for (const rule of rules) await this.#addRule(rule);
    }
  }

  async #addRule({ family, words }: RulePlan): Promise<void> {
    try {
      await this.#options.run('ip', [`-${family}`, 'rule', 'add', ...words]);
    } catch (error) {
      if (!isThere(error)) throw error;
    }
  }

  async #removeRule(rule: RulePlan): Promise<void> {
    const { journal, run } = this.#options;
    await run('ip', [`-${rule.family}`, 'rule', 'del', ...rule.words], { allowFailure: true });
    journal.forget({ kind: 'ip-rule', family: rule.family, words: rule.words });
  }

  /** Families of which something is missing. */
  async #lostFamilies(plan: RoutesPlan): Promise<readonly Family[]> {
    const { run } = this.#options;
    const lost: Family[] = [];
    for (const { family, lines: wanted } of plan.routes) {
      const asked = { allowFailure: true };
      const rules = await run('ip', [`-${family}`, 'rule', 'show'], asked);
      const table = ['route', 'show', 'table', String(tunnelTable)];
      const routes = await run('ip', [`-${family}`, ...table], asked);
      const mine = plan.rules.filter((rule) => rule.family === family);
      const priorities = mine.map((rule) => `${rule.words[1]}:`);
      const hasRules = priorities.every((start) => rules.stdout.split('\n').some((l) => l.startsWith(start)));
      const count = routes.stdout.split('\n').filter((line) => line !== '').length;
      if (!hasRules || count < wanted.length) lost.push(family);
    }
    return lost;
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

  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const done = this.#last.then(work);
    this.#last = done.catch(() => undefined);
    return done;
  }
}

/** Of a rule: it is the one that we want. */
function isThere(error: unknown): boolean {
  return error instanceof CulvertError && error.errno === EEXIST;
}

function withoutLength(prefix: string): string {
  return prefix.split('/')[0] ?? prefix;
}

function isSame(a: RulePlan, b: RulePlan): boolean {
  return a.family === b.family && a.words.join(' ') === b.words.join(' ');
}

function lines(words: readonly string[]): string {
  return `${words.join('\n')}\n`;
}
