/** Who asks too often or guesses is stopped, others are not; and a store that fails tells nothing of its inside. */

import { describe, expect, test } from 'vitest';
import { registrationWorlds } from './registration-world.ts';

const open = registrationWorlds();

describe('limits', () => {
  test('stop a source that asks too often, and let it go on after a while', async () => {
    const world = await open({ limits: { source: { perSecond: 2, burst: 3 } } });
    const ask = async () => (await world.send('GET', '/v1/challenge')).status;

    expect([await ask(), await ask(), await ask(), await ask()]).toEqual([200, 200, 200, 429]);
    world.pass(500);
    expect([await ask(), await ask()]).toEqual([200, 429]);
    expect((await world.send('GET', '/nothing')).headers['retry-after']).toBe('1');
  });

  test('stop somebody who guesses, while who has a valid secret is let in', async () => {
    const world = await open({ limits: { failures: { perSecond: 0.1, burst: 3 } } });
    const { bearer } = await world.enrolled();
    const wrong = `cvd_${'A'.repeat(43)}`;

    const codes = [];
    for (let i = 0; i < 5; i++)
      codes.push((await world.send('GET', '/v1/config', { bearer: wrong })).json.code);

    expect(codes).toEqual([...Array(3).fill('unauthorized'), ...Array(2).fill('too-many-requests')]);
    expect((await world.send('GET', '/v1/config', { bearer })).status).toBe(200);
    expect((await world.send('GET', '/v1/challenge')).status).toBe(429);
  });

  test('stop one device without stopping another behind the same address', async () => {
    const world = await open({ limits: { caller: { perSecond: 1, burst: 2 } } });
    const [one, two] = [await world.enrolled(), await world.enrolled()];
    const ask = async (bearer: string) => (await world.send('GET', '/v1/paths', { bearer })).status;

    expect([await ask(one.bearer), await ask(one.bearer), await ask(one.bearer)]).toEqual([200, 200, 429]);
    expect(await ask(two.bearer)).toBe(200);
  });
});

describe('a store that fails', () => {
  test('is told as unavailable, without its inside, and logged', async () => {
    const world = await open();
    const { bearer } = await world.enrolled();
    world.store.close();

    const reply = await world.send('PATCH', '/v1/devices/me', { bearer, body: { name: 'x' } });

    expect(reply.status).toBe(500);
    expect(reply.json.code).toBe('internal');
    expect(reply.text).not.toMatch(/sqlite|database/i);
    expect(world.errors).toHaveLength(1);
  });
});
