/** Words of devices for whoever runs the edge, over its API. */

import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { FeedbackDesk } from '../../../../edge/registration/feedback-desk.ts';
import { unixMs } from '../../../../shared/core/base/time.ts';
import { seededEntropy } from '../../../support/seeded.ts';
import { faultOfProblem, RegistrationWorld, type Reply } from './registration-world.ts';

const dayMs = 86_400_000;
let world: RegistrationWorld;
let device: { id: string; bearer: string };

beforeEach(async () => {
  world = await RegistrationWorld.open();
  device = await world.enrolled();
});
afterEach(() => world.close());

function send(body: unknown, bearer = device.bearer): Promise<Reply> {
  return world.send('POST', '/v1/devices/me/feedback', { bearer, body });
}

describe('feedback', () => {
  test('reaches the operator with the diagnosis that came with it, and can be forgotten', async () => {
    const { status, json } = await send({ words: 'It is slow.', diagnostics: 'state: connected' });
    expect(status).toBe(201);
    const [auditor, operator] = [await world.adminKey('auditor'), await world.adminKey('operator')];
    const place = `/v1/admin/feedback/${json.id}`;

    const list = await world.send('GET', '/v1/admin/feedback', { bearer: auditor });
    const one = await world.send('GET', place, { bearer: auditor });

    const shown = { id: json.id, device: device.id, name: 'laptop', words: 'It is slow.' };
    expect(list.json.feedback).toEqual([expect.objectContaining(shown)]);
    expect(list.text).not.toContain('connected');
    expect(one.json).toMatchObject({ ...shown, diagnostics: 'state: connected' });
    expect((await world.send('DELETE', place, { bearer: auditor })).status).toBe(403);
    expect((await world.send('DELETE', place, { bearer: operator })).status).toBe(204);
    expect((await world.send('GET', place, { bearer: auditor })).status).toBe(404);
    expect((await world.send('DELETE', place, { bearer: operator })).status).toBe(404);
  });

  test('leaves the words out of the audit log, not that there were some', async () => {
    await send({ words: 'aubergine' });

    const [event] = await world.store.audit({ limit: 1 });

    expect(event).toMatchObject({ action: 'feedback.add', actor: `device:${device.id}`, detail: {} });
    expect(JSON.stringify(event)).not.toContain('aubergine');
  });

  test.each([
    ['nothing', {}, 400],
    ['empty words', { words: '' }, 400],
    ['spaces alone', { words: ' \n ' }, 400],
    ['a number', { words: 5 }, 400],
    ['another field', { words: 'x', admin: true }, 400],
    ['too many letters', { words: 'x'.repeat(4097) }, 400],
    ['letters of two bytes beyond the bound', { words: 'ä'.repeat(2049) }, 413],
    ['a diagnosis beyond the bound', { words: 'x', diagnostics: 'y'.repeat(65_537) }, 400],
    ['a body beyond all bounds', { words: 'x', diagnostics: 'y'.repeat(600_000) }, 413],
  ])('takes no %s', async (_title, body, status) => {
    const reply = await send(body);

    expect([reply.status, faultOfProblem(reply)]).toEqual([status, undefined]);
    expect(await world.store.feedback.list()).toEqual([]);
  });

  test('is taken up to its bound, and as itself', async () => {
    const words = `${'ä'.repeat(2047)}\u001b[`;
    expect((await send({ words, diagnostics: '\u0000'.repeat(65_536) })).status).toBe(201);

    expect((await world.store.feedback.list())[0]?.words).toBe(words);
  });

  test('is ten a day for each device, and the next day again', async () => {
    const other = await world.enrolled();
    for (let i = 0; i < 10; i++) expect((await send({ words: `word ${i}` })).status).toBe(201);

    const refused = await send({ words: 'one more' });
    const others = await send({ words: 'mine' }, other.bearer);
    world.pass(dayMs + 1);
    const tomorrow = await send({ words: 'again' });

    expect([refused.status, refused.json.code]).toEqual([429, 'too-much-feedback']);
    expect([others.status, tomorrow.status]).toEqual([201, 201]);
  });

  test('is for devices alone', async () => {
    expect((await send({ words: 'x' }, await world.adminKey('owner'))).status).toBe(401);
    expect((await world.send('POST', '/v1/devices/me/feedback', { body: { words: 'x' } })).status).toBe(401);
    expect((await world.send('GET', '/v1/admin/feedback', { bearer: device.bearer })).status).toBe(401);
  });

  test('stays when its device goes, and is forgotten after ninety days', async () => {
    await send({ words: 'a last word' });
    await world.send('DELETE', '/v1/devices/me', { bearer: device.bearer });
    await world.store.purge(unixMs(world.now + 89 * dayMs));
    expect(await world.store.feedback.list()).toHaveLength(1);

    await world.store.purge(unixMs(world.now + 91 * dayMs));

    expect(await world.store.feedback.list()).toEqual([]);
  });

  test('that is not there is told so at the command line', async () => {
    const desk = new FeedbackDesk({
      store: world.store,
      entropy: seededEntropy(3),
      unixNow: () => world.now,
    });

    await expect(desk.show('nothing')).rejects.toMatchObject({ code: 'unknown-feedback' });
    await expect(desk.remove('nothing', 'operator')).rejects.toMatchObject({ code: 'unknown-feedback' });
  });
});
