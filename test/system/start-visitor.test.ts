// The visitor of the demonstration, who opens pages through a SOCKS5 proxy: against the real proxy, with the
// reference dialer of the tests, on loopback.
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { ProxyServer } from '../../client/proxy/server.ts';
import { downloadBps, openPage, roundTripMs } from '../../client/start/through-proxy.ts';
import { silentLog } from '../../shared/node/silent-log.ts';
import { DirectDialer } from '../support/direct-dialer.ts';

const long = 'x'.repeat(300_000);
const pages: Readonly<Record<string, string>> = { '/': 'here\n', '/long': long };

describe('a visitor behind a proxy', () => {
  const dialer = new DirectDialer({ 'web.test': '127.0.0.1' });
  const proxy = new ProxyServer({ dialer, log: silentLog });
  let web: Server;
  let origin: string;
  let proxyPort: number;

  beforeAll(async () => {
    web = createServer((request, response) => {
      const page = pages[request.url ?? ''];
      if (page === undefined) response.statusCode = 404;
      response.end(page ?? 'no\n');
    });
    await new Promise<void>((resolve) => web.listen(0, '127.0.0.1', resolve));
    origin = `http://web.test:${(web.address() as AddressInfo).port}`;
    await proxy.listen(0);
    proxyPort = proxy.port;
    proxy.setGate({ kind: 'open' });
  });
  afterAll(async () => {
    await proxy.close();
    web.close();
    web.closeAllConnections();
  });

  test('gives names to the proxy as they are', async () => {
    const page = await openPage(proxyPort, `${origin}/`);

    expect([page.status, page.text]).toEqual([200, 'here\n']);
    expect(dialer.dialled.at(-1)?.host).toBe('web.test');
  });

  test('reads a page of many packets to its end', async () => {
    expect((await openPage(proxyPort, `${origin}/long`)).text).toBe(long);
  });

  test('tells the status that the page had', async () => {
    expect((await openPage(proxyPort, `${origin}/none`)).status).toBe(404);
  });

  test('measures round trips on one connection', async () => {
    const before = dialer.dialled.length;
    const ms = await roundTripMs(proxyPort, `${origin}/`);

    expect(ms).toBeGreaterThan(0);
    expect(dialer.dialled.length - before).toBe(1);
  });

  test('measures a download', async () => {
    expect(await downloadBps(proxyPort, `${origin}/long`, 1000)).toBeGreaterThan(0);
  });

  test('says which page did not load where the name is unknown', async () => {
    await expect(openPage(proxyPort, 'http://nowhere.test/')).rejects.toMatchObject({
      code: 'no-reply',
      message: expect.stringContaining('http://nowhere.test/'),
    });
  });

  test('fails where the proxy refuses, and where there is none', async () => {
    proxy.setGate({ kind: 'closed', reason: 'The tunnel is down.' });
    await expect(openPage(proxyPort, `${origin}/`)).rejects.toMatchObject({ code: 'no-reply' });
    await expect(openPage(1, `${origin}/`)).rejects.toMatchObject({ code: 'no-reply' });
  });
});
