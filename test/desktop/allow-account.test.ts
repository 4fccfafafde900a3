// "Allow my account", with the daemon of a system, two people, and polkit's file as the service's installation writes it.
// pkexec is a stand-in: it asks the test, which does as root what polkit would. A polkit with an agent was never here.
import { chmodSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { systemSocket } from '../../shared/node/control/places.ts';
import { describeWith } from '../support/requires.ts';
import { AccountWorld, accountTools, launcher, type Person } from '../system/support/account-world.ts';
import { Ui } from './support/ui.ts';
import { launch } from './support/window.ts';

const longMs = 180_000;
const patience = 60_000;
const needs = { namespaces: true, tools: [...accountTools, 'chromium'], ffi: true };

describeWith(needs, 'an account that may only look', () => {
  const world = new AccountWorld();
  const uis: Ui[] = [];
  let browser: Browser;

  beforeAll(async () => {
    await world.open();
    await world.startDaemon();
    expect(world.tellPolkit()).toMatchObject({ code: 0 });
    browser = await launch();
  }, longMs);

  afterAll(async () => {
    for (const ui of uis) await ui.clear();
    await browser?.close();
    await world.close();
  }, longMs);

  async function openAs(person: Person, path: string): Promise<Page> {
    const ui = await Ui.start(systemSocket, [...world.enter(), ...world.asWords(person, path)]);
    uis.push(ui);
    const page = await browser.newPage({ locale: 'en-GB' });
    await page.goto(ui.address.href);
    await page.getByText('Your account cannot change this yet.').waitFor({ timeout: patience });
    return page;
  }

  /** A folder with a pkexec that leaves its words and ends as it is told. */
  function standIn(): string {
    const home = world.home('anna');
    const bin = join(home, 'bin');
    mkdirSync(bin);
    const lines = [
      '#!/bin/sh',
      `printf '%s\\n' "$@" > ${home}/asking && mv ${home}/asking ${home}/asked`,
      `until [ -e ${home}/answer ]; do sleep 0.1; done`,
      `read -r code < ${home}/answer && exit "$code"`,
    ];
    writeFileSync(join(bin, 'pkexec'), `${lines.join('\n')}\n`);
    chmodSync(join(bin, 'pkexec'), 0o755);
    return bin;
  }

  /** As polkit: `decide` says how it ends, for the words that were asked for. */
  async function answer(decide: (words: readonly string[]) => number): Promise<void> {
    const [asked, said] = ['asked', 'answer'].map((name) => join(world.home('anna'), name));
    rmSync(said ?? '', { force: true });
    await vi.waitFor(() => expect(existsSync(asked ?? '')).toBe(true), { timeout: patience });
    const words = readFileSync(asked ?? '', 'utf8')
      .trim()
      .split('\n');
    rmSync(asked ?? '');
    writeFileSync(said ?? '', `${decide(words)}\n`);
  }

  test(
    'is let in by an administrator, and switches at once',
    async () => {
      const page = await openAs('anna', `${standIn()}:/usr/bin:/bin`);
      const button = page.getByRole('button', { name: 'Allow my account' });
      expect(await page.getByRole('switch', { name: 'Private connection' }).count()).toBe(0);

      await button.click();
      await answer(() => 126);
      await page.getByText('Nobody gave the permission.').waitFor({ timeout: patience });
      await button.click();
      await answer((words) => {
        expect(words).toEqual([launcher, 'account', 'allow', 'anna']);
        return world.byPkexec('anna', ...words).code ?? 1;
      });

      // No edge is known, so that the next thing to do is another one.
      await page.getByText('Add this device').first().waitFor({ timeout: patience });
      const outcome = await page.evaluate("culvert.send('set-mode', { mode: 'doh' })");
      expect(outcome).toMatchObject({ ok: true });
      expect(JSON.parse(world.asRoot('status', '--json').out)).toMatchObject({ state: 'off', mode: 'doh' });
      expect(world.file('/etc/group')).toMatch(/^culvert:x:\d+:anna$/m);
    },
    longMs,
  );

  test(
    'reads the line that lets it in, where there is no pkexec, and the line works',
    async () => {
      const page = await openAs('bob', '/usr/bin-without-pkexec:/bin-without-pkexec');

      const line = (await page.locator('code').first().textContent()) ?? '';
      expect(line).toBe(`sudo ${launcher} account allow bob`);
      expect(await page.getByRole('button', { name: 'Allow my account' }).count()).toBe(0);
      expect(world.inside(line.split(' ').slice(1)).code).toBe(0);

      await page.getByText('Your account cannot change this yet.').waitFor({
        state: 'detached',
        timeout: patience,
      });
    },
    longMs,
  );
});
