/**
 * The settings: names, defaults, what they mean, what fits. Pure. Values travel as text from the
 * command line and as JSON through the API; both are judged here.
 */

import type { SettingEntry, SettingsPatch, SettingValue } from '../../shared/core/control/api.ts';
import { CulvertError } from '../../shared/core/control/codes.ts';
import { type Mode, parseMode } from '../../shared/core/control/status.ts';
import { type BackendChoice, backendChoices } from '../../shared/core/tunnel/config.ts';
import type { ProxyAccess } from '../driver/ports.ts';
import { type TransportChoice, transportChoices } from '../transport/edge-ways.ts';
import { type DnsSettings, defaultDnsSettings, dnsRules } from './dns-settings.ts';
import { defaultPortalSettings, type PortalSettings, portalRules } from './portal-settings.ts';
import { defaultRestSettings, type RestSettings, restRules } from './rest-settings.ts';

export interface Settings extends DnsSettings, RestSettings, PortalSettings {
  readonly mode: Mode;
  /** Name of an edge, or 'auto': the newest. */
  readonly edge: string;
  /** A daemon that starts brings back what was on when the last one ended. */
  readonly autoConnect: boolean;
  /** What happens to the network when the daemon of a whole-device mode crashes. */
  readonly guardian: 'block' | 'restore';
  /** What carries the tunnel's datagrams; auto: whichever passes first. */
  readonly transport: TransportChoice;
  /** Sessions with an enrolled edge get a secret that no quantum computer finds. */
  readonly quantum: boolean;
  readonly 'tunnel.interface': string;
  /** 0: what the edge's file says, else 1420. */
  readonly 'tunnel.mtu': number;
  /** What carries the packets. */
  readonly 'tunnel.backend': BackendChoice;
  /** Of the local proxy on 127.0.0.1; 0: any free one. */
  readonly 'proxy.port': number;
  /** With a password: what programs must say to use the proxy. Empty: none is asked for. */
  readonly 'proxy.username': string;
  readonly 'proxy.password': string;
  readonly 'log.level': 'debug' | 'info' | 'warn' | 'error';
}

export type SettingName = keyof Settings;

export const defaultSettings: Settings = {
  ...defaultDnsSettings,
  ...defaultRestSettings,
  ...defaultPortalSettings,
  mode: 'tunnel+doh',
  edge: 'auto',
  autoConnect: true,
  guardian: 'block',
  transport: 'auto',
  quantum: true,
  'tunnel.interface': 'culvert0',
  'tunnel.mtu': 0,
  'tunnel.backend': 'userspace',
  'proxy.port': 40_000,
  'proxy.username': '',
  'proxy.password': '',
  'log.level': 'info',
};

/** Without CAP_NET_ADMIN no whole-device mode can work, so the proxy is the default. */
export function defaultsFor(machine: { readonly mayChangeNetwork: boolean }): Settings {
  return machine.mayChangeNetwork ? defaultSettings : { ...defaultSettings, mode: 'proxy' };
}

/** Settings whose values are never shown, logged or taken from a command line. */
export const secretSettings: ReadonlySet<string> = new Set<SettingName>(['proxy.password']);
/** Shown instead of a secret that is set. */
const shownSecret = '(set)';

const least = 576;
const most = 65_535;
/** RFC 1929 §2: one byte says how long each is. */
const longestCredential = 255;

/** For each setting what it is, and the value that was meant, or undefined where it does not fit. */
const rules: {
  readonly [Name in SettingName]: readonly [string, (value: SettingValue) => Settings[Name] | undefined];
} = {
  mode: ['what goes through the tunnel; see: culvert mode', (value) => parseMode(String(value))],
  edge: ['the edge to use; auto takes the newest', (value) => (isEdgeChoice(value) ? value : undefined)],
  autoConnect: ['connect again when the daemon starts, if it was connected', asBoolean],
  guardian: [
    'after a crash of the daemon: block keeps the network closed, restore gives it back; from the next connection on',
    (value) => (['block', 'restore'] as const).find((one) => one === value),
  ],
  transport: [
    'what carries the tunnel: udp, tls (where only the web passes), or auto, which takes the first that passes',
    (value) => transportChoices.find((choice) => choice === value),
  ],
  quantum: ['sessions with your own edge are safe from quantum computers (ML-KEM-768)', asBoolean],
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
  'proxy.port': ['port of the local proxy; 0 takes a free one', (value) => asNumber(value, isPort)],
  'proxy.username': [
    'name that programs must give to use the proxy, with a password; see: culvert proxy password',
    (value) => (typeof value === 'string' && isUsername(value) ? value : undefined),
  ],
  'proxy.password': [
    'password for it, 1 to 255 bytes; never printed',
    (value) => (typeof value === 'string' && utf8Length(value) <= longestCredential ? value : undefined),
  ],
  ...dnsRules,
  ...restRules,
  ...portalRules,
  'log.level': [
    'debug, info, warn or error; names and addresses appear at debug only',
    (value) => (['debug', 'info', 'warn', 'error'] as const).find((level) => level === value),
  ],
};

export const settingNames: readonly SettingName[] = Object.keys(rules) as SettingName[];

/** The settings after a change. Throws 'unknown-setting' or 'bad-setting' and then nothing holds. */
export function changeSettings(
  settings: Settings,
  patch: SettingsPatch,
  defaults: Settings = defaultSettings,
): Settings {
  let changed = settings;
  for (const [name, value] of Object.entries(patch)) {
    if (!isSettingName(name)) {
      throw new CulvertError('unknown-setting', { text: `There is no setting named '${name}'.` });
    }
    const wanted = value === null ? defaults[name] : rules[name][1](value);
    if (wanted === undefined) {
      throw new CulvertError('bad-setting', {
        text: `${secretSettings.has(name) ? 'That' : `'${String(value)}'`} does not fit the setting ${name}: ${rules[name][0]}.`,
      });
    }
    changed = { ...changed, [name]: wanted };
  }
  return changed;
}

/** Secrets only say whether they are set. */
export function listSettings(
  settings: Settings,
  defaults: Settings = defaultSettings,
): readonly SettingEntry[] {
  return settingNames.map((name) => ({
    name,
    value: secretSettings.has(name) && settings[name] !== '' ? shownSecret : settings[name],
    default: defaults[name],
    text: rules[name][0],
  }));
}

export function isSettingName(name: string): name is SettingName {
  return Object.hasOwn(rules, name);
}

/** How programs may use the proxy: freely, or with name and password where both are set. */
export function proxyAccessOf(settings: Settings): ProxyAccess {
  const { 'proxy.port': port, 'proxy.username': username, 'proxy.password': password } = settings;
  return username === '' || password === '' ? { port } : { port, credentials: { username, password } };
}

/** 1 to 32 characters that are safe as part of a file name; 'auto' is no name. */
export function isEdgeName(name: string): boolean {
  return /^[A-Za-z0-9][A-Za-z0-9._-]{0,31}$/.test(name) && name !== 'auto';
}

function isEdgeChoice(value: SettingValue): value is string {
  return typeof value === 'string' && (value === 'auto' || isEdgeName(value));
}

function isPort(value: number): boolean {
  return value >= 0 && value <= most;
}

/** RFC 7617 §2: a colon would end it. Control characters are never meant. */
function isUsername(text: string): boolean {
  return utf8Length(text) <= longestCredential && !/[:\p{Cc}]/u.test(text);
}

function utf8Length(text: string): number {
  return Buffer.byteLength(text, 'utf8');
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
