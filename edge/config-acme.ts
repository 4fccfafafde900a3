/** The key certificate.acme of edge.yaml: a certificate of an authority, kept new by itself. */

import { isScalar } from 'yaml';
import type { ConfigReader, Field } from './config-reader.ts';

export interface AcmeConfig {
  /** Host names, lower case. */
  readonly domains: readonly string[];
  /** Where the authority writes to. */
  readonly email: string | undefined;
  /** Of the authority. */
  readonly directory: string;
  /** PEM of a private authority's own roots; undefined: the usual ones. */
  readonly rootsFile: string | undefined;
  readonly proof: 'auto' | 'tls-alpn-01' | 'http-01';
  /** For http-01: where port 80 of the name arrives on this machine. */
  readonly httpPort: number;
}

export const defaultDirectory = 'https://acme-v02.api.letsencrypt.org/directory';
const defaultHttpPort = 80;
const maxDomains = 20;
const acmeKeys = {
  known: ['domains', 'email', 'directory', 'rootsFile', 'proof', 'httpPort', 'agreeTos'],
  required: ['domains', 'agreeTos'],
};

export function readAcme(
  reader: ConfigReader,
  at: Field,
  resolve: (path: string) => string,
): AcmeConfig | undefined {
  const section = reader.section(at, acmeKeys);
  if (section === undefined) return undefined;
  const agreed = section.get('agreeTos');
  if (agreed !== undefined && !(isScalar(agreed.node) && agreed.node.value === true)) {
    reader.problem(agreed, `${agreed.name} must be true: read the terms of the authority first`);
  }
  const roots = reader.text(section.get('rootsFile'));
  return {
    domains: readDomains(reader, section.get('domains')),
    email: readEmail(reader, section.get('email')),
    directory: readDirectory(reader, section.get('directory')) ?? defaultDirectory,
    rootsFile: roots === undefined ? undefined : resolve(roots),
    proof: reader.choice(section.get('proof'), ['auto', 'tls-alpn-01', 'http-01']) ?? 'auto',
    httpPort: reader.integer(section.get('httpPort'), 1, 65_535) ?? defaultHttpPort,
  };
}

function readDomains(reader: ConfigReader, at: Field | undefined): readonly string[] {
  if (at === undefined) return [];
  const items = reader.list(at);
  if (items.length > maxDomains) reader.problem(at, `${at.name} may have ${maxDomains} names at most`);
  if (items.length === 0) reader.problem(at, `${at.name} needs a host name, for example [edge.example.com]`);
  return items.flatMap((item) => {
    const text = reader.text(item)?.toLowerCase();
    if (text === undefined) return [];
    if (/^(?=.{4,253}$)(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z][a-z0-9-]*[a-z0-9]$/.test(text))
      return [text];
    reader.problem(item, `${item.name} must be a whole host name without *, for example edge.example.com`);
    return [];
  });
}

function readEmail(reader: ConfigReader, at: Field | undefined): string | undefined {
  const text = reader.text(at);
  if (at === undefined || text === undefined) return undefined;
  if (/^[^\s@,?]{1,64}@[^\s@,?]{1,190}$/.test(text)) return text;
  return reader.problem(at, `${at.name} must be one mail address`);
}

function readDirectory(reader: ConfigReader, at: Field | undefined): string | undefined {
  const text = reader.text(at);
  if (at === undefined || text === undefined) return undefined;
  if (URL.canParse(text) && new URL(text).protocol === 'https:') return text;
  return reader.problem(at, `${at.name} must be an address that begins with https://`);
}
