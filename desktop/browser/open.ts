// Opens an address or a file in the person's own browser.
import { spawn } from 'node:child_process';

type Env = Readonly<Record<string, string | undefined>>;

/** The program that opens things here; undefined where there is no screen to open them on. */
export function openerHere(env: Env, platform: string): readonly string[] | undefined {
  if (platform === 'darwin') return ['open'];
  if (platform === 'win32') return ['explorer.exe'];
  const hasScreen = [env['DISPLAY'], env['WAYLAND_DISPLAY']].some((one) => one !== undefined && one !== '');
  return hasScreen ? ['xdg-open'] : undefined;
}

/** Lets it run by itself; that it is missing is no error, because the address is printed, too. */
export function openInBrowser(opener: readonly string[], target: string): void {
  const [program = '', ...rest] = opener;
  const child = spawn(program, [...rest, target], { detached: true, stdio: 'ignore' });
  child.on('error', () => undefined);
  child.unref();
}
