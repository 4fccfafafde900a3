/** Calls of administrators: devices, invitations, admin keys, roles and the audit log, over HTTPS. */

import { describe, expect, test } from 'vitest';
import { parseWgConfig } from '../../../../shared/core/uapi/wg-config.ts';
import { generatePrivateKey, publicKeyOf } from '../../../../shared/node/wgtools/keys.ts';
import { firstVersionFields, rulesOf } from '../../../support/disguises.ts';
import { registrationWorlds } from './registration-world.ts';

const open = registrationWorlds();

function base64(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('base64');
}

describe('administration', () => {
  test('lists, shows, edits and removes devices', async () => {
    const world = await open();
    const bearer = await world.adminKey('operator');
    const ids = [(await world.enrolled()).id, (await world.enrolled()).id].toSorted();

    const first = await world.send('GET', '/v1/admin/devices?limit=1', { bearer });
    const second = await world.send('GET', `/v1/admin/devices?after=${first.json.next}`, { bearer });
    const edited = await world.send('PATCH', `/v1/admin/devices/${ids[0]}`, {
      bearer,
      body: { name: 'tv', enabled: false, quotaBytes: 9, expiresAt: '2031-01-01T00:00:00Z' },
    });
    const byName = await world.send('GET', '/v1/admin/devices/tv', { bearer });
    const removed = await world.send('DELETE', '/v1/admin/devices/tv', { bearer });

    expect([first.json.devices[0].id, second.json.devices[0].id]).toEqual(ids);
    expect(second.json.next).toBeUndefined();
    expect(edited.json).toMatchObject({
      name: 'tv',
      enabled: false,
      quotaBytes: 9,
      expiresAt: '2031-01-01T00:00:00.000Z',
    });
    expect(byName.json).toEqual(edited.json);
    expect(removed.status).toBe(204);
    expect((await world.send('GET', '/v1/admin/devices/tv', { bearer })).json.code).toBe('not-found');
  });

  test('adds stock devices, and gives their file to the command line', async () => {
    const world = await open();
    const bearer = await world.adminKey('operator');
    const secret = generatePrivateKey();
    const body = { name: 'phone', publicKey: base64(publicKeyOf(secret)), path: 'fra' };

    const added = await world.send('POST', '/v1/admin/devices', { bearer, body });
    const conf = await world.api.administration.stockConfig('phone', secret);

    expect(added.json).toMatchObject({ name: 'phone', kind: 'stock', path: 'fra' });
    expect(conf).toBe(
      [
        '[Interface]',
        `PrivateKey = ${base64(secret)}`,
        `Address = ${added.json.addresses[0]}/32, ${added.json.addresses[1]}/128`,
        'DNS = 10.83.0.1',
        'MTU = 1420',
        '',
        '[Peer]',
        `PublicKey = ${base64(world.identity.publicKey)}`,
        'Endpoint = 127.0.0.1:51820',
        'AllowedIPs = 0.0.0.0/0, ::/0',
        'PersistentKeepalive = 25',
        '',
      ].join('\n'),
    );
  });

  test('tells stock devices of an obfuscation, and which apps know it', async () => {
    const world = await open();
    world.facts = { ...world.facts, disguise: rulesOf(firstVersionFields) };
    const bearer = await world.adminKey('operator');
    const secret = generatePrivateKey();
    await world.send('POST', '/v1/admin/devices', {
      bearer,
      body: { name: 'phone', publicKey: base64(publicKeyOf(secret)) },
    });

    const conf = await world.api.administration.stockConfig('phone', secret);

    expect(conf).toMatch(/^# This edge disguises WireGuard: only the AmneziaWG apps, .*\n\[Interface\]\n/);
    expect(conf).toContain('Jc = 3\nJmin = 50\nJmax = 1000\nS1 = 86\nS2 = 57\nH1 = 1376979037\n');
    expect(parseWgConfig(conf)).toMatchObject({
      kind: 'config',
      config: { interface: { disguise: rulesOf(firstVersionFields) } },
    });
    world.facts = { ...world.facts, disguise: rulesOf({ jc: '2', jmin: '9', jmax: '10' }) };
    expect(await world.api.administration.stockConfig('phone', secret)).toMatch(
      /^# Jc, Jmin and Jmax are for the AmneziaWG apps and culvert\./,
    );
  });

  test('makes invitations that work, and takes them back', async () => {
    const world = await open();
    const bearer = await world.adminKey('operator');

    const made = await world.send('POST', '/v1/admin/invites', {
      bearer,
      body: { name: 'tablet', path: 'fra', uses: 2 },
    });
    const token = new URL(made.json.link).searchParams.get('t')!;
    const enrolled = await world.send('POST', '/v1/devices', {
      body: await world.enrolBody(generatePrivateKey(), token),
    });
    const listed = await world.send('GET', '/v1/admin/invites', { bearer });
    await world.send('DELETE', `/v1/admin/invites/${made.json.id}`, { bearer });
    const late = await world.send('POST', '/v1/devices', {
      body: await world.enrolBody(generatePrivateKey(), token),
    });

    expect(made.json.expiresAt).toBe('2030-03-17T18:01:40.000Z');
    expect(enrolled.json.device).toMatchObject({ name: 'tablet', path: 'fra' });
    expect(listed.json).toMatchObject([{ id: made.json.id, uses: 2, usesLeft: 1 }]);
    expect(listed.text).not.toContain(token);
    expect(late.json.code).toBe('invite-unknown');
  });

  test('lets each role do its part', async () => {
    const world = await open();
    const keys = {
      auditor: await world.adminKey('auditor'),
      operator: await world.adminKey('operator'),
      owner: await world.adminKey('owner'),
      device: (await world.enrolled()).bearer,
    };
    const invite = (bearer: string) => world.send('POST', '/v1/admin/invites', { bearer, body: {} });
    const list = (bearer: string) => world.send('GET', '/v1/admin/audit', { bearer });
    const keysOf = (bearer: string) => world.send('GET', '/v1/admin/keys', { bearer });

    const table: Record<string, number[]> = {};
    for (const [role, bearer] of Object.entries(keys)) {
      table[role] = [
        (await list(bearer)).status,
        (await invite(bearer)).status,
        (await keysOf(bearer)).status,
      ];
    }

    expect(table).toEqual({
      auditor: [200, 403, 403],
      operator: [200, 201, 403],
      owner: [200, 201, 200],
      device: [401, 401, 401],
    });
    expect((await world.send('GET', '/v1/devices/me', { bearer: keys.owner })).status).toBe(401);
  });

  test('gives out keys that end, and tells in the audit log who did what', async () => {
    const world = await open();
    const owner = await world.adminKey('owner');
    const made = await world.send('POST', '/v1/admin/keys', {
      bearer: owner,
      body: { name: 'ci', role: 'auditor', expiresAt: '2030-03-17T18:00:00Z' },
    });
    const use = () => world.send('GET', '/v1/admin/audit', { bearer: made.json.key });

    const before = await use();
    world.pass(20 * 60_000);
    const after = await use();

    expect(before.json.events[0]).toMatchObject({
      actor: expect.stringMatching(/^admin:/),
      action: 'admin-key.add',
      subject: made.json.id,
      detail: { name: 'ci', role: 'auditor' },
    });
    expect(before.text).not.toMatch(/cv[ade]_/);
    expect(after.json.code).toBe('unauthorized');
    expect((await world.send('DELETE', `/v1/admin/keys/${made.json.id}`, { bearer: owner })).status).toBe(
      204,
    );
  });
});
