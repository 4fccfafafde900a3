/**
 * The split tunnel's one list: which addresses and names go through the tunnel and which around it. Pure. Without a
 * line everything goes through; with an `include` only what is included does. An address that is excluded is excluded,
 * however narrow an include is; of names the most exact rule decides.
 *
 *     exclude ip 192.168.0.0/16      # comment
 *     exclude host *.bank.example    # names below bank.example, not itself
 *     include host intranet.example  # this name alone
 */

import { formatPrefix, type Prefix, parsePrefix, prefixContains } from '../../shared/core/base/ip.ts';
import { canonicalText, encodeName } from '../../shared/core/dns/name.ts';

export type SplitMode = 'exclude' | 'include';

export interface AddressRule {
  readonly kind: 'ip';
  readonly mode: SplitMode;
  readonly prefix: Prefix;
}

export interface NameRule {
  readonly kind: 'host';
  readonly mode: SplitMode;
  /** Lower case, no last dot. */
  readonly name: string;
  /** True: everything below `name`, and not `name`. */
  readonly below: boolean;
}

export type SplitRule = AddressRule | NameRule;

export interface SplitProblem {
  /** From 1. */
  readonly line: number;
  readonly text: string;
}

export const maxRules = 1024;
const longestLine = 400;

/** All lines, or all that is wrong with them. */
export function parseRules(
  text: string,
): readonly SplitRule[] | { readonly problems: readonly SplitProblem[] } {
  const rules: SplitRule[] = [];
  const problems: SplitProblem[] = [];
  const lines = text.split('\n', maxRules * 4 + 1);
  if (lines.length > maxRules * 4)
    return { problems: [{ line: maxRules * 4, text: 'The list is too long.' }] };
  for (const [i, whole] of lines.entries()) {
    const words = whole
      .slice(0, longestLine)
      .replace(/(^|\s)#.*$/, '')
      .trim()
      .split(/\s+/);
    if (words[0] === '') continue;
    const rule = ruleFrom(words);
    if (typeof rule === 'string') problems.push({ line: i + 1, text: rule });
    else if (rules.length >= maxRules) problems.push({ line: i + 1, text: `More than ${maxRules} rules.` });
    else rules.push(rule);
    if (problems.length >= 20) break;
  }
  return problems.length > 0 ? { problems } : rules;
}

/** One line, in the words that parseRules reads. */
export function formatRule(rule: SplitRule): string {
  return `${rule.mode} ${rule.kind} ${targetText(rule)}`;
}

/** '10.0.0.0/8', '*.bank.example'. */
export function targetText(rule: SplitRule): string {
  if (rule.kind === 'ip') return formatPrefix(rule.prefix);
  return rule.below ? `*.${rule.name}` : rule.name;
}

/** The rule that the words of a command line name; the sentence of what is wrong where they name none. */
export function ruleOf(kind: 'ip' | 'host', target: string, mode: SplitMode): SplitRule | string {
  if (kind === 'ip') {
    const prefix = parsePrefix(target);
    return prefix === undefined ? `'${clip(target)}' is no address and no prefix.` : { kind, mode, prefix };
  }
  const below = target.startsWith('*.');
  const name = canonicalText(below ? target.slice(2) : target);
  if (name === '.' || name.includes('*') || encodeName(name) === undefined) {
    return `'${clip(target)}' is no name; write example.com, or *.example.com for the names below it.`;
  }
  if (parsePrefix(name) !== undefined) return `'${clip(target)}' is an address; use ip.`;
  return { kind, mode, name, below };
}

/** The list with this rule; a rule for the same target is replaced. Undefined where the list is full. */
export function addRule(rules: readonly SplitRule[], rule: SplitRule): readonly SplitRule[] | undefined {
  const others = removeRule(rules, rule.kind, targetText(rule));
  return others.length >= maxRules ? undefined : [...others, rule];
}

export function removeRule(
  rules: readonly SplitRule[],
  kind: 'ip' | 'host',
  target: string,
): readonly SplitRule[] {
  return rules.filter((one) => one.kind !== kind || targetText(one) !== target);
}

/** The list as people read it: what is excluded first, then by kind, in the order of entry. */
export function formatRules(rules: readonly SplitRule[]): string {
  const order = (rule: SplitRule): number => (rule.mode === 'exclude' ? 0 : 2) + (rule.kind === 'ip' ? 0 : 1);
  return rules
    .toSorted((a, b) => order(a) - order(b))
    .map((rule) => `${formatRule(rule)}\n`)
    .join('');
}

/** True where only what is listed goes through the tunnel. */
export function isIncludeOnly(rules: readonly SplitRule[]): boolean {
  return rules.some((rule) => rule.mode === 'include');
}

/** The rule for a name (any case, last dot or not): exact before wildcard, longer before shorter, exclude before include. */
export function ruleForName(rules: readonly SplitRule[], name: string): NameRule | undefined {
  const asked = canonicalText(name);
  let best: NameRule | undefined;
  for (const rule of rules) {
    if (rule.kind !== 'host' || !nameMatches(rule, asked)) continue;
    if (best === undefined || beats(rule, best)) best = rule;
  }
  return best;
}

/** The narrowest rule that holds the address; exclude before include. */
export function ruleForAddress(rules: readonly SplitRule[], address: Uint8Array): AddressRule | undefined {
  let best: AddressRule | undefined;
  for (const rule of rules) {
    if (rule.kind !== 'ip' || !prefixContains(rule.prefix, address)) continue;
    // Taken away is taken away: a narrower include does not bring it back.
    const wins =
      best === undefined ||
      (rule.mode === best.mode ? rule.prefix.bits > best.prefix.bits : rule.mode === 'exclude');
    if (wins) best = rule;
  }
  return best;
}

function ruleFrom(words: readonly string[]): SplitRule | string {
  const [mode, kind, target, ...more] = words;
  if (mode !== 'exclude' && mode !== 'include')
    return `'${clip(mode ?? '')}' is neither exclude nor include.`;
  if (kind !== 'ip' && kind !== 'host') return `'${clip(kind ?? '')}' is neither ip nor host.`;
  if (target === undefined || more.length > 0) return 'Write MODE, ip or host, and one address or name.';
  return ruleOf(kind, target, mode);
}

function nameMatches(rule: NameRule, name: string): boolean {
  return rule.below ? name.endsWith(`.${rule.name}`) : name === rule.name;
}

function beats(rule: NameRule, best: NameRule): boolean {
  if (rule.below !== best.below) return !rule.below;
  if (rule.name.length !== best.name.length) return rule.name.length > best.name.length;
  return rule.mode === 'exclude' && best.mode === 'include';
}

function clip(text: string): string {
  return text.slice(0, 80);
}
