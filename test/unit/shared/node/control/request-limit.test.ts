// How long a program may take to say what it wants: a real unix socket, and time that the test lets pass.
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import type { Server } from 'node:http';
import { connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { createLimitedServer } from '../../../../../shared/node/control/request-limit.ts';

let folder = '';
let server: Server;
let client: Socket;
let waits: { readonly delayMs: number; readonly work: () => void }[] = [];

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'culvert-limit-'));
  waits = [];
  server = createLimitedServer(1000, (delayMs, work) => {
    const wait = { delayMs, work };
    waits.push(wait);
    return () => {
      waits = waits.filter((one) => one !== wait);
    };
  });
  const path = join(folder, 'test.sock');
  await new Promise<void>((resolve) => server.listen(path, resolve));
  const connected = once(server, 'connection');
  client = connect(path);
  await connected;
});

afterEach(() => {
  client.destroy();
  server.close();
  server.closeAllConnections();
  rmSync(folder, { recursive: true });
});

function passTime(): void {
  for (const { work } of waits) work();
}

describe('a server that waits for requests', () => {
  test('breaks a connection on which nobody says anything', async () => {
    expect(waits.map(({ delayMs }) => delayMs)).toEqual([1000]);

    const closed = once(client, 'close');
    passTime();

    await closed;
  });

  test('breaks one whose request does not end', async () => {
    const asked = once(server, 'request');
    client.write('POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 10\r\n\r\n12345');
    await asked;

    const closed = once(client, 'close');
    passTime();

    await closed;
  });

  test('lets an answer take as long as it takes, and limits the next request anew', async () => {
    const asked = once(server, 'request');
    client.write('GET / HTTP/1.1\r\nhost: a\r\n\r\n');
    const [, response] = await asked;
    await new Promise(setImmediate);

    passTime();
    const answered = once(client, 'data');
    response.end('late');
    const [text] = await answered;

    expect(String(text)).toContain('late');
    await expect.poll(() => waits.length).toBe(1);
    const closed = once(client, 'close');
    passTime();
    await closed;
  });

  test('has nothing to wait for once a connection is closed', async () => {
    client.destroy();

    await expect.poll(() => waits).toEqual([]);
  });
});
