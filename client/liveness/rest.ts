/**
 * When the tunnel rests although the user wants it: paused for a while, or in a network that the user trusts. Pure.
 * Anybody can give a Wi-Fi any name, so trust by name is a convenience; texts must say so.
 */

import { after, type MonoMs, minuteMs, type UnixMs } from '../../shared/core/base/time.ts';

/** WARP's longest, too. */
export const longestPauseMs: number = 24 * 60 * minuteMs;
export const maxTrusted = 256;
/** IEEE 802.11: at most 32 bytes. */
export const longestSsidBytes = 32;

/** As it stands on disk. */
export interface StoredPause {
  readonly untilMs: UnixMs;
  /** How long it was asked for: no wall clock that is wrong can make it longer. */
  readonly askedMs: number;
}

export interface Pause {
  /** By the clock that counts sleep. */
  readonly until: MonoMs;
}

/** What is known about the network around us. */
export interface Surroundings {
  /** Name of the Wi-Fi; undefined where there is none, or nobody can tell. */
  readonly ssid: string | undefined;
  /** The way out is a cable. */
  readonly wired: boolean;
  /** Which network: fingerprint.ts. */
  readonly network: string;
}

export interface Trust {
  readonly ssids: readonly string[];
  readonly wired: boolean;
}

export type Rest =
  | { readonly kind: 'awake' }
  | { readonly kind: 'paused'; readonly until: MonoMs }
  | { readonly kind: 'trusted'; readonly reason: string };

export interface RestFacts {
  readonly pause: Pause | undefined;
  readonly trust: Trust;
  readonly around: Surroundings;
  /** The network in which the user said "connect all the same"; until they leave it. */
  readonly insistedIn: string | undefined;
}

export function restNow(facts: RestFacts, now: MonoMs): Rest {
  const { pause, trust, around, insistedIn } = facts;
  if (pause !== undefined && now < pause.until) return { kind: 'paused', until: pause.until };
  if (insistedIn === around.network) return { kind: 'awake' };
  const { ssid, wired } = around;
  if (ssid !== undefined && ssid !== '' && trust.ssids.includes(ssid)) {
    return { kind: 'trusted', reason: `The Wi-Fi '${ssid}' is on your list of trusted networks.` };
  }
  // A cable is believed only where no Wi-Fi is the way out.
  if (wired && ssid === undefined && trust.wired) {
    return { kind: 'trusted', reason: 'Networks by cable are on your list of trusted networks.' };
  }
  return { kind: 'awake' };
}

/** The list with this name, once. Undefined where it can be no name, or the list is full. */
export function addTrusted(ssids: readonly string[], ssid: string): readonly string[] | undefined {
  if (!isSsid(ssid)) return undefined;
  const others = ssids.filter((one) => one !== ssid);
  return others.length >= maxTrusted ? undefined : [...others, ssid];
}

/** Undefined where the time makes no sense as a pause. */
export function beginPause(askedMs: number, now: MonoMs, unix: UnixMs): [Pause, StoredPause] | undefined {
  if (!Number.isFinite(askedMs) || askedMs <= 0 || askedMs > longestPauseMs) return undefined;
  return [{ until: after(now, askedMs) }, { untilMs: (unix + askedMs) as UnixMs, askedMs }];
}

/** After a restart of the daemon; undefined where it is over. */
export function resumePause(stored: StoredPause, now: MonoMs, unix: UnixMs): Pause | undefined {
  const asked = Math.min(stored.askedMs, longestPauseMs);
  const leftMs = Math.min(stored.untilMs - unix, asked);
  return leftMs > 0 ? { until: after(now, leftMs) } : undefined;
}

/** True where it can be the name of a Wi-Fi. Any bytes may be; text of at most 32 of them is what people see. */
export function isSsid(text: string): boolean {
  let bytes = 0;
  for (const letter of text) {
    const code = letter.codePointAt(0) ?? 0;
    if (code < 32) return false;
    bytes += code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x1_0000 ? 3 : 4;
  }
  return bytes > 0 && bytes <= longestSsidBytes;
}
