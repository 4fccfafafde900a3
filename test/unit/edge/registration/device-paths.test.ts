// What a device is told about ways out, by the API and as it is measured.
import { describe, expect, test } from 'vitest';
import type { PathStatus } from '../../../../edge/egress/egress-paths.ts';
import type { PathsAnswer, PathsQuestion } from '../../../../edge/egress/paths-question.ts';
import { CulvertError } from '../../../../shared/core/control/codes.ts';
import { registrationWorlds } from './registration-world.ts';

const openWorld = registrationWorlds();

function status(id: string, fields: Partial<PathStatus> = {}): PathStatus {
  return {
    id,
    type: 'direct',
    state: 'good',
    trouble: null,
    isDefault: false,
    rttMs: 12,
    lossPercent: 0,
    flows: 3,
    opened: 9,
    failed: 0,
    sharePercent: 50,
    ...fields,
  };
}

async function open(answer: (question: PathsQuestion) => PathsAnswer) {
  const asked: PathsQuestion[] = [];
  const world = await openWorld({
    askPaths: async (question) => {
      asked.push(question);
      return answer(question);
    },
  });
  return { world, asked, ...(await world.enrolled()) };
}

const list = [
  status('direct', { isDefault: true, reason: 'the best' }),
  status('fra', { state: 'down', rttMs: null }),
];

describe('paths', () => {
  test('come as they are measured, with where flows go, and nothing about others', async () => {
    const { world, bearer } = await open(() => list);

    const { json, text } = await world.send('GET', '/v1/paths', { bearer });

    expect(json).toEqual({
      paths: [
        {
          id: 'direct',
          type: 'direct',
          state: 'up',
          rttMs: 12,
          lossPercent: 0,
          usual: true,
          reason: 'the best',
        },
        { id: 'fra', type: 'wireguard', state: 'down', usual: false },
      ],
      chosen: 'auto',
      using: 'direct',
    });
    expect(text).not.toMatch(/flows|share|opened/);
  });

  test('are used as the device chose, and no longer where the grant is taken back', async () => {
    const { world, bearer, id } = await open(() => list);

    const chosen = await world.send('PUT', '/v1/devices/me/path', { bearer, body: { path: 'fra' } });
    await world.api.administration.edit(id, { granted: ['direct'] }, 'operator');
    const after = await world.send('GET', '/v1/paths', { bearer });

    expect(chosen.json).toMatchObject({ chosen: 'fra', using: 'fra' });
    expect(after.json).toMatchObject({ chosen: 'fra', using: 'direct', paths: [{ id: 'direct' }] });
  });

  test('are listed as they stand in edge.yaml where nobody measures', async () => {
    const { world, bearer } = await open(() => {
      throw new CulvertError('unknown-path');
    });

    const { json } = await world.send('GET', '/v1/paths', { bearer });
    const why = await world.send('POST', '/v1/paths/why', { bearer, body: { host: 'a.example' } });

    expect(json.paths).toMatchObject([{ id: 'direct' }, { id: 'fra' }]);
    expect(json.using).toBeUndefined();
    expect([why.status, why.json.code]).toEqual([404, 'not-found']);
  });
});

describe('a device', () => {
  test('is told why, as itself and no other device', async () => {
    const answers = [{ address: '203.0.113.9', path: 'fra', sentence: 'By fra.', candidates: [] }];
    const { world, bearer, asked } = await open((question) =>
      question.what === 'why' ? { host: question.host, answers } : list,
    );
    const { name } = (await world.send('GET', '/v1/devices/me', { bearer })).json as { name: string };

    const body = { host: 'a.example', port: 80, protocol: 'udp' };
    const { json } = await world.send('POST', '/v1/paths/why', { bearer, body });

    expect(json).toEqual({
      host: 'a.example',
      answers: [{ address: '203.0.113.9', path: 'fra', sentence: 'By fra.' }],
    });
    expect(asked.at(-1)).toEqual({ what: 'why', ...body, addresses: [], device: name });
  });

  test('tells names, so many and no more', async () => {
    const { world, bearer, asked } = await open(() => []);
    const { name } = (await world.send('GET', '/v1/devices/me', { bearer })).json as { name: string };
    const one = { name: 'www.bank.example', addresses: ['203.0.113.9'], ttlSeconds: 60 };
    const tell = (names: unknown) => world.send('PUT', '/v1/devices/me/names', { bearer, body: { names } });

    expect((await tell([one])).status).toBe(204);
    expect(asked).toEqual([{ what: 'names', device: name, names: [one] }]);
    for (const wrong of [
      Array.from({ length: 33 }, () => one),
      [{ ...one, addresses: Array.from({ length: 33 }, () => '203.0.113.9') }],
      [{ ...one, ttlSeconds: 1e9 }],
      [{ ...one, device: 'phone' }],
      [{ name: '' }],
    ]) {
      expect((await tell(wrong)).status).toBe(400);
    }
    expect(asked.length).toBe(1);
    expect((await world.send('PUT', '/v1/devices/me/names', { body: { names: [one] } })).status).toBe(401);
  });

  test('is told the rules for hosts that are for it', async () => {
    const { world, bearer, id } = await open(() => []);
    world.facts = {
      ...world.facts,
      hostRules: [
        { host: '*.bank.example', use: 'fra' },
        { host: 'ads.example', use: 'none', tag: 'kids' },
        { host: 'intranet.example', use: 'corp', device: 'another' },
      ],
    };
    const hosts = async () => (await world.send('GET', '/v1/config', { bearer })).json.hostRules as unknown;

    expect(await hosts()).toEqual([{ host: '*.bank.example', use: 'fra' }]);
    await world.api.administration.edit(id, { tags: ['kids'] }, 'operator');
    expect(await hosts()).toEqual([
      { host: '*.bank.example', use: 'fra' },
      { host: 'ads.example', use: 'none' },
    ]);
  });

  test('has tags that are short words, and few', async () => {
    const { world, id } = await open(() => []);
    const tag = (tags: readonly string[]) => world.api.administration.edit(id, { tags }, 'operator');

    expect((await tag(['kids', 'kids'])).tags).toEqual(['kids']);
    await expect(tag(['Kids of mine'])).rejects.toMatchObject({ code: 'bad-usage' });
    await expect(tag(Array.from({ length: 17 }, (_, i) => `t${i}`))).rejects.toMatchObject({
      code: 'bad-usage',
    });
    expect((await tag([])).tags).toBeUndefined();
  });
});
