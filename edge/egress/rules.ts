/**
 * The rules of edge.yaml (egress.rules): which flows go which way, first match wins. Compiled once, since every
 * new flow asks. Pure.
 */

import { type Prefix, prefixContains } from '../../shared/core/base/ip.ts';

/** What a rule asks for; absent parts match everything. */
export interface RuleMatch {
  /** Name of a device. */
  readonly device?: string | undefined;
  /** One of a device's tags. */
  readonly tag?: string | undefined;
  readonly cidr?: Prefix | undefined;
  readonly port?: number | undefined;
  /** 'www.bank.example' for this name alone, '*.bank.example' for all names below it. Lower case. */
  readonly host?: string | undefined;
}

export interface EgressRule {
  readonly match: RuleMatch;
  /** Id of a path, or 'auto'. */
  readonly use: string;
}

/** How sure it is that the flow is for the name. */
export type NameSource =
  /** The client, or the flow's own first bytes, said so. */
  | 'told'
  /** The only name that the device has looked up and got this address for. */
  | 'looked-up'
  /** The latest of several names with this address. */
  | 'guessed';

export interface KnownName {
  /** Lower case, no dot at the end. */
  readonly name: string;
  readonly source: NameSource;
  /** Other names that the address may stand for; only where guessed. */
  readonly others: readonly string[];
}

/** A flow as rules see it. */
export interface RuleSubject {
  readonly device: string | undefined;
  readonly tags: readonly string[];
  /** 4 or 16 bytes. */
  readonly address: Uint8Array;
  readonly port: number;
  readonly name: KnownName | undefined;
}

export interface RuleHit {
  readonly rule: EgressRule;
  /** Position in the file, from 0. */
  readonly index: number;
  /** 'exact', or why the host part may be wrong. */
  readonly certainty: 'exact' | 'guessed-name';
}

interface CompiledRule {
  readonly rule: EgressRule;
  readonly index: number;
  /** IPv4 prefixes as numbers, since they are most. */
  readonly network: number;
  readonly mask: number;
  readonly exact: string | undefined;
  /** '.bank.example'. */
  readonly suffix: string | undefined;
}

export class RuleList {
  readonly #rules: readonly CompiledRule[];

  /** `isAsked`: which of them count; positions stay those of the whole list. */
  constructor(rules: readonly EgressRule[], isAsked: (rule: EgressRule) => boolean = () => true) {
    this.#rules = rules.map(compile).filter(({ rule }) => isAsked(rule));
  }

  get hasHosts(): boolean {
    return this.#rules.some(({ rule }) => rule.match.host !== undefined);
  }

  /** The first match; undefined where there is none. */
  find(subject: RuleSubject): RuleHit | undefined {
    const { address } = subject;
    const number = address.length === 4 ? asNumber(address) : 0;
    for (const compiled of this.#rules) {
      if (!matchesFlow(compiled, subject, number)) continue;
      if (compiled.rule.match.host === undefined) return hit(compiled, 'exact');
      const certainty = hostCertainty(compiled, subject.name);
      if (certainty !== undefined) return hit(compiled, certainty);
    }
    return undefined;
  }
}

/** True where the pattern ('a.example' or '*.a.example') means the name. */
export function hostMatches(pattern: string, name: string): boolean {
  return pattern.startsWith('*.') ? name.endsWith(pattern.slice(1)) : name === pattern;
}

function compile(rule: EgressRule, index: number): CompiledRule {
  const { cidr, host } = rule.match;
  const isFour = cidr?.address.length === 4;
  const isWild = host?.startsWith('*.') === true;
  const mask = isFour && cidr.bits > 0 ? (0xffff_ffff << (32 - cidr.bits)) >>> 0 : 0;
  return {
    rule,
    index,
    network: isFour ? asNumber(cidr.address) : 0,
    mask,
    exact: isWild ? undefined : host,
    suffix: isWild ? host?.slice(1) : undefined,
  };
}

function matchesFlow(compiled: CompiledRule, subject: RuleSubject, number: number): boolean {
  const { device, tag, cidr, port } = compiled.rule.match;
  if (port !== undefined && port !== subject.port) return false;
  if (device !== undefined && device !== subject.device) return false;
  if (tag !== undefined && !subject.tags.includes(tag)) return false;
  if (cidr === undefined) return true;
  const { address } = subject;
  if (cidr.address.length !== address.length) return false;
  if (address.length === 4) return (number & compiled.mask) >>> 0 === compiled.network;
  return prefixContains(cidr, address);
}

function hostCertainty(
  compiled: CompiledRule,
  known: KnownName | undefined,
): RuleHit['certainty'] | undefined {
  if (known === undefined || !means(compiled, known.name)) return undefined;
  if (known.source !== 'guessed') return 'exact';
  return known.others.every((other) => means(compiled, other)) ? 'exact' : 'guessed-name';
}

function means(compiled: CompiledRule, name: string): boolean {
  if (compiled.exact !== undefined) return compiled.exact === name;
  return compiled.suffix !== undefined && name.endsWith(compiled.suffix);
}

function hit({ rule, index }: CompiledRule, certainty: RuleHit['certainty']): RuleHit {
  return { rule, index, certainty };
}

function asNumber(address: Uint8Array): number {
  const [a = 0, b = 0, c = 0, d = 0] = address;
  return ((a << 24) | (b << 16) | (c << 8) | d) >>> 0;
}
