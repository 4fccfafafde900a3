/**
 * Which name servers this system asks, from the text of resolv.conf files. The firewall lets them
 * through while the name of the edge itself is looked up. Pure but for one reader.
 */

import { readFileSync } from 'node:fs';
import { parseAddressText } from '../../../shared/core/uapi/values.ts';

/** The second one names the real servers where the first only names systemd's stub. */
const resolvConfPaths: readonly string[] = ['/etc/resolv.conf', '/run/systemd/resolve/resolv.conf'];

/** A file with more is odd; the C library looks at three. */
const maxNameServers = 8;

export function systemNameServers(): readonly string[] {
  const texts = resolvConfPaths.map((path) => {
    try {
      return readFileSync(path, 'utf8');
    } catch {
      return ''; // Not there on this system.
    }
  });
  return nameServersIn(texts.join('\n'));
}

/** Addresses that are not loopback, each once. */
export function nameServersIn(text: string): readonly string[] {
  const found = text.split('\n').flatMap((line) => {
    const written = /^\s*nameserver\s+([^\s#;%]+)/.exec(line)?.[1];
    const address = written === undefined ? undefined : parseAddressText(written);
    return address === undefined || address.startsWith('127.') || address === '::1' ? [] : [address];
  });
  return [...new Set(found)].slice(0, maxNameServers);
}
