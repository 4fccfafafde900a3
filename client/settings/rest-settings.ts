/**
 * Settings about being off: where protection rests, and whether anything leaves the machine then. The list of Wi-Fi names
 * is JSON, because such a name may hold any letter. Pure.
 */

import type { SettingValue } from '../../shared/core/control/api.ts';
import { isSsid, maxTrusted } from '../liveness/rest.ts';

export interface RestSettings {
  /** JSON: a list of names. */
  readonly 'trusted.networks': string;
  readonly 'trusted.wired': boolean;
  /** Not the kill switch, which holds while culvert is on whatever this says. */
  readonly lockdown: boolean;
}

export const defaultRestSettings: RestSettings = {
  'trusted.networks': '[]',
  'trusted.wired': false,
  lockdown: false,
};

type Rule<Value> = readonly [string, (value: SettingValue) => Value | undefined];

/** For each setting what it is, and the value that was meant, or undefined where it does not fit. */
export const restRules: { readonly [Name in keyof RestSettings]: Rule<RestSettings[Name]> } = {
  'trusted.networks': [
    'names of Wi-Fi networks in which protection rests, as JSON; see: culvert trusted',
    (value) => (typeof value === 'string' && namesIn(value) !== undefined ? value : undefined),
  ],
  'trusted.wired': ['networks by cable are trusted, too', asBoolean],
  lockdown: ['block everything while culvert is off, too; culvert restore still opens', asBoolean],
};

export function trustedNames(settings: RestSettings): readonly string[] {
  return namesIn(settings['trusted.networks']) ?? [];
}

/** As it stands in the setting. */
export function formatTrusted(names: readonly string[]): string {
  return JSON.stringify(names);
}

function namesIn(text: string): readonly string[] | undefined {
  try {
    const list: unknown = JSON.parse(text);
    const fits = Array.isArray(list) && list.length <= maxTrusted;
    return fits && list.every((one) => typeof one === 'string' && isSsid(one)) ? list : undefined;
  } catch {
    return undefined; // No JSON.
  }
}

function asBoolean(value: SettingValue): boolean | undefined {
  if (typeof value === 'boolean') return value;
  if (value === 'true' || value === 'on') return true;
  return value === 'false' || value === 'off' ? false : undefined;
}
