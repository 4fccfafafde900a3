/**
 * The text of a resolv.conf (resolv.conf(5)): who wrote it, what it asks, and the one that we put in its place.
 * Pure.
 */

import { parseAddressText } from '../../../shared/core/uapi/values.ts';

export interface ResolvConf {
  /** As written, in order; only those that are addresses. */
  readonly nameServers: readonly string[];
  readonly search: readonly string[];
  readonly options: readonly string[];
}

/** First line of what we write; by it we know our own file again. */
export const resolvConfMark = '# Written by culvert';

/** Programs that write this file, by what they write at its top. */
const writers: readonly (readonly [RegExp, string])[] = [
  [/^# Written by culvert/m, 'culvert'],
  [/systemd-resolved/, 'systemd-resolved'],
  [/[Gg]enerated by NetworkManager/, 'NetworkManager'],
  [/[Gg]enerated by resolvconf|resolvconf\(8\)|[Dd]ynamic resolv\.conf/, 'resolvconf'],
  [/Tailscale|tailscale/, 'Tailscale'],
  [/dhcpcd/, 'dhcpcd'],
  [/connman/i, 'ConnMan'],
];
const maxHeaderLength = 2048;

/** Name of the program that wrote the file, as it says itself. */
export function writerOf(text: string): string | undefined {
  const comments = text
    .slice(0, maxHeaderLength)
    .split('\n')
    .filter((line) => /^\s*[#;]/.test(line))
    .join('\n');
  return writers.find(([words]) => words.test(comments))?.[1];
}

export function parseResolvConf(text: string): ResolvConf {
  const nameServers: string[] = [];
  const options: string[] = [];
  let search: readonly string[] = [];
  for (const line of text.split('\n')) {
    const [word = '', ...rest] = line
      .replace(/[#;].*$/, '')
      .trim()
      .split(/\s+/);
    if (word === 'nameserver') {
      const address = parseAddressText((rest[0] ?? '').replace(/%.*$/, ''));
      if (address !== undefined) nameServers.push(address);
    } else if (word === 'search' || word === 'domain') {
      search = rest; // The last one holds.
    } else if (word === 'options') {
      options.push(...rest);
    }
  }
  return { nameServers, search, options };
}

/**
 * Our file: we are the only server, since the C library looks at three and falls through. What belongs to the
 * network (search) and to the user (options) stays; `trust-ad` would be a promise in another's name.
 */
export function ourResolvConf(servers: readonly string[], base: string): string {
  const { search, options } = parseResolvConf(base);
  const kept = options.filter((option) => option !== 'trust-ad' && option !== 'edns0');
  return [
    `${resolvConfMark}: names are looked up privately.`,
    '# What was here before comes back with: culvert disconnect',
    '# or, where no culvert runs any more, with: culvert restore',
    ...servers.map((server) => `nameserver ${server}`),
    ...(search.length === 0 ? [] : [`search ${search.join(' ')}`]),
    `options ${['edns0', ...kept].join(' ')}`,
    '',
  ].join('\n');
}
