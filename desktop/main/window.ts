// The one window: made when it is wanted, gone when it is closed. Remembers its place.
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import type { BrowserWindow, WebContents } from 'electron';
import type { ElectronParts } from './electron-parts.ts';
import { pagePath } from './page-files.ts';
import { pageOrigin, windowFlags } from './security.ts';
import { type Bounds, leastSize, parsePlace, placeFor } from './window-place.ts';

export interface WindowOptions {
  readonly electron: Pick<ElectronParts, 'app' | 'BrowserWindow' | 'nativeTheme' | 'screen'>;
  /** The built preload script. */
  readonly preload: string;
  readonly placeFile: string;
  readonly onShow: () => void;
  readonly onClose: () => void;
}

const backgrounds = { light: '#F4F6F8', dark: '#0F161D' } as const;

export class AppWindow {
  readonly #options: WindowOptions;
  #window: BrowserWindow | undefined;

  constructor(options: WindowOptions) {
    this.#options = options;
  }

  get contents(): WebContents | undefined {
    return this.#window?.webContents;
  }

  /** A person may be reading it now. */
  get isWatched(): boolean {
    return this.#window?.isFocused() ?? false;
  }

  get isVisible(): boolean {
    return this.#window?.isVisible() ?? false;
  }

  /** Opens it, or brings it to the front. */
  show(): void {
    const window = (this.#window ??= this.#make());
    if (window.isMinimized()) window.restore();
    window.show();
    window.focus();
  }

  close(): void {
    this.#window?.close();
  }

  #make(): BrowserWindow {
    const { electron, preload } = this.#options;
    const { app, nativeTheme, screen } = electron;
    const screens = screen.getAllDisplays().map(({ workArea }) => workArea);
    const window = new electron.BrowserWindow({
      ...placeFor(readPlace(this.#options.placeFile), screens),
      minWidth: leastSize.width,
      minHeight: leastSize.height,
      title: 'Culvert',
      show: false,
      backgroundColor: nativeTheme.shouldUseDarkColors ? backgrounds.dark : backgrounds.light,
      webPreferences: { ...windowFlags, preload, devTools: !app.isPackaged },
    });
    window.once('ready-to-show', () => window.show());
    window.on('show', () => this.#options.onShow());
    window.on('close', () => writePlace(this.#options.placeFile, window.getBounds()));
    window.on('closed', () => {
      this.#window = undefined;
      this.#options.onClose();
    });
    void window.loadURL(`${pageOrigin}${pagePath}`);
    return window;
  }
}

function readPlace(path: string): Bounds | undefined {
  try {
    return parsePlace(readFileSync(path, 'utf8'));
  } catch {
    return undefined;
  }
}

function writePlace(path: string, bounds: Bounds): void {
  const { x, y, width, height } = bounds;
  try {
    mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
    writeFileSync(path, `${JSON.stringify({ x, y, width, height })}\n`, { mode: 0o600 });
  } catch {
    // A place that cannot be kept is a place in the middle of the screen next time.
  }
}
