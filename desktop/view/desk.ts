// What every screen is given: what is seen, the words, and the ways to act. Types only.
import type { CommandName, Commands, Outcome, ResultOf } from '../bridge/ipc.ts';
import type { Face } from './face.ts';
import type { View } from './feed.ts';
import type { Catalogue, Pair, ScreenName } from './texts/catalogue.ts';

export interface Desk {
  readonly view: View;
  readonly face: Face;
  readonly words: Catalogue;
  /** Why the last call failed, until the next one. */
  readonly failure: Pair | undefined;
  /** Sends a call; a failure is shown, and given back, too. */
  send<Name extends CommandName>(name: Name, fields: Commands[Name]): Promise<Outcome<ResultOf<Name>>>;
  /** False: the way to this call is not offered. */
  can(name: CommandName): boolean;
  open(screen: ScreenName): void;
  /** To the screen before. */
  back(): void;
  /** On the screen of ways out: whether they are asked for each second. */
  watchPaths(on: boolean): void;
}

export interface ScreenProps {
  readonly desk: Desk;
}
