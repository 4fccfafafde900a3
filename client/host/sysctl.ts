/**
 * Kernel settings below /proc/sys, as files. Missing or read-only ones are answers, not errors.
 */

import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

export interface SysctlFiles {
  /** The value without white space around it, undefined where there is no such setting. */
  read(path: string): string | undefined;
  /** False where it cannot be written. */
  write(path: string, value: string): boolean;
}

export const systemSysctl: SysctlFiles = {
  read(path) {
    try {
      return readFileSync(join('/proc/sys', path), 'utf8').trim();
    } catch {
      return undefined; // The kernel has no such setting: the caller knows what that means.
    }
  },
  write(path, value) {
    try {
      writeFileSync(join('/proc/sys', path), value);
      return true;
    } catch {
      return false; // Read-only in some containers: the caller says so.
    }
  },
};

/** True where this machine has IPv6 at all. */
export function hasIpv6(sysctl: SysctlFiles): boolean {
  return (sysctl.read('net/ipv6/conf/all/disable_ipv6') ?? '1') === '0';
}
