// Server and client of the control API on a real unix socket: schemas, errors, events, permissions.
import { existsSync, linkSync, mkdtempSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { CulvertError } from '../../../../../shared/core/control/codes.ts';
import type { Status } from '../../../../../shared/core/control/status.ts';
import { ControlClient } from '../../../../../shared/node/control/socket-client.ts';
import {
  type ControlServer,
  type ControlServerOptions,
  serveControl,
} from '../../../../../shared/node/control/socket-server.ts';
import { silentLog } from '../../../../../shared/node/silent-log.ts';

const off: Status = {
  state: 'off',
  mode: 'tunnel',
  since: '2026-11-20T12:00:00Z',
  addresses: [],
  traffic: { rxBytes: 0, txBytes: 0 },
  health: [],
  version: '0',
};

let folder: string;
let path: string;
let servers: ControlServer[];

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'culvert-socket-'));
  path = join(folder, 'run', 'control.sock');
  servers = [];
});

afterEach(async () => {
  for (const server of servers) await server.close();
  rmSync(folder, { recursive: true });
});

async function serve(change: Partial<ControlServerOptions> = {}): Promise<ControlServer> {
  const server = await serveControl({
    path,
    access: { mode: 0o600, folderMode: 0o700 },
    handlers: { status: () => off },
    log: silentLog,
    ...change,
  });
  servers.push(server);
  return server;
}

describe('the control socket', () => {
  test('answers typed calls, and is for its owner only', async () => {
    await serve({
      handlers: { status: () => off, connect: ({ edge }) => ({ ...off, version: edge ?? 'none' }) },
    });
    const client = new ControlClient(path);

    expect(await client.call('status')).toEqual(off);
    expect((await client.call('connect', { edge: 'home' })).version).toBe('home');
    expect((await client.call('connect')).version).toBe('none');
    expect(statSync(path).mode & 0o777).toBe(0o600);
    expect(statSync(join(folder, 'run')).mode & 0o777).toBe(0o700);
  });

  test.each([
    ['a wrong type', { edge: 7 }],
    ['an unknown field', { edges: 'home' }],
    ['no object', 'home'],
    ['an endless name', { edge: 'x'.repeat(1000) }],
  ])('refuses %s as bad-request', async (_title, body) => {
    await serve({ handlers: { connect: () => off } });

    const answer = new ControlClient(path).call('connect', body as never);

    await expect(answer).rejects.toMatchObject({ code: 'bad-request' });
  });

  test('carries the error of a handler with code, sentence and remedy', async () => {
    const problem = new CulvertError('no-tun', { text: 'No device.', remedy: 'Make one.' });
    await serve({ handlers: { connect: () => Promise.reject(problem) } });

    const answer = new ControlClient(path).call('connect', {});

    await expect(answer).rejects.toMatchObject({
      code: 'no-tun',
      message: 'No device.',
      remedy: 'Make one.',
    });
  });

  test('has no operation that it was not given', async () => {
    await serve();

    await expect(new ControlClient(path).call('disconnect')).rejects.toMatchObject({ code: 'bad-request' });
  });

  test('replaces a socket that nobody answers on', async () => {
    const dead = createServer();
    await serve().then((server) => server.close());
    await new Promise<void>((resolve) => dead.listen(path, resolve));
    // Closed without removing its file, as a killed process leaves it.
    const held = `${path}.held`;
    linkSync(path, held);
    await new Promise((resolve) => dead.close(resolve));
    renameSync(held, path);
    expect(existsSync(path)).toBe(true);

    await serve();

    expect(await new ControlClient(path).call('status')).toEqual(off);
  });

  test('never replaces a living one, and says so', async () => {
    await serve();

    await expect(serve()).rejects.toMatchObject({ code: 'daemon-running' });
    expect(await new ControlClient(path).call('status')).toEqual(off);
  });

  test('refuses a path that the system cannot bind', async () => {
    await expect(serve({ path: join(folder, 'x'.repeat(120)) })).rejects.toMatchObject({
      code: 'socket-path-too-long',
    });
  });

  test('that is not there, or is no socket, means that no daemon runs', async () => {
    const file = join(folder, 'file');
    writeFileSync(file, '');

    await expect(new ControlClient(path).call('status')).rejects.toMatchObject({
      code: 'daemon-not-running',
    });
    await expect(new ControlClient(file).call('status')).rejects.toMatchObject({
      code: 'daemon-not-running',
    });
  });

  test('sends the whole status first, then changes, and nothing twice', async () => {
    let status = off;
    let changed: () => void = () => undefined;
    const onChange = (listener: () => void): (() => void) => {
      changed = listener;
      return () => undefined;
    };
    await serve({ events: { status: async () => status, onChange } });
    const heard: string[] = [];

    for await (const one of new ControlClient(path).events(new AbortController().signal)) {
      heard.push(one.state);
      if (one.state === 'connected') break;
      status = { ...status, state: status.state === 'off' ? 'connecting' : 'connected' };
      changed();
    }

    expect(heard).toEqual(['off', 'connecting', 'connected']);
  });

  test('ends the events when the caller has enough', async () => {
    await serve({ events: { status: async () => off, onChange: () => () => undefined } });
    const enough = new AbortController();
    const heard: string[] = [];

    for await (const one of new ControlClient(path).events(enough.signal)) {
      heard.push(one.state);
      enough.abort();
    }

    expect(heard).toEqual(['off']);
  });
});
