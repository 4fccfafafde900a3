// The app and a daemon that protects a whole device, in namespaces with a stock WireGuard server: what the window says
// is what comes out at the other end; and an account that may only look sees the truth and changes nothing.
import { chmodSync } from 'node:fs';
import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { describeWith } from '../support/requires.ts';
import {
  DeviceWorld,
  deviceNeeds,
  elsewhere,
  router,
  seenInside,
  seenOutside,
} from '../system/support/device-world.ts';
import { DesktopApp } from './support/app-world.ts';
import { Ui } from './support/ui.ts';
import { launch } from './support/window.ts';

const longMs = 180_000;
const patience = 60_000;
const needs = { ...deviceNeeds, tools: [...(deviceNeeds.tools ?? []), 'chromium', 'setpriv'] };
const asNobody = ['setpriv', '--reuid=65534', '--regid=65534', '--clear-groups', '--bounding-set=-all', '--'];

describeWith(needs, 'the app and a whole device', () => {
  const world = new DeviceWorld('w');
  let browser: Browser;
  let app: DesktopApp;
  let ui: Ui | undefined;

  beforeAll(async () => {
    await world.open();
    chmodSync(world.folder, 0o755);
    browser = await launch();
    app = await DesktopApp.start(browser, { socket: world.socket });
  }, longMs);

  afterAll(async () => {
    await ui?.clear();
    await app?.close();
    await browser?.close();
    await world.close();
  }, longMs);

  test(
    'says that the internet is private, and everything comes out of the tunnel',
    async () => {
      const page = await app.page();
      await app.untilHeading(/^Your internet is not private$/, patience);
      expect(world.ask(elsewhere)).toBe(seenOutside);

      await page.getByRole('switch', { name: 'Private connection' }).click();
      await app.untilHeading(/^Your internet is private$/, patience);

      expect(world.ask(elsewhere)).toBe(seenInside);
      await app.picture('home-on', 2000);
    },
    longMs,
  );

  test(
    'opens the devices around for a while, and sends addresses around protection, as the daemon then says',
    async () => {
      const page = await app.page();
      const said = (...words: readonly string[]): unknown =>
        JSON.parse(world.succeed(world.culvert(...words, '--json')));
      await page.keyboard.press('Control+,');
      await page.getByRole('button', { name: 'Networks and exceptions' }).click();

      await page.getByRole('button', { name: 'Open for 15 minutes' }).click();
      await page.getByText(/^Open until \d/).waitFor({ timeout: patience });
      await page.getByLabel('Name of a site, or an address').fill('198.18.7.0/24');
      await page.keyboard.press('Enter');
      await page.getByRole('button', { name: 'Remove: 198.18.7.0/24' }).waitFor({ timeout: patience });

      await app.picture('networks');

      expect(said('lan', 'status')).toMatchObject({ open: true, until: expect.any(String) });
      expect(said('tunnel', 'list')).toMatchObject({
        rules: [{ mode: 'exclude', kind: 'ip', target: '198.18.7.0/24' }],
      });
      await page.getByRole('button', { name: /^Close/ }).click();
      await page.getByRole('button', { name: 'Remove: 198.18.7.0/24' }).click();
      await page.getByText('Nothing: everything is protected.').waitFor({ timeout: patience });
      await page.getByRole('button', { name: 'Open until I close it' }).waitFor({ timeout: patience });
      expect(said('lan', 'status')).toMatchObject({ open: false });
      for (const key of ['Escape', 'Escape']) await page.keyboard.press(key);
      await app.untilHeading(/^Your internet is private$/, patience);
      expect(world.ask(elsewhere)).toBe(seenInside);
    },
    longMs,
  );

  test(
    'shows the truth to an account that may only look, and lets it change nothing',
    async () => {
      ui = await Ui.start(world.socket, asNobody);
      const page: Page = await browser.newPage({ locale: 'en-GB' });
      await page.goto(ui.address.href);
      await expect
        .poll(() => page.locator('h1').first().textContent(), { timeout: patience })
        .toBe('Your internet is private');

      const outcome = await page.evaluate("culvert.send('disconnect', {})");

      expect(outcome).toMatchObject({ ok: false, code: 'no-permission' });
      expect(await page.getByRole('switch', { name: 'Private connection' }).count()).toBe(0);
      expect(await page.getByText('Your account cannot change this yet.').count()).toBe(1);
      expect(world.status()['state']).toBe('connected');
      await page.close();
    },
    longMs,
  );

  test(
    'says that it does not know when the daemon is killed, while nothing leaves',
    async () => {
      await world.end('SIGKILL');
      await app.untilHeading(/^Culvert is not running$/, patience);

      expect(world.ask(elsewhere)).toBeUndefined();
      world.startDaemon();
      await app.untilHeading(/^Your internet is private$/, patience);
      expect(world.ask(elsewhere)).toBe(seenInside);
    },
    longMs,
  );

  test(
    'calls nothing private while the server is gone, lets nothing out, and is off when it is told to',
    async () => {
      const page = await app.page();
      world.succeed(world.inServer('nft', 'add', 'table', 'inet', 'gone'));
      const chain = ['add', 'chain', 'inet', 'gone', 'in', '{ type filter hook input priority -10; }'];
      world.succeed(world.inServer('nft', ...chain));
      world.succeed(
        world.inServer('nft', 'add', 'rule', 'inet', 'gone', 'in', 'udp', 'dport', '51820', 'drop'),
      );
      // Only a tunnel that is used can be missed.
      const stopChatter = world.startChatter();
      await app.untilHeading(/paused to protect you|could not connect/, patience).finally(stopChatter);
      expect(world.ask(router)).toBeUndefined();

      world.succeed(world.inServer('nft', 'delete', 'table', 'inet', 'gone'));
      await app.untilHeading(/^Your internet is private$/, patience);
      await page.getByRole('switch', { name: 'Private connection' }).click();
      await app.untilHeading(/^Your internet is not private$/, patience);

      await vi.waitFor(() => expect(world.ask(elsewhere)).toBe(seenOutside), { timeout: patience });
      expect(app.faults).toEqual([]);
    },
    longMs,
  );
});
