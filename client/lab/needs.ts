/** What a lab of network namespaces needs of this machine, and how to get it. */

import { existsSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { CulvertError } from '../../shared/core/control/codes.ts';

export interface LabWords {
  /** Begins a sentence: 'The lab', 'The demonstration of a whole device'. */
  readonly what: string;
  /** How to run it with the rights that it needs, a whole sentence. */
  readonly asRoot: string;
  /** What to do on another system, a whole sentence. */
  readonly elsewhere: string;
}

const packages: Readonly<Record<string, string>> = { ip: 'iproute2', nft: 'nftables' };
const systemFolders = ['/usr/local/sbin', '/usr/sbin', '/sbin', '/usr/bin', '/bin'];

/** Throws CulvertError where a lab cannot be built here. */
export function checkLabNeeds({ what, asRoot, elsewhere }: LabWords): void {
  if (process.platform !== 'linux') {
    throw new CulvertError('unsupported-platform', { text: `${what} needs Linux.`, remedy: elsewhere });
  }
  if (process.getuid?.() !== 0) {
    throw new CulvertError('not-root', {
      text: `${what} builds networks, which needs root.`,
      remedy: asRoot,
    });
  }
  if (!existsSync('/dev/net/tun')) {
    throw new CulvertError('no-tun', {
      remedy: 'Load it: modprobe tun (in a container: --device /dev/net/tun).',
    });
  }
  const folders = [...(process.env['PATH'] ?? '').split(delimiter), ...systemFolders];
  const absent = Object.keys(packages).filter(
    (name) => !folders.some((folder) => existsSync(join(folder, name))),
  );
  if (absent.length === 0) return;
  const names = absent.map((name) => packages[name] ?? name).join(' ');
  throw new CulvertError('tool-missing', {
    text: `${absent.join(' and ')} must be installed first.`,
    remedy: `Run: apt install ${names}`,
  });
}
