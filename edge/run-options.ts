/** What a run of the edge is given from outside. */

import type { Log } from '../shared/core/base/ports.ts';
import type { UnixMs } from '../shared/core/base/time.ts';

export interface EdgeOptions {
  /** Folder of keys, journal and control socket; created where missing. */
  readonly dataFolder: string;
  readonly configPath: string;
  readonly log: Log;
  readonly version: string;
  readonly unixNow: () => UnixMs;
}

/** In the data folder. */
export const controlSocketName = 'control.sock';
/** There too: where the gateway inside the tunnel finds the API of devices. */
export const apiSocketName = 'gateway.sock';
