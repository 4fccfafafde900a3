// The app: joins daemon link, window, tray and bridge. Given all of Electron that it uses, so that it runs in tests as
// it runs in the program. Holds no truth: what it shows is what the daemon says.
import { join } from 'node:path';
import type { IpcMainInvokeEvent } from 'electron';
import type { PathList } from '../../shared/core/control/paths-api.ts';
import { channels } from '../bridge/channels.ts';
import type { Choice, Invitation, Outcome, Snapshot } from '../bridge/ipc.ts';
import { catalogueFor } from '../view/texts/language.ts';
import { AppState } from './app-state.ts';
import { quietFlag } from './autostart.ts';
import { readChoices, writeChoices } from './choices.ts';
import { Desk, type Hands, unsupportedWith } from './commands.ts';
import { DaemonLink, type LinkParts } from './daemon-link.ts';
import type { ElectronParts } from './electron-parts.ts';
import { claimScheme, guardPages, guardSession, isFromOurPage } from './guard.ts';
import { handsOf, type SystemFacts } from './hands.ts';
import { invitationAmong, linkScheme, readInvitation } from './links.ts';
import { applicationMenu } from './menu.ts';
import { type Moment, type Notice, Notices } from './notifications.ts';
import { readPageFiles } from './page-files.ts';
import { type TrayAct, trayOf } from './tray.ts';
import { TrayApplier } from './tray-applier.ts';
import { trayWordsFor } from './tray-words.ts';
import { AppWindow } from './window.ts';

export interface AppOptions {
  readonly electron: ElectronParts;
  readonly facts: SystemFacts;
  /** Words of this start, without program and script. */
  readonly words: readonly string[];
  readonly isRoot: boolean;
  /** page.html, view.js and view.css, as desktop/build wrote them. */
  readonly pageFolder: string;
  readonly preload: string;
  readonly version: string;
  readonly link: Omit<LinkParts, 'onChange'>;
  /** Milliseconds of a clock that never goes back. */
  readonly now: () => number;
}

/** The window asks every second; the daemon is asked no more often. */
const leastAskMs = 900;
const rootText = 'Start Culvert as your own user. The part that needs more rights runs by itself.';

/** Starts the app; resolves to undefined where it may not run, or runs already. */
export async function startApp(options: AppOptions): Promise<App | undefined> {
  const { electron, isRoot } = options;
  const { app, dialog } = electron;
  if (isRoot) {
    dialog.showErrorBox('Culvert does not run as root', rootText);
    app.exit(1);
    return undefined;
  }
  claimScheme(electron);
  if (!app.requestSingleInstanceLock()) {
    app.quit();
    return undefined;
  }
  guardPages(electron);
  const running = new App(options);
  await app.whenReady();
  running.open();
  return running;
}

export class App {
  readonly #options: AppOptions;
  readonly #state: AppState;
  readonly #link: DaemonLink;
  readonly #desk: Desk;
  readonly #window: AppWindow;
  readonly #tray: TrayApplier;
  readonly #notices = new Notices();
  readonly #choicesFile: string;
  #paths: PathList | undefined;
  /** For which state and path `#paths` was asked. */
  #pathsKey = '';
  #askedAt = Number.NEGATIVE_INFINITY;
  #saidStays = false;

  constructor(options: AppOptions) {
    this.#options = options;
    const { electron, facts, version, link } = options;
    const folder = electron.app.getPath('userData');
    this.#choicesFile = join(folder, 'choices.json');
    const system = handsOf(electron, facts);
    const hands: Hands = {
      ...system.hands,
      choose: (choice) => this.#choose(choice),
      dropInvitation: () => this.#state.setInvitation(undefined),
      wentToSignIn: () => this.#state.setWentToSignIn(),
      hideWindow: () => this.#window.close(),
    };
    const choices = { ...readChoices(this.#choicesFile), startAtLogin: system.isAutostarted() };
    const { allowCommand } = system;
    this.#state = new AppState({ version, choices, unsupported: unsupportedWith(hands), allowCommand });
    this.#link = new DaemonLink({ ...link, onChange: (view) => this.#state.setDaemon(view) });
    this.#desk = new Desk({ call: (name, body) => this.#link.call(name, body) }, hands);
    this.#window = new AppWindow({
      electron,
      preload: options.preload,
      placeFile: join(folder, 'window.json'),
      onShow: () => this.#send(this.#state.snapshot),
      onClose: () => this.#sayStays(),
    });
    this.#tray = new TrayApplier(electron, facts.platform, (act) => this.#act(act));
    this.#listen();
  }

  get snapshot(): Snapshot {
    return this.#state.snapshot;
  }

  open(): void {
    const { electron, facts, pageFolder, words } = this.#options;
    guardSession(electron.session.defaultSession, readPageFiles(pageFolder));
    const menu = applicationMenu(facts.platform);
    electron.Menu.setApplicationMenu(menu === undefined ? null : electron.Menu.buildFromTemplate([...menu]));
    // Of a checkout it would be the bare Electron.
    if (electron.app.isPackaged) electron.app.setAsDefaultProtocolClient(linkScheme);
    this.#answer(channels.get, () => this.#newest());
    this.#answer(channels.send, (name, fields) => this.#take(name, fields));
    this.#state.onChange((snapshot) => this.#changed(snapshot));
    this.#changed(this.#state.snapshot);
    void this.#link.run();
    const invitation = invitationAmong(words);
    if (invitation !== undefined) this.#state.setInvitation(invitation);
    if (invitation !== undefined || !words.includes(quietFlag)) this.#window.show();
  }

  /** Lets go of daemon and tray. Protection stays as it is. */
  close(): void {
    this.#link.close();
    this.#tray.close();
  }

  #listen(): void {
    const { app } = this.#options.electron;
    app.on('second-instance', (_event, words) => this.#invited(invitationAmong(words)));
    app.on('open-url', (event, url) => {
      event.preventDefault();
      this.#invited(readInvitation(url));
    });
    // Without a window the app goes on: the tray shows the state.
    app.on('window-all-closed', () => undefined);
    app.on('activate', () => this.#window.show());
    app.on('before-quit', () => this.close());
  }

  /** Asks first: the window shows whose invitation it is, and does nothing before a person says yes. */
  #invited(invitation: Invitation | undefined): void {
    if (invitation !== undefined) this.#state.setInvitation(invitation);
    this.#window.show();
  }

  /** The only way in for the window. Throws for any other page or frame; nothing of it is done then. */
  #answer(channel: string, answer: (...words: unknown[]) => Promise<unknown>): void {
    this.#options.electron.ipcMain.handle(channel, (event: IpcMainInvokeEvent, ...words: unknown[]) => {
      if (!isFromOurPage(event, this.#window.contents)) throw new Error('untrusted sender');
      return answer(...words);
    });
  }

  async #newest(): Promise<Snapshot> {
    const now = this.#options.now();
    if (now - this.#askedAt >= leastAskMs) {
      this.#askedAt = now;
      await this.#link.refresh();
    }
    return this.#state.snapshot;
  }

  async #take(name: unknown, fields: unknown): Promise<Outcome<unknown>> {
    const outcome = await this.#desk.take(name, fields);
    if (name === 'enroll') this.#say(this.#notices.considerJoining(outcome, this.#moment()));
    if (outcome.ok && (name === 'paths' || name === 'use-path')) this.#setPaths(outcome.result as PathList);
    return outcome;
  }

  #act(act: TrayAct): void {
    if (act.name === 'show') this.#window.show();
    else if (act.name === 'quit') this.#options.electron.app.quit();
    else void this.#take(act.name, act.fields).then((outcome) => outcome.ok || this.#window.show());
  }

  #choose(choice: Choice): void {
    if (choice.name === 'startAtLogin')
      handsOf(this.#options.electron, this.#options.facts).setAutostart(choice.value);
    this.#state.setChoice(choice);
    writeChoices(this.#choicesFile, this.#state.choices);
  }

  #changed(snapshot: Snapshot): void {
    this.#send(snapshot);
    this.#showTray(snapshot);
    this.#say(this.#notices.consider(this.#moment()));
    this.#followPaths(snapshot);
  }

  #moment(): Moment {
    const { snapshot } = this.#state;
    const isWatched = this.#window.isWatched;
    return { snapshot, nowMs: this.#options.now(), isWatched, ...this.#language() };
  }

  #say(notice: Notice | undefined): void {
    if (notice !== undefined) this.#tray.say(notice);
  }

  #send(snapshot: Snapshot): void {
    const { contents } = this.#window;
    if (contents !== undefined && !contents.isDestroyed()) contents.send(channels.snapshot, snapshot);
  }

  #showTray(snapshot: Snapshot): void {
    this.#tray.show(trayOf({ snapshot, paths: this.#paths, ...this.#language() }));
  }

  #language(): { catalogue: ReturnType<typeof catalogueFor>; words: ReturnType<typeof trayWordsFor> } {
    const catalogue = catalogueFor(this.#state.choices.language, this.#options.electron.app.getLocale());
    return { catalogue, words: trayWordsFor(catalogue.tag) };
  }

  /** The tray's list is asked for once after each change, not all the time: its numbers are a hint. */
  #followPaths(snapshot: Snapshot): void {
    const isUp = snapshot.daemon === 'answers' && snapshot.status.state === 'connected' && snapshot.mayChange;
    const key = isUp ? `${snapshot.status.since} ${snapshot.status.path?.id ?? ''}` : '';
    if (key === this.#pathsKey) return;
    this.#pathsKey = key;
    if (key === '') this.#setPaths(undefined);
    else void this.#take('paths', {});
  }

  #setPaths(paths: PathList | undefined): void {
    this.#paths = paths;
    this.#showTray(this.#state.snapshot);
  }

  /** Once for each start: closing is not turning off. */
  #sayStays(): void {
    const { snapshot } = this.#state;
    const isOn = snapshot.daemon === 'answers' && snapshot.status.state !== 'off';
    if (!isOn || this.#saidStays) return;
    this.#saidStays = true;
    const { words } = this.#language();
    this.#tray.say({ heading: 'Culvert', sentence: words.staysOn, act: { name: 'show' } });
  }
}
