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
  /** The asker said so. */
  | 'told'
  /** The flow's own first bytes said so: TLS server_name, or HTTP's Host. */
  | 'sni'
  | 'http'
  /** The only name that the device has looked up and got this address for. */
  | 'looked-up'
  /** The latest of several names with this address. */
  | 'guessed'
  /** Of a TLS hello whose inner part is encrypted: the name may be that of a front. */
  | 'front';

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

/** All parts in one flat shape, so that a scan over hundreds of rules stays a few nanoseconds each. */
interface CompiledRule {
  readonly rule: EgressRule;
  readonly index: number;
  /** 0: any. */
  readonly port: number;
  readonly device: string | undefined;
  readonly tag: string | undefined;
  /** Bytes of the prefix's address; 0: there is none. */
  readonly family: number;
  readonly prefix: Prefix | undefined;
  /** IPv4 prefixes as numbers, since they are most. */
  readonly network: number;
  readonly mask: number;
  readonly hasHost: boolean;
  readonly exact: string | undefined;
  /** '.bank.example'. */
  readonly suffix: string | undefined;
}

export class RuleList {
  readonly #rules: readonly CompiledRule[];
  readonly #plain: readonly CompiledRule[];
  /** By 'www.bank.example', or by '.bank.example' for all below it; each in the order of the file. */
  readonly #hosts: Map<string, CompiledRule[]> = new Map();
  readonly hasHosts: boolean;

  /** `isAsked`: which of them count; positions stay those of the whole list. */
  constructor(rules: readonly EgressRule[], isAsked: (rule: EgressRule) => boolean = () => true) {
    this.#rules = rules.map(compile).filter(({ rule }) => isAsked(rule));
    this.#plain = this.#rules.filter(({ hasHost }) => !hasHost);
    this.hasHosts = this.#plain.length < this.#rules.length;
    for (const compiled of this.#rules) {
      const key = compiled.exact ?? compiled.suffix;
      if (key === undefined) continue;
      const known = this.#hosts.get(key);
      if (known === undefined) this.#hosts.set(key, [compiled]);
      else known.push(compiled);
    }
  }

  /** Whether a name could change what is found: a rule for hosts comes before the first that needs none. */
  dependsOnName(subject: RuleSubject): boolean {
    if (!this.hasHosts) return false;
    const number = subject.address.length === 4 ? asNumber(subject.address) : 0;
    const first = this.#rules.find((compiled) => matchesFlow(compiled, subject, number));
    return first?.hasHost === true;
  }

  /** The first match; undefined where there is none. */
  find(subject: RuleSubject): RuleHit | undefined {
    const { address, name } = subject;
    const number = address.length === 4 ? asNumber(address) : 0;
    const named = name === undefined ? undefined : this.#findNamed(subject, name.name, number);
    for (const compiled of this.#plain) {
      if (named !== undefined && compiled.index > named.index) break;
      if (matchesFlow(compiled, subject, number)) return hit(compiled, 'exact');
    }
    return named === undefined || name === undefined ? undefined : hit(named, hostCertainty(named, name));
  }

  /** The first of those for hosts that mean the name: by the name itself, and by every ending of it. */
  #findNamed(subject: RuleSubject, name: string, number: number): CompiledRule | undefined {
    let first: CompiledRule | undefined;
    const take = (candidates: readonly CompiledRule[] | undefined): void => {
      for (const compiled of candidates ?? []) {
        if (first !== undefined && first.index < compiled.index) return;
        if (matchesFlow(compiled, subject, number)) first = compiled;
      }
    };
    if (!this.hasHosts) return undefined;
    take(this.#hosts.get(name));
    for (let dot = name.indexOf('.', 1); dot >= 0; dot = name.indexOf('.', dot + 1)) {
      take(this.#hosts.get(name.slice(dot)));
    }
    return first;
  }
}

/** Estimates and exits go by a name only where it is sure; by a guess they would mix. */
export function isCertain(known: KnownName): boolean {
  return known.source !== 'guessed' && known.source !== 'front';
}

/** True where the pattern ('a.example' or '*.a.example') means the name. */
export function hostMatches(pattern: string, name: string): boolean {
  return pattern.startsWith('*.') ? name.endsWith(pattern.slice(1)) : name === pattern;
}

function compile(rule: EgressRule, index: number): CompiledRule {
  const { cidr, host, port = 0, device, tag } = rule.match;
  const isFour = cidr?.address.length === 4;
  const isWild = host?.startsWith('*.') === true;
  const mask = isFour && cidr.bits > 0 ? (0xffff_ffff << (32 - cidr.bits)) >>> 0 : 0;
  return {
    rule,
    index,
    port,
    device,
    tag,
    family: cidr?.address.length ?? 0,
    prefix: cidr,
    network: isFour ? asNumber(cidr.address) : 0,
    mask,
    hasHost: host !== undefined,
    exact: isWild ? undefined : host,
    suffix: isWild ? host?.slice(1) : undefined,
  };
}

function matchesFlow(compiled: CompiledRule, subject: RuleSubject, number: number): boolean {
  const { port, device, tag, family } = compiled;
  if (port !== 0 && port !== subject.port) return false;
  if (device !== undefined && device !== subject.device) return false;
  if (tag !== undefined && !subject.tags.includes(tag)) return false;
  if (family === 0) return true;
  if (family !== subject.address.length) return false;
  if (family === 4) return (number & compiled.mask) >>> 0 === compiled.network;
  return compiled.prefix !== undefined && prefixContains(compiled.prefix, subject.address);
}

/** The rule means the name; whether it means every other that the flow may be for. */
function hostCertainty(compiled: CompiledRule, known: KnownName): RuleHit['certainty'] {
  if (isCertain(known)) return 'exact';
  if (known.source === 'front') return 'guessed-name';
  return known.others.every((other) => means(compiled, other)) ? 'exact' : 'guessed-name';
}

function means(compiled: CompiledRule, name: string): boolean {
  if (compiled.exact !== undefined) return compiled.exact === name;
  const { suffix } = compiled;
  return suffix !== undefined && name.length > suffix.length && name.endsWith(suffix);
}

function hit({ rule, index }: CompiledRule, certainty: RuleHit['certainty']): RuleHit {
  return { rule, index, certainty };
}

function asNumber(address: Uint8Array): number {
  const [a = 0, b = 0, c = 0, d = 0] = address;
  return ((a << 24) | (b << 16) | (c << 8) | d) >>> 0;
}
