// Lets this account command the system's daemon: an administrator agrees, by polkit. What is run as root is the program
// that polkit's own file names, which only root can write; never one out of PATH or of a checkout. No shell, no words
// from the window.
import { execFile } from 'node:child_process';
import { accessSync, constants, readFileSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { CulvertError } from '../../shared/core/control/codes.ts';
import { polkitPolicyPath, systemSocket } from '../../shared/node/control/places.ts';

export interface AllowFacts {
  readonly platform: string;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Name of the account that runs this. */
  readonly account: string;
  /** The control socket that the app was told to use. */
  readonly socket: string | undefined;
  /** The `culvert` of a checkout, for the line that a person types. */
  readonly launcher: string | undefined;
  /** Text of polkit's file about us; undefined where there is none. */
  readonly policy: string | undefined;
}

/** How it is done here: by asking an administrator, or by a line that somebody types. */
export type Allowing =
  | { readonly by: 'polkit'; readonly words: readonly string[] }
  | { readonly by: 'command'; readonly command: string };

/** Somebody has to find a password first. */
const answerMs = 5 * 60 * 1000;
const maxOutput = 64 * 1024;
/** man 1 pkexec: the dialog was dismissed; not authorized. */
const refusedCodes: readonly unknown[] = [126, 127];
const accountName = /^[A-Za-z_][A-Za-z0-9_.@-]{0,31}$/;
const programName = /<annotate key="org\.freedesktop\.policykit\.exec\.path">([^<]+)<\/annotate>/;

export function readPolicy(path: string = polkitPolicyPath): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return undefined; // Not installed as the system's own.
  }
}

/** Undefined where it would change nothing: another system, or a daemon that is not the system's. */
export function allowingHere(
  facts: AllowFacts,
  canRun: (path: string) => boolean = isExecutable,
): Allowing | undefined {
  const { platform, env, account, socket = systemSocket, launcher, policy } = facts;
  if (platform !== 'linux' || socket !== systemSocket || !accountName.test(account)) return undefined;
  const program = programIn(policy);
  const folders = (env['PATH'] ?? '').split(delimiter).filter((folder) => folder.startsWith('/'));
  const pkexec = folders.map((folder) => join(folder, 'pkexec')).find(canRun);
  if (program !== undefined && pkexec !== undefined && canRun(program)) {
    return { by: 'polkit', words: [pkexec, program, 'account', 'allow', account] };
  }
  return {
    by: 'command',
    command: `sudo ${quoted(program ?? launcher ?? 'culvert')} account allow ${account}`,
  };
}

/** The hand of the desk; none where a person has to type the line. */
export function allowingHand(allowing: Allowing | undefined): {
  readonly allowAccount?: () => Promise<void>;
} {
  return allowing?.by === 'polkit' ? { allowAccount: askAdministrator(allowing.words) } : {};
}

/** Resolves once it is allowed. One question at a time: who asks meanwhile waits for the same answer. */
function askAdministrator(words: readonly string[]): () => Promise<void> {
  let asking: Promise<void> | undefined;
  return () => (asking ??= ask(words).finally(() => (asking = undefined)));
}

function ask([program = '', ...words]: readonly string[]): Promise<void> {
  return new Promise((resolve, reject) => {
    const options = { timeout: answerMs, maxBuffer: maxOutput, encoding: 'utf8' as const };
    execFile(program, words, options, (error, _out, said) => {
      if (error === null) resolve();
      else if (refusedCodes.includes(error.code)) reject(new CulvertError('not-allowed'));
      else reject(new CulvertError('command-failed', sentenceIn(said)));
    });
  });
}

function sentenceIn(said: string): { readonly text?: string } {
  const text = said
    .trim()
    .split('\n')[0]
    ?.replace(/^culvert: /, '');
  return text === undefined || text === '' ? {} : { text };
}

function programIn(policy: string | undefined): string | undefined {
  const found = programName.exec(policy ?? '')?.[1]?.trim();
  const path = found?.replaceAll('&lt;', '<').replaceAll('&gt;', '>').replaceAll('&amp;', '&');
  return path?.startsWith('/') === true ? path : undefined;
}

/** For a shell, where it has to be. */
function quoted(word: string): string {
  return /^[A-Za-z0-9_./+-]+$/.test(word) ? word : `'${word.replaceAll("'", String.raw`'\''`)}'`;
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
