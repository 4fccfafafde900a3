/**
 * Keeps a program running that lives as long as we do: its standard input is a pipe of ours, whose end is its end, so
 * that it goes with us whatever ends us. For programs whose work vanishes with them.
 */

import { spawn } from 'node:child_process';
import { CulvertError } from '../core/control/codes.ts';
import { firstLine } from './run.ts';

export interface HeldProgram {
  /**
   * Writes lines and waits until what the program says on standard output matches `until`. Rejects with CulvertError
   * where it complained, ended, said too much or nothing of the kind in time. One at a time.
   */
  ask(lines: string, until: RegExp): Promise<void>;
  /** Resolves when it has ended. Idempotent. */
  close(): Promise<void>;
}

export interface HoldOptions {
  readonly timeoutMs?: number;
  /** It ended though nobody closed it. */
  readonly onEnd?: () => void;
}

export type Hold = (program: string, parameters: readonly string[], options?: HoldOptions) => HeldProgram;

const usualTimeoutMs = 10_000;
/** How long it may take to end by itself. */
const endMs = 3000;
const maxSaidLength = 64 * 1024;

export const hold: Hold = (program, parameters, options = {}) => {
  const child = spawn(program, parameters, {
    stdio: ['pipe', 'pipe', 'pipe'],
    env: { ...process.env, LC_ALL: 'C' },
  });
  let settle: ((problem?: unknown) => void) | undefined;
  let hear: (text: string) => void = () => {};
  let isClosing = false;
  let hasEnded = false;
  const fail = (complaint: string, cause?: unknown): void =>
    settle?.(new CulvertError('command-failed', { text: `${program}: ${complaint}`, cause }));
  const ended = new Promise<void>((resolve) => {
    child.once('close', () => {
      hasEnded = true;
      fail('ended');
      resolve();
      if (!isClosing) options.onEnd?.();
    });
  });
  // Not there at all: 'close' follows.
  child.once('error', (cause) => fail('cannot be started', cause));
  child.stdin.on('error', () => undefined); // It has ended; 'close' follows.
  child.stdout.setEncoding('utf8').on('data', (text: string) => hear(text));
  child.stderr.setEncoding('utf8').on('data', (text: string) => fail(firstLine(text)));
  return {
    ask: (lines, until) =>
      new Promise<void>((resolve, reject) => {
        let said = '';
        const timer = setTimeout(() => fail('does not answer'), options.timeoutMs ?? usualTimeoutMs);
        settle = (problem) => {
          settle = undefined;
          hear = () => {};
          clearTimeout(timer);
          if (problem === undefined) resolve();
          else reject(problem);
        };
        hear = (text) => {
          said += text;
          if (until.test(said)) settle?.();
          else if (said.length > maxSaidLength) fail('said too much');
        };
        if (hasEnded) fail('ended');
        else child.stdin.write(lines);
      }),
    close: async () => {
      isClosing = true;
      child.stdin.end();
      const timer = setTimeout(() => child.kill('SIGKILL'), endMs);
      await ended;
      clearTimeout(timer);
    },
  };
};
