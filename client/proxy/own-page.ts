/**
 * The two things that the port itself serves: a page that says what it is, and /proxy.pac for browsers.
 * Pure. Everything else that is meant for the port is refused, so that no web page can use it as an
 * address of its own (DNS rebinding).
 */

import { isSelf } from './access.ts';
import type { Gate } from './context.ts';
import type { Answer } from './http-head.ts';
import { formatAuthority, parseAuthority, type Target } from './target.ts';

export interface OwnRequest {
  readonly method: string;
  /** Path and query. */
  readonly path: string;
  readonly host: Target;
}

/** Who a request in origin form is for. Undefined: not us, so nothing that a proxy could serve. */
export function ownTarget(hostHeader: string | undefined, ownPort: number): Target | undefined {
  const target = parseAuthority(hostHeader ?? '', 80);
  return target !== undefined && isSelf(target, ownPort) ? target : undefined;
}

export function answerOwn(request: OwnRequest, gate: Gate): Answer {
  const isPage = request.path === '/' || request.path === '/proxy.pac';
  if (!isPage) return { status: 403, sentence: 'The proxy serves nothing of its own but / and /proxy.pac.' };
  if (request.method !== 'GET' && request.method !== 'HEAD') {
    return { status: 405, sentence: 'This page can only be read.', headers: { Allow: 'GET, HEAD' } };
  }
  const authority = formatAuthority(request.host);
  if (request.path === '/proxy.pac') {
    const headers = { 'Content-Type': 'application/x-ns-proxy-autoconfig' };
    return { status: 200, sentence: autoConfiguration(authority), headers };
  }
  return { status: 200, sentence: page(authority, gate) };
}

function page(authority: string, gate: Gate): string {
  const state = gate.kind === 'open' ? 'It is open.' : `It refuses everything now: ${gate.reason}`;
  return [
    'This is the local proxy of culvert. Programs that use it are private; others are not.',
    state,
    '',
    `SOCKS5   socks5h://${authority}   (also SOCKS4a, and UDP by SOCKS5)`,
    `HTTP     http://${authority}      (CONNECT and plain requests)`,
    `Browsers http://${authority}/proxy.pac`,
  ].join('\n');
}

/**
 * PROXY, not SOCKS: with it every browser leaves names to the proxy. Never DIRECT for anything but this
 * machine: while the tunnel is down, requests are to fail.
 */
function autoConfiguration(authority: string): string {
  return [
    'function FindProxyForURL(url, host) {',
    "  if (host === 'localhost' || host === '[::1]' || host === '::1' || /^127(\\.\\d+){3}$/.test(host)) {",
    "    return 'DIRECT';",
    '  }',
    `  return 'PROXY ${authority}';`,
    '}',
  ].join('\n');
}
