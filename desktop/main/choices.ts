// What belongs to the app and not to the daemon: language, theme and the like, in one small file of this account.
// Nothing secret. A file that cannot be read is a file with defaults.
import { mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import type { AppView, Choice } from '../bridge/ipc.ts';
import { parseChoice } from './fields.ts';

export type Choices = AppView['choices'];

export const defaultChoices: Choices = { language: 'system', theme: 'system', notifications: true };

const maxFile = 64 * 1024;
const maxChoices = 16;

/** What stands in the text and fits; everything else keeps its default. */
export function choicesIn(text: string, defaults: Choices = defaultChoices): Choices {
  let parsed: unknown;
  try {
    parsed = text.length > maxFile ? undefined : JSON.parse(text);
  } catch {
    return defaults;
  }
  if (typeof parsed !== 'object' || parsed === null) return defaults;
  const found = Object.entries(parsed)
    .slice(0, maxChoices)
    .flatMap(([name, value]) => parseChoice({ name, value }) ?? []);
  return found.reduce(withChoice, defaults);
}

export function withChoice(choices: Choices, { name, value }: Choice): Choices {
  return { ...choices, [name]: value };
}

export function readChoices(path: string): Choices {
  try {
    return choicesIn(readFileSync(path, 'utf8'));
  } catch {
    return defaultChoices;
  }
}

/** Whole or not at all. */
export function writeChoices(path: string, choices: Choices): void {
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
  const next = `${path}.new`;
  writeFileSync(next, `${JSON.stringify(choices)}\n`, { mode: 0o600 });
  renameSync(next, path);
}
