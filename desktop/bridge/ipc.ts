// The one table of what may cross between the window and the main process. Types only: nothing runs here.
// Status and its words are the daemon's: the window shows them and adds nothing of its own.
import type { ErrorCode } from '../../shared/core/control/codes.ts';
import type { Mode, Status } from '../../shared/core/control/status.ts';
import type { TextKey, Words } from '../../shared/core/control/texts.ts';

/** A call that says all by its name. */
export type NoFields = Readonly<Record<string, never>>;

/** Name of the call → what the window sends. Main checks every field again: the window is not trusted. */
export interface Commands {
  connect: NoFields;
  disconnect: NoFields;
  'set-mode': { readonly mode: Mode };
  /** An invitation link as a person pasted it: untrusted, shown before it is used. */
  enroll: { readonly link: string };
  /** Opens the system's browser at a fixed address that main holds. */
  'open-sign-in': NoFields;
}

export type CommandName = keyof Commands;

/** How a call ends. The window turns the code into words; it never shows a raw error. */
export type Outcome = { readonly ok: true } | { readonly ok: false; readonly code: ErrorCode };

/** What main knows of the daemon. Without an answer nothing older is shown: "we do not know". */
export type Snapshot =
  | { readonly daemon: 'answers'; readonly status: Status; readonly key: TextKey; readonly words: Words }
  | { readonly daemon: 'absent' }
  | { readonly daemon: 'no-permission' };

/** Exactly what the preload script puts on the window. No channel names, no event objects, no addresses. */
export interface Bridge {
  get(): Promise<Snapshot>;
  /** Calls back with each new snapshot until the returned function is called. */
  subscribe(listener: (snapshot: Snapshot) => void): () => void;
  send<Name extends CommandName>(name: Name, fields: Commands[Name]): Promise<Outcome>;
}
