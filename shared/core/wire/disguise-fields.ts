/**
 * The rules of a disguise as text, by the names that AmneziaWG gives them (docs.amnezia.org): Jc, Jmin, Jmax, S1–S4,
 * H1–H4. Files, the configuration protocol, edge.yaml and the registration API all pass through here. Every fault is
 * found in one reading, each with its remedy.
 */

import {
  type DisguiseRules,
  maxDisguisedSize,
  maxJunkCount,
  maxTransportPrefix,
  messageNames,
  messageSizes,
  type PerMessage,
  plainRules,
  type TypeRange,
} from './disguise-rules.ts';

export const disguiseKeys = ['jc', 'jmin', 'jmax', 's1', 's2', 's3', 's4', 'h1', 'h2', 'h3', 'h4'] as const;

export type DisguiseKey = (typeof disguiseKeys)[number];

/** Numbers as text; of h1–h4 also ranges, '5-2000000'. */
export type DisguiseFields = { readonly [key in DisguiseKey]?: string };

export interface DisguiseFault {
  readonly key: DisguiseKey;
  readonly text: string;
  readonly remedy: string;
}

export type DisguiseReading =
  | { readonly kind: 'rules'; readonly rules: DisguiseRules }
  | { readonly kind: 'faults'; readonly faults: readonly DisguiseFault[] };

/** Greatest value of a type. */
const maxType = 0xffff_ffff;
/** Below are 0 and the types of WireGuard. */
const leastOwnType = 5;

const prefixKeys = ['s1', 's2', 's3', 's4'] as const;
const typeKeys = ['h1', 'h2', 'h3', 'h4'] as const;
const junkKeys = ['jc', 'jmin', 'jmax'] as const;

/** As AmneziaWG's files write it. */
export function writtenKey(key: DisguiseKey): string {
  return key[0]!.toUpperCase() + key.slice(1);
}

export function isDisguiseKey(key: string): key is DisguiseKey {
  return (disguiseKeys as readonly string[]).includes(key);
}

/** Reads fields; what is absent is as in plain WireGuard. Never throws. */
export function readDisguise(fields: DisguiseFields): DisguiseReading {
  const faults: DisguiseFault[] = [];
  const prefix = perMessage((i) => readPrefix(fields, prefixKeys[i]!, faults));
  const types = perMessage((i) => readType(fields, i, faults));
  const [count, min, max] = junkKeys.map((key) => readJunk(fields, key, faults));
  const junk = { count: count!, min: min!, max: max! };
  if (faults.length === 0) {
    checkJunk(junk, faults);
    checkSizes(prefix, faults);
    checkTypes(types, faults);
  }
  if (faults.length > 0) return { kind: 'faults', faults };
  // Without datagrams of noise their size means nothing.
  return { kind: 'rules', rules: { junk: junk.count === 0 ? plainRules.junk : junk, prefix, types } };
}

/** All eleven; the reverse of readDisguise. */
export function disguiseFields({ junk, prefix, types }: DisguiseRules): Record<DisguiseKey, string> {
  const fields: Partial<Record<DisguiseKey, string>> = {
    jc: String(junk.count),
    jmin: String(junk.min),
    jmax: String(junk.max),
  };
  for (const [i, name] of messageNames.entries()) {
    const { from, to } = types[name];
    fields[prefixKeys[i]!] = String(prefix[name]);
    fields[typeKeys[i]!] = from === to ? String(from) : `${from}-${to}`;
  }
  return fields as Record<DisguiseKey, string>;
}

/** Those that are not 0, and all types: what others write and understand, also where they know no S3 and S4. */
export function writtenFields(rules: DisguiseRules): readonly (readonly [DisguiseKey, string])[] {
  const fields = disguiseFields(rules);
  return disguiseKeys.map((key) => [key, fields[key]] as const).filter(([, value]) => value !== '0');
}

/** One sentence with all faults, for people. */
export function faultsText(faults: readonly DisguiseFault[]): string {
  return faults.map(({ text, remedy }) => `${text} ${remedy}`).join(' ');
}

function perMessage<T>(make: (i: number) => T): PerMessage<T> {
  return { initiation: make(0), response: make(1), cookieReply: make(2), transport: make(3) };
}

function readNumber(text: string | undefined, most: number): number | undefined {
  if (text === undefined) return 0;
  const value = /^\d{1,10}$/.test(text) ? Number(text) : Number.NaN;
  return value <= most ? value : undefined;
}

function readJunk(fields: DisguiseFields, key: (typeof junkKeys)[number], faults: DisguiseFault[]): number {
  const most = key === 'jc' ? maxJunkCount : maxDisguisedSize;
  const value = readNumber(fields[key], most);
  if (value !== undefined) return value;
  faults.push(wrong(key, `Write a number from 0 to ${most}.`));
  return 0;
}

function readPrefix(
  fields: DisguiseFields,
  key: (typeof prefixKeys)[number],
  faults: DisguiseFault[],
): number {
  const name = messageNames[prefixKeys.indexOf(key)]!;
  const most = name === 'transport' ? maxTransportPrefix : maxDisguisedSize - messageSizes[name];
  const value = readNumber(fields[key], most);
  if (value !== undefined) return value;
  faults.push(wrong(key, `Write a number from 0 to ${most}.`));
  return 0;
}

function readType(fields: DisguiseFields, i: number, faults: DisguiseFault[]): TypeRange {
  const key = typeKeys[i]!;
  const plain = plainRules.types[messageNames[i]!];
  const text = fields[key];
  if (text === undefined) return plain;
  const cut = /^(\d{1,10})(?:-(\d{1,10}))?$/.exec(text);
  const from = Number(cut?.[1] ?? Number.NaN);
  const to = Number(cut?.[2] ?? cut?.[1] ?? Number.NaN);
  const isRight =
    from <= to && to <= maxType && (from >= leastOwnType || (from === plain.from && to === from));
  if (isRight) return { from, to };
  faults.push(
    wrong(
      key,
      `Write ${plain.from}, a number from ${leastOwnType} to ${maxType}, or a range of such numbers: 1000-2000.`,
    ),
  );
  return plain;
}

function checkJunk({ count, min, max }: DisguiseRules['junk'], faults: DisguiseFault[]): void {
  if (count === 0) return;
  if (max === 0) {
    const remedy = `Write Jmin and Jmax, from 1 to ${maxDisguisedSize}; 50 and 1000 are usual.`;
    faults.push({ key: 'jmax', text: 'Jc asks for junk packets, and nothing says how large.', remedy });
  } else if (min < 1) {
    faults.push({ key: 'jmin', text: 'Jmin is 0: there are no empty packets.', remedy: 'Write at least 1.' });
  } else if (min > max) {
    const remedy = 'Exchange the two.';
    faults.push({ key: 'jmin', text: `Jmin (${min}) is greater than Jmax (${max}).`, remedy });
  }
}

/** Two handshake messages of one length could not be told apart by it. */
function checkSizes(prefix: PerMessage<number>, faults: DisguiseFault[]): void {
  const sizes = (['initiation', 'response', 'cookieReply'] as const).map(
    (name) => messageSizes[name] + prefix[name],
  );
  for (const [one, other] of [
    [0, 1],
    [0, 2],
    [1, 2],
  ] as const) {
    if (sizes[one] !== sizes[other]) continue;
    const [a, b] = [writtenKey(prefixKeys[one]), writtenKey(prefixKeys[other])];
    const text = `${a} and ${b} make two kinds of messages equally long (${sizes[one]} bytes).`;
    faults.push({ key: prefixKeys[other], text, remedy: `Change ${b} by at least 1, at both ends.` });
  }
}

function checkTypes(types: PerMessage<TypeRange>, faults: DisguiseFault[]): void {
  const ranges = messageNames.map((name) => types[name]);
  for (const [i, { from, to }] of ranges.entries()) {
    for (let j = 0; j < i; j++) {
      const other = ranges[j]!;
      if (from > other.to || other.from > to) continue;
      const [a, b] = [writtenKey(typeKeys[j]!), writtenKey(typeKeys[i]!)];
      const text = `${a} and ${b} have values in common.`;
      faults.push({ key: typeKeys[i]!, text, remedy: 'Give each of H1, H2, H3 and H4 values of its own.' });
    }
  }
}

function wrong(key: DisguiseKey, remedy: string): DisguiseFault {
  return { key, text: `The value of ${writtenKey(key)} is wrong.`, remedy };
}
