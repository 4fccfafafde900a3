// The desktop app as it is, main, preload and view, in Chromium over the stand-in for Electron, with a real daemon and a
// real edge behind it, all on this machine without rights.
import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
import type { Browser, BrowserContext, Page } from 'playwright-core';
import { expect } from 'vitest';
import { buildView } from '../../../desktop/build/build-view.ts';
import { type App, startApp } from '../../../desktop/main/app.ts';
import { realLinkParts } from '../../../desktop/main/link-parts.ts';
import { type Harness, standInElectron } from '../../support/electron-stand-in.ts';
import { ProxyEdge } from '../../system/support/proxy-edge.ts';

const preloadSource = fileURLToPath(new URL('../../../desktop/bridge/preload.ts', import.meta.url));
const pageSide = fileURLToPath(new URL('../../support/electron-page-side.ts', import.meta.url));
const clientEntry = fileURLToPath(new URL('../../../client/main.ts', import.meta.url));

const twoPaths = `paths:
    - { id: direct, type: direct }
    - { id: second, type: source, address: 127.0.0.1 }
  probe: { every: 1s, targets: ["127.0.0.1:9"] }`;

export async function startWorld(): Promise<ProxyEdge> {
  return ProxyEdge.start((yaml) =>
    yaml
      .replace('backend: auto', 'backend: userspace')
      .replace(/paths: \[.*\]\n(\s+)probe: .*/, twoPaths)
      .replace(/paths: \[.*\]/, twoPaths),
  );
}

/** Set by `npm run screenshots`. */
const pictures = process.env['CULVERT_SCREENSHOTS'];

/** The preload script as it is, with the page's side of the stand-in in place of Electron. */
export async function buildTestPreload(): Promise<string> {
  const { outputFiles } = await build({
    entryPoints: [preloadSource],
    bundle: true,
    format: 'iife',
    platform: 'browser',
    alias: { electron: pageSide },
    write: false,
    logLevel: 'warning',
  });
  return outputFiles[0]?.text ?? '';
}

/** Of the daemon that the app is for. */
export interface DaemonPlace {
  readonly socket: string;
  /** Starts it again. */
  readonly launcher?: string;
}

export class DesktopApp {
  readonly harness: Harness;
  readonly faults: string[];
  readonly #app: App;
  readonly #context: BrowserContext;
  readonly #folder: string;

  private constructor(parts: {
    harness: Harness;
    app: App;
    context: BrowserContext;
    folder: string;
    faults: string[];
  }) {
    this.harness = parts.harness;
    this.#app = parts.app;
    this.#context = parts.context;
    this.#folder = parts.folder;
    this.faults = parts.faults;
  }

  static async start(browser: Browser, daemon: DaemonPlace): Promise<DesktopApp> {
    const folder = mkdtempSync(join(tmpdir(), 'culvert-app-'));
    await buildView(join(folder, 'view'));
    const context = await browser.newContext({
      viewport: { width: 380, height: 700 },
      locale: 'en-GB',
      reducedMotion: 'reduce',
      deviceScaleFactor: pictures === undefined ? 1 : 1.5,
    });
    const faults: string[] = [];
    context.on('weberror', (error) => faults.push(String(error.error())));
    context.on('console', (message) => {
      if (message.type() === 'error') faults.push(message.text());
    });
    const harness = standInElectron({
      userData: join(folder, 'user'),
      host: { context, preload: await buildTestPreload() },
    });
    const app = await startApp({
      electron: harness.electron,
      facts: {
        platform: 'linux',
        env: { PATH: '/usr/bin:/bin', XDG_CONFIG_HOME: join(folder, 'config') },
        home: folder,
        ownWords: ['/opt/culvert/culvert-desktop'],
        account: 'somebody',
        launcher: daemon.launcher,
        socket: daemon.socket,
      },
      words: [],
      isRoot: false,
      pageFolder: join(folder, 'view'),
      preload: 'preload.cjs',
      version: '0.0.0-test',
      link: realLinkParts(daemon.socket),
      now: () => performance.now(),
    });
    if (app === undefined) throw new Error('The app did not start.');
    return new DesktopApp({ harness, app, context, folder, faults });
  }

  /** Of the newest window. */
  async page(): Promise<Page> {
    const page = await this.harness.windows.at(-1)?.page;
    if (page === undefined) throw new Error('There is no window.');
    return page;
  }

  async heading(): Promise<string> {
    const page = await this.page();
    return (await page.locator('h1').first().textContent()) ?? '';
  }

  async untilHeading(words: RegExp, timeout: number): Promise<void> {
    await expect.poll(() => this.heading(), { timeout, interval: 50 }).toMatch(words);
  }

  /** Into the folder that CULVERT_SCREENSHOTS names, if one is named; graphs need time to grow. */
  async picture(name: string, afterMs = 0): Promise<void> {
    if (pictures === undefined) return;
    const page = await this.page();
    await page.waitForTimeout(afterMs);
    await page.mouse.move(0, 0);
    await page.screenshot({ path: join(pictures, `${name}.png`) });
  }

  get snapshot(): App['snapshot'] {
    return this.#app.snapshot;
  }

  async close(): Promise<void> {
    this.#app.close();
    for (const window of this.harness.windows) window.close();
    await this.#context.close();
    rmSync(this.#folder, { recursive: true, force: true });
  }
}

/** A `culvert` that starts the daemon as the world's user, with its state, and leaves its process id. */
export function launcherIn(world: ProxyEdge): string {
  const path = join(world.folder, 'culvert');
  const state = join(world.folder, 'client');
  const drop =
    process.getuid?.() === 0
      ? 'setpriv --reuid=65534 --regid=65534 --clear-groups --bounding-set=-all -- '
      : '';
  const line = `exec ${drop}${process.execPath} ${clientEntry} "$@" --state-dir ${state} --json`;
  writeFileSync(path, `#!/bin/sh\nHOME=${world.folder} ${line} > ${world.folder}/started.json\n`);
  chmodSync(path, 0o755);
  return path;
}

/** Ends the daemon that the app started in this world, if it did. */
export function endStartedDaemon(world: ProxyEdge): void {
  const path = join(world.folder, 'started.json');
  if (!existsSync(path)) return;
  const { pid } = JSON.parse(readFileSync(path, 'utf8')) as { readonly pid: number };
  process.kill(pid, 'SIGTERM');
}
