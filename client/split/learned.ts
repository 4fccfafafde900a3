/**
 * Addresses of names that rules are about, as answers of DNS told them: packets carry no names. Pure, told the time,
 * bounded. One address may serve many sites; a rule for one of them then holds for all, which `route explain` says.
 */

import { formatAddress, type Prefix } from '../../shared/core/base/ip.ts';
import { after, type MonoMs, secondMs } from '../../shared/core/base/time.ts';
import { type NameRule, ruleForName, type SplitMode, type SplitRule } from './rules.ts';

export const maxLearned = 2048;
/** Of one answer. */
const maxPerAnswer = 32;
/** Programs keep addresses longer than answers say. */
export const shortestKeepMs: number = 600 * secondMs;
export const longestKeepMs: number = 24 * 3600 * secondMs;

interface Learned {
  readonly address: Uint8Array;
  readonly name: string;
  readonly rule: NameRule;
  readonly until: MonoMs;
}

export class LearnedAddresses {
  readonly #byAddress = new Map<string, Learned>();

  /**
   * An answer for `name`. True where that changes what goes around the tunnel. A full table forgets the oldest.
   * `ttlMs`: of the answer.
   */
  handleAnswer(
    rules: readonly SplitRule[],
    answer: { readonly name: string; readonly addresses: readonly Uint8Array[]; readonly ttlMs: number },
    now: MonoMs,
  ): boolean {
    const rule = ruleForName(rules, answer.name);
    if (rule === undefined) return false;
    const until = after(now, Math.min(Math.max(answer.ttlMs, shortestKeepMs), longestKeepMs));
    let changed = false;
    for (const address of answer.addresses.slice(0, maxPerAnswer)) {
      const key = formatAddress(address);
      const known = this.#byAddress.get(key);
      // Two names at one address: what is excluded stays excluded, so that it does not flip with each answer.
      if (known !== undefined && known.rule.mode === 'exclude' && rule.mode === 'include') continue;
      changed ||= known?.rule.mode !== rule.mode;
      this.#byAddress.delete(key);
      this.#byAddress.set(key, { address, name: answer.name, rule, until });
      if (this.#byAddress.size > maxLearned) this.#forgetOldest();
    }
    return changed;
  }

  /** Drops what is too old. True where that changed something. */
  handleTimeout(now: MonoMs): boolean {
    const before = this.#byAddress.size;
    for (const [key, one] of this.#byAddress) if (one.until <= now) this.#byAddress.delete(key);
    return this.#byAddress.size !== before;
  }

  /** The rules are others now: what they say no more is forgotten. True where that changed something. */
  handleRules(rules: readonly SplitRule[]): boolean {
    let changed = false;
    for (const [key, one] of this.#byAddress) {
      const rule = ruleForName(rules, one.name);
      if (rule === undefined) this.#byAddress.delete(key);
      else this.#byAddress.set(key, { ...one, rule });
      changed ||= rule?.mode !== one.rule.mode;
    }
    return changed;
  }

  nextTimeout(): MonoMs | undefined {
    let next: MonoMs | undefined;
    for (const { until } of this.#byAddress.values()) if (next === undefined || until < next) next = until;
    return next;
  }

  /** Single addresses, for `effectivePrefixes`. */
  prefixes(mode: SplitMode): readonly Prefix[] {
    return [...this.#byAddress.values()]
      .filter((one) => one.rule.mode === mode)
      .map(({ address }) => ({ address, bits: address.length * 8 }));
  }

  /** Whose address it was learned as, and by which rule. */
  find(address: Uint8Array): { readonly name: string; readonly rule: NameRule } | undefined {
    return this.#byAddress.get(formatAddress(address));
  }

  #forgetOldest(): void {
    const oldest = this.#byAddress.keys().next();
    if (oldest.done !== true) this.#byAddress.delete(oldest.value);
  }
}
