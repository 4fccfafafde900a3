import { existsSync } from 'node:fs';
import { chmod, mkdir, mkdtemp, readdir, rm, stat, unlink, writeFile } from 'node:fs/promises';
import { connect, createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { CulvertError } from '../../../../../shared/core/control/codes.ts';
import { uapiConfigure, uapiRequest, uapiStatus } from '../../../../../shared/node/uapi/uapi-client.ts';
import {
  errnoOf,
  maxUapiConnections,
  serveUapi,
  type UapiServer,
  type UapiServerOptions,
  uapiPath,
} from '../../../../../shared/node/uapi/uapi-socket.ts';
import { MemoryTunnel } from '../../../../support/memory-tunnel.ts';

const key = (byte: number) => new Uint8Array(32).fill(byte);

let root: string;
let directory: string;
let backend: MemoryTunnel;
const servers: UapiServer[] = [];

beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'culvert-uapi-'));
  directory = join(root, 'wireguard');
  backend = new MemoryTunnel();
});

afterEach(async () => {
  for (const server of servers.splice(0)) await server.close();
  await rm(root, { recursive: true, force: true });
});

async function serve(options: Partial<UapiServerOptions> = {}): Promise<UapiServer> {
  const server = await serveUapi({ interfaceName: 'wg7', backend, directory, ...options });
  servers.push(server);
  return server;
}

/** Everything that comes back until the server ends, for bytes sent as given. */
async function talk(path: string, parts: readonly string[], options: { end: boolean }): Promise<string> {
  const socket = connect(path);
  const chunks: Buffer[] = [];
  socket.on('data', (chunk) => chunks.push(chunk));
  const ended = new Promise<void>((resolve, reject) => {
    socket.once('close', () => resolve());
    socket.once('error', reject);
  });
  for (const part of parts) await new Promise<void>((resolve) => void socket.write(part, () => resolve()));
  if (options.end) socket.end();
  await ended;
  return Buffer.concat(chunks).toString();
}

describe('serveUapi', () => {
  test('makes a folder that all may enter and a socket that only we may use', async () => {
    const { path } = await serve();

    expect(path).toBe(join(directory, 'wg7.sock'));
    expect((await stat(directory)).mode & 0o777).toBe(0o755);
    expect((await stat(path)).mode & 0o777).toBe(0o700);
    expect(await readdir(directory)).toEqual(['wg7.sock']);
  });

  test('leaves the rights of a folder that was there', async () => {
    await mkdir(directory);
    await chmod(directory, 0o700);

    await serve();

    expect((await stat(directory)).mode & 0o777).toBe(0o700);
  });

  test('serves several requests on one connection, in turn', async () => {
    const { path } = await serve();

    const replies = await talk(path, ['set=1\nlisten_port=7\n\nget=1\n\n', 'set=1\nbad=1\n\nget=1\n\n'], {
      end: true,
    });

    expect(replies).toBe('errno=0\n\nlisten_port=7\nerrno=0\n\nerrno=-22\n\nlisten_port=7\nerrno=0\n\n');
  });

  test('takes bytes one by one', async () => {
    const { path } = await serve();

    expect(await talk(path, 'set=1\nlisten_port=7\n\n'.split(''), { end: true })).toBe('errno=0\n\n');
  });

  test('does not mind connections that say nothing', async () => {
    const { path } = await serve();

    expect(await talk(path, [], { end: true })).toBe('');
    expect(await talk(path, ['get=1\n'], { end: true })).toBe('');
    expect(await uapiRequest(path, 'get=1\n\n')).toBe('errno=0\n\n');
  });

  test('closes at once where the first line is no request', async () => {
    const { path } = await serve();

    expect(await talk(path, ['get=2\n'], { end: false })).toBe('');
    expect(await talk(path, ['hello\nworld\n\n'], { end: false })).toBe('');
    expect(await talk(path, ['get=1\n\n\n'], { end: false })).toBe('errno=0\n\n');
  });

  test('closes where a request is too long', async () => {
    const { path } = await serve({ requestLimit: 100 });

    const reply = await talk(path, [`set=1\n${'listen_port=1\n'.repeat(20)}`], { end: false }).catch(String);

    expect(reply).toMatch(/^$|EPIPE|ECONNRESET/);
    expect(backend.changes).toEqual([]);
  });

  test('applies nothing of a set with a wrong line', async () => {
    const { path } = await serve();

    expect(await uapiRequest(path, 'set=1\nlisten_port=7\nlisten_port=x\n\n')).toBe('errno=-22\n\n');
    expect(backend.changes).toEqual([]);
  });

  test('answers with the number of what went wrong', async () => {
    const { path } = await serve();
    const cases: [failure: unknown, errno: number][] = [
      [new CulvertError('port-in-use', { errno: 98 }), -98],
      [Object.assign(new Error('bind'), { errno: -98 }), -98],
      [new CulvertError('bad-config'), -22],
      [new CulvertError('internal'), -5],
      ['not even an error', -5],
    ];

    for (const [failure, errno] of cases) {
      backend.failure = failure;
      expect(await uapiRequest(path, 'set=1\nlisten_port=7\n\n')).toBe(`errno=${errno}\n\n`);
    }
  });

  test('refuses to take the place of a socket that somebody answers on', async () => {
    await serve();

    await expect(serve()).rejects.toMatchObject({ code: 'interface-exists' });
    expect(await readdir(directory)).toEqual(['wg7.sock']);
    expect(await uapiRequest(uapiPath('wg7', directory), 'get=1\n\n')).toBe('errno=0\n\n');
  });

  test('lets one of two win that start at the same time', async () => {
    const results = await Promise.allSettled([serve(), serve(), serve()]);

    const states = results.map(({ status }) => status).toSorted();
    expect(states).toEqual(['fulfilled', 'rejected', 'rejected']);
    expect(await uapiRequest(uapiPath('wg7', directory), 'get=1\n\n')).toBe('errno=0\n\n');
  });

  test('replaces a file that nobody answers on', async () => {
    await mkdir(directory);
    await writeFile(join(directory, 'wg7.sock'), 'left over');

    const { path } = await serve();

    expect(await uapiRequest(path, 'get=1\n\n')).toBe('errno=0\n\n');
  });

  test.each(['', '.', '..', 'a/b', '../x', 'sixteen-letters-', 'a b', 'a\n', 'a\0'])(
    'refuses the interface name %j',
    async (interfaceName) => {
      await expect(serve({ interfaceName })).rejects.toMatchObject({ code: 'bad-interface-name' });
      expect(existsSync(directory)).toBe(false);
    },
  );

  test('tells once when its file is taken away', async () => {
    let gone = 0;
    const told = new Promise<void>((resolve) => {
      void serve({
        onGone: () => {
          gone += 1;
          resolve();
        },
      }).then(({ path }) => unlink(path));
    });

    await told;
    await writeFile(join(directory, 'other'), '');
    await servers[0].close();

    expect(gone).toBe(1);
  });

  test('tells once when its folder is taken away', async () => {
    let gone = 0;
    const server = await serve({ onGone: () => (gone += 1) });

    await rm(directory, { recursive: true });
    await expect.poll(() => gone).toBe(1);
    await server.close();

    expect(gone).toBe(1);
  });

  test('does not mind what else happens in the folder', async () => {
    let gone = 0;
    await serve({ onGone: () => (gone += 1) });
    const other = await serve({ interfaceName: 'wg8' });

    await other.close();
    await uapiRequest(uapiPath('wg7', directory), 'get=1\n\n');
    await servers[0].close();

    expect(gone).toBe(0);
  });

  test('takes away its own file when it closes, and ends connections', async () => {
    const server = await serve();
    const held = talk(server.path, [], { end: false });

    await uapiRequest(server.path, 'get=1\n\n');
    await Promise.all([server.close(), server.close()]);

    expect(await held.catch(() => 'reset')).toMatch(/^$|reset/);
    expect(await readdir(directory)).toEqual([]);
  });

  test('leaves a file that is no longer its own', async () => {
    const server = await serve();
    await unlink(server.path);
    await writeFile(server.path, 'of somebody else');

    await server.close();

    expect(await readdir(directory)).toEqual(['wg7.sock']);
  });

  test('serves no more connections than its limit', async () => {
    const { path } = await serve();
    const held: Socket[] = [];
    for (let i = 0; i < maxUapiConnections; i++) {
      const socket = connect(path);
      held.push(socket);
      await new Promise((resolve) => socket.once('connect', resolve));
    }

    await expect(uapiRequest(path, 'get=1\n\n')).rejects.toMatchObject({ code: 'command-failed' });

    for (const socket of held) socket.destroy();
  });
});

describe('errnoOf', () => {
  test.each([
    [{ errno: 98 }, -98],
    [{ errno: -98 }, -98],
    [{ errno: 0 }, -5],
    [{ errno: 'x' }, -5],
    [{ code: 'not-root' }, -1],
    [{ code: 'port-in-use' }, -98],
    [undefined, -5],
    [null, -5],
  ])('of %j is %i', (error, errno) => {
    expect(errnoOf(error)).toBe(errno);
  });
});

describe('the client', () => {
  test('reads a status and makes a change', async () => {
    const { path } = await serve();

    await uapiConfigure(path, { listenPort: 9, peers: [{ publicKey: key(2), allowedIps: ['10.0.0.0/8'] }] });

    expect(await uapiStatus(path)).toMatchObject({
      listenPort: 9,
      peers: [{ publicKey: key(2), allowedIps: ['10.0.0.0/8'] }],
    });
  });

  test('says which error a tunnel refused with', async () => {
    const { path } = await serve();
    backend.failure = new CulvertError('port-in-use', { errno: 98 });

    await expect(uapiConfigure(path, { peers: [] })).rejects.toMatchObject({
      code: 'command-failed',
      errno: 98,
    });
  });

  test('says so where nobody answers', async () => {
    await expect(uapiStatus(join(root, 'no.sock'))).rejects.toMatchObject({
      code: 'command-failed',
      errno: 2,
    });
  });

  test.each([
    ['closes', (socket: Socket) => void socket.end()],
    ['talks nonsense', (socket: Socket) => void socket.write('what?\n\n')],
    ['never ends', (socket: Socket) => void socket.write('errno=0\n')],
  ])('gives up where the other side %s', async (_what, act) => {
    const path = join(root, 'odd.sock');
    const server = createServer(act);
    await new Promise<void>((resolve) => void server.listen(path, resolve));

    const asked = uapiRequest(path, 'get=1\n\n', 50).then((text) => {
      if (text !== 'what?\n\n') throw new Error(text);
      return uapiStatus(path);
    });

    await expect(asked).rejects.toBeInstanceOf(CulvertError);
    server.close();
  });
});
