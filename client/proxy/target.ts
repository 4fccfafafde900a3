/**
 * Where a client wants to go: hosts, ports, authorities and absolute-form targets (RFC 9112 §3.2,
 * RFC 3986 §3.2). Pure. Never resolves a name.
 */

import { formatAddress, parseAddress } from '../../shared/core/base/ip.ts';

export interface Target {
  /** A numeric address in its usual spelling, IPv6 without brackets, or a name in lower case. */
  readonly host: string;
  /** 1 to 65535. */
  readonly port: number;
}

/** An http:// target: where, what, and the authority as it belongs into Host. */
export interface HttpTarget extends Target {
  readonly authority: string;
  /** Path and query, beginning with '/', or '*'. */
  readonly path: string;
}

const maxNameLength = 253;
const httpPort = 80;

/**
 * A name or an address. Underscores are fine, as many real names have them. Undefined for what cannot
 * be a host: empty or long labels, other characters, and names that only look like IPv4 addresses.
 */
export function parseHost(text: string): string | undefined {
  const bracketed = text.startsWith('[') && text.endsWith(']');
  const bare = bracketed ? text.slice(1, -1) : text;
  const address = parseAddress(bare);
  if (address !== undefined) {
    return bracketed && address.length === 4 ? undefined : formatAddress(address);
  }
  if (bracketed) return undefined;
  const name = bare.endsWith('.') ? bare.slice(0, -1) : bare;
  if (name.length > maxNameLength) return undefined;
  const labels = name.split('.');
  if (!labels.every((label) => /^[A-Za-z0-9_-]{1,63}$/.test(label))) return undefined;
  // '127.1' and '0x7f000001' are addresses to some resolvers and names to others: to us they are neither.
  if (/^(?:\d+|0[xX][0-9a-fA-F]*)$/.test(labels.at(-1) ?? '')) return undefined;
  return bare.toLowerCase();
}

/** 'host:port', 'host', '[v6]:port' or '[v6]'. Without `defaultPort` the port must be there. */
export function parseAuthority(text: string, defaultPort?: number): Target | undefined {
  const match = /^(\[[^\]]*\]|[^:[\]]*)(?::(\d*))?$/.exec(text);
  if (match === null) return undefined;
  const host = parseHost(match[1] ?? '');
  const port = match[2] === undefined || match[2] === '' ? defaultPort : parsePort(match[2]);
  return host === undefined || port === undefined ? undefined : { host, port };
}

/** Target of a request to a proxy. Undefined unless it is http:// without user name or password. */
export function parseHttpTarget(text: string): HttpTarget | undefined {
  const match = /^http:\/\/([^/?#]*)([^#]*)/i.exec(text);
  if (match === null) return undefined;
  const target = parseAuthority(match[1] ?? '', httpPort);
  if (target === undefined) return undefined;
  const rest = match[2] ?? '';
  const path = rest.startsWith('/') ? rest : `/${rest}`;
  return { ...target, path, authority: formatAuthority(target, httpPort) };
}

/** 'host:port', with brackets where they belong, without the port where it is `defaultPort`. */
export function formatAuthority(target: Target, defaultPort?: number): string {
  const host = target.host.includes(':') ? `[${target.host}]` : target.host;
  return target.port === defaultPort ? host : `${host}:${target.port}`;
}

function parsePort(text: string): number | undefined {
  if (!/^[1-9]\d{0,4}$/.test(text)) return undefined;
  const port = Number(text);
  return port > 0xffff ? undefined : port;
}
