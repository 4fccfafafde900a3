// A Debian package whose files a test needs, without installing it: installing systemd-resolved or resolvconf would take
// over the DNS of the machine that runs the tests. Fetched by apt and unpacked into a folder of its own.
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export interface UnpackedPackage {
  /** What would be the root folder. */
  readonly root: string;
  remove(): void;
}

/** Undefined where this is no Debian, or the package cannot be had now. */
export function unpackDebianPackage(name: string): UnpackedPackage | undefined {
  const folder = mkdtempSync(join(tmpdir(), `culvert-${name}-`));
  const remove = (): void => rmSync(folder, { recursive: true, force: true });
  const root = join(folder, 'root');
  const fetched = spawnSync('apt-get', ['download', name], { cwd: folder, stdio: 'ignore', timeout: 60_000 });
  const file = fetched.status === 0 ? readdirSync(folder).find((one) => one.endsWith('.deb')) : undefined;
  const unpacked =
    file !== undefined &&
    spawnSync('dpkg', ['-x', join(folder, file), root], { stdio: 'ignore' }).status === 0;
  if (unpacked) return { root, remove };
  remove();
  return undefined;
}
