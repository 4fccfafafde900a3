/**
 * Reads a YAML document and remembers where everything stands, so that every problem is told at once
 * and with its line (house.md 2.7, config.ts). Knows YAML and nearness of words; knows no key of edge.yaml.
 */

import { isMap, isScalar, isSeq, LineCounter, type Node, parseDocument } from 'yaml';

/** One thing that is wrong. Lines count from 1. */
export interface ConfigProblem {
  readonly line: number;
  readonly text: string;
}

/** A value with the place of its key. `node` is null where nothing stands after the colon. */
export interface Field {
  /** As people would name it: 'egress.paths[0].type'. */
  readonly name: string;
  readonly node: Node | null;
  readonly line: number;
}

export interface SectionKeys {
  readonly known: readonly string[];
  /** Keys that a later version will read. */
  readonly later?: readonly string[];
  /** Keys that must be there. */
  readonly required?: readonly string[];
}

export type Section = ReadonlyMap<string, Field>;

/** Most problems that are kept: a wrong file kind would otherwise give one a line. */
const maxProblems = 50;
/** Most letters by which a wrong key may differ from the one that was meant. */
const maxTypos = 3;
const maxNameLength = 64;
/** Longer keys are not compared with known ones. */
const maxComparedLength = 40;

export class ConfigReader {
  readonly #problems: ConfigProblem[] = [];
  readonly #lines = new LineCounter();
  readonly root: Field;

  constructor(text: string) {
    const document = parseDocument(text, { lineCounter: this.#lines, prettyErrors: false, merge: false });
    for (const error of [...document.errors, ...document.warnings]) {
      this.#add(this.#lineAt(error.pos[0]), firstSentence(error.message));
    }
    this.root = { name: '', node: document.contents, line: 1 };
  }

  /** What is wrong, in the order of the lines. */
  get problems(): readonly ConfigProblem[] {
    return this.#problems.toSorted((a, b) => a.line - b.line);
  }

  problem(at: Field, text: string): undefined {
    this.#add(at.line, text);
    return undefined;
  }

  /** A mapping whose keys are all known. Undefined (and told) where it is none. */
  section(at: Field, keys: SectionKeys): Section | undefined {
    if (!isMap(at.node)) return this.problem(at, `${at.name || 'the file'} must have keys and values`);
    const fields = new Map<string, Field>();
    for (const pair of at.node.items) {
      const key = isScalar(pair.key) ? String(pair.key.value) : '?';
      const name = at.name === '' ? key : `${at.name}.${key}`;
      const line = isScalar(pair.key) ? this.#lineAt(pair.key.range?.[0]) : at.line;
      const field: Field = { name, node: pair.value as Node | null, line };
      if (keys.known.includes(key)) fields.set(key, field);
      else if (keys.later?.includes(key)) this.problem(field, `${name} is not available yet; remove it`);
      else this.problem(field, `unknown key "${name}"${suggestion(key, keys.known)}`);
    }
    for (const key of keys.required ?? []) {
      if (fields.has(key)) continue;
      this.problem(at, `${at.name === '' ? key : `${at.name}.${key}`} is missing`);
    }
    return fields;
  }

  list(at: Field): readonly Field[] {
    if (!isSeq(at.node)) {
      this.problem(at, `${at.name} must be a list`);
      return [];
    }
    return at.node.items.map((item, i) => {
      const node = item as Node | null;
      return { name: `${at.name}[${i}]`, node, line: this.#lineAt(node?.range?.[0]) || at.line };
    });
  }

  text(at: Field | undefined): string | undefined {
    if (at === undefined) return undefined;
    if (isScalar(at.node) && typeof at.node.value === 'string' && at.node.value !== '') return at.node.value;
    if (isScalar(at.node) && typeof at.node.value === 'number') return String(at.node.value);
    return this.problem(at, `${at.name} must be a text`);
  }

  integer(at: Field | undefined, least: number, most: number): number | undefined {
    if (at === undefined) return undefined;
    const value = isScalar(at.node) ? at.node.value : undefined;
    if (typeof value === 'number' && Number.isInteger(value) && value >= least && value <= most) return value;
    return this.problem(at, `${at.name} must be a whole number from ${least} to ${most}`);
  }

  /** One of some words. */
  choice<T extends string>(at: Field | undefined, words: readonly T[]): T | undefined {
    const text = this.text(at);
    if (at === undefined || text === undefined) return undefined;
    const found = words.find((word) => word === text);
    if (found !== undefined) return found;
    return this.problem(
      at,
      `${at.name} is "${text}"${suggestion(text, words)}; it can be ${words.join(', ')}`,
    );
  }

  /** A text that is safe in status lines and file names. */
  name(at: Field | undefined): string | undefined {
    const text = this.text(at);
    if (at === undefined || text === undefined) return undefined;
    if (text.length <= maxNameLength && /^[\p{L}\p{N}][\p{L}\p{N} ._-]*$/u.test(text)) return text;
    const allowed = 'letters, digits, spaces, dots, dashes or underscores';
    return this.problem(at, `${at.name} must be 1 to ${maxNameLength} ${allowed}`);
  }

  #add(line: number, text: string): void {
    if (this.#problems.length < maxProblems) this.#problems.push({ line, text });
  }

  #lineAt(offset: number | undefined): number {
    return offset === undefined ? 1 : Math.max(1, this.#lines.linePos(offset).line);
  }
}

/** ' (did you mean "x"?)' where one of the words is near, else nothing. */
export function suggestion(word: string, known: readonly string[]): string {
  if (word.length > maxComparedLength) return '';
  let best = '';
  let bestDistance = Math.min(maxTypos, Math.ceil(word.length / 2)) + 1;
  for (const candidate of known) {
    const distance = editDistance(word.toLowerCase(), candidate.toLowerCase());
    if (distance < bestDistance) [best, bestDistance] = [candidate, distance];
  }
  return best === '' ? '' : ` (did you mean "${best}"?)`;
}

/** How many letters must change, come or go. */
function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, i) => i);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const replace = (row[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1);
      next.push(Math.min(replace, (row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1));
    }
    row = next;
  }
  return row[b.length] ?? 0;
}

function firstSentence(message: string): string {
  return message.split('\n')[0] ?? message;
}
