// Makes tray and notifications as tray.ts and notifications.ts say. A desktop without a tray is no error: the window is
// the way in.
import type { MenuItemConstructorOptions, NativeImage, Tray } from 'electron';
import type { ElectronParts } from './electron-parts.ts';
import type { Notice } from './notifications.ts';
import type { TrayAct, TrayLine, TrayView } from './tray.ts';
import { darkInk, drawLock, lightInk } from './tray-icon.ts';

type TrayElectron = Pick<ElectronParts, 'Menu' | 'nativeImage' | 'nativeTheme' | 'Notification' | 'Tray'>;

const iconSide = 22;
const iconScale = 2;

export class TrayApplier {
  readonly #electron: TrayElectron;
  readonly #platform: string;
  readonly #onAct: (act: TrayAct) => void;
  #tray: Tray | undefined;
  #shown = '';

  constructor(electron: TrayElectron, platform: string, onAct: (act: TrayAct) => void) {
    this.#electron = electron;
    this.#platform = platform;
    this.#onAct = onAct;
  }

  /** Rebuilt only where it says something else: an open menu would close. */
  show(view: TrayView): void {
    const isDark = this.#electron.nativeTheme.shouldUseDarkColors;
    const key = JSON.stringify([view, isDark]);
    if (key === this.#shown) return;
    const icon = this.#icon(view, isDark);
    if (this.#tray === undefined) {
      try {
        this.#tray = new this.#electron.Tray(icon);
      } catch {
        return;
      }
      this.#tray.on('click', () => this.#onAct({ name: 'show' }));
    } else {
      this.#tray.setImage(icon);
    }
    this.#shown = key;
    this.#tray.setToolTip(view.tooltip);
    this.#tray.setContextMenu(this.#electron.Menu.buildFromTemplate(this.#items(view.lines)));
  }

  say(notice: Pick<Notice, 'heading' | 'sentence' | 'act'>): void {
    const { Notification } = this.#electron;
    if (!Notification.isSupported()) return;
    const notification = new Notification({ title: notice.heading, body: notice.sentence });
    notification.on('click', () => this.#onAct(notice.act));
    notification.show();
  }

  close(): void {
    this.#tray?.destroy();
    this.#tray = undefined;
  }

  #icon(view: TrayView, isDark: boolean): NativeImage {
    const ink = isDark && this.#platform !== 'darwin' ? lightInk : darkInk;
    const side = iconSide * iconScale;
    const pixels = Buffer.from(drawLock(view.shape, view.hasBadge, side, ink));
    const image = this.#electron.nativeImage.createFromBitmap(pixels, {
      width: side,
      height: side,
      scaleFactor: iconScale,
    });
    image.setTemplateImage(this.#platform === 'darwin');
    return image;
  }

  #items(lines: readonly TrayLine[]): MenuItemConstructorOptions[] {
    return lines.map((line) => {
      switch (line.kind) {
        case 'separator':
          return { type: 'separator' };
        case 'text':
          return { label: line.label, enabled: false };
        case 'menu':
          return { label: line.label, submenu: this.#items(line.lines) };
        case 'item':
          return { label: line.label, click: () => this.#onAct(line.act) };
        case 'check':
          return {
            type: 'checkbox',
            label: line.label,
            checked: line.isOn,
            click: () => this.#onAct(line.act),
          };
        case 'radio':
          return { type: 'radio', label: line.label, checked: line.isOn, click: () => this.#onAct(line.act) };
      }
    });
  }
}
