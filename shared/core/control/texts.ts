/**
 * The words for people, one catalogue for command line and desktop. A heading says what is, the
 * sentence says why or what comes next. No codes and no jargon here.
 */

import { type Mode, type Status, wholeDeviceModes } from './status.ts';

export interface Words {
  readonly heading: string;
  readonly sentence: string;
}

export type TextKey =
  | 'off'
  | 'paused'
  | 'trusted'
  | 'locked'
  | 'enrolling'
  | 'connecting'
  | 'connected'
  | 'connected-proxy'
  | 'connected-split'
  | 'dns'
  | 'portal'
  | 'waiting'
  | 'blocked'
  | 'disconnecting';

export const texts: Readonly<Record<TextKey, Words>> = {
  off: {
    heading: 'Your internet is not private',
    sentence: 'Others on this network may be able to see which sites you visit.',
  },
  paused: {
    heading: 'Protection is paused',
    sentence: 'Your internet is not private until it comes back by itself, or until you connect.',
  },
  trusted: {
    heading: 'Protection rests in this network',
    sentence: 'It is on your list of trusted networks. Elsewhere protection comes back by itself.',
  },
  locked: {
    heading: 'Internet blocked while protection is off',
    sentence: 'Lockdown is on, so nothing leaves this machine until you connect.',
  },
  enrolling: { heading: 'Adding this device...', sentence: 'This usually takes a few seconds.' },
  connecting: {
    heading: 'Making your internet private...',
    sentence: 'This usually takes a few seconds. Nothing leaves this machine outside the tunnel.',
  },
  connected: {
    heading: 'Your internet is private',
    sentence: 'Others on this network cannot see what you do online.',
  },
  'connected-proxy': {
    heading: 'Programs that use the proxy are private',
    sentence: 'Other programs on this machine use the network as before.',
  },
  'connected-split': {
    heading: 'Part of your internet is private',
    sentence: 'Only the addresses of this tunnel go through it; everything else leaves as before.',
  },
  dns: {
    heading: 'Your site look-ups are private',
    sentence: 'Others cannot read the names you look up. They may still see which addresses you connect to.',
  },
  portal: {
    heading: 'This network needs you to sign in',
    sentence: 'Sign in first. Your internet is made private right after.',
  },
  waiting: {
    heading: 'Internet paused to protect you',
    sentence: 'There is no way to the edge at this moment; culvert tries again by itself.',
  },
  blocked: {
    heading: 'Internet paused to protect you',
    sentence: 'The private connection dropped, so nothing is sent until it is back.',
  },
  disconnecting: { heading: 'Turning protection off...', sentence: 'This takes a moment.' },
};

/** Instead of `texts` in mode proxy, which pauses no other program. */
const proxyTexts: Readonly<Partial<Record<TextKey, Words>>> = {
  off: {
    heading: 'Your internet is not private',
    sentence: 'The proxy is off. Others on this network may be able to see which sites you visit.',
  },
  connecting: {
    heading: 'Making the proxy private...',
    sentence: 'This usually takes a few seconds. Until then the proxy refuses everything.',
  },
  waiting: {
    heading: 'The proxy is paused to protect you',
    sentence: 'There is no way to the edge at this moment; culvert tries again by itself.',
  },
  blocked: {
    heading: 'The proxy is paused to protect you',
    sentence: 'The private connection dropped, so the proxy refuses everything until it is back.',
  },
};

/** Instead of `texts` in modes doh and dot, which stop nothing. */
const namesTexts: Readonly<Partial<Record<TextKey, Words>>> = {
  connecting: {
    heading: 'Making your site look-ups private...',
    sentence: 'This takes a moment. Until then names are looked up as before.',
  },
};

/** The words of a status. */
export function wordsFor(status: Pick<Status, 'state' | 'mode' | 'health' | 'reason'>): Words {
  const key = textKeyFor(status);
  return textsOf(status.mode)[key] ?? texts[key];
}

function textsOf(mode: Mode): Readonly<Partial<Record<TextKey, Words>>> {
  if (mode === 'proxy') return proxyTexts;
  return wholeDeviceModes.includes(mode) ? {} : namesTexts;
}

/** What a mode protects, in one line, for lists of modes. */
export const modeTexts: Readonly<Record<Mode, string>> = {
  'tunnel+doh': 'everything through the tunnel, names by DNS over HTTPS',
  'tunnel+dot': 'everything through the tunnel, names by DNS over TLS',
  tunnel: 'everything through the tunnel',
  tunnel_only: 'everything through the tunnel, DNS of this system left alone',
  doh: 'private names only, by DNS over HTTPS',
  dot: 'private names only, by DNS over TLS',
  proxy: 'programs that use the local proxy',
};

/** The key of its words, for catalogues in other languages. */
export function textKeyFor(status: Pick<Status, 'state' | 'mode' | 'health' | 'reason'>): TextKey {
  if (status.state === 'off') {
    if (status.health.some((item) => item.code === 'lockdown')) return 'locked';
    return status.reason === undefined ? 'off' : status.reason === 'paused' ? 'paused' : 'trusted';
  }
  if (status.state !== 'connected') return status.state;
  if (!wholeDeviceModes.includes(status.mode)) return 'connected-proxy';
  return status.health.some((item) => item.code === 'split-tunnel') ? 'connected-split' : 'connected';
}
