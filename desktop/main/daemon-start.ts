// Starts a daemon for a person: the system's service where one is installed, else one of this account. Never one from
// the Electron binary: the daemon runs on its own Node.
import { execFile } from 'node:child_process';
import { accessSync, constants, existsSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { CulvertError } from '../../shared/core/control/codes.ts';

export interface StartFacts {
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Looked at first: the launcher of a checkout. */
  readonly launcher: string | undefined;
  /** The control socket that the app was told to use. */
  readonly socket: string | undefined;
}

const startTimeoutMs = 40_000;
const maxOutput = 64 * 1024;
const units: readonly string[] = [
  '/etc/systemd/system/culvert.service',
  '/usr/lib/systemd/system/culvert.service',
  '/lib/systemd/system/culvert.service',
];

/** Program and parameters; undefined where there is nothing to start. */
export function startWords(
  facts: StartFacts,
  exists: (path: string) => boolean = canRun,
): readonly string[] | undefined {
  const { env, launcher, socket } = facts;
  if (socket === undefined && units.some((path) => existsSync(path))) {
    return ['systemctl', 'start', 'culvert.service'];
  }
  const folders = (env['PATH'] ?? '').split(delimiter).filter((folder) => folder.startsWith('/'));
  const places = [
    ...(launcher === undefined ? [] : [launcher]),
    ...folders.map((one) => join(one, 'culvert')),
  ];
  const program = places.find(exists);
  if (program === undefined) return undefined;
  return [program, 'daemon', ...(socket === undefined ? [] : ['--socket', socket])];
}

/** Resolves once it answers. Throws CulvertError with what the program said. */
export function startDaemon(words: readonly string[]): Promise<void> {
  const [program = '', ...rest] = words;
  return new Promise((resolve, reject) => {
    execFile(
      program,
      rest,
      { timeout: startTimeoutMs, maxBuffer: maxOutput, encoding: 'utf8' },
      (error, _out, said) => {
        const sentence =
          said
            .trim()
            .split('\n')[0]
            ?.replace(/^culvert: /, '') ?? '';
        // Somebody else was faster: that is what was wanted.
        if (error === null || said.includes('[daemon-running]')) resolve();
        else reject(new CulvertError('command-failed', sentence === '' ? {} : { text: sentence }));
      },
    );
  });
}

function canRun(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
