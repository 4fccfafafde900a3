/** A process that ends while a worker of the kind that the argument names waits to be begun. */

import type { Log } from '../../shared/core/base/ports.ts';
import { startBlankThread } from '../../shared/node/dataplane/thread-link.ts';
import { startBlankFlow } from '../../shared/node/flows/flow-thread-link.ts';
import { silentLog } from '../../shared/node/silent-log.ts';

await new Promise<void>((resolve) => {
  const log: Log = { ...silentLog, info: () => resolve() };
  if (process.argv[2] === 'flow')
    startBlankFlow({ entry: new URL('./flow-role-program.ts', import.meta.url), log });
  else startBlankThread({ entry: new URL('../../client/packet-thread.ts', import.meta.url), log });
});
process.exit(7);
