// The app: which screen is open, where the keyboard is, what is read out. It knows the daemon by its snapshots only.
import type { VNode } from 'preact';
import { useEffect, useErrorBoundary, useMemo, useRef, useState } from 'preact/hooks';
import type { Bridge, CommandName, Commands, Outcome, ResultOf } from '../bridge/ipc.ts';
import type { Desk } from './desk.ts';
import { faceOf } from './face.ts';
import { Feed, firstView, type Page } from './feed.ts';
import { Announcer } from './parts/announcer.tsx';
import { StateIcon } from './parts/icon.tsx';
import { About } from './screens/about.tsx';
import { Diagnostics } from './screens/diagnostics.tsx';
import { Help } from './screens/help.tsx';
import { Home } from './screens/home.tsx';
import { Join } from './screens/join.tsx';
import { Networks } from './screens/networks.tsx';
import { Paths } from './screens/paths.tsx';
import { Settings } from './screens/settings.tsx';
import type { Catalogue, Pair, ScreenName } from './texts/catalogue.ts';
import { catalogueFor, failureWords } from './texts/language.ts';

export interface AppProps {
  readonly bridge: Bridge;
  readonly page: Page;
  /** What the computer speaks: 'de-AT'. */
  readonly systemLanguage: string;
}

const screens = {
  paths: Paths,
  join: Join,
  settings: Settings,
  networks: Networks,
  diagnostics: Diagnostics,
  help: Help,
  about: About,
};
const atHome: readonly ScreenName[] = ['home'];
/** Questions that a screen asks by itself: a failure is answered there, by an empty place. */
const quietCalls: readonly CommandName[] = ['modes', 'drop-invitation', 'hide-window'];

/** A fault in a screen must not leave an old sentence standing: then nobody knows, and it says so. */
export function App(props: AppProps): VNode {
  const [fault] = useErrorBoundary();
  const { heading, sentence } = catalogueFor('system', props.systemLanguage).window.lost;
  if (fault === undefined) return <Working {...props} />;
  return (
    <main class="frame truth">
      <StateIcon icon="question" tone="broken" />
      <h1>{heading}</h1>
      <p class="sentence">{sentence}</p>
    </main>
  );
}

function Working({ bridge, page, systemLanguage }: AppProps): VNode {
  const [view, setView] = useState(() => firstView(page.wall()));
  const [failure, setFailure] = useState<Pair | undefined>(undefined);
  /** From home to where a person is; no screen twice. */
  const [trail, setTrail] = useState(atHome);
  const screen = trail.at(-1) ?? 'home';
  const feed = useMemo(() => new Feed(bridge, page, setView), []);
  useEffect(() => {
    feed.start();
    return () => feed.stop();
  }, []);
  const choice = view.snapshot?.app.choices.language;
  const words = useMemo(() => catalogueFor(choice, systemLanguage), [choice, systemLanguage]);
  usePageLook(words, view.snapshot?.app.choices.theme);
  const face = faceOf(view, words);
  const isAsked = view.snapshot?.app.invitation !== undefined;
  const shown = screen === 'home' && (face.kind === 'first-run' || isAsked) ? 'join' : screen;
  const send = async <Name extends CommandName>(
    name: Name,
    fields: Commands[Name],
  ): Promise<Outcome<ResultOf<Name>>> => {
    if (!quietCalls.includes(name)) setFailure(undefined);
    if (name === 'connect') feed.expect('connecting');
    if (name === 'disconnect') feed.expect('disconnecting');
    const outcome = await bridge.send(name, fields);
    if (!outcome.ok) {
      feed.forget();
      if (!quietCalls.includes(name)) setFailure(failureWords(words, outcome));
    }
    return outcome;
  };
  const desk: Desk = {
    view,
    face,
    words,
    failure,
    send,
    can: (name) => view.snapshot !== undefined && !view.snapshot.app.unsupported.includes(name),
    open: (next) => {
      setFailure(undefined);
      setTrail((old) => (old.includes(next) ? old.slice(0, old.indexOf(next) + 1) : [...old, next]));
    },
    back: () => {
      setFailure(undefined);
      setTrail((old) => (old.length > 1 ? old.slice(0, -1) : old));
    },
    watchPaths: (on) => feed.watchPaths(on),
  };
  return (
    <Frame
      desk={desk}
      screen={shown}
      depth={trail.length}
      isFirstRun={shown === 'join' && screen === 'home'}
    />
  );
}

interface FrameProps {
  readonly desk: Desk;
  readonly screen: ScreenName;
  /** How many screens lie behind it. */
  readonly depth: number;
  readonly isFirstRun: boolean;
}

function Frame({ desk, screen, depth, isFirstRun }: FrameProps): VNode {
  const { words } = desk;
  const frame = useRef<HTMLDivElement>(null);
  const isHome = screen === 'home' || isFirstRun;
  useFocusOnHeading(frame, screen, depth);
  const escape = (): void => {
    if (!isHome) desk.back();
    else if (desk.can('hide-window')) void desk.send('hide-window', {});
  };
  const onKey = (event: KeyboardEvent): void => {
    if (event.defaultPrevented) return;
    if (event.key === 'Escape' && document.querySelector('dialog[open]') === null) escape();
    if (event.key === ',' && (event.ctrlKey || event.metaKey)) desk.open('settings');
  };
  useEffect(() => {
    document.addEventListener('keydown', onKey);
    return () => document.removeEventListener('keydown', onKey);
  });
  const Screen = screen === 'home' ? undefined : screens[screen];
  return (
    <div class="frame" ref={frame}>
      <header>
        {isHome ? (
          <span class="brand">{words.screens.home}</span>
        ) : (
          <BackButton label={words.back} onBack={() => desk.back()} />
        )}
        {screen === 'settings' ? null : (
          <button
            type="button"
            class="round"
            aria-label={words.menu}
            data-opens="settings"
            onClick={() => desk.open('settings')}
          >
            <svg viewBox="0 0 24 24" aria-hidden="true">
              <path d="M4 7h16M4 12h16M4 17h16" />
            </svg>
          </button>
        )}
      </header>
      <main>
        {Screen === undefined ? (
          <Home desk={desk} />
        ) : (
          <div class="screen">
            <h1 tabIndex={-1}>{isFirstRun ? words.window['first-run'].heading : words.screens[screen]}</h1>
            <Screen desk={desk} />
          </div>
        )}
      </main>
      <Announcer face={desk.face} />
    </div>
  );
}

function BackButton({ label, onBack }: { readonly label: string; readonly onBack: () => void }): VNode {
  return (
    <button type="button" class="round back" aria-label={label} onClick={onBack}>
      <svg viewBox="0 0 24 24" aria-hidden="true">
        <path d="M15 5l-7 7 7 7" />
      </svg>
    </button>
  );
}

/** On opening a screen its heading has the keyboard; on going back, what opened it, where that still stands. */
function useFocusOnHeading(
  frame: { readonly current: HTMLDivElement | null },
  screen: ScreenName,
  depth: number,
): void {
  const before = useRef<{ readonly screen: ScreenName; readonly depth: number } | undefined>(undefined);
  useEffect(() => {
    const left = before.current;
    before.current = { screen, depth };
    if (left === undefined) return;
    const opener = frame.current?.querySelector<HTMLElement>(`[data-opens="${left.screen}"]`);
    const isBack = screen === 'home' || depth < left.depth;
    const target = (isBack ? opener : undefined) ?? frame.current?.querySelector<HTMLElement>('h1');
    if (target?.tagName === 'H1') globalThis.scrollTo(0, 0);
    target?.focus();
  }, [screen]);
}

function usePageLook(words: Catalogue, theme: 'system' | 'light' | 'dark' | undefined): void {
  useEffect(() => {
    document.documentElement.lang = words.tag;
  }, [words.tag]);
  useEffect(() => {
    if (theme === undefined || theme === 'system') delete document.documentElement.dataset['theme'];
    else document.documentElement.dataset['theme'] = theme;
  }, [theme]);
}
