/** Removes the file of a unix socket whose program is gone. */

import { rmSync } from 'node:fs';
import { connect } from 'node:net';

/** Leaves the file alone where somebody listens, or where that cannot be known. */
export function removeStaleSocket(path: string): Promise<void> {
  return new Promise((resolve) => {
    const probe = connect(path);
    const settle = (): void => {
      probe.destroy();
      resolve();
    };
    probe.once('connect', settle);
    probe.once('error', (cause: NodeJS.ErrnoException) => {
      if (cause.code === 'ECONNREFUSED') rmSync(path, { force: true });
      settle();
    });
  });
}
