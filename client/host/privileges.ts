/**
 * What whole-device modes need from this machine, checked before anything is changed, so that the
 * first error a person sees is the true one.
 */

import { accessSync, constants, existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { CulvertError } from '../../shared/core/control/codes.ts';
import { type Mode, wholeDeviceModes } from '../../shared/core/control/status.ts';

/** Bit of CAP_NET_ADMIN in the masks of /proc/self/status. */
const netAdminBit = 12n;

/** Throws what keeps this machine from carrying that mode. The proxy needs nothing of it. */
export function checkMode(mode: Mode): void {
  if (wholeDeviceModes.includes(mode)) checkWholeDevice();
}

/** Throws the first thing that is missing: 'not-root', 'no-tun' or 'tool-missing'. */
export function checkWholeDevice(): void {
  if (!hasNetAdmin()) {
    throw new CulvertError('not-root', {
      text: 'Protecting the whole device needs root or CAP_NET_ADMIN, and this daemon has neither.',
      remedy: 'Start the daemon as root: sudo culvert daemon; or protect single programs: culvert mode proxy',
    });
  }
  if (!existsSync('/dev/net/tun')) throw new CulvertError('no-tun');
  for (const [tool, name] of [
    ['ip', 'iproute2'],
    ['nft', 'nftables'],
  ] as const) {
    if (!inPath(tool)) {
      throw new CulvertError('tool-missing', {
        text: `The program '${tool}' is needed and missing.`,
        remedy: `Install it, for example: apt install ${name}`,
      });
    }
  }
}

export function hasNetAdmin(): boolean {
  try {
    return netAdminIn(readFileSync('/proc/self/status', 'utf8'));
  } catch {
    return process.getuid?.() === 0; // No /proc to ask.
  }
}

/** Reads the effective capabilities in the text of /proc/PID/status. */
export function netAdminIn(processStatus: string): boolean {
  const mask = /^CapEff:\s*([0-9a-f]+)$/m.exec(processStatus)?.[1];
  return mask !== undefined && ((BigInt(`0x${mask}`) >> netAdminBit) & 1n) === 1n;
}

function inPath(program: string): boolean {
  const folders = [
    ...(process.env['PATH'] ?? '').split(':'),
    '/usr/local/sbin',
    '/usr/sbin',
    '/sbin',
    '/usr/bin',
    '/bin',
  ];
  return folders.some((folder) => {
    try {
      accessSync(join(folder, program), constants.X_OK);
      return true;
    } catch {
      return false; // Not in this folder.
    }
  });
}
