/**
 * A tiny process (a shell that waits) beside the daemon of a whole-device mode, where the user chose that a crash gives
 * the network back instead of keeping it closed. The daemon's end of a pipe closes however it dies; a daemon that ends
 * on purpose says so first.
 */

import { type ChildProcess, spawn } from 'node:child_process';
import type { Log } from '../../shared/core/base/ports.ts';

export interface GuardianOptions {
  /** Program and parameters that give the network back. */
  readonly command: readonly string[];
  readonly log: Log;
}

/** What the daemon says before it ends on purpose. */
const farewell = 'bye';
const script = `read -r word; [ "$word" = ${farewell} ] || exec "$@"`;
const restartMs = 1000;

export class Guardian {
  readonly #options: GuardianOptions;
  #child: ChildProcess | undefined;
  #isWanted = false;
  #timer: NodeJS.Timeout | undefined;

  constructor(options: GuardianOptions) {
    this.#options = options;
  }

  /** Its process, for tests and diagnosis. */
  get pid(): number | undefined {
    return this.#child?.pid;
  }

  /** Whether there shall be one from now on. */
  want(isWanted: boolean): void {
    if (this.#isWanted === isWanted) return;
    this.#isWanted = isWanted;
    clearTimeout(this.#timer);
    if (isWanted) this.#start();
    else this.#end();
  }

  /** The daemon ends on purpose. */
  close(): void {
    this.want(false);
  }

  #start(): void {
    const { command, log } = this.#options;
    // A session of its own: what is sent to the daemon's terminal does not reach it.
    const child = spawn('/bin/sh', ['-c', script, 'culvert-guardian', ...command], {
      detached: true,
      cwd: '/',
      stdio: ['pipe', 'ignore', 'ignore'],
    });
    this.#child = child;
    child.stdin.on('error', () => undefined);
    child.once('error', (error) => log.warn('no guardian', { text: error.message }));
    child.once('close', () => {
      if (this.#child !== child) return;
      this.#child = undefined;
      if (!this.#isWanted) return;
      this.#timer = setTimeout(() => this.#start(), restartMs);
      this.#timer.unref();
    });
    child.unref();
  }

  #end(): void {
    const child = this.#child;
    this.#child = undefined;
    child?.stdin?.end(`${farewell}\n`);
  }
}

/** One that comes with protection of the whole device, where the setting says so, and goes with it. */
export function followWithGuardian(options: {
  readonly stateDir: string;
  readonly driver: { onChange(listener: () => void): unknown };
  readonly settings: { readonly current: { readonly guardian: 'block' | 'restore' } };
  /** The whole device is protected now. */
  readonly isDevice: () => boolean;
  readonly log: Log;
}): Guardian {
  const { stateDir, driver, settings, isDevice, log } = options;
  const command = [process.execPath, process.argv[1] ?? '', 'guardian', '--state-dir', stateDir];
  const guardian = new Guardian({ command, log });
  driver.onChange(() => guardian.want(settings.current.guardian === 'restore' && isDevice()));
  return guardian;
}
