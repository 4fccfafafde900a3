/** The key `dns` of edge.yaml: whom the resolver inside the tunnel asks, and what it keeps. */

import { CulvertError } from '../shared/core/control/codes.ts';
import { parseUpstream } from '../shared/node/resolver/parse-upstream.ts';
import type { ConfigReader, Field } from './config-reader.ts';

/** Which names are refused for being harmful, and for being unfit for families. */
export type FilterChoice = 'off' | 'malware' | 'full';

export interface DnsConfig {
  /** As shared/node/resolver reads them, in the order of choice. Empty: only `edge.culvert` is known. */
  readonly upstreams: readonly string[];
  readonly families: FilterChoice;
  readonly cacheEntries: number;
}

export const defaultDns: DnsConfig = {
  upstreams: ['tls://1.1.1.1', 'https://1.1.1.1/dns-query'],
  families: 'off',
  cacheEntries: 100_000,
};

const maxUpstreams = 8;
const maxCacheEntries = 10_000_000;

export function readDns(reader: ConfigReader, at: Field | undefined): DnsConfig {
  const section =
    at === undefined ? undefined : reader.section(at, { known: ['upstreams', 'families', 'cacheEntries'] });
  return {
    upstreams: readUpstreams(reader, section?.get('upstreams')) ?? defaultDns.upstreams,
    families: reader.choice(section?.get('families'), ['off', 'malware', 'full']) ?? defaultDns.families,
    cacheEntries: reader.integer(section?.get('cacheEntries'), 0, maxCacheEntries) ?? defaultDns.cacheEntries,
  };
}

function readUpstreams(reader: ConfigReader, at: Field | undefined): readonly string[] | undefined {
  if (at === undefined) return undefined;
  const items = reader.list(at);
  if (items.length > maxUpstreams) reader.problem(at, `${at.name} may have ${maxUpstreams} entries at most`);
  const upstreams = items.slice(0, maxUpstreams).map((item) => {
    const text = reader.text(item);
    return text === undefined ? undefined : checkUpstream(reader, item, text);
  });
  return upstreams.filter((one) => one !== undefined);
}

function checkUpstream(reader: ConfigReader, at: Field, text: string): string | undefined {
  try {
    return parseUpstream(text).text;
  } catch (cause) {
    if (!(cause instanceof CulvertError)) throw cause;
    return reader.problem(at, `${at.name}: ${cause.message}`);
  }
}
