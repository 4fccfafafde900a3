/** What start.ts needs of a demonstration. There are two: in a proxy's reach, without root; and of a whole device. */

import type { Status } from '../../shared/core/control/status.ts';
import type { Steps } from './steps.ts';

export interface Demonstration {
  /** What will happen, before anything does. */
  readonly headline: string;
  readonly farewell: string;
  /** How to use it, once it stands. */
  invitation(): string;
  /** Clears away what an earlier one left that was cut off. True where there was something. */
  sweep(): Promise<boolean>;
  /** Builds, connects, proves; returns what was found, as people read it. */
  play(steps: Steps): Promise<string>;
  /** Of the client, while it stands. */
  status(): Promise<Status>;
  /** Ends the programs and removes everything, however far it came. */
  clear(): Promise<void>;
}
