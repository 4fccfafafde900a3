// The desktop app against a real daemon and a real edge: first run, joining by a link, switching on, a page through the
// tunnel, another way out, a daemon that is killed and started again, an edge that goes away.
import type { Browser } from 'playwright-core';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { channels } from '../../desktop/bridge/channels.ts';
import { pageOrigin } from '../../desktop/main/security.ts';
import { describeWith } from '../support/requires.ts';
import { type ProxyEdge, proxyEdgeTools } from '../system/support/proxy-edge.ts';
import { DesktopApp, endStartedDaemon, launcherIn, startWorld } from './support/app-world.ts';
import { launch } from './support/window.ts';

const longMs = 180_000;
const patience = 60_000;

describeWith({ tools: ['chromium', ...proxyEdgeTools] }, 'the app, a daemon and an edge', () => {
  let browser: Browser;
  let world: ProxyEdge;
  let app: DesktopApp;

  beforeAll(async () => {
    world = await startWorld();
    await world.runDaemon();
    browser = await launch();
    app = await DesktopApp.start(browser, { socket: world.socket, launcher: launcherIn(world) });
  }, longMs);

  afterAll(async () => {
    await app?.close();
    await browser?.close();
    if (world !== undefined) endStartedDaemon(world);
    await world?.close();
  }, longMs);

  test(
    'first asks for an invitation, and joins nothing before a person said yes',
    async () => {
      const page = await app.page();
      await app.untilHeading(/^Add this device$/, patience);

      await page.getByLabel('Invitation link').fill(world.invite('--name', 'laptop'));
      await page.getByRole('button', { name: 'Continue', exact: true }).click();
      await page.getByText(`127.0.0.1:${world.https}`).waitFor({ timeout: patience });

      expect(world.status().edge).toBeUndefined();
      await page.getByRole('button', { name: 'Join', exact: true }).click();
      await app.untilHeading(/^Your internet is not private$/, patience);
      expect(world.status().edge?.name).toBe('lab');
      await app.picture('home-off');
    },
    longMs,
  );

  test(
    'switches protection on with the keyboard alone, and a page comes through the tunnel',
    async () => {
      const page = await app.page();

      await page.getByRole('switch', { name: 'Private connection' }).focus();
      await page.keyboard.press('Space');
      await app.untilHeading(/^Programs that use the proxy are private$/, patience);

      expect(world.curl('http://edge.culvert/trace').out).toMatch(/^device=laptop$/m);
      expect(app.harness.tray?.tooltip).toBe('Culvert: Programs that use the proxy are private');
      await app.picture('home-proxy');
    },
    longMs,
  );

  test(
    'changes the way out, and the edge takes it',
    async () => {
      const page = await app.page();
      await page.getByRole('button', { name: /Where you go online from/ }).click();

      await page.getByRole('radio', { name: /^second/ }).click({ timeout: patience, force: true });
      await vi.waitFor(() => expect(world.status().path?.chosen).toBe('second'), {
        timeout: patience,
        interval: 500,
      });

      expect(world.curl('http://edge.culvert/trace').out).toMatch(/^path=second$/m);
      await vi.waitFor(() => expect(app.harness.tray?.labels.join()).toContain('Where: second'), {
        timeout: patience,
      });
      await app.picture('paths', 20_000);
      await page.keyboard.press('Escape');
    },
    longMs,
  );

  test('refuses another page, a frame in its own, and calls that it does not know', async () => {
    const id = app.harness.windows.length;
    const sendFrom = (sender: object, name: string, fields: unknown): Promise<unknown> =>
      app.harness.invokeFrom({ contentsId: id, origin: pageOrigin, ...sender }, channels.send, name, fields);

    await expect(sendFrom({ origin: 'https://evil.example' }, 'disconnect', {})).rejects.toThrow(
      /untrusted sender/,
    );
    await expect(sendFrom({ isChildFrame: true }, 'disconnect', {})).rejects.toThrow(/untrusted sender/);
    await expect(sendFrom({ isGone: true }, 'disconnect', {})).rejects.toThrow(/untrusted sender/);
    await expect(sendFrom({ contentsId: id + 1 }, 'disconnect', {})).rejects.toThrow(/untrusted sender/);
    for (const [name, fields] of [
      ['use-path', { path: '../../etc/passwd' }],
      ['disconnect', { now: true }],
      ['set-setting', { name: '__proto__', value: 1 }],
      ['constructor', {}],
      ['connect', null],
    ] as const) {
      expect(await sendFrom({}, name, fields), name).toMatchObject({ ok: false, code: 'bad-request' });
    }
    expect(world.status()).toMatchObject({ state: 'connected', path: { chosen: 'second' } });
  });

  test('leaves the page without any way to Electron, to other addresses and to scripts of its own', async () => {
    const page = await app.page();
    const found = await page.evaluate(async () => {
      const world = globalThis as unknown as Record<string, unknown>;
      const before = world['culvert'];
      try {
        world['culvert'] = {};
      } catch {
        // Refused: that is what is looked for.
      }
      const reached = await fetch('https://example.test/').then(
        () => true,
        () => false,
      );
      return {
        names: Object.keys(before as object).toSorted(),
        isSame: world['culvert'] === before,
        leaked: ['standInInvoke', 'require', 'process', 'ipcRenderer'].filter((name) => name in world),
        reached,
      };
    });
    const script = page.evaluate(
      "document.body.append(Object.assign(document.createElement('script'), { textContent: 'globalThis.ran = 1' }))",
    );

    expect(found).toEqual({ names: ['get', 'send', 'subscribe'], isSame: true, leaked: [], reached: false });
    await expect(script).rejects.toThrow(/TrustedScript|Trusted Type/);
    app.faults.length = 0;
  });

  test(
    'says within three seconds that it does not know, when the daemon is killed',
    async () => {
      await app.untilHeading(/are private$/, patience);
      const begun = performance.now();

      world.killDaemon();
      await app.untilHeading(/^Culvert is not running$/, patience);

      const tookMs = performance.now() - begun;
      expect(tookMs).toBeLessThan(3000);
      expect((await (await app.page()).locator('#app').textContent()) ?? '').toContain(
        'We do not know if your internet is private.',
      );
      expect(app.harness.tray?.labels[0]).toBe('Culvert is not running');
      await app.picture('not-running');
    },
    longMs,
  );

  test(
    'starts the daemon again, which brings back what was on',
    async () => {
      const page = await app.page();

      await page.getByRole('button', { name: 'Start it again' }).click();
      await app.untilHeading(/^Programs that use the proxy are private$/, patience);

      expect(world.curl('http://edge.culvert/trace').out).toMatch(/^device=laptop$/m);
    },
    longMs,
  );

  test(
    'calls nothing private while the edge is away, and lets nobody off unasked',
    async () => {
      const page = await app.page();
      await world.endEdge();
      await app.untilHeading(/paused to protect you|could not connect|Making/, patience);

      expect(world.curl('http://edge.culvert/trace').code).not.toBe(0);
      await app.untilHeading(/paused to protect you|could not connect/, patience);
      await page.getByRole('button', { name: 'Use internet without protection' }).click();
      await page.getByRole('button', { name: 'Keep me protected' }).click();
      expect(world.status().state).not.toBe('off');

      await world.runEdge();
      await app.untilHeading(/^Programs that use the proxy are private$/, patience);
    },
    longMs,
  );

  test(
    'asks before it uses a link that was opened outside, also from a second start',
    async () => {
      const link = world.invite('--name', 'other');
      app.harness.startAgain(['/usr/bin/culvert-desktop', link]);
      const page = await app.page();

      await page.getByText('Do you want to join this server?').waitFor({ timeout: patience });
      await page.getByRole('button', { name: 'Do not join' }).click();
      await app.untilHeading(/are private$/, patience);

      expect(app.snapshot.app.invitation).toBeUndefined();
      expect(JSON.parse(world.culvert('edge', 'list', '--json'))).toHaveLength(1);
    },
    longMs,
  );

  test(
    'goes on without a window, and stops nothing when it is closed',
    async () => {
      app.harness.windows.at(-1)?.close();
      expect(app.harness.notifications.at(-1)?.body).toBe('Closing the window does not turn protection off.');

      app.harness.tray?.click('Open Culvert');
      await app.untilHeading(/are private$/, patience);

      expect(app.harness.windows).toHaveLength(2);
      expect(world.status().state).toBe('connected');
      expect(app.faults).toEqual([]);
    },
    longMs,
  );
});
