/** The programs of this checkout as a person would start them, and when a daemon has started. */

import { fileURLToPath } from 'node:url';
import { CulvertError } from '../../shared/core/control/codes.ts';
import type { Child } from '../../shared/node/lab/child.ts';

const folder = fileURLToPath(new URL('../../node_modules/.bin/', import.meta.url));
const askEveryMs = 25;

export function programPath(name: 'culvert' | 'culvert-edge'): string {
  return `${folder}${name}`;
}

/** A daemon says that it is there by answering. Throws CulvertError with what it said last. */
export async function untilAnswers(
  daemon: Child,
  ask: () => Promise<unknown>,
  timeoutMs: number,
): Promise<void> {
  const deadline = performance.now() + timeoutMs;
  for (;;) {
    try {
      await ask();
      return;
    } catch (cause) {
      if (daemon.hasExited || performance.now() > deadline) {
        const text = `The client did not start.\n${daemon.stderr.trim()}`;
        throw new CulvertError('daemon-not-running', { text, cause });
      }
      await new Promise((resolve) => setTimeout(resolve, askEveryMs));
    }
  }
}
