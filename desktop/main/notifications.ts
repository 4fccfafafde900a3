// What is worth interrupting a person for: protection dropped, a network wants a sign-in, protection is back. Nothing
// else, never twice within half a minute, never while the window is looked at. Pure: time is given.
import type { Snapshot } from '../bridge/ipc.ts';
import type { Catalogue } from '../view/texts/catalogue.ts';
import { stateWords } from '../view/texts/language.ts';
import type { Wish } from './fields.ts';
import type { TrayWords } from './tray-words.ts';

export type NoticeKind = 'dropped' | 'sign-in' | 'back';

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
    if (this.#saidAt !== undefined && nowMs - this.#saidAt < quietMs) return undefined;
    this.#saidAt = nowMs;
    if (kind === 'dropped') this.#toldDrop = true;
    if (kind === 'sign-in') this.#toldPortal = true;
    return noticeOf(kind, moment);
  }

  #kindOf(state: string, nowMs: number): NoticeKind | undefined {
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

function noticeOf(kind: NoticeKind, { snapshot, catalogue, words }: Moment): Notice | undefined {
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
