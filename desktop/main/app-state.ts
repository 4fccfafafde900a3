// The snapshot that the window sees: what the daemon says now, and what is true of the app itself. Tells its listeners
// after every change. Knows neither Electron nor a web server: both faces of culvert use it.
import type { AppView, Choice, DaemonView, Invitation, Snapshot } from '../bridge/ipc.ts';
import { type Choices, withChoice } from './choices.ts';

export interface AppFacts {
  readonly version: string;
  readonly choices: Choices;
  readonly unsupported: AppView['unsupported'];
  readonly allowCommand?: string | undefined;
}

type Listener = (snapshot: Snapshot) => void;

const maxListeners = 64;

export class AppState {
  readonly #listeners = new Set<Listener>();
  #daemon: DaemonView = { daemon: 'absent' };
  #app: AppView;

  constructor({ version, choices, unsupported, allowCommand }: AppFacts) {
    const allow = allowCommand === undefined ? {} : { allowCommand };
    this.#app = { version, choices, unsupported, ...allow };
  }

  get snapshot(): Snapshot {
    return { ...this.#daemon, app: this.#app };
  }

  get choices(): Choices {
    return this.#app.choices;
  }

  setDaemon(daemon: DaemonView): void {
    this.#daemon = daemon;
    // Of another sign-in nobody has seen the page.
    if (daemon.daemon === 'answers' && daemon.status.state !== 'portal') this.#app = withoutSignIn(this.#app);
    this.#tell();
  }

  /** A person was led to the sign-in page; true until the network wants none. */
  setWentToSignIn(): void {
    this.#app = { ...this.#app, wentToSignIn: true };
    this.#tell();
  }

  setChoice(choice: Choice): void {
    this.#app = { ...this.#app, choices: withChoice(this.#app.choices, choice) };
    this.#tell();
  }

  setInvitation(invitation: Invitation | undefined): void {
    const { invitation: _old, ...rest } = this.#app;
    this.#app = invitation === undefined ? rest : { ...rest, invitation };
    this.#tell();
  }

  /** Called with each new snapshot until the returned function is called. Refused where too many listen. */
  onChange(listener: Listener): () => void {
    if (this.#listeners.size >= maxListeners) throw new Error('Too many windows.');
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  #tell(): void {
    const { snapshot } = this;
    for (const listener of this.#listeners) listener(snapshot);
  }
}

function withoutSignIn({ wentToSignIn: _gone, ...rest }: AppView): AppView {
  return rest;
}
