// The icon and its menu, as a function of the snapshot. The tray is never the only way to anything: some desktops show
// none. Pure; tray-applier.ts makes it so.
import type { PathEntry, PathList } from '../../shared/core/control/paths-api.ts';
import type { DaemonView, Snapshot } from '../bridge/ipc.ts';
import type { Catalogue } from '../view/texts/catalogue.ts';
import { stateWords } from '../view/texts/language.ts';
import type { Wish } from './fields.ts';
import type { TrayWords } from './tray-words.ts';

/** Shapes, because colours alone tell nothing: an open lock, a dotted one, a closed one. */
export type TrayShape = 'open' | 'dotted' | 'closed';

/** What a line does: a call as the window makes it, or something of the app. */
export type TrayAct = Wish | { readonly name: 'show' } | { readonly name: 'quit' };

export type TrayLine =
  | { readonly kind: 'text'; readonly label: string }
  | { readonly kind: 'separator' }
  | { readonly kind: 'item'; readonly label: string; readonly act: TrayAct }
  | { readonly kind: 'check'; readonly label: string; readonly isOn: boolean; readonly act: TrayAct }
  | { readonly kind: 'radio'; readonly label: string; readonly isOn: boolean; readonly act: TrayAct }
  | { readonly kind: 'menu'; readonly label: string; readonly lines: readonly TrayLine[] };

export interface TrayView {
  readonly shape: TrayShape;
  /** Something needs a person. */
  readonly hasBadge: boolean;
  readonly tooltip: string;
  readonly lines: readonly TrayLine[];
}

export interface TrayParts {
  readonly snapshot: Snapshot;
  /** The last list of paths, while connected. */
  readonly paths: PathList | undefined;
  readonly catalogue: Catalogue;
  readonly words: TrayWords;
}

type Answer = Extract<DaemonView, { daemon: 'answers' }>;

const mostPaths = 5;
const separator: TrayLine = { kind: 'separator' };

export function trayOf(parts: TrayParts): TrayView {
  const { snapshot, words, catalogue } = parts;
  const heading = headingOf(parts);
  const ends: readonly TrayLine[] = [
    separator,
    { kind: 'item', label: words.open, act: { name: 'show' } },
    { kind: 'item', label: words.quit, act: { name: 'quit' } },
  ];
  if (snapshot.daemon !== 'answers') {
    const canStart = snapshot.daemon === 'absent' && !snapshot.app.unsupported.includes('start-daemon');
    const start: TrayLine = {
      kind: 'item',
      label: words.startAgain,
      act: { name: 'start-daemon', fields: {} },
    };
    return {
      shape: 'dotted',
      hasBadge: true,
      tooltip: `${catalogue.screens.home}: ${heading}`,
      lines: [{ kind: 'text', label: heading }, ...(canStart ? [start] : []), ...ends],
    };
  }
  return {
    shape: shapeOf(snapshot),
    hasBadge: needsPerson(snapshot),
    tooltip: `${catalogue.screens.home}: ${heading}`,
    lines: [{ kind: 'text', label: heading }, ...actLines(parts, snapshot), ...ends],
  };
}

function headingOf({ snapshot, catalogue }: TrayParts): string {
  switch (snapshot.daemon) {
    case 'answers':
      return stateWords(catalogue, snapshot).heading;
    case 'absent':
      return catalogue.window['no-service'].heading;
    case 'no-permission':
      return catalogue.window['no-permission'].heading;
    case 'other-version':
      return catalogue.window['update-needed'].heading;
  }
}

/** Closed only where the daemon has proved it. */
function shapeOf({ status }: Answer): TrayShape {
  if (status.state === 'connected' || status.state === 'dns') return 'closed';
  return status.state === 'off' ? 'open' : 'dotted';
}

function needsPerson({ status }: Answer): boolean {
  const waits = ['portal', 'blocked', 'waiting'].includes(status.state);
  return waits || (status.state !== 'off' && status.health.some(({ severity }) => severity === 'error'));
}

function actLines(parts: TrayParts, { status, mayChange, hasEdge }: Answer): readonly TrayLine[] {
  const { words } = parts;
  if (!mayChange) return [];
  const isLocal = status.mode === 'doh' || status.mode === 'dot';
  if (!hasEdge && !isLocal) return [];
  const turn: TrayLine =
    status.state === 'off'
      ? { kind: 'item', label: words.turnOn, act: { name: 'connect', fields: {} } }
      : {
          kind: 'item',
          label: status.state === 'connecting' ? words.stop : words.turnOff,
          act: { name: 'disconnect', fields: {} },
        };
  const signIn: TrayLine = {
    kind: 'item',
    label: words.openSignIn,
    act: { name: 'open-sign-in', fields: {} },
  };
  const canSignIn = status.state === 'portal' && !parts.snapshot.app.unsupported.includes('open-sign-in');
  return [turn, ...(canSignIn ? [signIn] : []), ...whereLines(parts), ...filterLines(parts, status)];
}

function whereLines({ paths, words }: TrayParts): readonly TrayLine[] {
  if (paths === undefined || paths.paths.length === 0) return [];
  const { chosen, using } = paths;
  const now = paths.paths.find(({ id }) => id === using);
  const fastest = radio(words.fastest, chosen === 'auto', 'auto');
  const sorted = paths.paths.toSorted((one, other) => speed(one) - speed(other));
  const shown = sorted
    .slice(0, mostPaths)
    .map((path) => radio(nameOf(path, words), path.id === chosen, path.id));
  const more: TrayLine = { kind: 'item', label: words.morePlaces, act: { name: 'show' } };
  return [
    {
      kind: 'menu',
      label: now === undefined ? words.where : `${words.where}: ${nameOf(now, words)}`,
      lines: [fastest, ...shown, ...(sorted.length > mostPaths ? [separator, more] : [])],
    },
  ];
}

/** Only while private DNS answers: elsewhere the window says what the switch would do. */
function filterLines({ words }: TrayParts, status: Answer['status']): readonly TrayLine[] {
  if (status.dns === undefined) return [];
  const isOn = status.dns.families !== 'off';
  const act: Wish = { name: 'set-families', fields: { families: isOn ? 'off' : 'full' } };
  return [{ kind: 'check', label: words.familyFilter, isOn, act }];
}

function radio(label: string, isOn: boolean, path: string): TrayLine {
  return { kind: 'radio', label, isOn, act: { name: 'use-path', fields: { path } } };
}

function nameOf({ id, state, rttMs }: PathEntry, words: TrayWords): string {
  if (state === 'down') return `${id}, ${words.noAnswer}`;
  return rttMs === undefined ? id : `${id}, ${Math.round(rttMs)} ms`;
}

function speed({ state, rttMs }: PathEntry): number {
  return state === 'down' ? Number.POSITIVE_INFINITY : (rttMs ?? Number.MAX_SAFE_INTEGER);
}
