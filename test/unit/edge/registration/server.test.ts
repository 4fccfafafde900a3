import { describe, expect, test } from 'vitest';
import { unixMs } from '../../../../shared/core/base/time.ts';
import { generatePrivateKey, publicKeyOf } from '../../../../shared/node/wgtools/keys.ts';
import { start } from '../../../contract/peer-store-arrangement.ts';
import { faultOfProblem, type RegistrationWorld, registrationWorlds } from './registration-world.ts';

const open = registrationWorlds();

function base64(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('base64');
}

describe('enrolment', () => {
  test('gives a device its addresses, its bearer and its configuration', async () => {
    const world = await open();
    const secret = generatePrivateKey();

    const reply = await world.send('POST', '/v1/devices', { body: await world.enrolBody(secret) });

    expect(reply.status).toBe(201);
    expect(reply.headers['cache-control']).toBe('no-store');
    expect(reply.json).toEqual({
      device: {
        id: expect.stringMatching(/^[a-z0-9]{16}$/),
        name: 'laptop',
        publicKey: base64(publicKeyOf(secret)),
        addresses: [expect.stringMatching(/^10\.83\./), expect.stringMatching(/^fd7c:/)],
        enabled: true,
        createdAt: '2030-03-17T17:46:40.000Z',
        path: 'auto',
      },
      bearer: expect.stringMatching(/^cvd_[\w-]{43}$/),
      config: {
        protocol: 1,
        revision: expect.stringMatching(/^[\w-]{16}$/),
        addresses: [expect.stringMatching(/\/32$/), expect.stringMatching(/\/128$/)],
        gateway: ['10.83.0.1', 'fd7c:1f2e:9a40::1'],
        dns: ['10.83.0.1'],
        routes: ['0.0.0.0/0', '::/0'],
        mtu: 1420,
        keepalive: 25,
        hostRules: [{ host: '*.bank.example', use: 'direct' }],
        edge: {
          name: 'home',
          publicKey: base64(world.identity.publicKey),
          host: '127.0.0.1',
          udpPorts: [51820, 443],
          httpsPorts: [world.port],
          pin: world.certificate.pinText,
        },
      },
    });
    expect(world.writes).toBe(1);
  });

  test('answers a repeated request with the same device and a new bearer, and another key with no', async () => {
    const world = await open();
    const secret = generatePrivateKey();
    const token = await world.invite();

    const first = await world.send('POST', '/v1/devices', { body: await world.enrolBody(secret, token) });
    const second = await world.send('POST', '/v1/devices', { body: await world.enrolBody(secret, token) });
    const other = await world.send('POST', '/v1/devices', {
      body: await world.enrolBody(generatePrivateKey(), token),
    });

    expect(second.status).toBe(201);
    expect(second.json.device).toEqual(first.json.device);
    expect(second.json.bearer).not.toBe(first.json.bearer);
    expect((await world.send('GET', '/v1/devices/me', { bearer: first.json.bearer })).status).toBe(401);
    expect(other.json).toMatchObject({ status: 403, code: 'invite-used' });
  });

  test.each<[string, string, (body: Record<string, string>, world: RegistrationWorld) => void]>([
    [
      'proof-wrong',
      'the proof is of another key',
      (body) => (body['publicKey'] = base64(publicKeyOf(generatePrivateKey()))),
    ],
    ['proof-wrong', 'the proof is not of this name', (body) => (body['name'] = 'phone')],
    ['proof-wrong', 'the key is of low order', (body) => (body['publicKey'] = base64(new Uint8Array(32)))],
    [
      'bad-key',
      'the key is spelled another way',
      (body) => (body['publicKey'] = base64(new Uint8Array(32).fill(0xff))),
    ],
    ['challenge-stale', 'the challenge is old', (_body, world) => world.pass(121_000)],
    ['challenge-stale', 'the challenge is made up', (body) => (body['challenge'] = 'A'.repeat(43))],
  ])('is refused as %s where %s', async (code, _why, spoil) => {
    const world = await open();
    const body = await world.enrolBody();
    spoil(body, world);

    const reply = await world.send('POST', '/v1/devices', { body });

    expect(faultOfProblem(reply)).toBeUndefined();
    expect(reply.json.code).toBe(code);
    expect(await world.store.deviceCount()).toBe(0);
    expect((await world.store.invites())[0]?.usesLeft).toBe(1);
  });

  test('is refused with an expired and with an unknown invitation', async () => {
    const world = await open();
    const token = await world.invite();
    world.pass(15 * 60_000);

    const late = await world.send('POST', '/v1/devices', {
      body: await world.enrolBody(generatePrivateKey(), token),
    });
    const forged = token.replace(/.{10}$/, 'AAAAAAAAAA');
    const unknown = await world.send('POST', '/v1/devices', {
      body: await world.enrolBody(generatePrivateKey(), forged),
    });

    expect(late.json.code).toBe('invite-expired');
    expect(unknown.json.code).toBe('invite-unknown');
  });

  test('is refused where the network is full, and the invitation stays', async () => {
    const world = await open();
    world.facts = {
      ...world.facts,
      pools: [{ ...world.facts.pools[0]!, reserved: [world.facts.pools[0]!.prefix] }],
    };
    // A smaller network makes the search end early.
    const prefix = { address: Uint8Array.of(10, 0, 0, 0), bits: 30 };
    world.facts = { ...world.facts, pools: [{ prefix, reserved: [prefix] }] };

    const reply = await world.send('POST', '/v1/devices', { body: await world.enrolBody() });

    expect(reply.json).toMatchObject({ status: 503, code: 'no-address-left' });
    expect((await world.store.invites())[0]?.usesLeft).toBe(1);
  });
});

describe('a device', () => {
  test('sees and renames itself', async () => {
    const world = await open();
    const { id, bearer } = await world.enrolled();

    const renamed = await world.send('PATCH', '/v1/devices/me', { bearer, body: { name: 'Küche' } });
    const seen = await world.send('GET', '/v1/devices/me', { bearer });

    expect(renamed.json).toMatchObject({ id, name: 'Küche' });
    expect(seen.json).toEqual(renamed.json);
  });

  test('does not give itself a name that opens something, which an invitation may', async () => {
    const world = await open();
    world.facts = { ...world.facts, guardedNames: new Set(['laptop']) };

    const sly = await world.enrolled();
    const renamed = await world.send('PATCH', '/v1/devices/me', {
      bearer: sly.bearer,
      body: { name: 'Laptop' },
    });
    const invited = await world.enrolled(await world.invite('laptop'));
    const kept = await world.send('PATCH', '/v1/devices/me', {
      bearer: invited.bearer,
      body: { name: 'laptop' },
    });

    expect((await world.store.device(sly.id))?.name).toBe('device');
    expect([renamed.status, renamed.json.code]).toEqual([409, 'name-taken']);
    expect((await world.store.device(invited.id))?.name).toBe('laptop');
    expect(kept.status).toBe(200);
  });

  test('rotates its key and keeps its addresses', async () => {
    const world = await open();
    const { id, bearer } = await world.enrolled();
    const before = await world.store.device(id);
    const fresh = generatePrivateKey();
    const body = world.prove(fresh, await world.challenge(), 'rotate', [id]);

    const reply = await world.send('PUT', '/v1/devices/me/key', { bearer, body });

    expect(reply.json).toMatchObject({
      device: { publicKey: base64(publicKeyOf(fresh)), addresses: before!.addresses },
      formerKeyUntil: '2030-03-17T17:47:40.000Z',
    });
    expect((await world.store.device(id))?.formerKey?.publicKey).toEqual(before!.publicKey);
  });

  test('cannot rotate to a key that is not its own, nor with a proof for enrolment', async () => {
    const world = await open();
    const one = await world.enrolled();
    const two = await world.enrolled();
    const challenge = await world.challenge();

    const stolen = world.prove(two.secret, challenge, 'rotate', [two.id]);
    const wrongPurpose = world.prove(generatePrivateKey(), challenge, 'enrol', [one.id]);
    const taken = world.prove(two.secret, challenge, 'rotate', [one.id]);

    const codes = [];
    for (const body of [stolen, wrongPurpose, taken]) {
      codes.push((await world.send('PUT', '/v1/devices/me/key', { bearer: one.bearer, body })).json.code);
    }
    expect(codes).toEqual(['proof-wrong', 'proof-wrong', 'key-taken']);
  });

  test('chooses among the paths that are granted to it', async () => {
    const world = await open();
    const { id, bearer } = await world.enrolled();
    const choose = (path: string) => world.send('PUT', '/v1/devices/me/path', { bearer, body: { path } });

    expect((await choose('fra')).json).toMatchObject({
      chosen: 'fra',
      paths: [{ id: 'direct' }, { id: 'fra' }],
    });
    expect((await choose('nowhere')).json.code).toBe('path-not-granted');
    await world.api.administration.edit(id, { granted: ['direct'] }, 'operator');
    expect((await choose('fra')).json.code).toBe('path-not-granted');
    expect((await world.send('GET', '/v1/paths', { bearer })).json.paths).toMatchObject([{ id: 'direct' }]);
    expect((await choose('auto')).json.chosen).toBe('auto');
    expect((await world.store.device(id))?.path).toBeUndefined();
  });

  test('chooses how names are filtered for it, and leaves it to the edge again', async () => {
    const world = await open();
    const { id, bearer } = await world.enrolled();
    const choose = (families: string) =>
      world.send('PUT', '/v1/devices/me/families', { bearer, body: { families } });

    expect((await choose('full')).json.families).toBe('full');
    expect((await world.store.device(id))?.families).toBe('full');
    expect((await choose('everything')).json.code).toBe('bad-request');
    expect((await choose('edge')).json.families).toBeUndefined();
    expect((await world.store.device(id))?.families).toBeUndefined();
  });

  test('is told its configuration again only where it changed', async () => {
    const world = await open();
    const { bearer } = await world.enrolled();

    const first = await world.send('GET', '/v1/config', { bearer });
    const again = await world.send('GET', '/v1/config', {
      bearer,
      headers: { 'if-none-match': first.headers.etag! },
    });
    world.facts = { ...world.facts, mtu: 1280 };
    const changed = await world.send('GET', '/v1/config', {
      bearer,
      headers: { 'if-none-match': first.headers.etag! },
    });

    expect(first.json.mtu).toBe(1420);
    expect([again.status, again.text]).toEqual([304, '']);
    expect([changed.status, changed.json.mtu]).toEqual([200, 1280]);
    expect((await world.send('GET', '/v1/directory', { bearer })).json.edges).toHaveLength(1);
  });

  test('leaves, and is nobody afterwards', async () => {
    const world = await open();
    const { bearer } = await world.enrolled();

    const reply = await world.send('DELETE', '/v1/devices/me', { bearer });

    expect([reply.status, reply.text]).toEqual([204, '']);
    expect(await world.store.deviceCount()).toBe(0);
    expect((await world.send('GET', '/v1/devices/me', { bearer })).json.code).toBe('unauthorized');
  });

  test('that is disabled or whose time is over gets no further, and hears why', async () => {
    const world = await open();
    const { id, bearer } = await world.enrolled();

    await world.api.administration.edit(id, { enabled: false }, 'operator');
    const disabled = await world.send('GET', '/v1/config', { bearer });
    await world.store.changeDevice(
      id,
      { enabled: true, expiresAt: unixMs(start + 5) },
      { id: 'x', actor: 'edge', at: start },
    );
    const before = await world.send('GET', '/v1/config', { bearer });
    world.pass(5);
    const after = await world.send('GET', '/v1/config', { bearer });

    expect(disabled.json.code).toBe('device-disabled');
    expect(before.status).toBe(200);
    expect(after.json.code).toBe('device-expired');
  });

  test('is known by its tunnel without a bearer, for its own calls only', async () => {
    let id = '';
    const world = await open({ tunnelDevice: () => id });
    ({ id } = await world.enrolled());

    expect((await world.send('GET', '/v1/devices/me')).json.id).toBe(id);
    expect((await world.send('GET', '/v1/admin/devices')).status).toBe(401);
    const wrong = `cvd_${'A'.repeat(43)}`;
    expect((await world.send('GET', '/v1/devices/me', { bearer: wrong })).status).toBe(401);
  });
});
