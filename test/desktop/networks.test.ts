// What a person does beyond the first screen: networks, exceptions, help, and the permission of their account. The bridge
// is a fake: whether main obeys is proved elsewhere.
import { expect, test } from 'vitest';
import type { Snapshot } from '../../desktop/bridge/ipc.ts';
import { describeWith } from '../support/requires.ts';
import { Person } from './support/person.ts';
import { scenes } from './support/scenes.ts';

const timeout = 120_000;
/** Asked by the screens themselves. */
const questions = ['modes', 'settings', 'trusted', 'lan', 'split'];

describeWith({ tools: ['chromium'] }, 'a person beyond the first screen', () => {
  const person = Person.forSuite('networks', questions, timeout);

  test(
    'trusts the network that this is, and another one no more',
    async () => {
      await person.open('connected');
      await person.press('Control+,');
      await person.window.page.getByRole('button', { name: 'Networks and exceptions' }).click();

      await person.window.page.getByRole('button', { name: 'Trust Café Guest' }).click();
      await person.window.page.getByText('You are here.').waitFor();
      await person.window.page.getByRole('button', { name: 'Remove: Zuhause' }).click();
      await person.window.page.getByText('Zuhause', { exact: true }).waitFor({ state: 'detached' });

      expect((await person.asked()).slice(-2)).toEqual([
        { name: 'trust', fields: { ssid: 'Café Guest' } },
        { name: 'distrust', fields: { ssid: 'Zuhause' } },
      ]);
    },
    timeout,
  );

  test(
    'opens the devices around for a while, sees until when, and closes them',
    async () => {
      await person.open('connected');
      await person.press('Control+,');
      await person.window.page.getByRole('button', { name: 'Networks and exceptions' }).click();

      await person.window.page.getByRole('button', { name: 'Open for 15 minutes' }).click();
      await person.window.page.getByText('Open until 12:15').waitFor();
      await person.window.page.getByRole('button', { name: /^Close/ }).click();

      expect((await person.asked()).filter(({ name }) => name === 'set-lan')).toEqual([
        { name: 'set-lan', fields: { open: true, forMs: 900_000 } },
        { name: 'set-lan', fields: { open: false } },
      ]);
    },
    timeout,
  );

  test(
    'sends a site around protection, takes a rule away, and hears where a word is no rule',
    async () => {
      await person.open('connected');
      await person.press('Control+,');
      const { page } = person.window;
      await page.getByRole('button', { name: 'Networks and exceptions' }).click();
      const field = page.getByLabel('Name of a site, or an address');

      await page.getByRole('button', { name: 'Remove: 203.0.113.0/24' }).click();
      await field.fill(' media.example ');
      await person.press('Enter');
      await field.fill('192.0.2.7');
      await person.press('Enter');
      await person.window.answer('add-split', { ok: false, code: 'bad-rule' });
      await field.fill('not a name');
      await person.press('Enter');

      expect(await page.getByRole('alert').first().textContent()).toContain('no address and no name');
      expect(await field.inputValue()).toBe('not a name');
      expect((await person.asked()).filter(({ name }) => name.endsWith('-split')).slice(0, 3)).toEqual([
        { name: 'remove-split', fields: { kind: 'ip', target: '203.0.113.0/24', mode: 'exclude' } },
        { name: 'add-split', fields: { kind: 'host', target: 'media.example', mode: 'exclude' } },
        { name: 'add-split', fields: { kind: 'ip', target: '192.0.2.7', mode: 'exclude' } },
      ]);
    },
    timeout,
  );

  test(
    'chooses what happens after a crash, in words',
    async () => {
      await person.open('connected');
      await person.press('Control+,');

      await person.window.page.getByLabel('If the protecting part crashes').selectOption('restore');

      expect((await person.asked()).at(-1)).toEqual({
        name: 'set-setting',
        fields: { name: 'guardian', value: 'restore' },
      });
    },
    timeout,
  );

  test(
    'finds help inside the person.window, and comes back to where it was opened',
    async () => {
      await person.open('connected');
      const { page } = person.window;
      await page.getByRole('button', { name: 'Details' }).click();

      await page.getByRole('button', { name: 'Questions and answers' }).click();
      await page.getByText('What can it not do?').click();
      expect(await page.getByText('It does not make you anonymous.').isVisible()).toBe(true);
      await page.getByText('All messages, and what to do').click();
      expect(await page.getByText('mtu-broken').isVisible()).toBe(true);
      await person.press('Escape');

      expect(await page.locator('h1').textContent()).toBe('Help and details');
      expect(await page.evaluate('document.activeElement.textContent')).toBe('Questions and answers');
      expect(await person.asked()).toEqual([]);
    },
    timeout,
  );

  test(
    'asks for permission, or reads the line that gives it',
    async () => {
      await person.open('read-only');

      await person.window.page.getByRole('button', { name: 'Allow my account' }).click();
      expect(await person.asked()).toEqual([{ name: 'allow-account', fields: {} }]);
      await person.window.show(scenes['read-only-typed'] as Snapshot);

      expect(await person.window.page.getByRole('button', { name: 'Allow my account' }).count()).toBe(0);
      expect(await person.window.page.locator('code').textContent()).toMatch(
        /^sudo \S+ account allow somebody$/,
      );
    },
    timeout,
  );
});
