// The one table of what may cross between the window and the main process. Types only: nothing runs here.
// Status and its words are the daemon's: the window shows them and adds nothing of its own.
import type { ModeList, SettingEntry, SettingValue } from '../../shared/core/control/api.ts';
import type { ErrorCode } from '../../shared/core/control/codes.ts';
import type { PathList } from '../../shared/core/control/paths-api.ts';
import type { TrustedList } from '../../shared/core/control/rest-api.ts';
import type { LanView, SplitList } from '../../shared/core/control/split-api.ts';
import type { DnsStatus, Mode, Status } from '../../shared/core/control/status.ts';
import type { TextKey, Words } from '../../shared/core/control/texts.ts';

/** A call that says all by its name. */
export type NoFields = Readonly<Record<string, never>>;

/** Name of the call → what the window sends. Main checks every field again: the window is not trusted. */
export interface Commands {
  connect: NoFields;
  disconnect: NoFields;
  /** Off for a while. */
  pause: { readonly forMs: number };
  modes: NoFields;
  'set-mode': { readonly mode: Mode };
  'set-families': { readonly families: DnsStatus['families'] };
  settings: NoFields;
  /** null: back to the default. */
  'set-setting': { readonly name: string; readonly value: SettingValue | null };
  /** What belongs to the app and not to the daemon. */
  'set-choice': Choice;
  /** Reads an invitation and does not use it: its text is untrusted. */
  'read-invitation': { readonly link: string };
  /** Uses it. Only after a person was shown whose it is. */
  enroll: { readonly link: string };
  /** Forgets the invitation that came from outside, see `AppView.invitation`. */
  'drop-invitation': NoFields;
  /** Networks in which protection rests. */
  trusted: NoFields;
  trust: { readonly ssid: string };
  distrust: { readonly ssid: string };
  /** May devices of the network around be reached? */
  lan: NoFields;
  /** Without a time it stays open until it is closed. */
  'set-lan': { readonly open: boolean; readonly forMs?: number };
  /** What goes around the tunnel, or alone through it. */
  split: NoFields;
  'add-split': SplitRule;
  'remove-split': SplitRule;
  paths: NoFields;
  /** An id, or 'auto'. */
  'use-path': { readonly path: string };
  /** Opens the system's browser at a fixed address that main holds. */
  'open-sign-in': NoFields;
  /** A person says that this network asks for no sign-in. */
  'not-a-portal': NoFields;
  diagnostics: NoFields;
  /** Asks where, then writes exactly this text: the one that was shown. */
  'save-diagnostics': { readonly text: string };
  /** To whoever runs the edge. */
  'send-feedback': { readonly words: string; readonly diagnostics?: string };
  'start-daemon': NoFields;
  /** Lets this account change what the daemon does; the system asks for a password. */
  'allow-account': NoFields;
  /** Away with the window; protection stays. */
  'hide-window': NoFields;
}

export type CommandName = keyof Commands;

/** What a call gives back, where it gives anything. */
export interface Results {
  modes: ModeList;
  settings: readonly SettingEntry[];
  'set-setting': readonly SettingEntry[];
  'read-invitation': Invitation;
  enroll: { readonly edge: string };
  trusted: TrustedList;
  trust: TrustedList;
  distrust: TrustedList;
  lan: LanView;
  'set-lan': LanView;
  split: SplitList;
  'add-split': SplitList;
  'remove-split': SplitList;
  paths: PathList;
  'use-path': PathList;
  diagnostics: { readonly text: string };
  'save-diagnostics': { readonly saved: boolean };
  'send-feedback': { readonly id: string };
}

export type ResultOf<Name extends CommandName> = Name extends keyof Results ? Results[Name] : undefined;

/** 'unsupported': this daemon or this system cannot do it; the window hides the way to it. */
export type FailureCode = ErrorCode | 'unsupported';

/** How a call ends. The window turns the code into words, and takes these only for codes that it does not know. */
export type Outcome<Result = undefined> =
  | { readonly ok: true; readonly result: Result }
  | { readonly ok: false; readonly code: FailureCode; readonly text?: string; readonly remedy?: string };

/** Whom a link would make this device trust. The token stays out of it. */
export interface Invitation {
  /** 'host:port' of the server, as the link names it. */
  readonly server: string;
  /** The whole link, to give back with `enroll`. */
  readonly link: string;
}

/** A rule of the split tunnel that a window can make; programs are for the command line. */
export interface SplitRule {
  readonly kind: 'ip' | 'host';
  /** An address with or without prefix length; a name, or '*.' and a name. */
  readonly target: string;
  readonly mode: 'exclude' | 'include';
}

export type Choice =
  | { readonly name: 'language'; readonly value: 'system' | 'en' | 'de' }
  | { readonly name: 'theme'; readonly value: 'system' | 'light' | 'dark' }
  | { readonly name: 'startAtLogin'; readonly value: boolean }
  | { readonly name: 'notifications'; readonly value: boolean };

/** Of the app itself, true whatever the daemon does. */
export interface AppView {
  readonly version: string;
  readonly choices: { readonly [Name in Choice['name']]?: Extract<Choice, { name: Name }>['value'] };
  /** Calls that cannot work here: the window does not offer them. A choice that is absent is not offered either. */
  readonly unsupported: readonly CommandName[];
  /** A link that was opened outside waits for a person's answer. */
  readonly invitation?: Invitation;
  /** In state portal: a person was led to the sign-in page. */
  readonly wentToSignIn?: true;
  /** The line that lets this account command the daemon, where the app itself cannot ask for it. */
  readonly allowCommand?: string;
}

/** What main knows of the daemon. Without an answer nothing older is shown: "we do not know". */
export type DaemonView =
  | {
      readonly daemon: 'answers';
      readonly status: Status;
      readonly key: TextKey;
      readonly words: Words;
      /** False: this account may read the truth and change nothing. */
      readonly mayChange: boolean;
      /** False: no edge is known, so that only the modes of private look-ups can work. */
      readonly hasEdge: boolean;
      /** In state portal: until when the way to the sign-in page is open, RFC 3339. */
      readonly signInUntil?: string;
      /** Name of the Wi-Fi, where it is known. */
      readonly network?: string;
    }
  | { readonly daemon: 'absent' }
  | { readonly daemon: 'no-permission' }
  /** It speaks another version of the control API. */
  | { readonly daemon: 'other-version' };

export type Snapshot = DaemonView & { readonly app: AppView };

/** Exactly what the preload script puts on the window, as `culvert`. No channel names, no event objects, no addresses. */
export interface Bridge {
  /** The newest. Main asks the daemon again, at most once a second: the window calls it while it is looked at. */
  get(): Promise<Snapshot>;
  /** Calls back with each new snapshot until the returned function is called. */
  subscribe(listener: (snapshot: Snapshot) => void): () => void;
  /** Never rejects: a call that main refuses ends with a code, too. */
  send<Name extends CommandName>(name: Name, fields: Commands[Name]): Promise<Outcome<ResultOf<Name>>>;
}
