/**
 * The settings on disk: read once, written atomically at every change. Only what differs from the
 * defaults is written, so that better defaults reach everybody.
 */

import { readFileSync } from 'node:fs';
import type { SettingsPatch } from '../../shared/core/control/api.ts';
import { CulvertError } from '../../shared/core/control/codes.ts';
import { writeAtomic } from './atomic-file.ts';
import { changeSettings, defaultSettings, isSettingName, type Settings, settingNames } from './schema.ts';

/** Version of the file; later ones migrate from it. */
const fileVersion = 1;

export class SettingsStore {
  /** What holds where nobody has chosen. */
  readonly defaults: Settings;
  readonly #path: string;
  #settings: Settings;
  readonly #listeners = new Set<() => void>();

  /** Throws 'settings-unreadable' where the file makes no sense. */
  constructor(path: string, defaults: Settings = defaultSettings) {
    this.#path = path;
    this.defaults = defaults;
    this.#settings = readSettings(path, defaults);
  }

  get current(): Settings {
    return this.#settings;
  }

  /** Calls `listener` after every change. */
  onChange(listener: () => void): void {
    this.#listeners.add(listener);
  }

  /** As a whole or not at all. */
  change(patch: SettingsPatch): Settings {
    const changed = changeSettings(this.#settings, patch, this.defaults);
    const kept = settingNames.filter((name) => changed[name] !== this.defaults[name]);
    const values = Object.fromEntries(kept.map((name) => [name, changed[name]]));
    writeAtomic(this.#path, `${JSON.stringify({ version: fileVersion, values }, undefined, 2)}\n`);
    this.#settings = changed;
    for (const listener of this.#listeners) listener();
    return changed;
  }
}

function readSettings(path: string, defaults: Settings): Settings {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return defaults;
    throw unreadable(path, cause);
  }
  try {
    const { version, values } = JSON.parse(text) as { version?: unknown; values?: unknown };
    if (version !== fileVersion || typeof values !== 'object' || values === null) throw unreadable(path);
    // What a newer or older culvert wrote and this one does not know is left alone.
    const known = Object.entries(values).filter(([name]) => isSettingName(name));
    return changeSettings(defaults, Object.fromEntries(known) as SettingsPatch, defaults);
  } catch (cause) {
    throw unreadable(path, cause);
  }
}

function unreadable(path: string, cause?: unknown): CulvertError {
  return new CulvertError('settings-unreadable', { text: `The settings in ${path} cannot be read.`, cause });
}
