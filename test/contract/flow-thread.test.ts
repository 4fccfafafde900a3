// Real flow workers that talk to each other over loopback, on every kind of socket: the contract of FlowBackend.

import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { afterEach, describe, expect, test } from 'vitest';
import { parseAddress } from '../../shared/core/base/ip.ts';
import { portableSuite } from '../../shared/core/crypto/portable.ts';
import { ffiAvailable } from '../../shared/node/ffi/libc.ts';
import type { FlowBackend } from '../../shared/node/flows/contract.ts';
import { startFlowThread } from '../../shared/node/flows/flow-thread-link.ts';
import { silentLog } from '../../shared/node/silent-log.ts';
import { seededKey } from '../support/seeded.ts';

const entry = new URL('../support/flow-role-program.ts', import.meta.url);
const addresses = ['10.9.0.1', '10.9.0.2'] as const;
const to = parseAddress(addresses[1])!;
const kinds = ffiAvailable().ok ? (['linux', 'dgram'] as const) : (['dgram'] as const);

const secrets = [seededKey(31), seededKey(32)] as const;
const publicKeys = secrets.map((one) => portableSuite.publicKey(one));

describe.each(kinds)('two flow workers on %s sockets', (udp) => {
  let started: FlowBackend[] = [];

  afterEach(async () => {
    await Promise.all(started.map((one) => one.stop()));
    started = [];
  });

  async function start(index: 0 | 1): Promise<FlowBackend> {
    const backend = await startFlowThread({
      entry,
      log: silentLog,
      mtu: 1420,
      addresses: [parseAddress(addresses[index])!],
      acceptAny: false,
      settings: { index },
      udp,
    });
    started.push(backend);
    return backend;
  }

  async function connected() {
    const [a, b] = await Promise.all([start(0), start(1)]);
    const peerOfB = { publicKey: publicKeys[0]!, allowedIps: [`${addresses[0]}/32`] };
    await b.configure({ privateKey: secrets[1], listenPort: 0, peers: [peerOfB] });
    const pointTo = (port: number) =>
      a.configure({
        privateKey: secrets[0],
        peers: [
          {
            publicKey: publicKeys[1]!,
            allowedIps: [`${addresses[1]}/32`],
            endpoint: { address: '127.0.0.1', port },
          },
        ],
      });
    await pointTo((await b.status()).listenPort);
    return { a, b, pointTo };
  }

  test('carry megabytes, byte by byte, and tell what carries them', async () => {
    const { a, b } = await connected();
    const size = 4_000_000;

    expect(await a.call('transfer', { to, size })).toBe(`${size} bytes, 0 wrong`);

    const status = await b.status();
    expect(status.peers[0]?.rxBytes).toBeGreaterThan(size);
    expect(status.dataplane).toMatchObject({ tun: 'netstack', mtu: 1420 });
    expect(status.dataplane.udp).toContain(udp);
  });

  test('carry many connections at a time, datagrams and refusals', async () => {
    const { a } = await connected();

    expect(await a.call('echoMany', { to, size: 300 })).toBe(300);
    expect(await a.call('datagram', { to, size: 5000 })).toBe(5000);
    expect(await a.call('refused', { to })).toBe('refused');
  });

  test('announce facts and notices', async () => {
    const { a } = await connected();
    const events: string[] = [];
    a.onEvent((event) => events.push(event.kind));

    await a.call('datagram', { to, size: 1 });

    expect(events).toContain('established');
    const fresh = await start(0);
    const notices: unknown[] = [];
    fresh.onNotice((name, value) => notices.push([name, value]));
    await fresh.stop();
    expect(notices).toContainEqual(['closed', true]);
  });

  test('go on after the port was bound anew', async () => {
    const { a, b, pointTo } = await connected();
    await a.call('datagram', { to, size: 1 });
    const before = (await b.status()).listenPort;

    await b.configure({ listenPort: 0, peers: [] });
    const after = (await b.status()).listenPort;
    await pointTo(after);

    expect(after).not.toBe(before);
    expect(await a.call('transfer', { to, size: 100_000 })).toBe('100000 bytes, 0 wrong');
  });

  test('refuse a port that is taken, and keep theirs', async () => {
    const { a, b } = await connected();
    const { listenPort } = await a.status();
    const mine = (await b.status()).listenPort;

    await expect(b.configure({ listenPort, peers: [] })).rejects.toMatchObject({
      code: 'port-in-use',
      errno: 98,
    });

    expect((await b.status()).listenPort).toBe(mine);
    expect(await a.call('datagram', { to, size: 10 })).toBe(10);
  });

  test('stop while they are busy', async () => {
    const { a, b } = await connected();
    await a.call('flood', { to });
    const ends: string[] = [];
    for (const one of [a, b]) one.onEnd((why) => ends.push(why));

    await Promise.all([a.stop(), b.stop()]);

    expect(ends).toEqual([]);
    await expect(a.status()).rejects.toMatchObject({ code: 'internal' });
  });

  test("reject a call with the role's error", async () => {
    const a = await start(0);

    await expect(a.call('fail')).rejects.toMatchObject({ code: 'bad-request', message: 'not that' });
  });

  test.each([
    ['in a callback', 'bug'],
    ['in an answer', 'bugInAnswer'],
  ])('end by a bug %s, and give their port back', async (_, name) => {
    const { a, b } = await connected();
    const { listenPort } = await b.status();
    const end = new Promise<readonly string[]>((resolve) => {
      b.onEnd((why, detail) => resolve([why, detail]));
    });

    b.call(name).catch(() => {});

    expect(await end).toMatchObject(['failed', expect.stringContaining('a bug in') as string]);
    await b.stop();
    await a.configure({ listenPort, peers: [] });
    expect((await a.status()).listenPort).toBe(listenPort);
  });
});

test.each([
  ['exit', 7],
  ['throw', 1],
])('a process that ends by %s amid its busy workers ends as it wants to', (how, status) => {
  const program = fileURLToPath(new URL('../support/flow-exit-program.ts', import.meta.url));

  const ended = spawnSync(process.execPath, [program, how], { encoding: 'utf8', timeout: 15_000 });

  expect({ status: ended.status, signal: ended.signal }, ended.stderr).toEqual({ status, signal: null });
});

test("a role that cannot begin rejects with the role's error", async () => {
  const options = { entry, log: silentLog, mtu: 1420, addresses: [], acceptAny: false };

  await expect(startFlowThread({ ...options, settings: { fails: true } })).rejects.toMatchObject({
    code: 'bad-setting',
    message: 'the role cannot begin',
  });
});

test('a worker whose entry is missing rejects', async () => {
  const options = { log: silentLog, mtu: 1420, addresses: [], acceptAny: false, settings: undefined };

  await expect(
    startFlowThread({ ...options, entry: new URL('./nobody.ts', import.meta.url) }),
  ).rejects.toMatchObject({ code: 'internal' });
});
