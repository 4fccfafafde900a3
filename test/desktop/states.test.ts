// Every state in Chromium, in light and dark: nothing for axe to complain about, nothing outside its place, nothing that
// the policy of the page had to stop. Also narrow, with large text, in other languages and with forced colours. The
// pictures go into one contact sheet in dist/desktop/contact-sheet, which is there to be looked at.
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Browser } from 'playwright-core';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Snapshot } from '../../desktop/bridge/ipc.ts';
import { buildView } from '../../desktop/build/build-view.ts';
import { describeWith } from '../support/requires.ts';
import { writeSheet } from './support/contact-sheet.ts';
import { scenes } from './support/scenes.ts';
import { type Look, launch, ViewWindow } from './support/window.ts';

const folder = fileURLToPath(new URL('../../dist/desktop/app-for-tests/', import.meta.url));
const sheet = fileURLToPath(new URL('../../dist/desktop/contact-sheet/', import.meta.url));
const timeout = 180_000;

/** What can be read or heard: texts, and names that only screen readers say. Codes and commands are in no language. */
const textsOnPage = `[...document.querySelectorAll('#app :not(code)')].flatMap((element) => [
  ...[...element.childNodes].filter((node) => node.nodeType === 3).map((node) => node.textContent.trim()),
  element.getAttribute('aria-label') ?? '',
]).filter((text) => text !== '')`;

/** Screens besides home: how they are reached from there. */
const ways: Readonly<Record<string, (window: ViewWindow) => Promise<void>>> = {
  paths: async ({ page }) => page.getByRole('button', { name: /Where|Von wo|Whéré/ }).click(),
  settings: async ({ page }) => page.keyboard.press('Control+,'),
  diagnostics: async ({ page }) => {
    await page.locator('.below button').last().click();
    await page.locator('.question .main').first().click();
    await page.locator('.attach input').check();
    await page.locator('form textarea').fill('It hangs after an hour.');
  },
  networks: async ({ page }) => {
    await page.keyboard.press('Control+,');
    await page.locator('[data-opens=networks]').click();
  },
  'networks-open': async ({ page }) => {
    await page.keyboard.press('Control+,');
    await page.locator('[data-opens=networks]').click();
    await page.locator('section:nth-of-type(2) .small').first().click();
  },
  help: async ({ page }) => {
    await page.keyboard.press('Control+,');
    await page.locator('[data-opens=help]').click();
    await page.locator('.topic').evaluateAll((topics) => {
      for (const topic of topics) topic.setAttribute('open', '');
    });
  },
  about: async ({ page }) => {
    await page.keyboard.press('Control+,');
    await page.locator('.row-link').last().click();
  },
};

/** From any screen. At home, Escape asks for the window to go away, which a test's does not. */
async function goHome(window: ViewWindow): Promise<void> {
  for (const key of ['Escape', 'Escape']) await window.page.keyboard.press(key);
  await window.settle();
}

const looks: readonly (readonly [string, Look])[] = [
  ['light', { theme: 'light' }],
  ['dark', { theme: 'dark' }],
  ['narrow', { width: 320, theme: 'light' }],
  ['german', { locale: 'de-AT', theme: 'light' }],
  ['pseudo', { locale: 'en-XA', width: 320, theme: 'dark' }],
  ['forced', { isForced: true }],
];

describeWith({ tools: ['chromium'] }, 'every state in a real browser', () => {
  let browser: Browser;
  const pictures = new Map<string, string[]>();

  beforeAll(async () => {
    await buildView(folder);
    mkdirSync(sheet, { recursive: true });
    browser = await launch();
  }, timeout);

  afterAll(async () => {
    for (const [look, paths] of pictures) await writeSheet(browser, paths, join(sheet, `sheet-${look}.png`));
    await browser?.close();
  }, timeout);

  async function inspect(window: ViewWindow, name: string, look: string): Promise<void> {
    const { page } = window;
    const path = join(sheet, `${name}.${look}.png`);
    await page.screenshot({ path, fullPage: true });
    pictures.set(look, [...(pictures.get(look) ?? []), path]);
    expect.soft(await window.strayBoxes(), `${name} in ${look}`).toEqual([]);
    expect.soft(await window.violations(), `${name} in ${look}`).toEqual([]);
  }

  test.each(looks)(
    'is readable, reachable and in its place: %s',
    async (name, look) => {
      const window = await ViewWindow.open(browser, folder, scenes['off'] as Snapshot, look);

      for (const [scene, snapshot] of Object.entries(scenes)) {
        await window.show(snapshot);
        await inspect(window, scene, name);
      }
      await window.show(scenes['connected'] as Snapshot);
      await window.page.locator('summary').click();
      await inspect(window, 'sights', name);
      for (const [screen, walk] of Object.entries(ways)) {
        await window.show(scenes['connected'] as Snapshot);
        await walk(window);
        await window.settle();
        await inspect(window, screen, name);
        await goHome(window);
      }

      expect(window.faults).toEqual([]);
      await window.close();
    },
    timeout,
  );

  test.each<readonly [string, boolean]>([
    ['text of twice the size', false],
    ['text of twice the size, from right to left', true],
  ])(
    'loses nothing with %s',
    async (_, isFromRight) => {
      const window = await ViewWindow.open(browser, folder, scenes['off'] as Snapshot, { width: 380 });
      await window.page.evaluate(`const sheet = new CSSStyleSheet(); sheet.replaceSync(':root { font-size: 200% }');
      document.adoptedStyleSheets = [sheet];
      document.documentElement.dir = ${isFromRight ? "'rtl'" : "'ltr'"};`);

      for (const scene of [
        'off',
        'connected',
        'noticed',
        'blocked',
        'signing-in',
        'first-run',
        'invited',
      ] as const) {
        await window.show(scenes[scene] as Snapshot);
        await inspect(window, scene, isFromRight ? 'rtl-large' : 'large');
      }

      expect(window.faults).toEqual([]);
      await window.close();
    },
    timeout,
  );

  test(
    'has every sentence from the catalogue of its language',
    async () => {
      const window = await ViewWindow.open(browser, folder, scenes['off'] as Snapshot, { locale: 'en-XA' });
      const said: string[] = [];
      const listen = async (): Promise<void> => {
        said.push(...((await window.page.evaluate(textsOnPage)) as string[]));
      };

      for (const snapshot of Object.values(scenes)) {
        await window.show(snapshot);
        await listen();
      }
      for (const walk of Object.values(ways)) {
        await window.show(scenes['noticed'] as Snapshot);
        await walk(window);
        await window.settle();
        await listen();
        await goHome(window);
      }

      const names =
        /^(stockholm|frankfurt|singapore|office|Café Guest|Zuhause|Büro 5 GHz|\*\.bank\.example|firefox \(1234\)|English|Deutsch|edge\.example\.com:443)$/;
      const foreign = said.filter(
        (text) => /[a-z]{3}/i.test(text) && !text.includes('[') && !names.test(text),
      );
      expect(said.length).toBeGreaterThan(200);
      expect(foreign).toEqual([]);
      await window.close();
    },
    timeout,
  );

  test(
    'would be told of pale words, of a box that sticks out, and of an inline style',
    async () => {
      const window = await ViewWindow.open(browser, folder, scenes['off'] as Snapshot);

      await window.page.evaluate(`{
      const sheet = new CSSStyleSheet();
      sheet.replaceSync('.sentence { color: #ddd !important } .big-switch { margin-inline-start: 40rem }');
      document.adoptedStyleSheets = [sheet];
      document.querySelector('h1').setAttribute('style', 'color: red');
    }`);

      expect((await window.violations()).map(({ id }) => id)).toContain('color-contrast');
      expect(await window.strayBoxes()).not.toEqual([]);
      expect(window.faults.join(' ')).toContain('style');
      await window.close();
    },
    timeout,
  );

  test(
    'turns nothing and slides nothing where a person asked for less motion',
    async () => {
      const still = await ViewWindow.open(browser, folder, scenes['connecting'] as Snapshot, {
        isReduced: true,
      });
      const moving = await ViewWindow.open(browser, folder, scenes['connecting'] as Snapshot, {
        isReduced: false,
      });

      expect(await still.page.evaluate('document.getAnimations().length')).toBe(0);
      expect(await moving.page.evaluate('document.getAnimations().length')).toBe(1);
      await still.close();
      await moving.close();
    },
    timeout,
  );
});
