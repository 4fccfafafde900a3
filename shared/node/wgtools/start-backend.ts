/**
 * Userspace or kernel, one contract: starts whichever was chosen. The kernel's path could not be run
 * where this was written (no module); only the choice is tested, with an injected `run`.
 */

import type { BackendChoice } from '../../core/tunnel/config.ts';
import type { TunnelBackend } from '../dataplane/messages.ts';
import { startTunnelThread, type TunnelThreadOptions } from '../dataplane/thread-link.ts';
import type { Run } from '../run.ts';
import { createKernelDevice, kernelModuleAvailable } from './kernel-device.ts';

export interface StartBackendOptions extends TunnelThreadOptions {
  readonly choice: BackendChoice;
  /** How one in userspace is started. Default: anew. */
  readonly startThread?: typeof startTunnelThread;
  /** For tests. */
  readonly run?: Run;
}

/** Starts the tunnel. Rejects with CulvertError, with nothing left behind. */
export async function startBackend(options: StartBackendOptions): Promise<TunnelBackend> {
  const { choice, run, startThread = startTunnelThread, ...thread } = options;
  const { interfaceName, mtu, log } = thread;
  if (choice === 'userspace') return startThread(thread);
  if (choice === 'auto' && !(await kernelModuleAvailable(run))) {
    log.info('this kernel has no WireGuard; the tunnel runs in userspace');
    return startThread(thread);
  }
  const device = await createKernelDevice({ interfaceName, ...(run === undefined ? {} : { run }) });
  log.info('the tunnel runs in the kernel', { mtu });
  return device;
}
