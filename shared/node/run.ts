/**
 * The only place that spawns a program: arguments as an array (never a shell), a time limit, a limit
 * on output. Text for the program's standard input goes through an unnamed file, because some
 * programs open /dev/stdin, which fails on the socket pair that Node would give them.
 * Secrets travel by `stdin` only, never in arguments.
 */

import { type ChildProcessByStdio, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { constants } from 'node:fs';
import { type FileHandle, open, unlink } from 'node:fs/promises';
import { constants as system, tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { CulvertError } from '../core/control/codes.ts';

export const defaultRunTimeoutMs = 15_000;
/** Enough for the dump of tens of thousands of peers. */
export const defaultMaxOutputBytes: number = 64 * 1024 * 1024;

const maxQuotedLength = 300;
const maxShownCommandLength = 160;

export interface RunOptions {
  /** Given to the program as its standard input; without it the input is empty. */
  readonly stdin?: string;
  readonly timeoutMs?: number;
  /** For standard output and standard error each. */
  readonly maxOutputBytes?: number;
  /** Added to our own environment. */
  readonly env?: Readonly<Record<string, string>>;
  /** Return the result of a program that failed instead of throwing. */
  readonly allowFailure?: boolean;
}

export interface RunResult {
  /** 0 = success. A program ended by a signal has 128 + the signal's number, as in a shell. */
  readonly exitCode: number;
  readonly stdout: string;
  readonly stderr: string;
}

export type Run = (
  program: string,
  parameters: readonly string[],
  options?: RunOptions,
) => Promise<RunResult>;

/**
 * Runs a program to its end. Throws CulvertError: 'tool-missing' where it isn't installed,
 * 'command-failed' with the first line of its standard error where it failed, took too long or wrote
 * too much.
 */
export const run: Run = async (program, parameters, options = {}) => {
  const input = options.stdin === undefined ? undefined : await openInput(options.stdin);
  try {
    return await runWithInput(program, parameters, options, input?.fd ?? 'ignore');
  } finally {
    await input?.close();
  }
};

/** The first non-empty line of what a program complained, shortened. */
export function firstLine(text: string): string {
  const line = text.split('\n').find((candidate) => candidate.trim() !== '') ?? '';
  return line.trim().slice(0, maxQuotedLength);
}

function runWithInput(
  program: string,
  parameters: readonly string[],
  options: RunOptions,
  stdin: number | 'ignore',
): Promise<RunResult> {
  const timeoutMs = options.timeoutMs ?? defaultRunTimeoutMs;
  const maxOutputBytes = options.maxOutputBytes ?? defaultMaxOutputBytes;
  const shown = [program, ...parameters].join(' ').slice(0, maxShownCommandLength);
  return new Promise((resolve, reject) => {
    const child = start(program, parameters, stdin, options.env);
    let stopped: string | undefined;
    // A grandchild may keep the pipes open after the child is gone, so they are closed on our side too.
    const stop = (why: string): void => {
      stopped ??= why;
      child.kill('SIGKILL');
      child.stdout.destroy();
      child.stderr.destroy();
    };
    const timer = setTimeout(() => stop(`took longer than ${timeoutMs / 1000} s`), timeoutMs);
    const stdout = collect(child.stdout, maxOutputBytes, () => stop('wrote too much'));
    const stderr = collect(child.stderr, maxOutputBytes, () => stop('wrote too much'));
    child.once('error', (cause) => {
      clearTimeout(timer);
      reject(spawnError(program, cause));
    });
    child.once('close', (code, signal) => {
      clearTimeout(timer);
      const result = { exitCode: code ?? 128 + signalNumber(signal), stdout: stdout(), stderr: stderr() };
      if (stopped !== undefined) reject(new CulvertError('command-failed', { text: `${shown}: ${stopped}` }));
      else if (result.exitCode !== 0 && options.allowFailure !== true) reject(failure(shown, result));
      else resolve(result);
    });
  });
}

/** Both outputs are pipes, which the types of `spawn` cannot know where the input is a number. */
type Child = ChildProcessByStdio<null, Readable, Readable>;

function start(
  program: string,
  parameters: readonly string[],
  stdin: number | 'ignore',
  env: RunOptions['env'],
): Child {
  return spawn(program, parameters, { stdio: [stdin, 'pipe', 'pipe'], env: environment(env) }) as Child;
}

function collect(stream: Readable, maxBytes: number, onOverflow: () => void): () => string {
  const chunks: Buffer[] = [];
  let size = 0;
  stream.on('data', (chunk: Buffer) => {
    size += chunk.length;
    if (size > maxBytes) onOverflow();
    else chunks.push(chunk);
  });
  return () => Buffer.concat(chunks).toString('utf8');
}

function failure(shown: string, result: RunResult): CulvertError {
  const complaint = firstLine(result.stderr) || `ended with ${result.exitCode}`;
  const errno = errnoOfText(complaint);
  return new CulvertError('command-failed', {
    text: `${shown}: ${complaint}`,
    ...(errno === undefined ? {} : { errno }),
  });
}

/** Debian's package of each program that the project may run. */
const packageOf: Readonly<Record<string, string>> = {
  ip: 'iproute2',
  nft: 'nftables',
  ping: 'iputils-ping',
  resolvectl: 'systemd-resolved',
  resolvconf: 'openresolv',
  wg: 'wireguard-tools',
};

function spawnError(program: string, cause: Error): CulvertError {
  const { code, errno } = cause as NodeJS.ErrnoException;
  if (code === 'ENOENT') {
    const name = packageOf[program] ?? program;
    return new CulvertError('tool-missing', {
      text: `The program '${program}' is needed and missing.`,
      remedy: `Install it, for example: apt install ${name}`,
      cause,
    });
  }
  const text = `${program} cannot be started: ${cause.message}`;
  return new CulvertError('command-failed', {
    text,
    cause,
    ...(errno === undefined ? {} : { errno: Math.abs(errno) }),
  });
}

/** Linux's numbers of the errors that tools print in words. */
const errnoByText: readonly (readonly [text: string, errno: number])[] = [
  ['Operation not permitted', 1],
  ['No such file or directory', 2],
  ['Permission denied', 13],
  ['File exists', 17],
  ['No such device', 19],
  ['Invalid argument', 22],
  ['Protocol not supported', 93],
  ['Operation not supported', 95],
  ['Address already in use', 98],
];

function errnoOfText(complaint: string): number | undefined {
  return errnoByText.find(([text]) => complaint.includes(text))?.[1];
}

/** English messages whatever the machine speaks, and the folders of system programs whatever PATH we got. */
function environment(added: Readonly<Record<string, string>> | undefined): NodeJS.ProcessEnv {
  const path = [process.env['PATH'], '/usr/local/sbin:/usr/sbin:/sbin:/usr/bin:/bin']
    .filter(Boolean)
    .join(':');
  return { ...process.env, PATH: path, LC_ALL: 'C', ...added };
}

function signalNumber(signal: NodeJS.Signals | null): number {
  return signal === null ? 0 : system.signals[signal];
}

/** Memory first: what is written may be secret. */
const inputFolders: readonly string[] = ['/dev/shm', '/run', tmpdir()];

async function openInput(text: string): Promise<FileHandle> {
  let problem: unknown;
  for (const folder of inputFolders) {
    try {
      return await openInputIn(folder, text);
    } catch (cause) {
      problem = cause; // Not writable for us: try the next folder.
    }
  }
  throw new CulvertError('command-failed', {
    text: 'No folder for temporary files is writable.',
    cause: problem,
  });
}

async function openInputIn(folder: string, text: string): Promise<FileHandle> {
  const path = join(folder, `culvert-${randomBytes(12).toString('hex')}`);
  const flags = constants.O_RDWR | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW;
  const file = await open(path, flags, 0o600);
  try {
    await unlink(path);
    const bytes = Buffer.from(text, 'utf8');
    // Written at positions, so that the file's own offset stays at the start for the reader.
    for (let at = 0; at < bytes.length; )
      at += (await file.write(bytes, at, bytes.length - at, at)).bytesWritten;
    return file;
  } catch (cause) {
    await file.close();
    throw cause;
  }
}
