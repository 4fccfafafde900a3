// The files of the window and the headers they are sent with, for the app's own scheme and for `culvert ui`. Exactly
// the files that are listed: no path of a request ever reaches the file system.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { contentSecurityPolicy } from './security.ts';

export interface PageFile {
  readonly type: string;
  readonly body: Uint8Array<ArrayBuffer>;
}

/** By path: '/view.js'. */
export type PageFiles = ReadonlyMap<string, PageFile>;

export const pagePath = '/page.html';

const types: Readonly<Record<string, string>> = {
  '/page.html': 'text/html; charset=utf-8',
  '/view.js': 'text/javascript; charset=utf-8',
  '/qr.js': 'text/javascript; charset=utf-8',
  '/view.css': 'text/css; charset=utf-8',
};

/** What desktop/build wrote into `folder`, wholly in memory. Throws where a file is missing. */
export function readPageFiles(folder: string): PageFiles {
  return new Map(
    Object.entries(types).map(([path, type]) => [
      path,
      { type, body: new Uint8Array(readFileSync(join(folder, path))) },
    ]),
  );
}

export function pageHeaders(
  type: string,
  policy: string = contentSecurityPolicy,
): Readonly<Record<string, string>> {
  return {
    'content-type': type,
    'content-security-policy': policy,
    'x-content-type-options': 'nosniff',
    'referrer-policy': 'no-referrer',
    'cross-origin-opener-policy': 'same-origin',
    'cross-origin-resource-policy': 'same-origin',
    'permissions-policy': 'camera=(), geolocation=(), microphone=(), usb=()',
    'cache-control': 'no-store',
  };
}

/** For the app's own scheme: GET of a listed file, and nothing else. */
export function answerPage(files: PageFiles, method: string, url: string): Response {
  const file = method === 'GET' ? files.get(new URL(url).pathname) : undefined;
  if (file === undefined) {
    return new Response('', { status: 404, headers: { 'content-type': 'text/plain; charset=utf-8' } });
  }
  return new Response(file.body, { status: 200, headers: pageHeaders(file.type) });
}
