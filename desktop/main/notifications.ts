// What is worth interrupting a person for: protection dropped, a network wants a sign-in, protection is back, an
// invitation came too late. Nothing else, never twice within half a minute, never while the window is looked at. Pure:
// time is given.
import type { Outcome, Snapshot } from '../bridge/ipc.ts';
import type { Catalogue } from '../view/texts/catalogue.ts';
import { failureWords, stateWords } from '../view/texts/language.ts';
import type { Wish } from './fields.ts';
import type { TrayWords } from './tray-words.ts';

type StateKind = 'dropped' | 'sign-in' | 'back';
export type NoticeKind = StateKind | 'expired';

export interface Notice {
  readonly kind: NoticeKind;
  readonly heading: string;
  readonly sentence: string;
  /** What a click does. */
  readonly act: Wish | { readonly name: 'show' };
}

export interface Moment {
  readonly snapshot: Snapshot;
  /** Milliseconds of a clock that never goes back. */
  readonly nowMs: number;
  readonly isWatched: boolean;
  readonly catalogue: Catalogue;
  readonly words: TrayWords;
}

const quietMs = 30_000;
/** A shorter drop is not worth a word when it is over. */
const longDropMs = 10_000;

/** Remembers what was said when. One for the app. */
export class Notices {
  #saidAt: number | undefined;
  #wasPrivate = false;
  #droppedAt: number | undefined;
  #toldDrop = false;
  #toldPortal = false;

  /** What to say now, if anything. Call it with every snapshot. */
  consider(moment: Moment): Notice | undefined {
    const { snapshot, nowMs } = moment;
    if (snapshot.daemon !== 'answers') return undefined;
    const { state } = snapshot.status;
    const kind = this.#kindOf(state, nowMs);
    this.#remember(state, nowMs);
    if (kind === undefined || moment.isWatched || !this.#isWanted(kind, snapshot)) return undefined;
    if (this.#isTooSoon(nowMs)) return undefined;
    this.#saidAt = nowMs;
    if (kind === 'dropped') this.#toldDrop = true;
    if (kind === 'sign-in') this.#toldPortal = true;
    return noticeOf(kind, moment);
  }

  /** The same, of how adding this device ended. Before the edge refuses it nobody knows that an invitation is too old. */
  considerJoining(outcome: Outcome<unknown>, moment: Moment): Notice | undefined {
    const { snapshot, nowMs, catalogue } = moment;
    if (outcome.ok || outcome.code !== 'invite-expired') return undefined;
    if (moment.isWatched || !this.#isWanted('expired', snapshot) || this.#isTooSoon(nowMs)) return undefined;
    this.#saidAt = nowMs;
    const [heading, sentence] = failureWords(catalogue, outcome);
    return { kind: 'expired', heading, sentence, act: { name: 'show' } };
  }

  #isTooSoon(nowMs: number): boolean {
    return this.#saidAt !== undefined && nowMs - this.#saidAt < quietMs;
  }

  #kindOf(state: string, nowMs: number): StateKind | undefined {
    if (state === 'portal') return this.#toldPortal ? undefined : 'sign-in';
    if (state === 'blocked' || state === 'waiting') {
      return (this.#wasPrivate || this.#droppedAt !== undefined) && !this.#toldDrop ? 'dropped' : undefined;
    }
    const isBack = state === 'connected' && this.#droppedAt !== undefined;
    return isBack && nowMs - (this.#droppedAt ?? nowMs) > longDropMs ? 'back' : undefined;
  }

  #remember(state: string, nowMs: number): void {
    const isPrivate = state === 'connected' || state === 'dns';
    if (isPrivate || state === 'off') {
      this.#droppedAt = undefined;
      this.#toldDrop = false;
    } else if (this.#wasPrivate && state !== 'disconnecting') {
      this.#droppedAt = nowMs;
    }
    if (state !== 'portal') this.#toldPortal = false;
    this.#wasPrivate = isPrivate;
  }

  /** That protection dropped is said even where notifications are off. */
  #isWanted(kind: NoticeKind, snapshot: Snapshot): boolean {
    return kind === 'dropped' || snapshot.app.choices.notifications !== false;
  }
}

function noticeOf(kind: StateKind, { snapshot, catalogue, words }: Moment): Notice | undefined {
  if (snapshot.daemon !== 'answers') return undefined;
  if (kind === 'back') {
    return { kind, heading: words.backHeading, sentence: words.backSentence, act: { name: 'show' } };
  }
  const canSignIn = kind === 'sign-in' && !snapshot.app.unsupported.includes('open-sign-in');
  return {
    kind,
    ...stateWords(catalogue, snapshot),
    act: canSignIn ? { name: 'open-sign-in', fields: {} } : { name: 'show' },
  };
}
