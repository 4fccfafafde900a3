// What the daemon said → what the window may show of it. Adds nothing: no answer is no state. Pure.
import { modes, type Status, stateNames } from '../../shared/core/control/status.ts';
import { textKeyFor, wordsFor } from '../../shared/core/control/texts.ts';
import type { DaemonView } from '../bridge/ipc.ts';

export interface Found {
  /** As it came; judged here. */
  readonly answer: unknown;
  readonly mayChange: boolean;
  /** Name of the Wi-Fi, where it is known. */
  readonly network?: string;
}

export function viewOf({ answer, mayChange, network }: Found): DaemonView {
  if (!isStatus(answer)) return { daemon: 'other-version' };
  const until = answer.portal?.opensUntil;
  return {
    daemon: 'answers',
    status: answer,
    key: textKeyFor(answer),
    words: wordsFor(answer),
    mayChange,
    hasEdge: answer.edge !== undefined,
    ...(network === undefined ? {} : { network }),
    ...(until === undefined ? {} : { signInUntil: until }),
  };
}

/** What this app builds on. A daemon of another version may say more; it may not say less, or know other states. */
export function isStatus(answer: unknown): answer is Status {
  if (typeof answer !== 'object' || answer === null) return false;
  const { state, mode, addresses, traffic, health } = answer as Partial<Record<keyof Status, unknown>>;
  return (
    (stateNames as readonly unknown[]).includes(state) &&
    (modes as readonly unknown[]).includes(mode) &&
    Array.isArray(addresses) &&
    Array.isArray(health) &&
    typeof traffic === 'object' &&
    traffic !== null
  );
}
