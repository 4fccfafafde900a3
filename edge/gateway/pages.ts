/**
 * The pages that an edge shows inside the tunnel, on its own address (product.md §6). Pure: a request's
 * facts in, an answer out.
 */

import type { UnixMs } from '../../shared/core/base/time.ts';

export interface PageRequest {
  readonly method: string;
  /** As it stands in the request line; a query is ignored. */
  readonly target: string;
  /** Of X-Culvert-Challenge, where there was one. */
  readonly challenge: string | undefined;
}

/** What the trace tells: nothing about anybody but the asker. */
export interface TraceFacts {
  /** Name of the device that asks; undefined where no device has its address. */
  readonly device: string | undefined;
  readonly edge: string;
  readonly path: string;
  /** What carries the tunnel. */
  readonly transport: string;
  /** The asker's address in the tunnel. */
  readonly ip: string;
  /** The address that places outside see; undefined where the edge cannot know it. */
  readonly exit?: string | undefined;
  readonly now: UnixMs;
}

export interface Page {
  readonly status: 200 | 204 | 404 | 405;
  readonly headers: Readonly<Record<string, string>>;
  /** '' where there is none, also for HEAD. */
  readonly body: string;
}

/** Lower case, as Node tells and sends header names. */
export const challengeHeader = 'x-culvert-challenge';
const responseHeader = 'x-culvert-response';

const plainText = { 'content-type': 'text/plain; charset=utf-8', 'cache-control': 'no-store' } as const;

/** The one page that tells what carries the tunnel, and by which address it leaves. */
export function asksForTrace(target: string | undefined): boolean {
  return pathOf(target ?? '') === '/trace';
}

export function gatewayPage(request: PageRequest, facts: TraceFacts): Page {
  const found = pageAt(pathOf(request.target), request, facts);
  if (found === undefined) return sized({ status: 404, headers: plainText, body: notHere }, request);
  if (request.method === 'GET' || request.method === 'HEAD') return sized(found, request);
  const headers = { ...plainText, allow: 'GET, HEAD' };
  return sized({ status: 405, headers, body: 'Only GET and HEAD.\n' }, request);
}

const notHere = 'There is no such page on this edge; there are /trace and /generate_204.\n';

function pageAt(path: string, request: PageRequest, facts: TraceFacts): Page | undefined {
  switch (path) {
    case '/trace':
      return { status: 200, headers: plainText, body: traceText(facts) };
    case '/generate_204':
      return {
        status: 204,
        headers: { 'cache-control': 'no-store', ...answerTo(request.challenge) },
        body: '',
      };
    default:
      return undefined;
  }
}

/** '/trace' of '/trace?x' and of 'http://edge.culvert/trace', which is how a proxy is asked. */
function pathOf(target: string): string {
  return target.replace(/^https?:\/\/[^/?#]*/i, '').replace(/[?#].*$/, '') || '/';
}

function traceText(facts: TraceFacts): string {
  const seconds = (facts.now / 1000).toFixed(3);
  const lines: readonly (readonly [key: string, value: string])[] = [
    ['device', facts.device ?? 'unknown'],
    ['edge', facts.edge],
    ['path', facts.path],
    ['transport', facts.transport],
    ['ip', facts.ip],
    ['ts', seconds],
    ...(facts.exit === undefined ? [] : [['exit', facts.exit] as const]),
  ];
  return lines.map(([key, value]) => `${key}=${value}\n`).join('');
}

/** Who has the answer to a fresh challenge has reached this edge, and no page in between that says 204 to all. */
function answerTo(challenge: string | undefined): Readonly<Record<string, string>> {
  if (challenge === undefined || !/^[\w.~+/=-]{1,128}$/.test(challenge)) return {};
  return { [responseHeader]: `response ${challenge}` };
}

/** With its length, which HEAD is told as well; a 204 has none (RFC 9110 §8.6). */
function sized(page: Page, request: PageRequest): Page {
  if (page.status === 204) return page;
  const headers = { ...page.headers, 'content-length': String(Buffer.byteLength(page.body)) };
  return { ...page, headers, body: request.method === 'HEAD' ? '' : page.body };
}
