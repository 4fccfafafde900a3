// The bridge of `culvert ui`: the same table, over the loopback server that served the page, instead of a preload
// script. The page's key is in its own memory, because a cookie alone would be seen by every port of this machine.
import type { AppView, Bridge, CommandName, Outcome, Snapshot } from './ipc.ts';

const keyName = 'culvert-key';
const keyHeader = 'x-culvert-key';
const retryMs = 1000;
const maxLineChars = 1024 * 1024;
/** What a page can do without its server. */
const nothingWorks: readonly CommandName[] = ['start-daemon', 'allow-account'];

const key = takeKey();
let app: AppView | undefined;

const bridge: Bridge = {
  get: async () => {
    try {
      const response = await ask('/api/snapshot');
      return noted((await response.json()) as Snapshot);
    } catch (cause) {
      return unknownNow(cause);
    }
  },
  subscribe: (listener) => {
    const end = new AbortController();
    void follow(listener, end.signal);
    return () => end.abort();
  },
  send: async (name, fields) => {
    if (name === 'save-diagnostics') return save((fields as { readonly text: string }).text) as never;
    try {
      const body = JSON.stringify({ name, fields });
      const response = await ask('/api/send', { method: 'POST', body });
      return (await response.json()) as never;
    } catch {
      return { ok: false, code: 'daemon-not-running' };
    }
  },
};

Object.defineProperty(globalThis, 'culvert', { value: Object.freeze(bridge) });

/** From the page that the one-time address gave; a reload finds it in the memory of this tab. */
function takeKey(): string {
  const given = document.querySelector(`meta[name="${keyName}"]`)?.getAttribute('content') ?? '';
  if (given === '') return sessionStorage.getItem(keyName) ?? '';
  sessionStorage.setItem(keyName, given);
  // The token in the address is dead already; nobody needs to see it.
  history.replaceState(null, '', '/');
  return given;
}

async function ask(path: string, init: RequestInit = {}): Promise<Response> {
  const headers = { [keyHeader]: key, 'content-type': 'application/json' };
  const response = await fetch(path, { ...init, headers, cache: 'no-store' });
  if (!response.ok) throw new Error(`status ${response.status}`);
  return response;
}

function noted(snapshot: Snapshot): Snapshot {
  app = snapshot.app;
  return snapshot;
}

/** The program behind this page has ended, so nobody here knows anything. */
function unknownNow(cause: unknown): Snapshot {
  if (app === undefined) throw cause;
  return { daemon: 'absent', app: { ...app, unsupported: [...app.unsupported, ...nothingWorks] } };
}

/** One snapshot a line, until `signal`; begins again where the line breaks off. */
async function follow(listener: (snapshot: Snapshot) => void, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    try {
      const response = await ask('/api/events', { signal });
      await readLines(response, (line) => listener(noted(JSON.parse(line) as Snapshot)));
    } catch {
      // Below: said, and tried again.
    }
    if (signal.aborted) return;
    if (app !== undefined) listener(unknownNow(undefined));
    await new Promise((resolve) => setTimeout(resolve, retryMs));
  }
}

async function readLines(response: Response, take: (line: string) => void): Promise<void> {
  const reader = response.body?.getReader();
  const decoder = new TextDecoder();
  let unread = '';
  for (;;) {
    const { value, done } = (await reader?.read()) ?? { value: undefined, done: true };
    if (done) return;
    unread += decoder.decode(value, { stream: true });
    if (unread.length > maxLineChars) throw new Error('A line is too long.');
    const lines = unread.split('\n');
    unread = lines.pop() ?? '';
    for (const line of lines) if (line !== '') take(line);
  }
}

/** As a download of the browser. */
function save(text: string): Outcome<{ readonly saved: boolean }> {
  const address = URL.createObjectURL(new Blob([text], { type: 'text/plain' }));
  const link = document.createElement('a');
  link.href = address;
  link.download = 'culvert-details.txt';
  link.click();
  URL.revokeObjectURL(address);
  return { ok: true, result: { saved: true } };
}
