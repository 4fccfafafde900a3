/**
 * What every command gets: where to print, which daemon to talk to, how to start one.
 */

import type { Account } from '../../shared/node/control/places.ts';
import type { DaemonOptions } from '../daemon-options.ts';

export interface CliContext {
  /** Text for standard output, line break added. */
  readonly print: (text: string) => void;
  /** Words beside the result, on standard error. */
  readonly note: (text: string) => void;
  readonly account: Account;
  /** Path of the program's own entry, to start a daemon with. */
  readonly entry: string;
  readonly runDaemon: (options: DaemonOptions) => Promise<void>;
}

/** Flags that every command knows. */
export interface SharedFlags {
  readonly json?: boolean;
  readonly socket?: string;
}
