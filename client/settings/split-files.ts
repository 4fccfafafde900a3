/** The split tunnel on disk: the list of rules as people read it, and how long the local network stays open. */

import { readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { CulvertError } from '../../shared/core/control/codes.ts';
import { formatRules, parseRules, type SplitRule } from '../split/rules.ts';
import { writeAtomic } from './atomic-file.ts';

/** `until` absent: until it is closed. */
export interface LanGrant {
  /** UnixMs. */
  readonly until?: number;
}

export class SplitFiles {
  readonly #rules: string;
  readonly #lan: string;

  constructor(stateDir: string) {
    this.#rules = join(stateDir, 'split-tunnel.rules');
    this.#lan = join(stateDir, 'lan.json');
  }

  /** Throws 'settings-unreadable' where a line makes no sense: a rule that is skipped would open or close too much. */
  readRules(): readonly SplitRule[] {
    const text = readOr(this.#rules, '');
    const rules = parseRules(text);
    if (!('problems' in rules)) return rules;
    const [first] = rules.problems;
    throw new CulvertError('settings-unreadable', {
      text: `Line ${first?.line ?? 0} of ${this.#rules} makes no sense: ${first?.text ?? ''}`,
    });
  }

  writeRules(rules: readonly SplitRule[]): void {
    writeAtomic(this.#rules, formatRules(rules));
  }

  /** What makes no sense is no grant. */
  readLan(): LanGrant | undefined {
    try {
      const { until, open } = JSON.parse(readOr(this.#lan, '{}')) as { until?: unknown; open?: unknown };
      if (open !== true) return undefined;
      return typeof until === 'number' ? { until } : {};
    } catch {
      return undefined; // Half a file: closed is always right.
    }
  }

  writeLan(grant: LanGrant | undefined): void {
    if (grant === undefined) rmSync(this.#lan, { force: true });
    else writeAtomic(this.#lan, `${JSON.stringify({ open: true, ...grant })}\n`);
  }
}

function readOr(path: string, fallback: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return fallback;
    throw new CulvertError('settings-unreadable', { text: `The file ${path} cannot be read.`, cause });
  }
}
