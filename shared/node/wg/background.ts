/**
 * Going into the background: the parent starts the same program again, detached, and waits for one
 * line on a pipe: empty = ready, anything else = what went wrong.
 */

import { spawn } from 'node:child_process';
import { closeSync, writeSync } from 'node:fs';

/** Marks the child; the value is the descriptor of the pipe. */
const childVariable = 'CULVERT_WG_READY_FD';
const readyFd = 3;

export function isBackgroundChild(): boolean {
  return process.env[childVariable] !== undefined;
}

/** In the child: tells the parent how it went, once. '' = ready. Does nothing in the foreground. */
export function tellParent(text: string): void {
  if (!isBackgroundChild()) return;
  delete process.env[childVariable];
  try {
    writeSync(readyFd, text === '' ? '\n' : text);
    closeSync(readyFd);
  } catch {
    // The parent is gone; nobody waits for the answer.
  }
}

/** In the parent: starts the child and returns the exit code, once the tunnel is ready or has failed. */
export function goToBackground(interfaceName: string): Promise<number> {
  const [node, script] = process.argv;
  const child = spawn(node as string, [...process.execArgv, script as string, '-f', interfaceName], {
    detached: true,
    stdio: ['ignore', 'ignore', 'ignore', 'pipe'],
    env: { ...process.env, [childVariable]: String(readyFd) },
  });
  const pipe = child.stdio[readyFd] as unknown as NodeJS.ReadableStream & { unref(): void; destroy(): void };
  let answer = '';
  return new Promise((resolve) => {
    const finish = (code: number): void => {
      pipe.destroy();
      child.unref();
      resolve(code);
    };
    pipe.on('data', (chunk: Buffer) => {
      answer += chunk.toString();
      if (!answer.endsWith('\n')) return;
      if (answer.trim() !== '') process.stderr.write(answer);
      finish(answer.trim() === '' ? 0 : 1);
    });
    child.on('error', (error) => {
      process.stderr.write(`culvert-wg: cannot go into the background: ${error.message}\n`);
      finish(1);
    });
    child.on('exit', (code) => finish(code === 0 ? 1 : (code ?? 1)));
  });
}
