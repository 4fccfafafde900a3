// The application menu. Only macOS needs one, for quitting and for copying text; elsewhere it would take room. Pure.
import type { MenuItemConstructorOptions } from 'electron';

export function applicationMenu(platform: string): readonly MenuItemConstructorOptions[] | undefined {
  if (platform !== 'darwin') return undefined;
  return [{ role: 'appMenu' }, { role: 'editMenu' }, { role: 'windowMenu' }];
}
