// What a person does in the window, by keyboard alone where that matters, and what the window sends for it. The bridge is
// a fake: whether main obeys is proved elsewhere.
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { encodeQR } from 'qr';
import { expect, test } from 'vitest';
import type { Snapshot } from '../../desktop/bridge/ipc.ts';
import { describeWith } from '../support/requires.ts';
import { Person } from './support/person.ts';
import { results, scenes, sceneTime } from './support/scenes.ts';

const sheet = fileURLToPath(new URL('../../dist/desktop/contact-sheet/', import.meta.url));
const timeout = 120_000;
const link = 'culvert://edge.example.com:443/join?t=x';
/** Asked by the screens themselves. */
const questions = ['modes', 'settings', 'paths'];

describeWith({ tools: ['chromium'] }, 'a person at the window', () => {
  const person = Person.forSuite('journeys', questions, timeout);

  test(
    'turns protection on by keyboard, and sees at once that it was heard',
    async () => {
      await person.open('off');

      await person.press('Tab', 'Tab', 'Space');

      expect(await person.asked()).toEqual([{ name: 'connect', fields: {} }]);
      expect(await person.window.page.locator('h1').textContent()).toBe('Turning protection on...');
      expect(await person.window.page.getByRole('switch', { name: 'Private connection' }).isChecked()).toBe(
        true,
      );
      await person.window.show(scenes['connected'] as Snapshot);
      expect(await person.window.page.locator('h1').textContent()).toBe('Your internet is private');
    },
    timeout,
  );

  test(
    'is told why it failed, and what is true',
    async () => {
      await person.open('off');
      await person.window.answer('connect', { ok: false, code: 'edge-unreachable' });

      await person.window.page.getByRole('switch', { name: 'Private connection' }).click();
      await person.window.settle();

      expect(await person.window.page.getByRole('alert').first().textContent()).toContain(
        'The server does not answer.',
      );
      expect(await person.window.page.locator('h1').textContent()).toBe('Your internet is not private');
    },
    timeout,
  );

  test(
    'is asked before a closed network is opened, and Enter stays safe',
    async () => {
      await person.open('blocked');

      await person.window.page.getByRole('button', { name: 'Use internet without protection' }).click();
      await person.window.settle();
      expect(await person.window.page.getByRole('dialog').textContent()).toContain('visible on Café Guest');
      expect(await person.window.violations()).toEqual([]);
      await person.press('Enter');

      expect(await person.asked()).toEqual([]);
      expect(await person.window.page.getByRole('dialog').count()).toBe(0);
      await person.window.page.getByRole('button', { name: 'Use internet without protection' }).click();
      await person.window.page.getByRole('button', { name: 'Go unprotected' }).click();
      expect(await person.asked()).toEqual([{ name: 'disconnect', fields: {} }]);
    },
    timeout,
  );

  test(
    'joins by a link only after the name of the server was shown',
    async () => {
      await person.open('first-run');

      await person.window.page.getByLabel('Invitation link').fill(` ${link} `);
      await person.press('Enter');
      expect(await person.window.page.locator('.server').textContent()).toBe('edge.example.com:443');
      expect(await person.asked()).toEqual([{ name: 'read-invitation', fields: { link } }]);
      await person.window.page.getByRole('button', { name: 'Join', exact: true }).click();

      expect((await person.asked()).at(-1)).toEqual({ name: 'enroll', fields: { link } });
    },
    timeout,
  );

  test(
    'says no to a link that was opened outside',
    async () => {
      await person.open('invited');

      await person.window.page.getByRole('button', { name: 'Do not join' }).click();

      expect(await person.asked()).toEqual([{ name: 'drop-invitation', fields: {} }]);
    },
    timeout,
  );

  test(
    'joins by the picture of a code',
    async () => {
      await person.open('first-run');
      const picture = Buffer.from(encodeQR(link, 'gif', { scale: 6 }));

      const input = person.window.page.locator('input[type=file]');
      await input.setInputFiles({ name: 'code.gif', mimeType: 'image/gif', buffer: picture });

      await person.window.page.locator('.server').waitFor();
      expect(await person.asked()).toEqual([{ name: 'read-invitation', fields: { link } }]);
      expect(person.window.faults).toEqual([]);
    },
    timeout,
  );

  test(
    'hears that a picture holds no code',
    async () => {
      await person.open('first-run');
      const input = person.window.page.locator('input[type=file]');

      await input.setInputFiles({ name: 'no.gif', mimeType: 'image/gif', buffer: Buffer.from('no picture') });

      await person.window.page.getByText('There is no readable code').waitFor();
      expect(await person.asked()).toEqual([]);
    },
    timeout,
  );

  test(
    'chooses what to protect with the arrow keys',
    async () => {
      await person.open('off');

      await person.window.page.getByRole('radio', { name: /Everything/ }).focus();
      await person.press('ArrowDown');

      expect(await person.asked()).toEqual([{ name: 'set-mode', fields: { mode: 'doh' } }]);
    },
    timeout,
  );

  test(
    'chooses a place, hears its delay, and stops the live numbers',
    async () => {
      await person.open('connected');
      await person.window.page.getByRole('button', { name: /Where you go/ }).click();

      const place = person.window.page.getByRole('radio', { name: 'stockholm, 71 milliseconds, fine' });
      await place.check();

      expect(await person.asked()).toEqual([{ name: 'use-path', fields: { path: 'stockholm' } }]);
      expect(await person.window.page.getByRole('radio').first().getAttribute('aria-label')).toContain(
        'Fastest',
      );
      await person.window.page.getByRole('button', { name: 'Pause live numbers' }).click();
      expect(
        await person.window.page.getByRole('button', { name: 'Go on with live numbers' }).isVisible(),
      ).toBe(true);
      await person.press('Escape');
      expect(await person.window.page.locator('h1').textContent()).toBe('Your internet is private');
      expect(await person.window.page.evaluate('document.activeElement.textContent')).toContain(
        'Where you go',
      );
    },
    timeout,
  );

  test(
    'sees a gap, not a zero, where a place did not answer',
    async () => {
      await person.open('connected');
      await person.window.page.clock.install({ time: new Date(sceneTime) });
      await person.window.page.reload();
      await person.window.page.clock.runFor(500);
      await person.window.page.getByRole('button', { name: /Where you go/ }).click();
      const list = results['paths'] as { readonly paths: readonly { readonly id: string }[] };
      const without = list.paths.map((path) =>
        path.id === 'frankfurt' ? { id: path.id, state: 'down' } : path,
      );

      await person.window.page.clock.runFor(10_000);
      await person.window.answer('paths', { ok: true, result: { ...list, paths: without } });
      await person.window.page.clock.runFor(5_000);
      expect(await person.window.page.locator('.place', { hasText: 'frankfurt' }).textContent()).toContain(
        'no answer',
      );
      await person.window.answer('paths', { ok: true, result: list });
      await person.window.page.clock.runFor(10_000);

      await person.window.page.screenshot({ path: join(sheet, 'paths.live.png'), fullPage: true });
      const lines = person.window.page.locator('.place', { hasText: 'frankfurt' }).locator('polyline');
      expect(await lines.count()).toBe(2);
      const order = await person.window.page
        .getByRole('radio')
        .evaluateAll((all) => all.map((one) => one.getAttribute('value')));
      expect(order).toEqual(['auto', 'frankfurt', 'stockholm', 'singapore', 'office']);
    },
    timeout,
  );

  test(
    'sends words without the details unless they were attached, exactly as shown',
    async () => {
      await person.open('connected');
      const { page } = person.window;
      await page.getByRole('button', { name: 'Details' }).click();
      await page.getByRole('button', { name: 'Collect details' }).click();
      await page.getByLabel('What happened?').fill('It hangs.');

      await page.getByRole('button', { name: 'Send', exact: true }).click();
      await page.getByText('Sent. Its number is f-7.').waitFor();
      await page.getByLabel('What happened?').fill('Again.');
      await page.getByLabel('Send the details above with it').check();
      await page.getByRole('button', { name: 'Send', exact: true }).click();

      const { text } = results['diagnostics'] as { readonly text: string };
      expect(await page.getByLabel('This is the whole text').inputValue()).toBe(text);
      expect(await person.asked()).toEqual([
        { name: 'diagnostics', fields: {} },
        { name: 'send-feedback', fields: { words: 'It hangs.' } },
        { name: 'send-feedback', fields: { words: 'Again.', diagnostics: text } },
      ]);
    },
    timeout,
  );

  test(
    'changes a setting, and never sees a secret',
    async () => {
      await person.open('connected');
      await person.press('Control+,');

      await person.window.page.getByLabel('Port of the proxy').fill('41000');
      await person.press('Enter');

      expect((await person.asked()).at(-1)).toEqual({
        name: 'set-setting',
        fields: { name: 'proxy.port', value: 41_000 },
      });
      expect(await person.window.page.textContent('main')).not.toContain('password');
    },
    timeout,
  );

  test(
    'is offered nothing that cannot work here',
    async () => {
      const scene = scenes['connected'] as Snapshot;
      const unsupported = ['pause', 'paths', 'set-families', 'diagnostics', 'send-feedback'] as const;
      await person.open('connected');

      await person.window.show({ ...scene, app: { ...scene.app, unsupported } });

      expect(await person.window.page.getByRole('button').allTextContents()).toEqual(['', 'Details']);
      await person.window.page.getByRole('button', { name: 'Details' }).click();
      expect(await person.window.page.getByRole('button', { name: 'Collect details' }).count()).toBe(0);
    },
    timeout,
  );

  test(
    'is not left with an old promise when a screen breaks',
    async () => {
      await person.open('connected');
      const scene = scenes['connected'] as Snapshot;

      await person.window.show({ ...scene, words: undefined } as unknown as Snapshot);

      expect(await person.window.page.locator('h1').textContent()).toBe('We lost touch with Culvert');
    },
    timeout,
  );

  test(
    'hears a new state once it has settled, and never a number',
    async () => {
      await person.open('connecting');
      await person.window.show(scenes['connected'] as Snapshot);

      await person.window.page
        .locator('[role=status]', { hasText: 'Your internet is private' })
        .waitFor({ state: 'attached' });
      await person.window.show(scenes['no-service'] as Snapshot);
      await person.window.page
        .locator('[role=alert]', { hasText: 'Culvert is not running' })
        .waitFor({ state: 'attached' });

      const live = await person.window.page
        .locator('[role=status], [role=alert], [aria-live]')
        .allTextContents();
      expect(live.join(' ')).not.toMatch(/\d/);
    },
    timeout,
  );

  test(
    'cannot be shown another script or another bridge by anything in the page',
    async () => {
      await person.open('off');

      const script = `(() => { const one = document.createElement('script');
      try { one.textContent = 'globalThis.bad = 1'; document.body.append(one); } catch { return 'refused'; }
      return globalThis.bad === undefined ? 'refused' : 'ran'; })()`;
      const bridge = `(() => { try { culvert.send = 1; } catch {} return typeof culvert.send; })()`;

      expect(await person.window.page.evaluate(script)).toBe('refused');
      expect(await person.window.page.evaluate(bridge)).toBe('function');
    },
    timeout,
  );
});
