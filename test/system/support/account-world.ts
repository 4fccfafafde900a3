// A machine with two people on it and culvert as its system's daemon: a mount namespace with its own copy of /etc, its
// own /run and, where it is wished, polkit's file about culvert. Nothing of the machine that runs the tests is changed, and
// the daemon has a network of its own and never connects.
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { vi } from 'vitest';
import { policyText } from '../../../client/host/polkit.ts';
import { polkitPolicyPath } from '../../../shared/node/control/places.ts';
import { makeEtc, withEtc } from '../../../shared/node/lab/private-etc.ts';

/** A loaded machine is slow to start programs. */
const patience = 120_000;
const actions = dirname(polkitPolicyPath);

/** The launcher, as people and polkit run it. */
export const launcher: string = fileURLToPath(new URL('../../../shared/launch/culvert', import.meta.url));

export const people = { anna: 41_001, bob: 41_002 } as const;
export type Person = keyof typeof people;

export const accountTools: readonly string[] = [
  'unshare',
  'nsenter',
  'setpriv',
  'mount',
  'gpasswd',
  'groupadd',
  'getent',
];

export interface Said {
  readonly code: number | null;
  readonly out: string;
  readonly err: string;
}

export class AccountWorld {
  /** Made by `open`: tests that are skipped leave nothing behind. */
  folder = '';
  #holder: ChildProcess | undefined;
  #daemon: ChildProcess | undefined;

  async open(): Promise<void> {
    this.folder = mkdtempSync(join(tmpdir(), 'culvert-accounts-'));
    chmodSync(this.folder, 0o755);
    const etc = join(this.folder, 'etc');
    makeEtc(etc, accountFiles());
    for (const person of Object.keys(people) as Person[]) {
      const home = this.home(person);
      mkdirSync(home);
      spawnSync('chown', [String(people[person]), home]);
    }
    const [shell = 'sh', ...words] = withEtc(etc);
    const ready = join(this.folder, 'ready');
    const script = `mount -t tmpfs -o mode=755 tmpfs /run && touch ${ready} && exec sleep infinity`;
    this.#holder = spawn('unshare', ['--mount', '--net', shell, ...words, 'sh', '-c', script], {
      stdio: ['ignore', 'ignore', 'inherit'],
    });
    await vi.waitFor(() => readFileSync(ready), { timeout: patience });
  }

  home(person: Person): string {
    return join(this.folder, person);
  }

  /** Puts polkit's file there, as `culvert service install` does; the folder itself stays as it is. */
  tellPolkit(): Said {
    const script = `if [ -d ${actions} ]; then mount -t tmpfs tmpfs ${actions}; else
        mkdir -p /run/up /run/work &&
        mount -t overlay overlay -o lowerdir=/usr/share,upperdir=/run/up,workdir=/run/work /usr/share &&
        mkdir -p ${actions}
      fi && cat > ${polkitPolicyPath}`;
    return this.inside(['sh', '-c', script], policyText(launcher));
  }

  async startDaemon(): Promise<void> {
    const words = [launcher, 'daemon', '--foreground', '--state-dir', join(this.folder, 'state')];
    this.#daemon = spawn('nsenter', [...this.#into('--net'), ...words], {
      stdio: 'ignore',
    });
    const ready = (): void => {
      const said = this.asRoot('status', '--json');
      if (said.code !== 0) throw new Error(said.err);
    };
    await vi.waitFor(ready, { timeout: patience, interval: 200 });
  }

  async endDaemon(): Promise<void> {
    const daemon = this.#daemon;
    this.#daemon = undefined;
    if (daemon === undefined || daemon.exitCode !== null) return;
    await new Promise<void>((resolve) => {
      daemon.once('exit', () => resolve());
      daemon.kill('SIGTERM');
    });
  }

  asRoot(...words: readonly string[]): Said {
    return this.inside([launcher, ...words]);
  }

  /** As polkit starts a program for somebody, once an administrator agreed. */
  byPkexec(person: Person, ...words: readonly string[]): Said {
    const env = ['env', '-i', 'PATH=/usr/sbin:/usr/bin:/sbin:/bin', `PKEXEC_UID=${people[person]}`];
    return this.inside([...env, ...words]);
  }

  /** With no groups but their own: a session that began before anything was allowed. */
  as(person: Person, ...words: readonly string[]): Said {
    return this.inside([...this.asWords(person), ...words]);
  }

  /** `path`: where their programs are. */
  asWords(person: Person, path = '/usr/bin:/bin'): readonly string[] {
    const id = String(people[person]);
    const env = ['env', '-i', `PATH=${path}`, `HOME=${this.home(person)}`, 'LANG=C.UTF-8'];
    return ['setpriv', '--reuid', id, '--regid', id, '--clear-groups', '--bounding-set=-all', '--', ...env];
  }

  /** Words that run a program on this machine, in the network of the tests. */
  enter(): readonly string[] {
    return ['nsenter', ...this.#into()];
  }

  inside(words: readonly string[], input = ''): Said {
    const { status, stdout, stderr } = spawnSync('nsenter', [...this.#into(), ...words], {
      encoding: 'utf8',
      input,
      timeout: patience,
    });
    return { code: status, out: stdout, err: stderr };
  }

  file(path: string): string {
    return this.inside(['cat', path]).out;
  }

  async close(): Promise<void> {
    await this.endDaemon();
    this.#holder?.kill('SIGKILL');
    if (this.folder !== '') rmSync(this.folder, { recursive: true, force: true });
  }

  #into(...more: readonly string[]): readonly string[] {
    const pid = this.#holder?.pid;
    if (pid === undefined) throw new Error('The world is not open.');
    return ['--target', String(pid), '--mount', ...more, '--'];
  }
}

function accountFiles(): Readonly<Record<string, string>> {
  const lines = Object.entries(people);
  const accounts = lines.map(([name, id]) => `${name}:x:${id}:${id}::/nonexistent:/bin/sh\n`).join('');
  const groups = lines.map(([name, id]) => `${name}:x:${id}:\n`).join('');
  const shadows = lines.map(([name]) => `${name}:!::\n`).join('');
  const without = (path: string): string =>
    readFileSync(path, 'utf8')
      .split('\n')
      .filter((line) => line !== '' && !/^(culvert|anna|bob):/.test(line))
      .map((line) => `${line}\n`)
      .join('');
  return {
    passwd: without('/etc/passwd') + accounts,
    group: without('/etc/group') + groups,
    ...(existsSync('/etc/gshadow') ? { gshadow: without('/etc/gshadow') + shadows } : {}),
  };
}
