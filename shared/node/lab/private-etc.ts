/**
 * A computer's own /etc for a host of a lab: programs that change it there never touch that of this machine. One file
 * bound over another would not do: whoever replaces the file, as a link for example, replaces the machine's own.
 */

import { cpSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/** Put before a program inside a namespace of mounts (`ip netns exec` makes one). */
export function withEtc(folder: string): readonly string[] {
  return ['sh', '-c', 'mount --bind "$0" /etc && exec "$@"', folder];
}

/** A copy of this machine's /etc in `folder`, with these files instead of its own. Needs root, as they may be secret. */
export function makeEtc(folder: string, files: Readonly<Record<string, string>>): void {
  mkdirSync(folder, { recursive: true });
  cpSync('/etc', folder, { recursive: true, verbatimSymlinks: true, force: true, filter: isPlain });
  for (const [name, text] of Object.entries(files)) {
    const path = join(folder, name);
    rmSync(path, { force: true });
    writeFileSync(path, text, { mode: 0o644 });
  }
}

/** Other labs' files, and what changes while it is copied. */
function isPlain(path: string): boolean {
  return path !== '/etc/netns' && !path.startsWith('/etc/.culvert-');
}
