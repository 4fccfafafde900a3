/**
 * Which names belong to the network that we are in, and are asked of its own resolver (or of another that the user
 * named): printers, offices, routers. Pure.
 */

import { NameSet } from './name-set.ts';

/** One rule of `culvert dns fallback`. */
export interface FallbackRule {
  /** Covers itself and everything below. Lower case, no last dot. */
  readonly name: string;
  /** Numeric addresses to ask; empty: those that the network gave us. */
  readonly servers: readonly string[];
  /** Where they are asked: outside the tunnel, or through it. */
  readonly via: 'network' | 'tunnel';
}

/** The endings that home and office networks use, and that mean nothing outside. */
export const defaultFallbackNames: readonly string[] = [
  'corp',
  'domain',
  'home',
  'home.arpa',
  'host',
  'internal',
  'intranet',
  'invalid',
  'lan',
  'local',
  'localdomain',
  'private',
  'test',
];

/** Reverse names of the addresses that every network gives away anew (RFC 1918, RFC 4193, RFC 3927). */
const privateReverse: readonly string[] = [
  '10.in-addr.arpa',
  ...Array.from({ length: 16 }, (_, i) => `${16 + i}.172.in-addr.arpa`),
  '168.192.in-addr.arpa',
  '254.169.in-addr.arpa',
  'c.f.ip6.arpa',
  'd.f.ip6.arpa',
  '8.e.f.ip6.arpa',
  '9.e.f.ip6.arpa',
  'a.e.f.ip6.arpa',
  'b.e.f.ip6.arpa',
];
/** Never asked of anybody, whatever a rule says: mDNS's own, and what must not exist. */
const neverAsked: readonly string[] = ['local', 'invalid', 'localhost', 'onion', 'culvert'];

export class LocalDomains {
  readonly #rules = new NameSet<FallbackRule>();

  readonly #hasUsual: boolean;

  /** `hasUsual`: the endings above and single labels belong to the network, too. */
  constructor(rules: readonly FallbackRule[], hasUsual = true) {
    this.#hasUsual = hasUsual;
    for (const name of hasUsual ? [...defaultFallbackNames, ...privateReverse] : []) {
      this.#rules.add(name, { name, servers: [], via: 'network' });
    }
    for (const rule of rules) this.#rules.add(rule.name, rule);
  }

  /** The rule for a name (lower case, no last dot), undefined where it is a name of the Internet. */
  find(name: string): FallbackRule | undefined {
    if (neverAsked.some((top) => name === top || name.endsWith(`.${top}`))) return undefined;
    const found = this.#rules.find(name)?.value;
    if (found !== undefined || !this.#hasUsual) return found;
    // A single label is no name of the Internet; the root is.
    return name !== '.' && !name.includes('.') ? { name, servers: [], via: 'network' } : undefined;
  }
}
