// The built view in Debian's Chromium, served from an intercepted origin under the policy of the real window, with a
// fake bridge in place of the preload script. Nothing else can be fetched.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type Browser, type BrowserContext, type CDPSession, chromium, type Page } from 'playwright-core';
import type { CommandName, Snapshot } from '../../../desktop/bridge/ipc.ts';
import { pageHeaders } from '../../../desktop/main/page-files.ts';
import { findProgram } from '../../support/requires.ts';
import { results, sceneTime } from './scenes.ts';

const origin = 'https://culvert.test';
const axeSource = readFileSync(
  join(fileURLToPath(new URL('../../../node_modules/axe-core/', import.meta.url)), 'axe.min.js'),
  'utf8',
);
/** A loaded machine is slow to start a browser. */
const launchTimeoutMs = 60_000;

export interface Look {
  readonly theme?: 'light' | 'dark';
  readonly width?: number;
  readonly height?: number;
  readonly locale?: string;
  readonly isReduced?: boolean;
  readonly isForced?: boolean;
  /** The page's own clock, for measurements; otherwise it stands at the time of the scenes. */
  readonly isLive?: boolean;
}

export interface Violation {
  readonly id: string;
  readonly target: string;
  readonly summary: string;
}

export async function launch(): Promise<Browser> {
  const executablePath = findProgram('chromium');
  if (executablePath === undefined) throw new Error('chromium is not installed');
  // Root has no sandbox in Chromium; anybody else does.
  const chromiumSandbox = process.getuid?.() !== 0;
  return chromium.launch({ executablePath, chromiumSandbox, timeout: launchTimeoutMs });
}

/** One window. `show` changes what the daemon says; `sent` is what the window asked for. */
export class ViewWindow {
  readonly page: Page;
  readonly faults: string[] = [];
  readonly #context: BrowserContext;
  readonly #cdp: CDPSession;

  private constructor(page: Page, context: BrowserContext, cdp: CDPSession) {
    this.page = page;
    this.#context = context;
    this.#cdp = cdp;
    page.on('pageerror', (error) => this.faults.push(String(error)));
    page.on('console', (message) => {
      if (message.type() === 'error' || message.type() === 'warning') this.faults.push(message.text());
    });
  }

  static async open(
    browser: Browser,
    folder: string,
    snapshot: Snapshot,
    look: Look = {},
  ): Promise<ViewWindow> {
    const context = await browser.newContext({
      viewport: { width: look.width ?? 380, height: look.height ?? 680 },
      colorScheme: look.theme ?? 'light',
      locale: look.locale ?? 'en-GB',
      timezoneId: 'UTC',
      reducedMotion: look.isReduced === false ? 'no-preference' : 'reduce',
      forcedColors: look.isForced === true ? 'active' : 'none',
    });
    await context.route('**/*', async (route) => {
      const url = new URL(route.request().url());
      const type = types[url.pathname];
      if (url.origin !== origin || type === undefined) return route.abort();
      return route.fulfill({ path: join(folder, url.pathname), headers: pageHeaders(type) });
    });
    const page = await context.newPage();
    const cdp = await context.newCDPSession(page);
    const window = new ViewWindow(page, context, cdp);
    if (look.isLive !== true) await page.clock.setFixedTime(new Date(sceneTime));
    await page.addInitScript(fakeBridge, { snapshot, results });
    await page.goto(`${origin}/page.html`);
    await window.settle();
    return window;
  }

  /** Waits until what was changed is painted, its effects have run, and what they changed is painted, too. */
  async settle(): Promise<void> {
    await this.page.evaluate(twoPaints);
  }

  async show(snapshot: Snapshot): Promise<void> {
    await this.page.evaluate((next) => (globalThis as unknown as Fake).fake.show(next), snapshot);
    await this.settle();
  }

  async sent(): Promise<readonly { readonly name: CommandName; readonly fields: unknown }[]> {
    return this.page.evaluate(() => (globalThis as unknown as Fake).fake.sent);
  }

  /** Makes the next calls of that name end so. */
  async answer(name: CommandName, outcome: unknown): Promise<void> {
    await this.page.evaluate(
      ([call, end]) => {
        (globalThis as unknown as Fake).fake.outcomes[call as string] = end;
      },
      [name, outcome] as const,
    );
  }

  /** By axe, from a world of its own, so that the policy of the page stays on. */
  async violations(): Promise<readonly Violation[]> {
    const { frameTree } = (await this.#cdp.send('Page.getFrameTree')) as {
      frameTree: { frame: { id: string } };
    };
    const { executionContextId: contextId } = await this.#cdp.send('Page.createIsolatedWorld', {
      frameId: frameTree.frame.id,
    });
    await this.#cdp.send('Runtime.evaluate', { expression: axeSource, contextId });
    const { result } = await this.#cdp.send('Runtime.evaluate', {
      expression: axeRun,
      contextId,
      awaitPromise: true,
      returnByValue: true,
    });
    return result.value as readonly Violation[];
  }

  /** Boxes that stick out of their parent's, and a page that is wider than its window. */
  async strayBoxes(): Promise<readonly string[]> {
    return this.page.evaluate(strayBoxes) as Promise<readonly string[]>;
  }

  async close(): Promise<void> {
    await this.#context.close();
  }
}

interface Fake {
  readonly fake: {
    readonly show: (snapshot: unknown) => void;
    readonly sent: readonly { readonly name: CommandName; readonly fields: unknown }[];
    readonly outcomes: Record<string, unknown>;
  };
}

const types: Readonly<Record<string, string>> = {
  '/page.html': 'text/html; charset=utf-8',
  '/view.js': 'text/javascript; charset=utf-8',
  '/qr.js': 'text/javascript; charset=utf-8',
  '/view.css': 'text/css; charset=utf-8',
};

/** Runs in the page, before its scripts. Like the preload: what crosses is copied, what is exposed cannot be replaced. */
function fakeBridge({
  snapshot,
  results: known,
}: {
  snapshot: unknown;
  results: Record<string, unknown>;
}): void {
  let current = snapshot;
  const listeners = new Set<(next: unknown) => void>();
  const sent: unknown[] = [];
  const outcomes: Record<string, unknown> = {};
  const world = globalThis as unknown as Record<string, unknown>;
  world['fake'] = {
    show: (next: unknown) => {
      current = next;
      for (const listener of listeners) listener(structuredClone(next));
    },
    sent,
    outcomes,
  };
  Object.defineProperty(globalThis, 'culvert', {
    value: Object.freeze({
      get: async () => structuredClone(current),
      subscribe: (listener: (next: unknown) => void) => {
        listeners.add(listener);
        return () => listeners.delete(listener);
      },
      send: async (name: string, fields: unknown) => {
        sent.push({ name, fields: structuredClone(fields) });
        return structuredClone(outcomes[name] ?? { ok: true, result: known[name] });
      },
    }),
  });
}

const twoPaints = `new Promise((done) => {
  const paint = (then) => requestAnimationFrame(() => setTimeout(then));
  paint(() => paint(done));
})`;

const axeRun = `axe.run(document, { resultTypes: ['violations', 'incomplete'] }).then((found) =>
  [...found.violations, ...found.incomplete].flatMap((one) => one.nodes.map((node) => (
    { id: one.id, target: node.target.join(' '), summary: node.failureSummary || '' }))))`;

const strayBoxes = `(() => {
  const found = [];
  const slack = 1;
  const wide = document.documentElement;
  if (wide.scrollWidth > wide.clientWidth) found.push('page: ' + wide.scrollWidth + ' > ' + wide.clientWidth);
  for (const element of document.querySelectorAll('#app *')) {
    if (element.closest('.for-ears, svg, details:not([open]) > :not(summary)') || element.tagName === 'OPTION') continue;
    const box = element.getBoundingClientRect();
    const parent = element.parentElement.getBoundingClientRect();
    if (box.width === 0 || element.tagName === 'DIALOG') continue;
    if (box.left < parent.left - slack || box.right > parent.right + slack || box.bottom > parent.bottom + slack)
      found.push(element.tagName + '.' + element.className + ' in ' + element.parentElement.className +
        ' ' + [box.left, box.right, box.bottom, parent.left, parent.right, parent.bottom].map(Math.round).join(' '));
  }
  for (const element of document.querySelectorAll('#app *')) {
    if (element.closest('.for-ears, svg, textarea, input, select, details:not([open]) > :not(summary)')) continue;
    if (element.scrollWidth > element.clientWidth + slack && element.clientWidth > 0)
      found.push('clipped ' + element.tagName + '.' + element.className);
  }
  return found;
})()`;
