// Runs a program of this checkout in the foreground, with this Node first in PATH, and waits for it.
import { spawn } from 'node:child_process';
import { delimiter, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const root: string = join(dirname(fileURLToPath(import.meta.url)), '..', '..');

/** Where `ip`, `nft` and their kind live; not every account has these in PATH. */
const administration = ['/usr/sbin', '/sbin'];

/** Resolves to the exit code; an end by signal counts as 128. */
export type Spawn = (
  program: string,
  parameters: readonly string[],
  extra: Record<string, string>,
) => Promise<number>;

export const spawnHere: Spawn = (program, parameters, extra) => {
  const own = [join(root, 'node_modules', '.bin'), dirname(process.execPath)];
  const path = [...own, process.env['PATH'] ?? '', ...administration];
  const env = { ...process.env, PATH: path.join(delimiter), ...extra };
  const child = spawn(program, parameters, { cwd: root, env, stdio: ['ignore', 'inherit', 'inherit'] });
  const forward = (signal: NodeJS.Signals): void => void child.kill(signal);
  process.on('SIGINT', forward);
  process.on('SIGTERM', forward);
  return new Promise((resolve) => {
    const finish = (code: number): void => {
      process.off('SIGINT', forward);
      process.off('SIGTERM', forward);
      resolve(code);
    };
    child.on('error', (error) => {
      console.error(`Could not start ${program}: ${error.message}`);
      finish(127);
    });
    child.on('exit', (code) => finish(code ?? 128));
  });
};
