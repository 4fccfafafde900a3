// The same desk as the desktop app's, for a browser: the daemon's link, the choices of this person, and the little that a
// program without Electron can do for them.
import { join } from 'node:path';
import type { AppView, Snapshot } from '../bridge/ipc.ts';
import { type Allowing, allowingHand, allowingHere, readPolicy } from '../main/allow-account.ts';
import { AppState } from '../main/app-state.ts';
import { type Choices, readChoices, writeChoices } from '../main/choices.ts';
import { Desk, type Hands, unsupportedWith } from '../main/commands.ts';
import { DaemonLink, type LinkParts } from '../main/daemon-link.ts';
import { startDaemon, startWords } from '../main/daemon-start.ts';
import { openInBrowser } from './open.ts';
import type { UiCalls } from './ui-server.ts';

export interface UiOptions {
  readonly version: string;
  /** Name of the account that runs this; undefined for root, who may do everything. */
  readonly account: string | undefined;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly home: string;
  readonly launcher: string | undefined;
  readonly socket: string | undefined;
  readonly opener: readonly string[] | undefined;
  readonly link: Omit<LinkParts, 'onChange'>;
  /** Milliseconds of a clock that never goes back. */
  readonly now: () => number;
}

export interface Ui {
  readonly calls: UiCalls;
  close(): void;
}

/** Each window asks once a second; the daemon is asked no more often. */
const leastAskMs = 900;

/** Follows the daemon from now on, until `close`. */
export function startUi(options: UiOptions): Ui {
  const file = choicesFile(options);
  const allowing = allowingFor(options);
  const hands: Hands = {
    choose: (choice) => {
      state.setChoice(choice);
      writeChoices(file, state.choices);
    },
    dropInvitation: () => state.setInvitation(undefined),
    wentToSignIn: () => state.setWentToSignIn(),
    ...systemHands(options),
    ...allowingHand(allowing),
  };
  const { version, link, now } = options;
  const state = new AppState({
    version,
    choices: choicesHere(file),
    unsupported: unsupportedHere(hands),
    allowCommand: allowing?.by === 'command' ? allowing.command : undefined,
  });
  const daemon = new DaemonLink({ ...link, onChange: (view) => state.setDaemon(view) });
  const desk = new Desk({ call: (name, body) => daemon.call(name, body) }, hands);
  let askedAt = Number.NEGATIVE_INFINITY;
  const snapshot = async (): Promise<Snapshot> => {
    if (now() - askedAt >= leastAskMs) {
      askedAt = now();
      await daemon.refresh();
    }
    return state.snapshot;
  };
  void daemon.run();
  return {
    calls: {
      snapshot,
      onChange: (listener) => state.onChange(listener),
      take: (name, fields) => desk.take(name, fields),
    },
    close: () => daemon.close(),
  };
}

/** A browser page has no session to start with, and shows no notifications of ours. */
function choicesHere(file: string): Choices {
  const { language = 'system', theme = 'system' } = readChoices(file);
  return { language, theme };
}

/** The page saves files by itself, as downloads. */
function unsupportedHere(hands: Hands): AppView['unsupported'] {
  return unsupportedWith(hands).filter((name) => name !== 'save-diagnostics');
}

function allowingFor({ account, ...facts }: UiOptions): Allowing | undefined {
  if (account === undefined) return undefined;
  return allowingHere({ ...facts, account, platform: process.platform, policy: readPolicy() });
}

function systemHands({ env, launcher, socket, opener }: UiOptions): Hands {
  const start = startWords({ env, launcher, socket });
  return {
    ...(start === undefined ? {} : { startDaemon: () => startDaemon(start) }),
    ...(opener === undefined ? {} : { openSignIn: async (address) => openInBrowser(opener, address) }),
  };
}

function choicesFile({ env, home }: UiOptions): string {
  const base = env['XDG_CONFIG_HOME'];
  return join(base === undefined || base === '' ? join(home, '.config') : base, 'culvert', 'ui.json');
}
