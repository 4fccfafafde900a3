/**
 * Whether this process may do what an edge with kernel egress does. Asked before anything is touched.
 * Decides from a bag of answers; `askHost` fills the bag from the running system.
 */

import { accessSync, constants, existsSync, readFileSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { CulvertError } from '../../shared/core/control/codes.ts';

export interface HostAnswers {
  readonly platform: string;
  readonly mayAdministerNetwork: boolean;
  readonly hasTun: boolean;
  readonly missingPrograms: readonly string[];
}

const programs: Readonly<Record<string, string>> = { ip: 'iproute2', nft: 'nftables' };
const systemFolders = ['/usr/local/sbin', '/usr/sbin', '/sbin', '/usr/bin', '/bin'];
/** Number of CAP_NET_ADMIN in the masks of /proc/self/status. */
const capNetAdmin = 12n;

/** Throws the one error that a person must know first; returns where nothing is missing. */
export function checkPrivileges(answers: HostAnswers): void {
  if (answers.platform !== 'linux') {
    throw new CulvertError('unsupported-platform', {
      text: 'An edge with the egress backend "kernel" runs on Linux only.',
      remedy: 'Run it on a Linux server, or write egress.backend: userspace in edge.yaml.',
    });
  }
  if (!answers.mayAdministerNetwork) {
    throw new CulvertError('not-root', {
      text: 'The egress backend "kernel" needs root or CAP_NET_ADMIN: it makes a network interface and firewall rules.',
      remedy: 'Write egress.backend: userspace, or run it with sudo: sudo node_modules/.bin/culvert-edge run',
    });
  }
  if (!answers.hasTun) {
    throw new CulvertError('no-tun', {
      text: '/dev/net/tun is missing or closed to this process.',
      remedy: 'Load the module with modprobe tun; in a container, pass --device /dev/net/tun.',
    });
  }
  if (answers.missingPrograms.length > 0) {
    const packages = answers.missingPrograms.map((name) => programs[name] ?? name);
    throw new CulvertError('tool-missing', {
      text: `The edge needs ${answers.missingPrograms.join(' and ')}, which cannot be found here.`,
      remedy: `Install what is missing: sudo apt install ${packages.join(' ')}`,
    });
  }
}

/** Half a sentence: why the kernel cannot forward for this program; undefined where it can. */
export function kernelMissing(answers: HostAnswers): string | undefined {
  if (answers.platform !== 'linux') return `${answers.platform} has no such backend`;
  if (!answers.mayAdministerNetwork) return 'this program has no CAP_NET_ADMIN';
  if (!answers.hasTun) return '/dev/net/tun is missing or closed to this program';
  if (answers.missingPrograms.length > 0) return `${answers.missingPrograms.join(' and ')} cannot be found`;
  return undefined;
}

export function askHost(): HostAnswers {
  const platform = process.platform;
  if (platform !== 'linux') {
    return { platform, mayAdministerNetwork: false, hasTun: false, missingPrograms: [] };
  }
  return {
    platform,
    mayAdministerNetwork: hasCapability(readFileSync('/proc/self/status', 'utf8'), capNetAdmin),
    hasTun: mayOpen('/dev/net/tun'),
    missingPrograms: Object.keys(programs).filter((name) => !isInstalled(name)),
  };
}

/** Reads the line CapEff of /proc/PID/status. */
export function hasCapability(status: string, capability: bigint): boolean {
  const mask = /^CapEff:\s*([0-9a-f]+)$/m.exec(status)?.[1];
  return mask !== undefined && ((BigInt(`0x${mask}`) >> capability) & 1n) === 1n;
}

function mayOpen(path: string): boolean {
  try {
    accessSync(path, constants.R_OK | constants.W_OK);
    return true;
  } catch {
    return false;
  }
}

function isInstalled(program: string): boolean {
  const folders = [...(process.env['PATH'] ?? '').split(delimiter), ...systemFolders];
  return folders.some((folder) => existsSync(join(folder, program)));
}
