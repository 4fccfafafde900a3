/**
 * Somebody at the laptop who loads a file, once, knowing nothing of culvert. Prints a line of JSON when it is there, or when
 * it failed. Words: URL; how many bytes; port of an HTTP proxy on this machine (optional). Started by stage.ts.
 */

import { get, type RequestOptions } from 'node:http';

/** One line. */
export interface DownloadLine {
  readonly ok: boolean;
  /** When it was begun and when it ended; Date.now(). */
  readonly begunAt: number;
  readonly endedAt: number;
}

const [url = '', wanted = '0', proxyPort] = process.argv.slice(2);
const begunAt = Date.now();
let received = 0;

function options(): RequestOptions {
  const { hostname, port, pathname } = new URL(url);
  if (proxyPort === undefined) return { hostname, port, path: pathname };
  return { hostname: '127.0.0.1', port: Number(proxyPort), path: url, headers: { host: hostname } };
}

function end(ok: boolean): void {
  const line: DownloadLine = { ok, begunAt, endedAt: Date.now() };
  process.stdout.write(`${JSON.stringify(line)}\n`, () => process.exit(0));
}

const asked = get({ ...options(), agent: false }, (response) => {
  response.on('data', (chunk: Buffer) => {
    received += chunk.length;
    if (received < Number(wanted)) return;
    response.destroy();
    end(true);
  });
  response.on('error', () => end(received >= Number(wanted)));
});
asked.on('error', () => end(false));
