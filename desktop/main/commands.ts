// What each call of the window does: one route of the control API, or one thing that the system does for the app. What
// is not given here cannot be done here, and is answered 'unsupported'.
import type { BodyOf, ResultOf, RouteName } from '../../shared/core/control/api.ts';
import { CulvertError, type ErrorCode } from '../../shared/core/control/codes.ts';
import type { Choice, CommandName, Invitation, Outcome, Results } from '../bridge/ipc.ts';
import { parseWish, type Wish } from './fields.ts';
import { readInvitation } from './links.ts';

export interface DaemonCalls {
  call<Name extends RouteName>(name: Name, body?: BodyOf<Name>): Promise<ResultOf<Name>>;
}

/** What the system does for the app. An absent one cannot be done here. */
export interface Hands {
  readonly choose?: (choice: Choice) => Promise<void> | void;
  readonly dropInvitation?: () => void;
  /** Resolves to false where the person thought better of it. */
  readonly saveText?: (text: string) => Promise<boolean>;
  /** Resolves once it answers. */
  readonly startDaemon?: () => Promise<void>;
  readonly allowAccount?: () => Promise<void>;
  /** Opens an address that `signInAddress` let through. */
  readonly openSignIn?: (address: string) => Promise<void>;
  /** After it. */
  readonly wentToSignIn?: () => void;
  readonly hideWindow?: () => void;
}

/** Which calls are nothing without a hand of the system. */
const handOf: Readonly<Partial<Record<CommandName, keyof Hands>>> = {
  'set-choice': 'choose',
  'save-diagnostics': 'saveText',
  'start-daemon': 'startDaemon',
  'allow-account': 'allowAccount',
  'open-sign-in': 'openSignIn',
  'hide-window': 'hideWindow',
};

const done: Outcome = { ok: true, result: undefined };

export function unsupportedWith(hands: Hands): readonly CommandName[] {
  const names = Object.keys(handOf) as CommandName[];
  return names.filter((name) => hands[handOf[name] as keyof Hands] === undefined);
}

export class Desk {
  readonly #daemon: DaemonCalls;
  readonly #hands: Hands;

  constructor(daemon: DaemonCalls, hands: Hands) {
    this.#daemon = daemon;
    this.#hands = hands;
  }

  /** For whatever came over the bridge. Never throws: whatever goes wrong is an outcome. */
  async take(name: unknown, fields: unknown): Promise<Outcome<unknown>> {
    const wish = parseWish(name, fields);
    return wish === undefined ? failure(new CulvertError('bad-request')) : this.run(wish);
  }

  async run(wish: Wish): Promise<Outcome<unknown>> {
    const hand = handOf[wish.name];
    if (hand !== undefined && this.#hands[hand] === undefined) return { ok: false, code: 'unsupported' };
    try {
      return await this.#run(wish);
    } catch (error) {
      return failure(error);
    }
  }

  async #run(wish: Wish): Promise<Outcome<unknown>> {
    const daemon = this.#daemon;
    switch (wish.name) {
      case 'connect':
        await daemon.call('connect', {});
        return done;
      case 'disconnect':
        await daemon.call('disconnect');
        return done;
      case 'pause':
        await daemon.call('pause', wish.fields);
        return done;
      case 'set-mode':
        await daemon.call('changeSettings', { mode: wish.fields.mode });
        return done;
      case 'set-families':
        await daemon.call('changeSettings', { 'dns.families': wish.fields.families });
        return done;
      case 'modes':
        return result(await daemon.call('modes'));
      case 'settings':
        return result(await daemon.call('settings'));
      case 'set-setting': {
        const { name, value } = wish.fields;
        return result(await daemon.call('changeSettings', { [name]: value }));
      }
      case 'read-invitation':
        return result(invitationOf(wish.fields.link));
      case 'enroll':
        return this.#enroll(wish.fields.link);
      case 'paths':
        return result(await daemon.call('paths'));
      case 'use-path':
        return result(await daemon.call('usePath', wish.fields));
      case 'open-sign-in':
        return this.#openSignIn();
      case 'not-a-portal':
        await daemon.call('ignorePortal');
        return done;
      case 'diagnostics':
        return result(await daemon.call('diagnosis'));
      case 'send-feedback':
        return result(await daemon.call('sendFeedback', wish.fields));
      default:
        return (await this.#aroundNetworks(wish)) ?? this.#byHand(wish);
    }
  }

  /** Trust, the network around, the split tunnel. Undefined where it is about something else. */
  async #aroundNetworks(wish: Wish): Promise<Outcome<unknown> | undefined> {
    const daemon = this.#daemon;
    switch (wish.name) {
      case 'trusted':
        return result(await daemon.call('trusted'));
      case 'trust':
        return result(await daemon.call('trust', wish.fields));
      case 'distrust':
        return result(await daemon.call('distrust', wish.fields));
      case 'lan':
        return result(await daemon.call('lan'));
      case 'set-lan':
        return result(await daemon.call('changeLan', wish.fields));
      case 'split':
        return result(await daemon.call('split'));
      case 'add-split':
        return result(await daemon.call('addSplitRule', wish.fields));
      case 'remove-split':
        return result(await daemon.call('removeSplitRule', wish.fields));
      default:
        return undefined;
    }
  }

  async #enroll(link: string): Promise<Outcome<unknown>> {
    // A text that is no invitation goes nowhere, not even to the daemon.
    const { edge } = await this.#daemon.call('enroll', { link: invitationOf(link).link });
    this.#hands.dropInvitation?.();
    return result({ edge: edge.name });
  }

  /** The daemon opens the way and names its own page; the network leads that to its sign-in. */
  async #openSignIn(): Promise<Outcome<unknown>> {
    const { portal } = await this.#daemon.call('openPortal');
    const address = portal === undefined ? undefined : signInAddress(portal.url);
    if (address === undefined) throw new CulvertError('no-portal');
    await this.#hands.openSignIn?.(address);
    this.#hands.wentToSignIn?.();
    return done;
  }

  async #byHand(wish: Wish): Promise<Outcome<unknown>> {
    const hands = this.#hands;
    switch (wish.name) {
      case 'save-diagnostics':
        return result({ saved: (await hands.saveText?.(wish.fields.text)) ?? false });
      case 'set-choice':
        await hands.choose?.(wish.fields);
        return done;
      case 'drop-invitation':
        hands.dropInvitation?.();
        return done;
      case 'start-daemon':
        await hands.startDaemon?.();
        return done;
      case 'allow-account':
        await hands.allowAccount?.();
        return done;
      case 'hide-window':
        hands.hideWindow?.();
        return done;
      default:
        return { ok: false, code: 'unsupported' };
    }
  }
}

/** Plain http alone: a network can lead nothing else astray, and no other kind of address opens a program. */
export function signInAddress(text: string): string | undefined {
  const url = URL.parse(text);
  const isPlain = url?.protocol === 'http:' && url.username === '' && url.password === '';
  return isPlain ? url.href : undefined;
}

function invitationOf(link: string): Invitation {
  const invitation = readInvitation(link);
  if (invitation === undefined) throw new CulvertError('bad-invite');
  return invitation;
}

function result(value: Results[keyof Results]): Outcome<unknown> {
  return { ok: true, result: value };
}

function failure(error: unknown): Outcome<unknown> {
  if (error instanceof CulvertError) {
    const { code, message, remedy } = error;
    return { ok: false, code, text: message, remedy };
  }
  const code: ErrorCode = 'internal';
  return { ok: false, code, text: error instanceof Error ? error.message : String(error) };
}
