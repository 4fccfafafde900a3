// `culvert ui`: the same window in an ordinary browser, by the program as a person starts it, with a real daemon and a
// real edge; and what strangers on the same machine or another page get from it.
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { describeWith } from '../support/requires.ts';
import { type ProxyEdge, proxyEdgeTools } from '../system/support/proxy-edge.ts';
import { startWorld } from './support/app-world.ts';
import { culvert, Ui } from './support/ui.ts';
import { launch } from './support/window.ts';

const longMs = 180_000;
const patience = 60_000;

describeWith({ tools: ['chromium', ...proxyEdgeTools] }, 'culvert ui', () => {
  let browser: Browser;
  let world: ProxyEdge;
  let ui: Ui;
  let page: Page;
  let token: string;

  const heading = async (): Promise<string> => (await page.locator('h1').first().textContent()) ?? '';

  beforeAll(async () => {
    world = await startWorld();
    await world.runDaemon();
    world.culvert('enroll', world.invite('--name', 'laptop'));
    browser = await launch();
    ui = await Ui.start(world.socket);
    token = ui.address.searchParams.get('token') ?? '';
  }, longMs);

  afterAll(async () => {
    await ui?.clear();
    await browser?.close();
    await world?.close();
  }, longMs);

  test('gives strangers nothing, and their attempts do not use up the token', async () => {
    const wrong = `/?token=${'A'.repeat(token.length)}`;

    expect((await ui.ask('/')).status).toBe(403);
    expect((await ui.ask(wrong)).status).toBe(403);
    expect((await ui.ask('/api/snapshot')).status).toBe(403);
    expect((await ui.ask('/view.js')).status).toBe(403);
    expect((await ui.ask(`/?token=${token}`, { host: 'rebound.example' })).status).toBe(403);
    expect((await ui.ask(`/?token=${token}`, { host: `localhost:${ui.address.port}` })).status).toBe(403);
    expect((await ui.ask(`/?token=${token}`, { origin: 'https://evil.example' })).status).toBe(403);
  });

  test(
    'opens once in a browser, and shows the truth',
    async () => {
      const faults: string[] = [];
      page = await browser.newPage({ locale: 'en-GB', viewport: { width: 380, height: 700 } });
      page.on('pageerror', (error) => faults.push(String(error)));
      await page.goto(ui.address.href);
      await expect.poll(heading, { timeout: patience }).toBe('Your internet is not private');

      expect(page.url()).toBe(`${ui.address.origin}/`);
      expect((await ui.ask(`/?token=${token}`)).status).toBe(403);
      expect(faults).toEqual([]);
    },
    longMs,
  );

  test(
    'switches protection on, and follows what the daemon says',
    async () => {
      await page.getByRole('switch', { name: 'Private connection' }).click();
      await expect.poll(heading, { timeout: patience }).toBe('Programs that use the proxy are private');

      world.culvert('disconnect');
      await expect.poll(heading, { timeout: patience }).toBe('Your internet is not private');
    },
    longMs,
  );

  test(
    'lives through a reload, by cookie and by the memory of the tab',
    async () => {
      await page.reload();
      await expect.poll(heading, { timeout: patience }).toBe('Your internet is not private');
    },
    longMs,
  );

  test('is closed to whoever saw the cookie, and to pages elsewhere that use the browser', async () => {
    const cookies = await page.context().cookies(ui.address.origin);
    const cookie = cookies.map(({ name, value }) => `${name}=${value}`).join('; ');
    const key = String(await page.evaluate("sessionStorage.getItem('culvert-key')"));
    const call = JSON.stringify({ name: 'connect', fields: {} });
    const { origin } = ui.address;
    const all = { cookie, 'x-culvert-key': key, origin };

    expect(cookies).toMatchObject([{ httpOnly: true, sameSite: 'Strict', path: '/' }]);
    expect((await ui.ask('/api/snapshot', { cookie })).status).toBe(403);
    expect((await ui.ask('/api/snapshot', { 'x-culvert-key': key })).status).toBe(403);
    expect((await ui.ask('/api/send', { ...all, origin: 'https://evil.example' }, 'POST', call)).status).toBe(
      403,
    );
    expect((await ui.ask('/api/send', { cookie, 'x-culvert-key': key }, 'POST', call)).status).toBe(403);
    expect(
      (await ui.ask('/api/snapshot', { cookie, 'x-culvert-key': key, 'sec-fetch-site': 'cross-site' }))
        .status,
    ).toBe(403);
    expect(world.status().state).toBe('off');
    expect((await ui.ask('/api/snapshot', all)).status).toBe(200);
  });

  test('judges calls as the app does, and serves no other files', async () => {
    const [first] = await page.context().cookies(ui.address.origin);
    const key = String(await page.evaluate("sessionStorage.getItem('culvert-key')"));
    const all = { cookie: `${first?.name}=${first?.value}`, 'x-culvert-key': key, origin: ui.address.origin };
    const bad = JSON.stringify({ name: 'use-path', fields: { path: '../../etc' } });

    expect((await ui.ask('/api/send', all, 'POST', bad)).text).toContain('"bad-request"');
    expect((await ui.ask('/api/send', all, 'POST', 'no json')).status).toBe(400);
    expect((await ui.ask('/api/send', all, 'POST', ' '.repeat(300_000))).status).toBe(400);
    expect((await ui.ask('/../package.json', all)).status).toBe(404);
    expect((await ui.ask('/page.html/..%2f..%2fpackage.json', all)).status).toBe(404);
    const { headers } = await ui.ask('/', all);
    expect(headers['content-security-policy']).toMatch(/^default-src 'none'; script-src 'self';/);
    expect(headers['access-control-allow-origin']).toBeUndefined();
  });

  test('is reached by loopback alone', () => {
    const port = Number(ui.address.port).toString(16).toUpperCase().padStart(4, '0');
    const tables = ['/proc/net/tcp', '/proc/net/tcp6'].filter((path) => existsSync(path));
    const lines = tables.flatMap((path) => readFileSync(path, 'utf8').split('\n'));
    const listening = lines.filter((line) => line.includes(`:${port} `) && / 0A /.test(line));

    expect(listening.map((line) => line.trim().split(/\s+/)[1])).toEqual([`0100007F:${port}`]);
  });

  test(
    'says with a code and a remedy that a port is taken',
    () => {
      const words = ['ui', '--no-open', '--json', '--port', ui.address.port, '--socket', world.socket];
      const { status, stderr } = spawnSync(culvert, words, { encoding: 'utf8' });

      expect(status).toBe(1);
      expect(JSON.parse(stderr)).toMatchObject({
        code: 'port-in-use',
        remedy: expect.stringContaining('--port'),
      });
    },
    longMs,
  );

  test(
    'ends with Ctrl-C, leaves no file, and the page says that nobody knows',
    async () => {
      const { code, left } = await ui.end('SIGINT');

      expect(code).toBe(0);
      expect(left).toEqual([]);
      await expect.poll(heading, { timeout: patience }).toBe('Culvert is not running');
    },
    longMs,
  );

  test(
    'ends when the command that started it is killed',
    async () => {
      const killed = await Ui.start(world.socket);

      await killed.end('SIGKILL');
      await vi.waitFor(async () => expect(killed.ask('/')).rejects.toThrow(/ECONNREFUSED/), {
        timeout: patience,
      });
      await killed.clear();
    },
    longMs,
  );
});
