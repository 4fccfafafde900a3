import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createServer, type Socket, connect as tcpConnect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createServer as createTlsServer } from 'node:tls';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import {
  confOf,
  type EnrolParts,
  enrol,
  forgetPending,
  leave,
  registeredClient,
  rotateKey,
} from '../../../../client/enroll/enrollment.ts';
import { RegistrationStore } from '../../../../client/enroll/registrations.ts';
import { EdgeStore } from '../../../../client/settings/edges.ts';
import { decodeBase64Key } from '../../../../shared/core/base/bytes.ts';
import type { DeviceConfig } from '../../../../shared/core/registration/api.ts';
import { parseWgConfig } from '../../../../shared/core/uapi/wg-config.ts';
import { nativeDhSuite } from '../../../../shared/node/crypto/native-dh.ts';
import { publicKeyOf } from '../../../../shared/node/wgtools/keys.ts';
import { start } from '../../../contract/peer-store-arrangement.ts';
import { fullFields, rulesOf } from '../../../support/disguises.ts';
import { RegistrationWorld } from '../../edge/registration/registration-world.ts';

let folder: string;
let world: RegistrationWorld;
let parts: EnrolParts;

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'culvert-enroll-'));
  world = await RegistrationWorld.open();
  parts = {
    suite: nativeDhSuite,
    pendingPath: join(folder, 'pending.json'),
    unixNow: () => start,
    timeoutMs: 5000,
  };
});
afterEach(async () => {
  await world.close();
  rmSync(folder, { recursive: true });
});

async function invitation(): Promise<string> {
  return (await world.api.administration.invite({}, 'operator')).link;
}

/** The public key of the file's private one. */
function keyIn(conf: string): Uint8Array {
  return publicKeyOf(decodeBase64Key(/PrivateKey = (.*)/.exec(conf)![1]!)!);
}

describe('enrolling', () => {
  test('turns a link into a file that the edges take, and into a registration that opens the API', async () => {
    const { edgeName, conf, registration, device } = await enrol(
      await invitation(),
      { name: 'laptop', platform: 'linux x64' },
      parts,
    );

    const edge = new EdgeStore(join(folder, 'edges')).add(edgeName, conf, registration.enrolledAt).edge;
    expect(edge.name).toBe('home');
    expect(edge.config.interface.addresses).toEqual([
      `${device.addresses[0]}/32`,
      `${device.addresses[1]}/128`,
    ]);
    expect(edge.config.peers).toMatchObject([
      {
        publicKey: world.identity.publicKey,
        endpoint: { host: '127.0.0.1', port: 51820 },
        allowedIps: ['0.0.0.0/0', '::/0'],
        persistentKeepalive: 25,
      },
    ]);
    const stored = await world.store.device(registration.deviceId);
    expect(stored).toMatchObject({ name: 'laptop', platform: 'linux x64', publicKey: keyIn(conf) });
    const client = registeredClient(registration, parts);
    expect((await client.call('me')).id).toBe(registration.deviceId);
    expect((await client.call('paths')).chosen).toBe('auto');
    client.close();
  });

  test('that broke off before its answer was stored goes on with the same key and device', async () => {
    const link = await invitation();

    const lost = await enrol(link, {}, parts);
    const kept = await enrol(link, {}, parts);
    forgetPending(parts.pendingPath);

    expect(kept.device).toEqual(lost.device);
    expect(kept.conf).toBe(lost.conf);
    expect(kept.registration.bearer).not.toBe(lost.registration.bearer);
    expect(await world.store.deviceCount()).toBe(1);
    await expect(enrol(link, {}, parts)).rejects.toMatchObject({ code: 'edge-refused' });
  });

  test('keeps the waiting key for its owner alone, and does not write the invitation down', async () => {
    const link = await invitation();
    await enrol(link, {}, parts);

    const text = readFileSync(parts.pendingPath, 'utf8');
    expect(statSync(parts.pendingPath).mode & 0o777).toBe(0o600);
    expect(text).not.toContain(new URL(link).searchParams.get('t'));
  });

  test('uses the address of the invitation where the edge does not know its own', async () => {
    const link = await invitation();
    world.facts = { ...world.facts, host: undefined };

    const { conf } = await enrol(link, {}, parts);

    expect(conf).toContain('Endpoint = 127.0.0.1:51820');
  });

  test('tells in the edge’s words why it is refused, and by a code of its own that time is over', async () => {
    const link = await invitation();
    await enrol(link, {}, parts);
    forgetPending(parts.pendingPath);

    await expect(enrol(link, {}, parts)).rejects.toMatchObject({
      code: 'edge-refused',
      message: 'The invitation was used already.',
      remedy: 'Ask for a new invitation.',
    });
    const late = await invitation();
    world.pass(16 * 60_000);
    await expect(enrol(late, {}, parts)).rejects.toMatchObject({ code: 'invite-expired' });
    await expect(enrol('https://example.com', {}, parts)).rejects.toMatchObject({ code: 'bad-invite' });
  });
});

describe('an edge', () => {
  test('that has another certificate than the invitation says gets not one byte of the request', async () => {
    const link = await invitation();
    const other = await RegistrationWorld.open();
    let received = 0;
    const impostor = createTlsServer(
      { key: other.certificate.key, cert: other.certificate.certificate },
      (socket) => {
        socket.on('error', () => {});
        socket.on('data', (bytes) => {
          received += bytes.length;
        });
      },
    ).listen(0, '127.0.0.1');
    await new Promise((resolve) => impostor.once('listening', resolve));
    const { port } = impostor.address() as { port: number };

    const attempt = enrol(link, {}, { ...parts, open: () => tcpConnect(port, '127.0.0.1') });

    await expect(attempt).rejects.toMatchObject({ code: 'edge-impostor' });
    await new Promise((resolve) => impostor.close(resolve));
    expect(received).toBe(0);
    await other.close();
  });

  test.each<[string, (socket: Socket) => void]>([
    ['hangs up', (socket) => void socket.destroy()],
    ['says nonsense', (socket) => void socket.end('220 mail.example.com ESMTP\r\n')],
  ])('that %s is unreachable', async (_what, answer) => {
    const link = await invitation();
    const server = createServer((socket) => {
      socket.on('error', () => {}).resume();
      answer(socket);
    }).listen(0, '127.0.0.1');
    await new Promise((resolve) => server.once('listening', resolve));
    const { port } = server.address() as { port: number };

    const attempt = enrol(link, {}, { ...parts, open: () => tcpConnect(port, '127.0.0.1') });

    await expect(attempt).rejects.toMatchObject({ code: 'edge-unreachable' });
    await new Promise((resolve) => server.close(resolve));
  });

  test('with an obfuscation is kept so in the file, and refused where it cannot be', async () => {
    world.facts = { ...world.facts, mtu: 1402, disguise: rulesOf(fullFields) };

    const { conf } = await enrol(await invitation(), {}, parts);

    expect(parseWgConfig(conf)).toMatchObject({
      config: { interface: { mtu: 1402, disguise: rulesOf(fullFields) } },
    });
    // The edge of a later version may allow what ours does not.
    const broken = { ...rulesOf(fullFields), prefix: { ...rulesOf(fullFields).prefix, transport: 60 } };
    world.facts = { ...world.facts, disguise: broken };
    await expect(enrol(await invitation(), {}, parts)).rejects.toMatchObject({
      code: 'edge-refused',
      message: expect.stringContaining('The value of S4 is wrong.'),
    });
  });

  test('cannot write lines of its own into the file', async () => {
    const { conf, registration } = await enrol(await invitation(), {}, parts);
    const client = registeredClient(registration, parts);
    const config = await client.call('config');
    client.close();
    const key = decodeBase64Key(/PrivateKey = (.*)/.exec(conf)![1]!)!;
    const invite = { host: '127.0.0.1', edgeKey: world.identity.publicKey };
    const spoiled: Partial<DeviceConfig>[] = [
      { dns: ['10.83.0.1\nPostUp = touch /tmp/x'] },
      { addresses: ['10.83.0.2/32\n[Peer]'] },
      { routes: ['0.0.0.0/0 # x'] },
      { routes: ['everything'] },
      { edge: { ...config.edge, host: 'a b' } },
      {
        edge: {
          ...config.edge,
          publicKey: config.edge.publicKey.replace(/^./, (c) => (c === 'A' ? 'B' : 'A')),
        },
      },
    ];

    expect(() => confOf(config, key, invite)).not.toThrow();
    for (const changes of spoiled) expect(() => confOf({ ...config, ...changes }, key, invite)).toThrow();
  });
});

describe('an enrolled device', () => {
  test('changes its key, and goes on where it broke off', async () => {
    const { conf, registration } = await enrol(await invitation(), {}, parts);
    forgetPending(parts.pendingPath);

    const lost = await rotateKey(conf, registration, parts);
    const kept = await rotateKey(conf, registration, parts);
    forgetPending(parts.pendingPath);

    expect(kept).toBe(lost);
    expect(keyIn(kept)).not.toEqual(keyIn(conf));
    expect(kept.replace(/PrivateKey.*/, '')).toBe(conf.replace(/PrivateKey.*/, ''));
    expect(await world.store.device(registration.deviceId)).toMatchObject({
      publicKey: keyIn(kept),
      formerKey: { publicKey: keyIn(conf) },
    });
    expect(keyIn(await rotateKey(kept, registration, parts))).not.toEqual(keyIn(kept));
  });

  test('leaves, and leaving twice is as good', async () => {
    const { registration } = await enrol(await invitation(), {}, parts);

    await leave(registration, parts);
    await leave(registration, parts);

    expect(await world.store.deviceCount()).toBe(0);
  });

  test('uses one connection for many calls, and a new one after the edge hung up', async () => {
    const { registration } = await enrol(await invitation(), {}, parts);
    const sockets: Socket[] = [];
    const open = (place: { host: string; port: number }): Socket => {
      const socket = tcpConnect(place);
      sockets.push(socket);
      return socket;
    };
    const client = registeredClient(registration, { ...parts, open });

    for (let i = 0; i < 5; i++) await client.call('rename', { name: `n${i}` });
    expect(sockets).toHaveLength(1);
    sockets[0]?.destroy();
    await new Promise((resolve) => setImmediate(resolve));

    expect((await client.call('me')).name).toBe('n4');
    expect(sockets).toHaveLength(2);
    client.close();
  });
});

describe('registrations', () => {
  test('are kept for the owner alone, one for each edge', async () => {
    const store = new RegistrationStore(join(folder, 'registrations'));
    const { registration } = await enrol(await invitation(), {}, parts);

    expect(store.names()).toEqual([]);
    store.save('home', registration);

    expect(store.find('home')).toEqual(registration);
    expect(store.names()).toEqual(['home']);
    expect(statSync(join(folder, 'registrations', 'home.json')).mode & 0o777).toBe(0o600);
    expect(() => store.require('other')).toThrow(expect.objectContaining({ code: 'not-registered' }));
    writeFileSync(join(folder, 'registrations', 'home.json'), '{"version":1}');
    expect(() => store.find('home')).toThrow(expect.objectContaining({ code: 'bad-config' }));
    store.remove('home');
    expect(store.find('home')).toBeUndefined();
  });
});
