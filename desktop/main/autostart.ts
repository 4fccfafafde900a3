// Start with the session: on Linux a file by the XDG Autostart specification, elsewhere the system's login item.
import { existsSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';

export interface LoginItems {
  getLoginItemSettings(): { readonly openAtLogin: boolean };
  setLoginItemSettings(settings: { openAtLogin: boolean; args: string[] }): void;
}

/** Says that the window stays closed: somebody logged in, nobody asked for a window. */
export const quietFlag = '--quiet';

export function autostartPath(env: Readonly<Record<string, string | undefined>>, home: string): string {
  const base = env['XDG_CONFIG_HOME'];
  const config = base === undefined || base === '' ? join(home, '.config') : base;
  return join(config, 'autostart', 'culvert.desktop');
}

/** `words`: program and first parameters that start the app. */
export function autostartFile(words: readonly string[]): string {
  return [
    '[Desktop Entry]',
    'Type=Application',
    'Version=1.5',
    'Name=Culvert',
    'Comment=Your own private connection',
    `Exec=${[...words, quietFlag].map(quoted).join(' ')}`,
    'Terminal=false',
    'X-GNOME-Autostart-enabled=true',
    '',
  ].join('\n');
}

export function isAutostarted(path: string): boolean {
  return existsSync(path);
}

export function setAutostart(path: string, words: readonly string[], wanted: boolean): void {
  if (!wanted) {
    rmSync(path, { force: true });
    return;
  }
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
  writeFileSync(path, autostartFile(words), { mode: 0o644 });
}

export function setLoginItem(items: LoginItems, wanted: boolean): void {
  items.setLoginItemSettings({ openAtLogin: wanted, args: [quietFlag] });
}

/** As the Desktop Entry specification wants the words of Exec: quoted, and % doubled. */
function quoted(word: string): string {
  const inside = word.replaceAll(/["`$\\]/g, '\\$&').replaceAll('%', '%%');
  // The file is read twice: once as a string, where a backslash is an escape of its own.
  return `"${inside.replaceAll('\\', '\\\\')}"`;
}
