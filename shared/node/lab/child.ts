/**
 * A program that runs beside us for a while, in a namespace or not: its output is kept (bounded), it can
 * be waited for and ended, and it ends when we do, however we end.
 */

import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { CulvertError } from '../../core/control/codes.ts';

export interface ChildOptions {
  /** Added to our own environment. */
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd?: string;
  /** Whether it is given a standard input, for `write`. Default: an empty one. */
  readonly input?: boolean;
}

/** Most characters of output that are kept; the oldest go first. */
const maxKept = 256 * 1024;
const defaultEndMs = 8000;
const systemFolders = '/usr/local/sbin:/usr/sbin:/sbin:/usr/bin:/bin';
const tail = 1500;

export class Child {
  readonly name: string;
  readonly pid: number;
  /** Exit code; 128 where a signal ended it. */
  readonly exit: Promise<number>;
  readonly #process: ChildProcess;
  readonly #watchers = new Set<() => void>();
  #stdout = '';
  #stderr = '';
  #exited = false;

  /** Throws CulvertError where the program cannot be started. */
  static async start(name: string, words: readonly string[], options: ChildOptions = {}): Promise<Child> {
    const [program = '', ...parameters] = [...boundToUs(), ...words];
    const started = spawn(program, parameters, {
      stdio: [options.input === true ? 'pipe' : 'ignore', 'pipe', 'pipe'],
      // A process group of its own: Ctrl-C on the terminal is for us, and we end it in our order.
      detached: true,
      env: {
        ...process.env,
        PATH: `${process.env['PATH'] ?? ''}:${systemFolders}`,
        ...options.env,
      },
      ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
    });
    await new Promise<void>((resolve, reject) => {
      started.once('spawn', resolve);
      started.once('error', (cause) => {
        reject(
          new CulvertError('command-failed', { text: `${name} cannot be started: ${cause.message}`, cause }),
        );
      });
    });
    return new Child(name, started);
  }

  private constructor(name: string, started: ChildProcess) {
    this.name = name;
    this.#process = started;
    this.pid = started.pid ?? 0;
    // It may end while we write: its exit says so.
    started.stdin?.on('error', () => undefined);
    started.stdout?.setEncoding('utf8').on('data', (text: string) => {
      this.#stdout = (this.#stdout + text).slice(-maxKept);
      this.#notify();
    });
    started.stderr?.setEncoding('utf8').on('data', (text: string) => {
      this.#stderr = (this.#stderr + text).slice(-maxKept);
      this.#notify();
    });
    this.exit = new Promise((resolve) => {
      started.once('close', (code) => {
        this.#exited = true;
        this.#notify();
        resolve(code ?? 128);
      });
    });
  }

  get stdout(): string {
    return this.#stdout;
  }

  get stderr(): string {
    return this.#stderr;
  }

  get hasExited(): boolean {
    return this.#exited;
  }

  /** To its standard input; needs the option `input`. */
  write(text: string): void {
    this.#process.stdin?.write(text);
  }

  signal(signal: NodeJS.Signals): void {
    if (!this.#exited) this.#process.kill(signal);
  }

  /** Waits until the standard output matches. Throws with the last output where it ends or takes too long. */
  waitFor(pattern: RegExp, timeoutMs: number): Promise<RegExpExecArray> {
    return new Promise((resolve, reject) => {
      const settle = (act: () => void): void => {
        clearTimeout(timer);
        this.#watchers.delete(check);
        act();
      };
      const check = (): void => {
        const found = pattern.exec(this.#stdout);
        if (found !== null) settle(() => resolve(found));
        else if (this.#exited) settle(() => reject(this.#failure('ended early')));
      };
      const timer = setTimeout(
        () => settle(() => reject(this.#failure(`was not ready within ${timeoutMs / 1000} s`))),
        timeoutMs,
      );
      this.#watchers.add(check);
      check();
    });
  }

  /** Asks it to end, and after `timeoutMs` makes it. Idempotent. */
  async end(signal: NodeJS.Signals = 'SIGTERM', timeoutMs: number = defaultEndMs): Promise<number> {
    this.signal(signal);
    const timer = setTimeout(() => this.signal('SIGKILL'), timeoutMs);
    try {
      return await this.exit;
    } finally {
      clearTimeout(timer);
    }
  }

  #notify(): void {
    for (const watcher of this.#watchers) watcher();
  }

  #failure(what: string): CulvertError {
    const said = `${this.#stdout}${this.#stderr}`.trim().slice(-tail);
    return new CulvertError('command-failed', {
      text: `${this.name} ${what}.${said === '' ? '' : `\n${said}`}`,
    });
  }
}

/** The kernel sends the child SIGTERM when we die, also of SIGKILL. */
function boundToUs(): readonly string[] {
  const path = ['/usr/bin/setpriv', '/bin/setpriv'].find((one) => existsSync(one));
  return path === undefined ? [] : [path, '--pdeathsig', 'TERM', '--'];
}
