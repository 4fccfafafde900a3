// The same journeys in the real Electron, where a binary is named: the preload's isolated world, the app's own scheme and
// the lock against a second start exist nowhere else. Without a binary this is skipped, and says so.
//   CULVERT_ELECTRON=/path/to/electron npx vitest run --config test/vitest.config.ts test/desktop/electron.test.ts
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type ElectronApplication, _electron as electron, type Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { buildApp } from '../../desktop/build/build-app.ts';
import type { ProxyEdge } from '../system/support/proxy-edge.ts';
import { startWorld } from './support/app-world.ts';

const binary = process.env['CULVERT_ELECTRON'] ?? '';
const isRoot = process.getuid?.() === 0;
const longMs = 180_000;
const patience = 60_000;

/** What is missing, with the line that brings it. */
const reason =
  binary === ''
    ? ' [needs an Electron binary; enable with: CULVERT_ELECTRON=/path/to/electron npm test]'
    : isRoot
      ? ' [the app refuses root; enable with: npm test as an ordinary user]'
      : '';

describe.skipIf(reason !== '')(`the app in the real Electron${reason}`, () => {
  let folder: string;
  let built: string;
  let env: NodeJS.ProcessEnv;
  let world: ProxyEdge;
  let app: ElectronApplication;
  let page: Page;

  const heading = async (): Promise<string> => (await page.locator('h1').first().textContent()) ?? '';
  const untilHeading = (words: RegExp): Promise<void> =>
    expect.poll(heading, { timeout: patience, interval: 100 }).toMatch(words);

  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), 'culvert-electron-'));
    built = join(folder, 'app');
    env = { ...process.env, XDG_CONFIG_HOME: join(folder, 'config') };
    world = await startWorld();
    await world.runDaemon();
    await buildApp(built);
    app = await electron.launch({
      executablePath: binary,
      args: [built, `--user-data-dir=${join(folder, 'user')}`, '--lang=en-GB'],
      env: { ...env, CULVERT_SOCKET: world.socket } as Record<string, string>,
      timeout: patience,
    });
    page = await app.firstWindow();
  }, longMs);

  afterAll(async () => {
    await app?.close();
    await world?.close();
    rmSync(folder, { recursive: true, force: true });
  }, longMs);

  test(
    'shows its own page, in a sandbox, without Node and without Electron',
    async () => {
      await untilHeading(/^Add this device$/);
      const found = await page.evaluate(() => {
        const here = globalThis as unknown as Record<string, unknown>;
        return {
          names: Object.keys(here['culvert'] as object).toSorted(),
          leaked: ['require', 'process', 'ipcRenderer', 'electron', 'module'].filter((name) => name in here),
        };
      });
      const isSandboxed = await app.evaluate(({ app: main }) =>
        main.getAppMetrics().some((one) => one.type === 'Tab' && one.sandboxed === true),
      );

      expect(page.url()).toBe('app://culvert/page.html');
      expect(found).toEqual({ names: ['get', 'send', 'subscribe'], leaked: [] });
      // Said on macOS and Windows alone.
      if (process.platform !== 'linux') expect(isSandboxed).toBe(true);
    },
    longMs,
  );

  test('runs under its policy: no scripts of its own, no other addresses, no way out', async () => {
    const refusedScript = page.evaluate(
      "document.body.append(Object.assign(document.createElement('script'), { textContent: 'globalThis.ran = 1' }))",
    );
    await expect(refusedScript).rejects.toThrow(/TrustedScript|Trusted Type/);
    const reached = await page.evaluate("fetch('https://example.test/').then(() => true, () => false)");
    await page.evaluate("location.assign('https://example.test/')").catch(() => undefined);
    const opened = await page.evaluate("window.open('https://example.test/') === null");

    expect(reached).toBe(false);
    expect(opened).toBe(true);
    expect(page.url()).toBe('app://culvert/page.html');
    expect(app.windows()).toHaveLength(1);
  });

  test(
    'joins by a link, switches on, and a page comes through the tunnel',
    async () => {
      await page.getByLabel('Invitation link').fill(world.invite('--name', 'laptop'));
      await page.getByRole('button', { name: 'Continue', exact: true }).click();
      await page.getByRole('button', { name: 'Join', exact: true }).click();
      await untilHeading(/^Your internet is not private$/);
      await page.getByRole('switch', { name: 'Private connection' }).click();
      await untilHeading(/^Programs that use the proxy are private$/);

      expect(world.curl('http://edge.culvert/trace').out).toMatch(/^device=laptop$/m);
    },
    longMs,
  );

  test(
    'hands the link of a second start to the first, which asks',
    async () => {
      const words = [built, `--user-data-dir=${join(folder, 'user')}`, world.invite('--name', 'other')];
      const second = spawn(binary, words, { env, stdio: 'ignore' });
      const code = await new Promise<number | null>((resolve) => second.once('exit', resolve));

      expect(code).toBe(0);
      await page.getByText('Do you want to join this server?').waitFor({ timeout: patience });
      await page.getByRole('button', { name: 'Do not join' }).click();
      await untilHeading(/are private$/);
    },
    longMs,
  );

  test(
    'says that it does not know, once the daemon is killed',
    async () => {
      world.killDaemon();
      const begun = performance.now();
      await untilHeading(/^Culvert is not running$/);

      expect(performance.now() - begun).toBeLessThan(3000);
    },
    longMs,
  );
});
