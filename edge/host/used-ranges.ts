/** What this host routes already: addresses of its interfaces, and the kernel's table where it shows one. */

import { readFileSync } from 'node:fs';
import { networkInterfaces } from 'node:os';
import { type Prefix, parsePrefix } from '../../shared/core/base/ip.ts';

export function usedRanges(): readonly Prefix[] {
  const own = Object.values(networkInterfaces()).flatMap((addresses) => addresses ?? []);
  const ranges = own.map(({ cidr }) => (cidr === null ? undefined : parsePrefix(cidr)));
  return [...ranges.filter((range) => range !== undefined), ...routedRanges(readRoutes())];
}

/** Destinations in the text of /proc/net/route, the default route left out. */
export function routedRanges(text: string): readonly Prefix[] {
  const lines = text.split('\n').slice(1);
  const ranges = lines.map((line) => {
    const words = line.split(/\s+/);
    const [destination, mask] = [bytesOf(words[1]), bytesOf(words[7])];
    if (destination === undefined || mask === undefined) return undefined;
    const bits = mask.reduce((sum, byte) => sum + byte.toString(2).replaceAll('0', '').length, 0);
    return bits === 0 ? undefined : { address: destination, bits };
  });
  return ranges.filter((range) => range !== undefined);
}

/** A number as this kernel prints it, least byte first. */
function bytesOf(hex: string | undefined): Uint8Array | undefined {
  if (hex === undefined || !/^[0-9A-F]{8}$/i.test(hex)) return undefined;
  return Uint8Array.from(Buffer.from(hex, 'hex')).toReversed();
}

function readRoutes(): string {
  try {
    return readFileSync('/proc/net/route', 'latin1');
  } catch {
    return ''; // Another system: its interfaces must do.
  }
}
