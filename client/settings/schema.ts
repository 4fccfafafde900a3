/**
 * The settings: names, defaults, what they mean, what fits. Pure. Values travel as text from the
 * command line and as JSON through the API; both are judged here.
 */

import type { SettingEntry, SettingsPatch, SettingValue } from '../../shared/core/control/api.ts';
import { CulvertError } from '../../shared/core/control/codes.ts';
import { type Mode, parseMode } from '../../shared/core/control/status.ts';
import { type BackendChoice, backendChoices } from '../../shared/core/tunnel/config.ts';

export interface Settings {
  readonly mode: Mode;
  /** Name of an edge, or 'auto': the newest. */
  readonly edge: string;
  /** A daemon that starts brings back what was on when the last one ended. */
  readonly autoConnect: boolean;
  readonly 'tunnel.interface': string;
  /** 0: what the edge's file says, else 1420. */
  readonly 'tunnel.mtu': number;
  /** What carries the packets. */
  readonly 'tunnel.backend': BackendChoice;
  readonly 'log.level': 'debug' | 'info' | 'warn' | 'error';
}

export type SettingName = keyof Settings;

export const defaultSettings: Settings = {
  mode: 'tunnel',
  edge: 'auto',
  autoConnect: true,
  'tunnel.interface': 'culvert0',
  'tunnel.mtu': 0,
  'tunnel.backend': 'userspace',
  'log.level': 'info',
};

const least = 576;
const most = 65_535;

/** For each setting what it is, and the value that was meant, or undefined where it does not fit. */
const rules: {
  readonly [Name in SettingName]: readonly [string, (value: SettingValue) => Settings[Name] | undefined];
} = {
  mode: ['what goes through the tunnel; see: culvert mode', (value) => parseMode(String(value))],
  edge: ['the edge to use; auto takes the newest', (value) => (isEdgeChoice(value) ? value : undefined)],
  autoConnect: ['connect again when the daemon starts, if it was connected', asBoolean],
  'tunnel.interface': [
    'name of the network interface',
    (value) =>
      typeof value === 'string' && /^[A-Za-z0-9_][A-Za-z0-9_.-]{0,14}$/.test(value) ? value : undefined,
  ],
  'tunnel.mtu': [
    'largest packet inside the tunnel; 0 takes what the file says, else 1420',
    (value) => asNumber(value, (mtu) => mtu === 0 || (mtu >= least && mtu <= most)),
  ],
  'tunnel.backend': [
    'userspace, kernel, or auto, which takes the kernel where it knows WireGuard',
    (value) => backendChoices.find((choice) => choice === value),
  ],
  'log.level': [
    'debug, info, warn or error; names and addresses appear at debug only',
    (value) => (['debug', 'info', 'warn', 'error'] as const).find((level) => level === value),
  ],
};

export const settingNames: readonly SettingName[] = Object.keys(rules) as SettingName[];

/** The settings after a change. Throws 'unknown-setting' or 'bad-setting' and then nothing holds. */
export function changeSettings(settings: Settings, patch: SettingsPatch): Settings {
  let changed = settings;
  for (const [name, value] of Object.entries(patch)) {
    if (!isSettingName(name)) {
      throw new CulvertError('unknown-setting', { text: `There is no setting named '${name}'.` });
    }
    const wanted = value === null ? defaultSettings[name] : rules[name][1](value);
    if (wanted === undefined) {
      throw new CulvertError('bad-setting', {
        text: `'${String(value)}' does not fit the setting ${name}: ${rules[name][0]}.`,
      });
    }
    changed = { ...changed, [name]: wanted };
  }
  return changed;
}

export function listSettings(settings: Settings): readonly SettingEntry[] {
  return settingNames.map((name) => ({
    name,
    value: settings[name],
    default: defaultSettings[name],
    text: rules[name][0],
  }));
}

export function isSettingName(name: string): name is SettingName {
  return Object.hasOwn(rules, name);
}

/** 1 to 32 characters that are safe as part of a file name; 'auto' is no name. */
export function isEdgeName(name: string): boolean {
  return /^[A-Za-z0-9][A-Za-z0-9._-]{0,31}$/.test(name) && name !== 'auto';
}

function isEdgeChoice(value: SettingValue): value is string {
  return typeof value === 'string' && (value === 'auto' || isEdgeName(value));
}

function asBoolean(value: SettingValue): boolean | undefined {
  if (typeof value === 'boolean') return value;
  if (value === 'true' || value === 'on') return true;
  return value === 'false' || value === 'off' ? false : undefined;
}

function asNumber(value: SettingValue, fits: (value: number) => boolean): number | undefined {
  if (typeof value === 'boolean' || value === '') return undefined;
  const number = Number(value);
  return Number.isInteger(number) && fits(number) ? number : undefined;
}
