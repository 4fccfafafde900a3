// The app, a daemon that protects a whole device, and a network that wants a sign-in: what the window says, what its
// button opens, what leaves meanwhile, and that the tunnel comes up by itself once somebody signed in.
import type { Browser } from 'playwright-core';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { describeWith } from '../support/requires.ts';
import {
  behind,
  DeviceWorld,
  deviceNeeds,
  elsewhere,
  seenInside,
  seenOutside,
} from '../system/support/device-world.ts';
import { probePage, SignInNetwork, signInText } from '../system/support/sign-in-network.ts';
import { DesktopApp } from './support/app-world.ts';
import { launch } from './support/window.ts';

const longMs = 240_000;
const patience = 60_000;
const needs = { ...deviceNeeds, tools: [...(deviceNeeds.tools ?? []), 'chromium', 'dnsmasq'] };

describeWith(needs, 'the app in a network that wants a sign-in', () => {
  const world = new DeviceWorld('y');
  const network = new SignInNetwork(world);
  let browser: Browser;
  let app: DesktopApp;

  beforeAll(async () => {
    await world.open();
    await network.start();
    browser = await launch();
    app = await DesktopApp.start(browser, { socket: world.socket });
  }, longMs);

  afterEach(() => {
    world.culvert('disconnect');
    network.remove();
  }, patience);

  afterAll(async () => {
    await app?.close();
    await browser?.close();
    await world.close();
  }, longMs);

  async function meetSignIn(): Promise<void> {
    await app.untilHeading(/^Your internet is not private$/, patience);
    network.wallUp();
    const page = await app.page();
    await page.getByRole('switch', { name: 'Private connection' }).click();
    await app.untilHeading(/^This network needs you to sign in$/, patience);
  }

  async function timeLeft(): Promise<number> {
    const page = await app.page();
    const text = await page.locator('.sentence .time').textContent({ timeout: patience });
    const [, minutes, seconds] = /^ (\d):(\d\d) left$/.exec(text ?? '') ?? [];
    return Number(minutes) * 60 + Number(seconds);
  }

  test(
    'leads to the sign-in by the fixed address alone, counts down, and is private by itself afterwards',
    async () => {
      await meetSignIn();
      const page = await app.page();
      const other = network.counted('other');
      expect(app.harness.opened).toEqual([]);
      expect(await page.locator('.sentence .time').count()).toBe(0);

      await page.getByRole('button', { name: 'Open the sign-in page', exact: true }).click();
      await app.untilHeading(/^Waiting for you to sign in$/, patience);

      // Nothing that the network said is opened: not even where it sent us.
      expect(app.harness.opened).toEqual([probePage]);
      expect(world.inClient('curl', '-sL', '-m5', app.harness.opened[0] ?? '').out).toContain(signInText);
      const left = await timeLeft();
      expect(left).toBeGreaterThan(0);
      expect(left).toBeLessThanOrEqual(300);
      await expect.poll(timeLeft, { timeout: patience, interval: 200 }).toBeLessThan(left);
      expect(world.ask(elsewhere)).toBeUndefined();
      expect(world.ask(behind, 1)).toBeUndefined();
      expect(network.counted('other')).toBe(other);

      network.signIn();
      await app.untilHeading(/^Your internet is private$/, patience);

      expect(world.ask(behind)).toBe(seenInside);
      expect(await page.locator('.sentence .time').count()).toBe(0);
      expect(app.harness.opened).toEqual([probePage]);
      expect(app.faults).toEqual([]);
    },
    longMs,
  );

  test(
    'goes on without a sign-in where a person says that there is none, and lets nothing out for it',
    async () => {
      await meetSignIn();
      const page = await app.page();
      // The first sign-in is forgotten; this one is opened from the tray.
      app.harness.tray?.click('Open the sign-in page');
      await app.untilHeading(/^Waiting for you to sign in$/, patience);
      expect(app.harness.opened).toEqual([probePage, probePage]);

      await page.getByRole('button', { name: 'This network asks for no sign-in' }).click();
      await app.untilHeading(/^(Making your internet private|We could not connect)/, patience);
      // The network still answers as it did: it is not believed any more.
      await expect
        .poll(() => JSON.parse(world.succeed(world.culvert('portal', '--json'))) as unknown, {
          timeout: patience,
        })
        .toMatchObject({ ignored: true, verdict: 'portal' });
      expect(await app.heading()).not.toMatch(/sign/);
      expect(world.ask(elsewhere)).toBeUndefined();
      expect(app.harness.opened).toEqual([probePage, probePage]);

      network.remove();
      await app.untilHeading(/^Your internet is private$/, patience);
      await page.getByRole('switch', { name: 'Private connection' }).click();
      await app.untilHeading(/^Your internet is not private$/, patience);
      expect(world.ask(elsewhere)).toBe(seenOutside);
      expect(app.faults).toEqual([]);
    },
    longMs,
  );
});
