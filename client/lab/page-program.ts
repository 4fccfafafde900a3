/**
 * Somebody at the laptop who opens a page again and again, each time over a new connection, knowing nothing of
 * culvert. Waits for a line on standard input, then prints a line of JSON whenever the outcome is another one, and after
 * each further line on standard input. Words: URL; port of an HTTP proxy on this machine (optional). Started by stage.ts.
 */

import { type IncomingMessage, type RequestOptions, request } from 'node:http';
import { createInterface } from 'node:readline';

/** One line. */
export interface PageLine {
  readonly ok: boolean;
  /** When it was begun and when it ended; Date.now(). */
  readonly begunAt: number;
  readonly endedAt: number;
  /** Where the web server saw us come from. */
  readonly from?: string;
}

const giveUpMs = 1500;
const restMs = 50;
const maxPageChars = 10_000;
const [url = '', proxyPort] = process.argv.slice(2);

function options(): RequestOptions {
  const { hostname, port, pathname } = new URL(url);
  if (proxyPort === undefined) return { hostname, port, path: pathname };
  return { hostname: '127.0.0.1', port: Number(proxyPort), path: url, headers: { host: hostname } };
}

function open(): Promise<string | undefined> {
  return new Promise((resolve) => {
    const signal = AbortSignal.timeout(giveUpMs);
    const asked = request({ ...options(), agent: false, signal }, (response: IncomingMessage) => {
      let text = '';
      response.setEncoding('utf8').on('data', (chunk: string) => {
        if (text.length < maxPageChars) text += chunk;
      });
      response.on('error', () => resolve(undefined));
      response.on('end', () => resolve(seenFrom(text)));
    });
    asked.on('error', () => resolve(undefined));
    asked.end();
  });
}

/** Pages of anybody else than the lab's web server count as none. */
function seenFrom(text: string): string | undefined {
  try {
    const { from } = JSON.parse(text) as { readonly from?: unknown };
    return typeof from === 'string' ? from : undefined;
  } catch {
    return undefined;
  }
}

let said: string | undefined;
const lines = createInterface({ input: process.stdin });
await new Promise<void>((resolve) => lines.once('line', () => resolve()));
lines.on('line', () => {
  said = undefined;
});
lines.on('close', () => process.exit(0));
for (;;) {
  const begunAt = Date.now();
  const from = await open();
  const outcome = from ?? 'none';
  if (outcome !== said) {
    const line: PageLine = {
      ok: from !== undefined,
      begunAt,
      endedAt: Date.now(),
      ...(from === undefined ? {} : { from }),
    };
    process.stdout.write(`${JSON.stringify(line)}\n`);
  }
  said = outcome;
  await new Promise((resolve) => setTimeout(resolve, restMs));
}
