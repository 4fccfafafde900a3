/** `culvert ui`: the desktop's view in a browser, by a program of its own that ends with this command. */

import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { Command } from 'commander';
import { CulvertError } from '../../../shared/core/control/codes.ts';
import type { SharedFlags } from '../context.ts';
import type { StartReport } from '../daemon-link.ts';
import { withSharedFlags } from '../flags.ts';

interface UiFlags extends SharedFlags {
  readonly port?: string;
  /** False with --no-open. */
  readonly open?: boolean;
}

/** Of the desktop: the client starts it and imports nothing of it. */
const program = fileURLToPath(new URL('../../../desktop/browser/ui-program.ts', import.meta.url));

export function addUi(root: Command): void {
  const command = root
    .command('ui')
    .description('the window of the desktop app in a browser on this machine, until Ctrl-C')
    .option('--port <port>', 'the TCP port on 127.0.0.1; default: a free one')
    .option('--no-open', 'only print the address, which works once')
    .action((flags: UiFlags) => runUi(flags));
  withSharedFlags(command);
}

async function runUi(flags: UiFlags): Promise<void> {
  if (!existsSync(program)) {
    throw new CulvertError('unsupported-platform', {
      text: 'This culvert was installed without its window.',
      remedy: 'Install the desktop app, or use: culvert status --watch',
    });
  }
  const { socket, port } = flags;
  const words = [
    ...(socket === undefined ? [] : ['--socket', socket]),
    ...(port === undefined ? [] : ['--port', port]),
    ...(flags.open === false ? ['--no-open'] : []),
    ...(flags.json === true ? ['--json'] : []),
  ];
  await follow(words);
}

/** Hands signals on, and ends when it does. The channel tells it that we are gone, however we end. */
function follow(words: readonly string[]): Promise<void> {
  const child = spawn(process.execPath, [program, ...words], {
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
  });
  const end = (): void => void child.kill('SIGTERM');
  // Ctrl-C reaches both of us, a signal from elsewhere only this one; it cleans up, so we wait for it.
  process.on('SIGTERM', end).on('SIGHUP', end).on('SIGINT', end);
  let failure: StartReport | undefined;
  child.on('message', (report: StartReport) => {
    failure = report;
  });
  return new Promise<void>((resolve, reject) => {
    child.once('error', (cause) =>
      reject(new CulvertError('command-failed', { text: cause.message, cause })),
    );
    child.once('exit', (code) => {
      if (failure?.kind === 'failed') {
        const { text, remedy } = failure;
        reject(new CulvertError(failure.code, { text, remedy }));
      } else if (code === 0) resolve();
      else reject(new CulvertError('internal', { text: 'The program behind the window ended.' }));
    });
  }).finally(() => void process.off('SIGTERM', end).off('SIGHUP', end).off('SIGINT', end));
}
