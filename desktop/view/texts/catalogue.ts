// What a language has to say: every sentence of the window, by name. A missing one does not compile.
import type { ErrorCode } from '../../../shared/core/control/codes.ts';
import type { HealthCode } from '../../../shared/core/control/health.ts';
import type { TextKey, Words } from '../../../shared/core/control/texts.ts';

/** What the window says where the daemon's words do not reach. */
export type WindowState =
  | 'asking'
  | 'lost'
  | 'turning-on'
  | 'turning-off'
  | 'no-service'
  | 'no-permission'
  | 'update-needed'
  | 'first-run'
  | 'signing-in'
  | 'no-internet'
  | 'no-answer';

export type ActionName =
  | 'open-sign-in'
  | 'open-sign-in-again'
  | 'not-a-portal'
  | 'turn-off'
  | 'use-unprotected'
  | 'try-again'
  | 'connect'
  | 'start'
  | 'allow'
  | 'later';

export type ModeChoice = 'everything' | 'look-ups' | 'proxy';
export type Family = 'off' | 'malware' | 'full';
/** What others on a network could know. */
export type Sight = 'names' | 'addresses' | 'content' | 'amount';
export type Seen = 'hidden' | 'visible' | 'unknown' | 'partly';
export type Quickness = 'quick' | 'fine' | 'slow';
export type ScreenName =
  | 'home'
  | 'paths'
  | 'join'
  | 'settings'
  | 'networks'
  | 'diagnostics'
  | 'help'
  | 'about';

/** What is the matter, and what to do. */
export type Pair = readonly [string, string];

export interface Catalogue {
  /** BCP 47, for numbers and for the page. */
  readonly tag: string;
  /** Absent: the words that come from the daemon are in this language already. */
  readonly states?: Readonly<Record<TextKey, Words>>;
  /** Instead of `states` in mode proxy. */
  readonly proxyStates?: Readonly<Partial<Record<TextKey, Words>>>;
  /** What happens to words of the daemon that are shown as they come. */
  readonly respell?: (text: string) => string;
  readonly window: Readonly<Record<WindowState, Words>>;
  readonly actions: Readonly<Record<ActionName, string>>;
  readonly screens: Readonly<Record<ScreenName, string>>;
  readonly home: {
    readonly switch: string;
    readonly protect: string;
    readonly modes: Readonly<Record<ModeChoice, Pair>>;
    readonly cannotHere: string;
    readonly lookUps: string;
    readonly lookUpsOn: string;
    readonly lookUpsOff: string;
    readonly lookUpsAlways: string;
    readonly lookUpsByEdge: string;
    readonly from: string;
    readonly families: string;
    readonly family: Readonly<Record<Family, string>>;
    readonly fastest: string;
    readonly down: string;
    readonly up: string;
    readonly delay: string;
    readonly network: string;
    readonly unknown: string;
    readonly proxyAt: string;
    readonly stillTrying: string;
    readonly pause: string;
    readonly timeLeft: (time: string) => string;
    readonly backAt: (time: string) => string;
    readonly details: string;
    readonly allowBy: string;
  };
  readonly leaving: {
    readonly heading: string;
    readonly sentence: (network: string) => string;
    readonly thisNetwork: string;
    readonly keep: string;
    readonly leave: string;
  };
  readonly sees: {
    readonly heading: string;
    readonly who: (network: string) => string;
    readonly sights: Readonly<Record<Sight, string>>;
    readonly seen: Readonly<Record<Seen, string>>;
    readonly always: string;
  };
  readonly paths: {
    readonly auto: string;
    readonly autoHint: string;
    readonly noAnswer: string;
    readonly notMeasured: string;
    readonly quickness: Readonly<Record<Quickness, string>>;
    readonly stop: string;
    readonly go: string;
    readonly throughput: string;
    readonly none: string;
    readonly asking: string;
    readonly hint: string;
  };
  readonly join: {
    readonly what: string;
    readonly link: string;
    readonly hint: string;
    readonly image: string;
    readonly noCode: string;
    readonly next: string;
    readonly ask: string;
    readonly trust: string;
    readonly yes: string;
    readonly no: string;
    readonly joined: string;
    readonly without: string;
    readonly honest: string;
  };
  readonly settings: {
    readonly app: string;
    readonly groups: Readonly<Record<'general' | 'dns' | 'proxy' | 'advanced', string>>;
    readonly startAtLogin: string;
    readonly notifications: string;
    readonly theme: string;
    readonly themes: Readonly<Record<'system' | 'light' | 'dark', string>>;
    readonly language: string;
    readonly systemLanguage: string;
    readonly save: string;
    readonly reset: string;
    readonly saved: string;
    readonly names: Readonly<Record<string, string>>;
    /** For settings that are one of a few: what each value says to a person. */
    readonly choices: Readonly<Record<string, Readonly<Record<string, string>>>>;
  };
  readonly networks: {
    readonly trusted: string;
    readonly trustedHint: string;
    readonly trustedNone: string;
    readonly trust: (network: string) => string;
    readonly here: string;
    readonly noWifi: string;
    readonly remove: string;
    readonly around: string;
    readonly aroundHint: string;
    readonly aroundPlaces: (places: string) => string;
    readonly aroundNone: string;
    readonly openShort: string;
    readonly openLong: string;
    readonly openUntil: (time: string) => string;
    readonly openUntilClosed: string;
    readonly close: string;
    readonly split: string;
    readonly splitNone: string;
    readonly splitSome: string;
    readonly splitOnly: string;
    readonly kinds: Readonly<Record<'ip' | 'host' | 'program', string>>;
    readonly namesIgnored: string;
    readonly add: string;
    readonly addButton: string;
  };
  readonly help: {
    /** Question and answer. */
    readonly topics: readonly Pair[];
    readonly messages: string;
    readonly messagesHint: string;
  };
  readonly diagnostics: {
    readonly health: string;
    readonly fine: string;
    readonly collect: string;
    readonly collectHint: string;
    readonly shown: string;
    readonly save: string;
    readonly saved: string;
    readonly feedback: string;
    readonly feedbackHint: string;
    readonly words: string;
    readonly attach: string;
    readonly consent: (attached: boolean) => string;
    readonly send: string;
    readonly sent: (id: string) => string;
  };
  readonly about: {
    readonly app: string;
    readonly background: string;
    readonly stays: string;
  };
  readonly back: string;
  readonly menu: string;
  readonly close: string;
  readonly failed: string;
  /** Known problems in plain words; others come with the daemon's own. */
  readonly health: Readonly<Partial<Record<HealthCode | ErrorCode, Pair>>>;
  readonly errors: Readonly<Partial<Record<ErrorCode | 'unsupported', Pair>>>;
}
