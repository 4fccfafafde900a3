// What the home screen shows for a snapshot: one icon, one sentence, one main control. Pure. It promises nothing that
// the daemon did not state: without an answer nothing is private and nothing is off.
import type { TextKey, Words } from '../../shared/core/control/texts.ts';
import type { CommandName, Snapshot } from '../bridge/ipc.ts';
import type { View } from './feed.ts';
import type { ActionName, Catalogue, WindowState } from './texts/catalogue.ts';
import { stateWords } from './texts/language.ts';

/** Shape of the icon; no two states of different meaning share one. */
export type Icon =
  | 'lock-open'
  | 'lock-dotted'
  | 'lock-closed'
  | 'lock-part'
  | 'names'
  | 'clock'
  | 'house'
  | 'bars'
  | 'door'
  | 'pause'
  | 'broken'
  | 'no-signal'
  | 'question'
  | 'key'
  | 'arrows';

/** Colour of the icon. Never the only difference. */
export type Tone = 'quiet' | 'private' | 'paused' | 'broken' | 'blue';

export interface Face {
  readonly kind: TextKey | WindowState;
  readonly words: Words;
  readonly icon: Icon;
  readonly tone: Tone;
  /** The big switch and what it is set to: the wish, not the truth. Absent where a button stands in its place. */
  readonly switch?: 'on' | 'off';
  readonly main?: ActionName;
  /** A smaller way out beside it. */
  readonly link?: ActionName;
  /** Read out at once. */
  readonly isAlarm: boolean;
}

type Look = Omit<Face, 'kind' | 'words' | 'isAlarm'> & { readonly isAlarm?: boolean };

const looks: Readonly<Record<TextKey | WindowState, Look>> = {
  off: { icon: 'lock-open', tone: 'quiet', switch: 'off' },
  paused: { icon: 'clock', tone: 'quiet', main: 'connect' },
  trusted: { icon: 'house', tone: 'quiet', main: 'connect' },
  locked: { icon: 'bars', tone: 'paused', switch: 'off' },
  enrolling: { icon: 'key', tone: 'blue' },
  connecting: { icon: 'lock-dotted', tone: 'quiet', switch: 'on' },
  connected: { icon: 'lock-closed', tone: 'private', switch: 'on' },
  'connected-proxy': { icon: 'lock-part', tone: 'private', switch: 'on' },
  'connected-split': { icon: 'lock-part', tone: 'private', switch: 'on' },
  dns: { icon: 'names', tone: 'private', switch: 'on' },
  portal: { icon: 'door', tone: 'blue', main: 'open-sign-in', link: 'turn-off' },
  waiting: { icon: 'pause', tone: 'paused', switch: 'on', link: 'use-unprotected' },
  blocked: { icon: 'pause', tone: 'paused', switch: 'on', link: 'use-unprotected', isAlarm: true },
  disconnecting: { icon: 'lock-dotted', tone: 'quiet', switch: 'off' },
  asking: { icon: 'question', tone: 'quiet' },
  lost: { icon: 'question', tone: 'broken', isAlarm: true },
  'turning-on': { icon: 'lock-dotted', tone: 'quiet', switch: 'on' },
  'turning-off': { icon: 'lock-dotted', tone: 'quiet', switch: 'off' },
  'no-service': { icon: 'question', tone: 'broken', main: 'start', isAlarm: true },
  'no-permission': { icon: 'key', tone: 'blue', main: 'allow' },
  'update-needed': { icon: 'arrows', tone: 'blue', main: 'later' },
  'first-run': { icon: 'key', tone: 'blue' },
  'signing-in': { icon: 'door', tone: 'blue', main: 'open-sign-in-again', link: 'not-a-portal' },
  'no-internet': { icon: 'no-signal', tone: 'quiet', link: 'turn-off' },
  'no-answer': { icon: 'broken', tone: 'broken', main: 'try-again', link: 'use-unprotected' },
};

/** The call behind each action. 'later' only hides the window, which main may not be able to do. */
export const callOf: Readonly<Record<ActionName, CommandName>> = {
  'open-sign-in': 'open-sign-in',
  'open-sign-in-again': 'open-sign-in',
  'not-a-portal': 'not-a-portal',
  'turn-off': 'disconnect',
  'use-unprotected': 'disconnect',
  'try-again': 'connect',
  connect: 'connect',
  start: 'start-daemon',
  allow: 'allow-account',
  later: 'hide-window',
};

/** Codes by which the edge, not the network, is what does not answer. */
const unanswered: readonly string[] = ['handshake-timeout', 'no-reply', 'edge-unreachable', 'udp-blocked'];
/** 'Still trying' is said after this long, in milliseconds. */
const patienceMs = 8_000;

export function faceOf(
  view: Pick<View, 'snapshot' | 'wall' | 'expected' | 'isLost'>,
  catalogue: Catalogue,
): Face {
  const { snapshot, expected, wall } = view;
  if (snapshot === undefined) return windowFace(view.isLost ? 'lost' : 'asking', catalogue);
  if (expected !== undefined) {
    return windowFace(expected.key === 'connecting' ? 'turning-on' : 'turning-off', catalogue);
  }
  switch (snapshot.daemon) {
    case 'absent':
      return offered(windowFace('no-service', catalogue), snapshot);
    case 'no-permission':
      return offered(windowFace('no-permission', catalogue), snapshot);
    case 'other-version':
      return offered(windowFace('update-needed', catalogue), snapshot);
    case 'answers':
      return offered(answeredFace(snapshot, catalogue, wall), snapshot);
  }
}

type Answer = Extract<Snapshot, { daemon: 'answers' }>;

function answeredFace(snapshot: Answer, catalogue: Catalogue, wall: number): Face {
  const { status, key } = snapshot;
  const words = stateWords(catalogue, snapshot);
  if (!snapshot.mayChange) return readOnlyFace(key, words);
  if (needsEdge(snapshot)) return windowFace('first-run', catalogue);
  const isTrying = key === 'connecting' || key === 'waiting' || key === 'blocked';
  if (isTrying && has(snapshot, ['no-network'])) return windowFace('no-internet', catalogue);
  const isLate = key === 'connecting' && wall - Date.parse(status.since) >= patienceMs;
  const isSilent = has(snapshot, unanswered) || (isLate && has(snapshot, ['stalled']));
  if (isTrying && isSilent) return windowFace('no-answer', catalogue);
  // The way is open before anybody goes it: what to do is said first.
  const isSigningIn = snapshot.app.wentToSignIn === true && snapshot.signInUntil !== undefined;
  if (key === 'portal' && isSigningIn) return windowFace('signing-in', catalogue);
  const look = looks[key];
  return {
    ...look,
    kind: key,
    words: isLate ? { heading: words.heading, sentence: catalogue.home.stillTrying } : words,
    isAlarm: look.isAlarm ?? false,
  };
}

/** The truth, and the one thing that this account can do about it. */
function readOnlyFace(key: TextKey, words: Words): Face {
  const { icon, tone } = looks[key];
  return { icon, tone, kind: key, words, main: 'allow', isAlarm: false };
}

function windowFace(kind: WindowState, catalogue: Catalogue): Face {
  const look = looks[kind];
  return { ...look, kind, words: catalogue.window[kind], isAlarm: look.isAlarm ?? false };
}

/** Without the buttons whose calls cannot work here. */
function offered(face: Face, { app }: Snapshot): Face {
  const { main, link, ...rest } = face;
  const works = (action: ActionName | undefined): action is ActionName =>
    action !== undefined && !app.unsupported.includes(callOf[action]);
  return { ...rest, ...(works(main) ? { main } : {}), ...(works(link) ? { link } : {}) };
}

function needsEdge({ hasEdge, status }: Answer): boolean {
  return !hasEdge && status.state === 'off' && status.mode !== 'doh' && status.mode !== 'dot';
}

function has({ status }: Answer, codes: readonly string[]): boolean {
  return status.health.some((item) => codes.includes(item.code));
}
