/**
 * The key `obfuscation` of edge.yaml: how the messages of the tunnel are disguised. AmneziaWG's parameters in words;
 * their rules are shared/core/wire/disguise-fields.ts.
 */

import { type DisguiseFields, type DisguiseKey, readDisguise } from '../shared/core/wire/disguise-fields.ts';
import { type DisguiseRules, isPlain } from '../shared/core/wire/disguise-rules.ts';
import type { ConfigReader, Field } from './config-reader.ts';

export interface ObfuscationConfig {
  /** Undefined: messages are as WireGuard's are. */
  readonly disguise: DisguiseRules | undefined;
}

/** Sections, their keys, and what each is called elsewhere. */
const sections: Readonly<Record<string, Readonly<Record<string, DisguiseKey>>>> = {
  junk: { count: 'jc', min: 'jmin', max: 'jmax' },
  prefix: { initiation: 's1', response: 's2', cookieReply: 's3', data: 's4' },
  types: { initiation: 'h1', response: 'h2', cookieReply: 'h3', data: 'h4' },
};

export function readObfuscation(reader: ConfigReader, at: Field | undefined): ObfuscationConfig {
  const section = at === undefined ? undefined : reader.section(at, { known: Object.keys(sections) });
  if (at === undefined || section === undefined) return { disguise: undefined };
  const texts: { -readonly [key in DisguiseKey]?: string } = {};
  const places = new Map<DisguiseKey, Field>();
  for (const [name, keys] of Object.entries(sections)) {
    const field = section.get(name);
    const part = field === undefined ? undefined : reader.section(field, { known: Object.keys(keys) });
    for (const [word, key] of Object.entries(keys)) {
      const value = part?.get(word);
      const text = reader.text(value);
      if (value === undefined || text === undefined) continue;
      texts[key] = text;
      places.set(key, value);
    }
  }
  return { disguise: understood(reader, at, { texts, places }) };
}

interface Said {
  readonly texts: DisguiseFields;
  readonly places: ReadonlyMap<DisguiseKey, Field>;
}

function understood(reader: ConfigReader, at: Field, { texts, places }: Said): DisguiseRules | undefined {
  const reading = readDisguise(texts);
  if (reading.kind === 'rules') return isPlain(reading.rules) ? undefined : reading.rules;
  for (const { key, text, remedy } of reading.faults) {
    const place = places.get(key) ?? at;
    reader.problem(place, `${place.name}: ${inWords(text)} ${inWords(remedy)}`);
  }
  return undefined;
}

/** Names of this file in the place of AmneziaWG's. */
function inWords(text: string): string {
  return text.replace(/\b(Jc|Jmin|Jmax|[SH][1-4])\b/g, (name) => {
    for (const [section, keys] of Object.entries(sections)) {
      const word = Object.keys(keys).find((one) => keys[one] === name.toLowerCase());
      if (word !== undefined) return `${section}.${word}`;
    }
    return name;
  });
}
