// A window of the stand-in for Electron. With a host its page runs in a real browser, under an https name in place of the
// app's own scheme, which browsers do not know; every file comes from the handler that main registered, with its headers.
import { EventEmitter } from 'node:events';
import type * as Electron from 'electron';
import type { BrowserContext, Frame, Page } from 'playwright-core';
import { eventFrom, only } from './electron-pieces.ts';

const appOrigin = 'app://culvert';
const webOrigin = 'https://app.culvert.test';
const invokeName = 'standInInvoke';

export interface WindowHost {
  readonly context: BrowserContext;
  /** desktop/bridge/preload.ts, bundled with the page's side of the stand-in. */
  readonly preload: string;
}

export interface StandInWindowOptions {
  readonly id: number;
  readonly wish: Electron.BrowserWindowConstructorOptions;
  readonly host?: WindowHost;
  readonly invoke: (
    event: Electron.IpcMainInvokeEvent,
    channel: string,
    words: readonly unknown[],
  ) => Promise<unknown>;
  readonly request: (method: string, url: string) => Promise<Response | undefined>;
}

export class StandInWindow extends EventEmitter {
  readonly wish: Electron.BrowserWindowConstructorOptions;
  readonly sent: { readonly channel: string; readonly words: readonly unknown[] }[] = [];
  readonly refused: string[] = [];
  readonly webContents: Electron.WebContents;
  /** Resolves once the page is there; undefined without a host. */
  page: Promise<Page | undefined> = Promise.resolve(undefined);
  url = '';
  isOpen = true;
  windowOpen: string | undefined;
  isLookedAt = false;
  readonly contentEvents = new EventEmitter();
  readonly #options: StandInWindowOptions;
  #isVisible = false;

  constructor(options: StandInWindowOptions) {
    super();
    this.#options = options;
    this.wish = options.wish;
    this.webContents = only('webContents', {
      id: options.id,
      on: (name: string, listener: (...words: unknown[]) => void) => this.contentEvents.on(name, listener),
      isDestroyed: () => !this.isOpen,
      setWindowOpenHandler: (handler: () => { action: string }) => {
        this.windowOpen = handler().action;
      },
      send: (channel: string, ...words: unknown[]) => this.#deliver(channel, structuredClone(words)),
    }) as unknown as Electron.WebContents;
  }

  async loadURL(url: string): Promise<void> {
    this.url = url;
    const { host } = this.#options;
    if (host !== undefined) this.page = this.#open(host, url);
    await this.page;
    this.emit('ready-to-show');
  }

  show(): void {
    if (this.#isVisible) return;
    this.#isVisible = true;
    this.emit('show');
  }

  focus(): void {
    this.isLookedAt = true;
  }

  isMinimized(): boolean {
    return false;
  }

  isFocused(): boolean {
    return this.isLookedAt;
  }

  isVisible(): boolean {
    return this.#isVisible;
  }

  getBounds(): Electron.Rectangle {
    return { x: 10, y: 20, width: 400, height: 600 };
  }

  close(): void {
    if (!this.isOpen) return;
    this.emit('close');
    this.isOpen = false;
    this.isLookedAt = false;
    void this.page.then((page) => page?.close());
    this.emit('closed');
  }

  async #open({ context, preload }: WindowHost, url: string): Promise<Page> {
    const page = await context.newPage();
    await page.exposeBinding(invokeName, ({ frame }, channel: string, words: unknown[]) =>
      this.#options.invoke(this.#eventOf(frame), channel, words),
    );
    await page.addInitScript({ content: preload });
    await page.route('**/*', async (route) => {
      const asked = route.request();
      const { origin, href } = new URL(asked.url());
      const inApp = origin === webOrigin ? href.replace(webOrigin, appOrigin) : href;
      const response = await this.#options.request(asked.method(), inApp);
      if (response === undefined) {
        this.refused.push(inApp);
        await route.abort();
        return;
      }
      const body = Buffer.from(await response.arrayBuffer());
      await route.fulfill({ status: response.status, headers: Object.fromEntries(response.headers), body });
    });
    await page.goto(url.replace(appOrigin, webOrigin));
    return page;
  }

  #eventOf(frame: Frame): Electron.IpcMainInvokeEvent {
    const { origin } = new URL(frame.url());
    return eventFrom({
      contentsId: this.#options.id,
      origin: origin === webOrigin ? appOrigin : origin,
      isChildFrame: frame.parentFrame() !== null,
    });
  }

  #deliver(channel: string, words: readonly unknown[]): void {
    this.sent.push({ channel, words });
    void this.page
      .then((page) => page?.evaluate(deliver, [channel, words] as const))
      // A page that loads or closes has nobody who listens.
      .catch(() => undefined);
  }
}

/** Runs in the page. */
function deliver([channel, words]: readonly [string, readonly unknown[]]): void {
  const world = globalThis as unknown as {
    standInDeliver?: (channel: string, words: readonly unknown[]) => void;
  };
  world.standInDeliver?.(channel, words);
}
