/**
 * Names that never leave: answered on the spot, because asking the Internet about them is useless or tells
 * strangers about the network (RFC 6761, 6762, 7686, 9476, 8375, 6303, 7793, 9462).
 */

import { ascii, concat, writeU32BE } from '../base/bytes.ts';
import { isBelow, lowerByte, nameOf } from './name.ts';
import type { DnsMessage } from './reader.ts';
import { rcode, recordType } from './types.ts';
import { type OwnAnswer, type OwnRecord, writeAddressAnswer, writeAnswer } from './writer.ts';

export type SpecialKind =
  /** The machine itself. */
  | 'loopback'
  /** There is no such name, as far as DNS is concerned. */
  | 'nonexistent'
  /** The name exists and has nothing of any type. */
  | 'empty';

export interface SpecialName {
  readonly kind: SpecialKind;
  /** 'public': not where the names of a private network are known. */
  readonly scope: 'always' | 'public';
  /** The zone that the rule is about, wire form. */
  readonly zone: Uint8Array;
}

/** RFC 6303 §3: what its SOA record says. */
const soaNumbers = [1, 3600, 1200, 604_800, 10_800] as const;
const localTtl = 10_800;
const nobody = nameOf('nobody.invalid');

const nonexistent: readonly string[] = ['invalid', 'local', 'onion', 'alt'];
/** Mean something only to a resolver that somebody chose for its own names; a public one learns and knows nothing. */
const privateUse: readonly string[] = [
  'test',
  'internal',
  'home.arpa',
  // RFC 6303 §4.2 to §4.6 and RFC 7793: reverse zones of addresses that mean something else everywhere
  '10.in-addr.arpa',
  ...numbered(16, 31, '172.in-addr.arpa'),
  '168.192.in-addr.arpa',
  ...numbered(64, 127, '100.in-addr.arpa'),
  '0.in-addr.arpa',
  '127.in-addr.arpa',
  '254.169.in-addr.arpa',
  '255.255.255.255.in-addr.arpa',
  `${'0.'.repeat(31)}0.ip6.arpa`,
  `1.${'0.'.repeat(31)}ip6.arpa`,
  'c.f.ip6.arpa',
  'd.f.ip6.arpa',
  '8.e.f.ip6.arpa',
  '9.e.f.ip6.arpa',
  'a.e.f.ip6.arpa',
  'b.e.f.ip6.arpa',
];

const specials: readonly SpecialName[] = [
  { kind: 'loopback', scope: 'always', zone: nameOf('localhost') },
  // RFC 9462 §6.4: only about the resolver that is asked
  { kind: 'empty', scope: 'always', zone: nameOf('resolver.arpa') },
  ...nonexistent.map((name): SpecialName => ({ kind: 'nonexistent', scope: 'always', zone: nameOf(name) })),
  ...privateUse.map((name): SpecialName => ({ kind: 'nonexistent', scope: 'public', zone: nameOf(name) })),
];
/** Size and first letter of every last label above: most names are told apart by these alone. */
const suspects: ReadonlySet<number> = new Set(specials.map((special) => suspicion(special.zone)));

function numbered(from: number, to: number, parent: string): readonly string[] {
  return Array.from({ length: to - from + 1 }, (_, i) => `${from + i}.${parent}`);
}

/**
 * The rule for `name` (uncompressed wire form, any case), undefined for a name that may be asked outside.
 * `isPublic`: it would be asked of a resolver of the Internet at large, not of one that somebody runs for
 * names of their own.
 */
export function findSpecialName(name: Uint8Array, isPublic: boolean): SpecialName | undefined {
  if (!suspects.has(suspicion(name))) return undefined;
  return specials.find((special) => (isPublic || special.scope === 'always') && isBelow(name, special.zone));
}

function suspicion(name: Uint8Array): number {
  let last = 0;
  for (let at = 0; at < name.length && name[at]! > 0; at += name[at]! + 1) last = at;
  return (name[last]! << 8) | lowerByte(name[last + 1] ?? 0);
}

/** The answer to a query about such a name. */
export function answerSpecialName(query: DnsMessage, special: SpecialName): Uint8Array {
  const { type } = query.question ?? {};
  const isAddress = type === recordType.a || type === recordType.aaaa;
  if (special.kind === 'loopback' && isAddress) return writeAddressAnswer(query, loopback, localTtl);
  if (special.kind === 'nonexistent') return writeAnswer(query, noSuchName(special.zone, localTtl));
  return writeAnswer(query, nothingOfThisType(special.zone, localTtl));
}

const loopback: readonly Uint8Array[] = [
  Uint8Array.of(127, 0, 0, 1),
  Uint8Array.of(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1),
];

/** NXDOMAIN that may be kept for `ttl` seconds. */
export function noSuchName(zone: Uint8Array, ttl: number): OwnAnswer {
  return { rcode: rcode.nxDomain, authoritative: true, authority: [soaOf(zone, ttl)] };
}

/** NOERROR without an answer, that may be kept for `ttl` seconds. */
export function nothingOfThisType(zone: Uint8Array, ttl: number): OwnAnswer {
  return { rcode: rcode.noError, authoritative: true, authority: [soaOf(zone, ttl)] };
}

/** RFC 8482 §4.2: one record of type HINFO instead of everything. */
export function refuseAny(query: DnsMessage): Uint8Array {
  const rdata = concat(Uint8Array.of(7), ascii('RFC8482'), Uint8Array.of(0));
  const answers: readonly OwnRecord[] = [{ type: recordType.hinfo, ttl: localTtl, rdata }];
  return writeAnswer(query, { rcode: rcode.noError, answers });
}

function soaOf(zone: Uint8Array, ttl: number): OwnRecord {
  const numbers = new Uint8Array(20);
  for (const [i, value] of soaNumbers.entries()) writeU32BE(numbers, 4 * i, value);
  writeU32BE(numbers, 16, ttl);
  return { name: zone, type: recordType.soa, ttl, rdata: concat(zone, nobody, numbers) };
}
