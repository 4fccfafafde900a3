/** KernelSettings of the running system: /proc/sys, as files. */

import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import type { KernelSettings } from './forwarding.ts';

const folder = '/proc/sys/';
const ipv6Folder = `${folder}net/ipv6/conf`;

export const kernelSettings: KernelSettings = {
  read(path) {
    try {
      return readFileSync(folder + path, 'utf8').trim();
    } catch {
      return undefined; // absent: for example a kernel without IPv6
    }
  },
  write(path, value) {
    writeFileSync(folder + path, value);
  },
  ipv6Interfaces() {
    try {
      return readdirSync(ipv6Folder).filter((name) => name !== 'all' && name !== 'lo');
    } catch {
      return []; // a kernel without IPv6
    }
  },
};
