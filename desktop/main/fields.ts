// Every call of the window, parsed again: exact names, exact fields, exact types, bounded lengths. The window is not
// trusted, and the daemon parses what comes of it once more. Pure.
import { maxFeedbackDiagnostics, maxFeedbackWords } from '../../shared/core/control/enroll-api.ts';
import { modes } from '../../shared/core/control/status.ts';
import type { Choice, CommandName, Commands, NoFields, SplitRule } from '../bridge/ipc.ts';

/** A call that passed. */
export type Wish = {
  readonly [Name in CommandName]: { readonly name: Name; readonly fields: Commands[Name] };
}[CommandName];

type Fields = Readonly<Record<string, unknown>>;
type Parsers = { readonly [Name in CommandName]: (fields: Fields) => Commands[Name] | undefined };

const longestPauseMs = 24 * 60 * 60 * 1000;
const leastLanMs = 1000;
const longestLanMs = 7 * 24 * 60 * 60 * 1000;
const maxLink = 2048;
const maxSsid = 64;
const maxTarget = 2048;
const maxSettingText = 1024;
const maxSavedText = 1024 * 1024;
const settingName = /^[A-Za-z][A-Za-z0-9.]{0,63}$/;
const pathId = /^[A-Za-z0-9][A-Za-z0-9._-]{0,31}$/;
const families = ['off', 'malware', 'full'] as const;
const splitKinds = ['ip', 'host'] as const;
const splitModes = ['exclude', 'include'] as const;
const languages = ['system', 'en', 'de'] as const;
const themes = ['system', 'light', 'dark'] as const;
const none: NoFields = {};

/** Undefined: no such call, or fields that it does not take. Nothing of it may be done then. */
export function parseWish(name: unknown, fields: unknown): Wish | undefined {
  if (typeof name !== 'string' || !Object.hasOwn(parsers, name) || !isPlain(fields)) return undefined;
  const parsed = parsers[name as CommandName](fields);
  return parsed === undefined ? undefined : ({ name, fields: parsed } as Wish);
}

const parsers: Parsers = {
  connect: nothing,
  disconnect: nothing,
  pause: (fields) => {
    const { forMs } = fields;
    const fits = typeof forMs === 'number' && forMs > 0 && forMs <= longestPauseMs;
    return has(fields, 'forMs') && fits ? { forMs } : undefined;
  },
  'set-mode': (fields) => {
    const mode = modes.find((one) => one === fields['mode']);
    return has(fields, 'mode') && mode !== undefined ? { mode } : undefined;
  },
  'set-families': (fields) => {
    const family = families.find((one) => one === fields['families']);
    return has(fields, 'families') && family !== undefined ? { families: family } : undefined;
  },
  modes: nothing,
  settings: nothing,
  'set-setting': (fields) => {
    const { name, value } = fields;
    if (!has(fields, 'name', 'value') || typeof name !== 'string' || !settingName.test(name))
      return undefined;
    if (value === null || typeof value === 'boolean') return { name, value };
    if (typeof value === 'number') return Number.isFinite(value) ? { name, value } : undefined;
    return isText(value, maxSettingText) ? { name, value } : undefined;
  },
  'set-choice': (fields) => (has(fields, 'name', 'value') ? parseChoice(fields) : undefined),
  'read-invitation': linkOnly,
  enroll: linkOnly,
  'drop-invitation': nothing,
  trusted: nothing,
  trust: ssidOnly,
  distrust: ssidOnly,
  lan: nothing,
  'set-lan': (fields) => {
    const { open, forMs } = fields;
    if (typeof open !== 'boolean') return undefined;
    if (has(fields, 'open')) return { open };
    const fits = typeof forMs === 'number' && forMs >= leastLanMs && forMs <= longestLanMs;
    return has(fields, 'open', 'forMs') && fits ? { open, forMs } : undefined;
  },
  split: nothing,
  'add-split': splitRule,
  'remove-split': splitRule,
  paths: nothing,
  'use-path': (fields) => {
    const { path } = fields;
    return has(fields, 'path') && typeof path === 'string' && pathId.test(path) ? { path } : undefined;
  },
  'open-sign-in': nothing,
  'not-a-portal': nothing,
  diagnostics: nothing,
  'save-diagnostics': (fields) => {
    const { text } = fields;
    return has(fields, 'text') && isText(text, maxSavedText) ? { text } : undefined;
  },
  'send-feedback': (fields) => {
    const { words, diagnostics } = fields;
    if (!isText(words, maxFeedbackWords) || words.trim() === '') return undefined;
    if (has(fields, 'words')) return { words };
    if (!has(fields, 'words', 'diagnostics')) return undefined;
    return isText(diagnostics, maxFeedbackDiagnostics) ? { words, diagnostics } : undefined;
  },
  'start-daemon': nothing,
  'allow-account': nothing,
  'hide-window': nothing,
};

/** Also for the file in which choices are kept: what stands there is judged like a call. */
export function parseChoice({ name, value }: Fields): Choice | undefined {
  switch (name) {
    case 'language':
      return oneOf(languages, value, (known) => ({ name, value: known }));
    case 'theme':
      return oneOf(themes, value, (known) => ({ name, value: known }));
    case 'startAtLogin':
    case 'notifications':
      return typeof value === 'boolean' ? { name, value } : undefined;
    default:
      return undefined;
  }
}

function oneOf<Value extends string>(
  known: readonly Value[],
  value: unknown,
  make: (value: Value) => Choice,
): Choice | undefined {
  const found = known.find((one) => one === value);
  return found === undefined ? undefined : make(found);
}

function nothing(fields: Fields): NoFields | undefined {
  return has(fields) ? none : undefined;
}

function linkOnly(fields: Fields): { readonly link: string } | undefined {
  const { link } = fields;
  return has(fields, 'link') && isText(link, maxLink) ? { link } : undefined;
}

function ssidOnly(fields: Fields): { readonly ssid: string } | undefined {
  const { ssid } = fields;
  return has(fields, 'ssid') && isText(ssid, maxSsid) && ssid !== '' ? { ssid } : undefined;
}

function splitRule(fields: Fields): SplitRule | undefined {
  const { target } = fields;
  const kind = splitKinds.find((one) => one === fields['kind']);
  const mode = splitModes.find((one) => one === fields['mode']);
  if (!has(fields, 'kind', 'target', 'mode') || kind === undefined || mode === undefined) return undefined;
  return isText(target, maxTarget) && target !== '' ? { kind, target, mode } : undefined;
}

/** Exactly these keys. */
function has(fields: Fields, ...keys: readonly string[]): boolean {
  const found = Object.keys(fields);
  return found.length === keys.length && keys.every((key) => Object.hasOwn(fields, key));
}

function isText(value: unknown, most: number): value is string {
  return typeof value === 'string' && value.length <= most;
}

function isPlain(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
