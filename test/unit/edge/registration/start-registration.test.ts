import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import { type AddressInfo, createServer as createTcpServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { enrol, registeredClient, rotateKey } from '../../../../client/enroll/enrollment.ts';
import type { CutDevice } from '../../../../edge/peers/sync-plan.ts';
import {
  openAdministration,
  type RegistrationStart,
  type RunningRegistration,
  startRegistration,
  storePath,
} from '../../../../edge/registration/start-registration.ts';
import { monoMs, unixMs } from '../../../../shared/core/base/time.ts';
import type { PeerChange } from '../../../../shared/core/tunnel/config.ts';
import type { TunnelEvent } from '../../../../shared/core/tunnel/events.ts';
import { nativeDhSuite } from '../../../../shared/node/crypto/native-dh.ts';
import { silentLog } from '../../../../shared/node/silent-log.ts';
import { generatePrivateKey, publicKeyOf } from '../../../../shared/node/wgtools/keys.ts';
import { poolOf, start as startTime } from '../../../contract/peer-store-arrangement.ts';
import { seededEntropy } from '../../../support/seeded.ts';

const privateKey = generatePrivateKey();
const identity = { privateKey, publicKey: publicKeyOf(privateKey) };
let folder: string;
let now: number;
let tunnel: Map<string, readonly string[]>;
let cut: CutDevice[];
let ticks: Map<number, () => void>;
let tell: (event: TunnelEvent) => void;
let running: RunningRegistration | undefined;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'culvert-start-'));
  now = startTime;
  [tunnel, cut, ticks] = [new Map(), [], new Map()];
  tell = () => {};
});
afterEach(async () => {
  await running?.close();
  running = undefined;
  rmSync(folder, { recursive: true });
});

function apply(peer: PeerChange): void {
  const key = Buffer.from(peer.publicKey).toString('base64');
  if (peer.remove === true) tunnel.delete(key);
  else tunnel.set(key, peer.allowedIps);
}

function facts(): ReturnType<RegistrationStart['facts']> {
  return {
    name: 'home',
    host: '127.0.0.1',
    udpPorts: [51820],
    pools: [poolOf('10.83.0.0/16')],
    dns: [],
    routes: [poolOf('0.0.0.0/0').prefix],
    mtu: 1420,
    hostRules: [],
    paths: [{ id: 'direct', type: 'direct', state: 'up' }],
  };
}

async function begin(changes: Partial<RegistrationStart> = {}): Promise<RunningRegistration> {
  running = await startRegistration({
    dataFolder: folder,
    identity,
    facts,
    tunnel: {
      configure: async ({ peers }) => peers.forEach(apply),
      onEvent: (listener) => {
        tell = listener;
        return () => {};
      },
    },
    onChanges: async (changes) => void cut.push(...changes.cut),
    httpsPorts: [0],
    httpsHost: '127.0.0.1',
    clock: { kind: 'process', now: () => monoMs(now - startTime), unix: () => unixMs(now) },
    entropy: seededEntropy(Math.floor(now)),
    log: silentLog,
    version: '0.0.0',
    every: (periodMs, run) => {
      ticks.set(periodMs, run);
      return () => ticks.delete(periodMs);
    },
    ...changes,
  });
  return running;
}

const parts = () => ({
  suite: nativeDhSuite,
  pendingPath: join(folder, 'pending.json'),
  unixNow: () => unixMs(now),
});

describe('the registration of a running edge', () => {
  test('has a device in the tunnel before the device hears that it is enrolled', async () => {
    const { administration } = await begin();
    const { link } = await administration.invite({}, 'operator');

    const { device } = await enrol(link, {}, parts());

    expect([...tunnel]).toEqual([[device.publicKey, [`${device.addresses[0]}/32`]]]);
  });

  test('cuts a device that the command line removes beside it', async () => {
    const { administration } = await begin();
    const { link } = await administration.invite({}, 'operator');
    const { device } = await enrol(link, { name: 'laptop' }, parts());
    const { pin } = running!.certificate();
    const local = openAdministration({
      dataFolder: folder,
      publicKey: identity.publicKey,
      facts: () => ({ ...facts(), httpsPorts: [8443], pin }),
      entropy: seededEntropy(77),
      unixNow: () => unixMs(now),
    });

    await local.administration.remove('laptop', 'operator');
    local.store.close();
    ticks.get(100)?.();
    await running!.sync.nudge();

    expect([...tunnel]).toEqual([]);
    expect(cut).toEqual([{ id: device.id, addresses: device.addresses }]);
  });

  test('moves addresses to a new key when the tunnel hears of it', async () => {
    const { administration, sync } = await begin();
    const { link } = await administration.invite({}, 'operator');
    const { conf, registration, device } = await enrol(link, {}, parts());
    await rotateKey(conf, registration, parts());
    const fresh = sync.devices.get(device.id)!.publicKey;
    const key = Buffer.from(fresh).toString('base64');
    expect(tunnel.get(key)).toEqual([]);

    tell({ kind: 'established', publicKey: fresh, role: 'responder' });
    await sync.nudge();

    expect([...tunnel]).toEqual([[key, [`${device.addresses[0]}/32`]]]);
  });

  test('knows its devices and its pin again after a restart', async () => {
    const first = await begin();
    const { link } = await first.administration.invite({}, 'operator');
    const { registration, device } = await enrol(link, {}, parts());
    const port = first.httpsPorts[0]!;
    await first.close();
    tunnel.clear();

    const second = await begin({ httpsPorts: [port] });

    expect([...tunnel.keys()]).toEqual([device.publicKey]);
    expect(second.certificate().pinText).toBe(first.certificate().pinText);
    const client = registeredClient(registration);
    expect((await client.call('me')).id).toBe(device.id);
    client.close();
  });

  test('keeps no secret that opens anything in its store', async () => {
    const { administration } = await begin();
    const { link } = await administration.invite({}, 'operator');
    const { key } = await administration.addAdminKey({ name: 'ci', role: 'owner' }, 'operator');
    const { conf, registration } = await enrol(link, {}, parts());
    const files = readdirSync(folder).filter((name) => name.startsWith('store.db'));
    const kept = Buffer.concat(files.map((name) => readFileSync(join(folder, name))));
    const deviceKey = Buffer.from(/PrivateKey = (.*)/.exec(conf)![1]!, 'base64');
    const token = new URL(link).searchParams.get('t')!;

    // What stands there is found, so that what is not found does not stand there.
    expect(kept.includes(registration.deviceId)).toBe(true);
    for (const text of [token, key, registration.bearer]) {
      expect(kept.includes(text)).toBe(false);
      expect(kept.includes(Buffer.from(text.slice(4), 'base64url'))).toBe(false);
    }
    for (const bytes of [deviceKey, Buffer.from(identity.privateKey)]) {
      expect(kept.includes(bytes)).toBe(false);
      expect(kept.includes(bytes.toString('base64'))).toBe(false);
    }
  });

  test('answers inside the tunnel without a bearer', async () => {
    const insiders: string[] = [];
    const { administration, handler } = await begin({ tunnelDevice: () => insiders[0] });
    const { link } = await administration.invite({}, 'operator');
    const { device } = await enrol(link, {}, parts());
    insiders.push(device.id);
    const gateway: Server = createServer(handler).listen(0, '127.0.0.1');
    await new Promise((resolve) => gateway.once('listening', resolve));

    const reply = await fetch(`http://127.0.0.1:${(gateway.address() as AddressInfo).port}/v1/devices/me`);

    expect(await reply.json()).toMatchObject({ id: device.id });
    gateway.closeAllConnections();
    gateway.close();
  });

  test('serves the ports it can have, and starts not at all without one', async () => {
    const occupied = createTcpServer().listen(0, '127.0.0.1');
    await new Promise((resolve) => occupied.once('listening', resolve));
    const { port } = occupied.address() as AddressInfo;

    const { httpsPorts } = await begin({ httpsPorts: [port, 0] });
    expect(httpsPorts).toHaveLength(1);
    expect(httpsPorts[0]).not.toBe(port);
    await running!.close();
    await expect(begin({ httpsPorts: [port] })).rejects.toMatchObject({ code: 'port-in-use' });
    running = undefined;

    await new Promise((resolve) => occupied.close(resolve));
    expect(ticks.size).toBe(0);
  });

  test('does not start on a store that is none', async () => {
    writeFileSync(storePath(folder), 'no database, but a letter to somebody. '.repeat(200));

    await expect(begin()).rejects.toMatchObject({ code: 'store-damaged' });
  });
});
