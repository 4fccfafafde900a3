/** Settings about networks that want a sign-in: whether they are looked for, and by which pages. Pure. */

import type { SettingValue } from '../../shared/core/control/api.ts';
import { maxProbes, probeOf } from '../portal/endpoints.ts';

export interface PortalSettings {
  readonly 'portal.detection': boolean;
  /** Empty: the usual pages. */
  readonly 'portal.probes': string;
  /** Networks whose sign-in the user called none, as ids that say nothing about them. */
  readonly 'portal.ignored': string;
}

export const defaultPortalSettings: PortalSettings = {
  'portal.detection': true,
  'portal.probes': '',
  'portal.ignored': '',
};

/** The oldest is forgotten. */
const maxIgnored = 50;

type Rule<Value> = readonly [string, (value: SettingValue) => Value | undefined];

/** For each setting what it is, and the value that was meant, or undefined where it does not fit. */
export const portalRules: { readonly [Name in keyof PortalSettings]: Rule<PortalSettings[Name]> } = {
  'portal.detection': [
    'where connecting fails, ask whether the network wants a sign-in first: on or off',
    asBoolean,
  ],
  'portal.probes': [
    `pages to ask, with commas, ${maxProbes} at most: http://HOST/PATH answers 204, with #TEXT a page with that text; empty: the usual ones`,
    asProbes,
  ],
  'portal.ignored': ['networks that want no sign-in whatever they answer; see: culvert portal ignore', asIds],
};

export function ignoredNetworks(settings: PortalSettings): readonly string[] {
  return listOf(settings['portal.ignored']);
}

/** As it stands in the setting; the newest last. */
export function withIgnored(settings: PortalSettings, id: string): string {
  const others = ignoredNetworks(settings).filter((one) => one !== id);
  return [...others, id].slice(-maxIgnored).join(',');
}

function asProbes(value: SettingValue): string | undefined {
  if (typeof value !== 'string') return undefined;
  const items = listOf(value);
  if (items.length > maxProbes || items.some((item) => probeOf(item) === undefined)) return undefined;
  return items.join(',');
}

function asIds(value: SettingValue): string | undefined {
  if (typeof value !== 'string') return undefined;
  const items = listOf(value);
  return items.length <= maxIgnored && items.every((item) => /^[0-9a-f]{16}$/.test(item))
    ? items.join(',')
    : undefined;
}

function listOf(text: string): readonly string[] {
  return text
    .split(',')
    .map((item) => item.trim())
    .filter((item) => item !== '');
}

function asBoolean(value: SettingValue): boolean | undefined {
  if (typeof value === 'boolean') return value;
  if (value === 'true' || value === 'on') return true;
  return value === 'false' || value === 'off' ? false : undefined;
}
