/**
 * Lists of names that are not answered, and names that are whatever a list says. Texts as people publish them: one
 * name a line, or a hosts file, or `||name^`. Pure; reading files is the caller's.
 */

import { canonicalText } from '../../shared/core/dns/name.ts';
import { NameSet } from './name-set.ts';

export interface BlockSource {
  /** What people know it by: a file's name, or 'yours'. */
  readonly name: string;
  readonly text: string;
}

export interface Blocked {
  /** The entry that covers the name. */
  readonly entry: string;
  readonly source: string;
}

export interface SourceSummary {
  readonly name: string;
  readonly names: number;
  /** Lines that make no sense. */
  readonly ignored: number;
}

/** Names that every hosts file maps and nobody wants blocked. */
const ownNames: ReadonlySet<string> = new Set([
  'localhost',
  'localhost.localdomain',
  'local',
  'broadcasthost',
  'ip6-localhost',
  'ip6-loopback',
  'ip6-localnet',
  'ip6-mcastprefix',
  'ip6-allnodes',
  'ip6-allrouters',
  'ip6-allhosts',
  '0.0.0.0',
]);
const maxLineLength = 1024;

export class BlockList {
  readonly sources: readonly SourceSummary[];
  readonly #blocked = new NameSet<string>();
  readonly #allowed = new NameSet<true>();

  constructor(sources: readonly BlockSource[], allowed: readonly string[]) {
    this.sources = sources.map((source) => this.#read(source));
    for (const name of allowed) this.#allowed.add(canonicalText(name), true);
  }

  get size(): number {
    return this.#blocked.size;
  }

  /** Why a name (lower case, no last dot) is not answered. The more exact of block and allow holds; allow at a tie. */
  find(name: string): Blocked | undefined {
    const blocked = this.#blocked.find(name);
    if (blocked === undefined) return undefined;
    const allowed = this.#allowed.find(name);
    if (allowed !== undefined && allowed.entry.length >= blocked.entry.length) return undefined;
    return { entry: blocked.entry, source: blocked.value };
  }

  #read(source: BlockSource): SourceSummary {
    let names = 0;
    let ignored = 0;
    for (const line of source.text.split('\n')) {
      const found = namesIn(line);
      if (found === undefined) ignored++;
      else for (const name of found) if (this.#blocked.add(name, source.name)) names++;
    }
    return { name: source.name, names, ignored };
  }
}

/** The names of one line; none for a comment; undefined where the line makes no sense. */
function namesIn(line: string): readonly string[] | undefined {
  const text = line
    .slice(0, maxLineLength)
    .replace(/[#!].*$/, '')
    .trim();
  if (text === '') return [];
  const filter = /^\|\|([^/^$*]+)\^$/.exec(text)?.[1];
  if (filter !== undefined) return asNames([filter]);
  const words = text.split(/\s+/);
  const [first = '', ...rest] = words;
  if (/^(?:0\.0\.0\.0|127\.0\.0\.1|::1?|::ffff:0:0)$/.test(first)) return asNames(rest);
  return words.length === 1 ? asNames([first.replace(/^\*\./, '')]) : undefined;
}

function asNames(words: readonly string[]): readonly string[] | undefined {
  const names = words.map(canonicalText).filter((name) => !ownNames.has(name));
  return names.every((name) => /^[a-z0-9_-]+(?:\.[a-z0-9_-]+)*$/.test(name)) ? names : undefined;
}
