// A stand-in for Electron, for main and preload as they are in the program. Rules, so that it does not lie: arguments and
// results are cloned at each border; a failed call arrives as text; a second handler of a name throws; a sender has a
// frame, and a test can send from a wrong one; what is not here throws, so that a new use of Electron cannot pass unseen.
import { EventEmitter } from 'node:events';
import type * as Electron from 'electron';
import type { ElectronParts } from '../../desktop/main/electron-parts.ts';
import { emitter, eventFrom, only, type Sender } from './electron-pieces.ts';
import { StandInWindow, type WindowHost } from './electron-window.ts';

/** What a test looks at, and what it does from outside. */
export interface Harness {
  readonly electron: ElectronParts;
  readonly windows: readonly StandInWindow[];
  readonly opened: readonly string[];
  readonly notifications: readonly { readonly title: string; readonly body: string; click(): void }[];
  readonly boxes: readonly string[];
  readonly exits: readonly number[];
  readonly tray: TrayLook | undefined;
  readonly privileged: readonly Electron.CustomScheme[];
  readonly isSandboxed: boolean;
  /** What the next question for a file is answered with; empty: cancelled. */
  saveTo: string;
  /** As another start of the program does. */
  startAgain(words: readonly string[]): void;
  openUrl(url: string): void;
  /** A message from a sender of our making. Rejects as it would in a page: with text alone. */
  invokeFrom(sender: Sender, channel: string, ...words: readonly unknown[]): Promise<unknown>;
  /** As the session of the app would: undefined where the request is cancelled. */
  request(method: string, url: string): Promise<Response | undefined>;
  mayUse(permission: string): Promise<boolean>;
}

export interface TrayLook {
  readonly tooltip: string;
  readonly labels: readonly string[];
  readonly iconBytes: number;
  click(label: string): void;
}

export interface StandInOptions {
  readonly userData: string;
  /** Where windows show their pages; absent: nowhere. */
  readonly host?: WindowHost;
  readonly isFirst?: boolean;
  readonly locale?: string;
}

type Handler = (event: Electron.IpcMainInvokeEvent, ...words: unknown[]) => unknown;
type Template = Electron.MenuItemConstructorOptions[];

export function standInElectron(options: StandInOptions): Harness {
  const appEvents = new EventEmitter();
  const handlers = new Map<string, Handler>();
  const windows: StandInWindow[] = [];
  const opened: string[] = [];
  const notifications: { title: string; body: string; click(): void }[] = [];
  const boxes: string[] = [];
  const exits: number[] = [];
  let privileged: Electron.CustomScheme[] = [];
  let isSandboxed = false;
  let isReady = false;
  let schemeHandler: ((request: Request) => Response | Promise<Response>) | undefined;
  let permission: ((contents: never, name: string, answer: (yes: boolean) => void) => void) | undefined;
  let check: (() => boolean) | undefined;
  let filter:
    | ((details: { url: string }, answer: (verdict: { cancel?: boolean }) => void) => void)
    | undefined;
  let tray: { tooltip: string; template: Template; iconBytes: number } | undefined;

  const invoke = async (event: Electron.IpcMainInvokeEvent, channel: string, words: readonly unknown[]) => {
    const handler = handlers.get(channel);
    let why = `Error: No handler registered for '${channel}'`;
    try {
      if (handler !== undefined) return structuredClone(await handler(event, ...structuredClone(words)));
    } catch (error) {
      why = String(error);
    }
    throw new Error(`Error invoking remote method '${channel}': ${why}`);
  };
  const request = async (method: string, url: string): Promise<Response | undefined> => {
    const verdict = await new Promise<{ cancel?: boolean }>((resolve) =>
      filter === undefined ? resolve({}) : filter({ url }, resolve),
    );
    if (verdict.cancel === true) return undefined;
    // Its own scheme: Node's Request takes it, too.
    return schemeHandler?.(new Request(url, { method }));
  };

  const app = only('app', {
    ...emitter(appEvents),
    ...({
      isPackaged: false,
      enableSandbox: () => {
        if (isReady) throw new Error('app.enableSandbox() can only be called before app is ready');
        isSandboxed = true;
      },
      requestSingleInstanceLock: () => options.isFirst !== false,
      quit: () => void appEvents.emit('before-quit', plainEvent()),
      exit: (code?: number) => void exits.push(code ?? 0),
      whenReady: async () => {
        isReady = true;
      },
      getPath: () => options.userData,
      getLocale: () => options.locale ?? 'en-GB',
      setAsDefaultProtocolClient: () => true,
      getLoginItemSettings: () => ({ openAtLogin: false }) as Electron.LoginItemSettings,
      setLoginItemSettings: () => undefined,
    } satisfies Partial<Electron.App>),
  });

  const ipcMain = only('ipcMain', {
    handle: (channel: string, handler: Handler) => {
      if (handlers.has(channel)) throw new Error(`Attempted to register a second handler for '${channel}'`);
      handlers.set(channel, handler);
    },
  } satisfies Pick<Electron.IpcMain, 'handle'>);

  const protocol = only('protocol', {
    registerSchemesAsPrivileged: (schemes: Electron.CustomScheme[]) => {
      if (isReady)
        throw new Error('protocol.registerSchemesAsPrivileged should be called before app is ready');
      privileged = schemes;
    },
  } satisfies Pick<Electron.Protocol, 'registerSchemesAsPrivileged'>);

  const defaultSession = only('session', {
    on: () => undefined,
    setPermissionRequestHandler: (handler: typeof permission) => {
      permission = handler;
    },
    setPermissionCheckHandler: (handler: typeof check) => {
      check = handler;
    },
    setDevicePermissionHandler: () => undefined,
    webRequest: only('webRequest', {
      onBeforeRequest: (handler: typeof filter) => {
        filter = handler;
      },
    }),
    protocol: only('session.protocol', {
      handle: (_scheme: string, handler: typeof schemeHandler) => {
        if (schemeHandler !== undefined) throw new Error('The scheme has been registered');
        schemeHandler = handler;
      },
    }),
  });

  class StandInTray extends EventEmitter {
    #look = { tooltip: '', template: [] as Template, iconBytes: 0 };

    constructor(image: { readonly bytes: number }) {
      super();
      this.setImage(image);
      tray = this.#look;
    }

    setImage(image: { readonly bytes: number }): void {
      this.#look.iconBytes = image.bytes;
    }

    setToolTip(text: string): void {
      this.#look.tooltip = text;
    }

    setContextMenu(menu: { readonly template: Template }): void {
      this.#look.template = menu.template;
    }

    destroy(): void {
      tray = undefined;
    }
  }

  class StandInNotification extends EventEmitter {
    static isSupported(): boolean {
      return true;
    }

    readonly #options: { title: string; body: string };

    constructor(shown: { title: string; body: string }) {
      super();
      this.#options = shown;
    }

    show(): void {
      notifications.push({ ...this.#options, click: () => void this.emit('click') });
    }
  }

  const harness = {
    windows,
    opened,
    notifications,
    boxes,
    exits,
    saveTo: '',
    get privileged() {
      return privileged;
    },
    get isSandboxed() {
      return isSandboxed;
    },
    get tray() {
      return tray === undefined ? undefined : lookOf(tray);
    },
    startAgain: (words: readonly string[]) => void appEvents.emit('second-instance', plainEvent(), words),
    openUrl: (url: string) => void appEvents.emit('open-url', plainEvent(), url),
    invokeFrom: (sender: Sender, channel: string, ...words: readonly unknown[]) =>
      invoke(eventFrom(sender), channel, words),
    request,
    mayUse: async (name: string) =>
      (check?.() ?? true) ||
      new Promise<boolean>((resolve) =>
        permission === undefined ? resolve(true) : permission(undefined as never, name, resolve),
      ),
  };

  const parts = {
    app,
    ipcMain,
    protocol,
    session: only('sessions', { defaultSession }),
    dialog: only('dialog', {
      showErrorBox: (title: string) => void boxes.push(title),
      showSaveDialog: async () => ({ canceled: harness.saveTo === '', filePath: harness.saveTo }),
    } satisfies Partial<Electron.Dialog>),
    shell: only('shell', {
      openExternal: async (url: string) => void opened.push(url),
    } satisfies Partial<Electron.Shell>),
    nativeTheme: only('nativeTheme', { shouldUseDarkColors: false } satisfies Partial<Electron.NativeTheme>),
    screen: only('screen', {
      getAllDisplays: () => [{ workArea: { x: 0, y: 0, width: 1920, height: 1080 } }],
    }),
    nativeImage: only('nativeImage', {
      createFromBitmap: (pixels: Buffer, { width, height }: { width: number; height: number }) => {
        if (pixels.length !== width * height * 4) throw new Error('The bitmap has another size.');
        return { bytes: pixels.length, setTemplateImage: () => undefined };
      },
    }),
    Menu: only('Menu', {
      setApplicationMenu: () => undefined,
      buildFromTemplate: (template: Template) => ({ template }),
    }),
    Tray: StandInTray,
    Notification: StandInNotification,
    BrowserWindow: class extends StandInWindow {
      constructor(wish: Electron.BrowserWindowConstructorOptions) {
        super({ id: windows.length + 1, wish, invoke, request, ...options });
        windows.push(this);
        appEvents.emit('web-contents-created', plainEvent(), this.webContents);
      }
    },
  };
  return Object.assign(harness, { electron: parts as unknown as ElectronParts });
}

function plainEvent(): { preventDefault(): void } {
  return { preventDefault: () => undefined };
}

function lookOf({
  tooltip,
  template,
  iconBytes,
}: {
  tooltip: string;
  template: Template;
  iconBytes: number;
}): TrayLook {
  const all = (items: Template): Template =>
    items.flatMap((item) => [item, ...(Array.isArray(item.submenu) ? all(item.submenu) : [])]);
  return {
    tooltip,
    iconBytes,
    labels: all(template).flatMap(({ label }) => label ?? []),
    click: (label) => {
      const found = all(template).find((item) => item.label === label);
      if (found?.click === undefined) throw new Error(`The tray offers no '${label}'.`);
      (found.click as () => void)();
    },
  };
}
