/**
 * A network link that carries nothing: systemd-resolved takes name servers for a link only, and not for `lo`. It
 * lives as long as this process holds it, so a crash takes it away, and with it what resolved was told.
 */

import { readFileSync } from 'node:fs';
import type { Log } from '../../../shared/core/base/ports.ts';
import { requireLibc } from '../../../shared/node/ffi/libc.ts';
import { WorkerMemory } from '../../../shared/node/ffi/memory.ts';
import type { Run } from '../../../shared/node/run.ts';
import { TunLinux } from '../../../shared/node/tun/tun-linux.ts';

export interface OwnLink {
  readonly index: number;
  close(): void;
}

export const dnsLinkName = 'culvertdns0';
/** resolved asks over a link only where it has an address; nobody routes to this one (RFC 3927). */
const linkAddress = '169.254.83.53/32';
const memoryBytes = 4 * 1024 * 1024;
const mtu = 1280;

/** Makes the link and brings it up. Rejects with CulvertError where the right for it is missing. */
export async function openOwnLink(run: Run, log: Log): Promise<OwnLink> {
  const libc = requireLibc();
  const memory = new WorkerMemory(memoryBytes, libc);
  const tun = new TunLinux({ libc, memory, log, name: dnsLinkName, mtu });
  const close = (): void => {
    tun.close();
    memory.close();
  };
  try {
    await run('ip', ['address', 'add', linkAddress, 'dev', tun.name]);
    await run('ip', ['link', 'set', tun.name, 'up']);
    return { index: indexOf(tun.name), close };
  } catch (error) {
    close();
    throw error;
  }
}

/** The number of a network interface. Throws where there is none of that name. */
export function indexOf(interfaceName: string): number {
  return Number(readFileSync(`/sys/class/net/${interfaceName}/ifindex`, 'utf8'));
}
