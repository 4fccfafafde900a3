// The loopback server of `culvert ui`: the page, and the calls of the bridge. Answers 127.0.0.1 alone, and of the
// requests from there only those that entrance.ts lets in. Knows nothing of the daemon: the desk does.
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Outcome, Snapshot } from '../bridge/ipc.ts';
import { type PageFile, type PageFiles, pageHeaders, pagePath } from '../main/page-files.ts';
import { browserPolicy } from '../main/security.ts';
import { Entrance } from './entrance.ts';

/** What is served besides files. */
export interface UiCalls {
  /** The newest; may ask the daemon first. */
  readonly snapshot: () => Promise<Snapshot>;
  readonly onChange: (listener: (snapshot: Snapshot) => void) => () => void;
  /** Judges name and fields itself. */
  readonly take: (name: unknown, fields: unknown) => Promise<Outcome<unknown>>;
}

export interface UiServerOptions {
  /** 0: any free one. */
  readonly port: number;
  readonly files: PageFiles;
  /** Built from desktop/bridge/browser-bridge.ts. */
  readonly bridge: Uint8Array<ArrayBuffer>;
  readonly calls: UiCalls;
  readonly random: (bytes: number) => Uint8Array;
}

export interface UiServer {
  readonly port: number;
  readonly entrance: Entrance;
  close(): Promise<void>;
}

const loopback = '127.0.0.1';
const bridgePath = '/bridge.js';
const maxConnections = 64;
const maxStreams = 16;
const maxBodyBytes = 256 * 1024;
const requestTimeoutMs = 30_000;
const script = 'text/javascript; charset=utf-8';
const plain = 'text/plain; charset=utf-8';
const stranger = 'This page opens only by the address that culvert ui printed, and that works once.\n';

export async function serveUi(options: UiServerOptions): Promise<UiServer> {
  const server = createServer();
  server.maxConnections = maxConnections;
  server.requestTimeout = requestTimeoutMs;
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(options.port, loopback, resolve);
  });
  const { port } = server.address() as AddressInfo;
  const desk = new UiDesk(options, new Entrance(port, options.random));
  server.on('request', (request, response) => void desk.answer(request, response));
  return { port, entrance: desk.entrance, close: () => close(server) };
}

function close(server: Server): Promise<void> {
  return new Promise((resolve) => {
    server.close(() => resolve());
    server.closeAllConnections();
  });
}

class UiDesk {
  readonly entrance: Entrance;
  readonly #options: UiServerOptions;
  readonly #files: ReadonlyMap<string, PageFile>;
  #streams = 0;

  constructor(options: UiServerOptions, entrance: Entrance) {
    this.#options = options;
    this.entrance = entrance;
    const bridge: PageFile = { type: script, body: options.bridge };
    this.#files = new Map([...options.files, [bridgePath, bridge]]);
  }

  async answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { method = '', headers } = request;
    response.on('error', () => undefined);
    if (!this.entrance.isMeantForUs(method, headers)) {
      say(response, 403, stranger);
      return;
    }
    const url = parseUrl(request.url);
    try {
      if (url?.pathname.startsWith('/api/') === true) await this.#call(request, response, url.pathname);
      else this.#page(request, response, url);
    } catch {
      say(response, 500, 'culvert ui met a bug.\n');
    }
  }

  #page({ method, headers }: IncomingMessage, response: ServerResponse, url: URL | undefined): void {
    if (method !== 'GET' || url === undefined) {
      say(response, 405, 'Only GET is possible here.\n');
      return;
    }
    const { pathname } = url;
    const opening = pathname === '/' ? this.entrance.open(url.searchParams.get('token')) : undefined;
    if (opening === undefined && !this.entrance.hasCookie(headers)) {
      say(response, 403, stranger);
      return;
    }
    const file = this.#files.get(pathname === '/' ? pagePath : pathname);
    if (file === undefined) {
      say(response, 404, 'There is no such file here.\n');
      return;
    }
    const cookie = opening === undefined ? {} : { 'set-cookie': this.entrance.cookieFor(opening) };
    response.writeHead(200, { ...pageHeaders(file.type, browserPolicy), ...cookie });
    response.end(pathname === '/' ? pageWith(file.body, opening?.key) : file.body);
  }

  async #call(request: IncomingMessage, response: ServerResponse, path: string): Promise<void> {
    if (!this.entrance.mayCall(request.headers)) {
      say(response, 403, stranger);
      return;
    }
    const { calls } = this.#options;
    const what = `${request.method ?? ''} ${path}`;
    if (what === 'GET /api/snapshot') json(response, await calls.snapshot());
    else if (what === 'GET /api/events') this.#stream(response);
    else if (what === 'POST /api/send') await this.#take(request, response);
    else say(response, 404, 'There is no such call.\n');
  }

  async #take(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const call = await readCall(request);
    if (call === undefined) say(response, 400, 'That is no call.\n');
    else json(response, await this.#options.calls.take(call.name, call.fields));
  }

  /** One snapshot a line, the present one first. */
  #stream(response: ServerResponse): void {
    if (this.#streams >= maxStreams) {
      say(response, 429, 'Too many windows are open.\n');
      return;
    }
    this.#streams++;
    response.writeHead(200, pageHeaders('application/x-ndjson', browserPolicy));
    // A window that does not read misses what is old by then, and gets the next one.
    const send = (snapshot: Snapshot): void => {
      if (!response.writableNeedDrain) response.write(`${JSON.stringify(snapshot)}\n`);
    };
    const stop = this.#options.calls.onChange(send);
    response.once('close', () => {
      this.#streams--;
      stop();
    });
    void this.#options.calls.snapshot().then(send, () => response.end());
  }
}

/** The bridge goes before the view, which wants it on the window. */
function pageWith(page: Uint8Array, key: string | undefined): string {
  const text = Buffer.from(page).toString('utf8');
  const meta = key === undefined ? '' : `<meta name="culvert-key" content="${key}" />`;
  return text.replace('<script', () => `${meta}<script type="module" src="bridge.js"></script>\n    <script`);
}

async function readCall(request: IncomingMessage): Promise<Record<'name' | 'fields', unknown> | undefined> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of request) {
    size += (chunk as Buffer).length;
    if (size > maxBodyBytes) return undefined;
    chunks.push(chunk as Buffer);
  }
  try {
    const parsed = JSON.parse(Buffer.concat(chunks).toString('utf8')) as Record<
      'name' | 'fields',
      unknown
    > | null;
    return typeof parsed === 'object' && parsed !== null ? parsed : undefined;
  } catch {
    return undefined;
  }
}

function parseUrl(target: string | undefined): URL | undefined {
  return target?.startsWith('/') === true
    ? (URL.parse(target, `http://${loopback}`) ?? undefined)
    : undefined;
}

function json(response: ServerResponse, value: unknown): void {
  response.writeHead(200, pageHeaders('application/json; charset=utf-8', browserPolicy));
  response.end(JSON.stringify(value));
}

function say(response: ServerResponse, status: number, text: string): void {
  if (response.headersSent) {
    response.end();
    return;
  }
  response.writeHead(status, pageHeaders(plain, browserPolicy));
  response.end(text);
}
