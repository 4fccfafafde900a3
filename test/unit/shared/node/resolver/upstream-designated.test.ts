// An upstream known by its address alone.
import { beforeEach, expect, test } from 'vitest';
import { monoMs, unixMs } from '../../../../../shared/core/base/time.ts';
import { recordType } from '../../../../../shared/core/dns/types.ts';
import type { Upstream } from '../../../../../shared/node/resolver/upstream.ts';
import { createDesignatedUpstream } from '../../../../../shared/node/resolver/upstream-designated.ts';
import { testQuery } from '../../../../support/dns-messages.ts';
import { type FakeUpstream, fakeUpstream, refusal } from '../../../../support/fake-upstream.ts';

const query = testQuery('x.example', recordType.a).bytes;
let now = 0;
let discoveries = 0;
let direct: FakeUpstream;
let told: FakeUpstream[];
let upstream: Upstream;

beforeEach(() => {
  now = 0;
  discoveries = 0;
  direct = fakeUpstream('tls://192.0.2.1');
  told = [fakeUpstream('https://192.0.2.1')];
  upstream = createDesignatedUpstream({
    direct,
    clock: { kind: 'process', now: () => monoMs(now), unix: () => unixMs(0) },
    discover: async () => {
      discoveries++;
      return told;
    },
  });
});

test('asks nothing in the clear while DoT answers', async () => {
  await upstream.query(query);

  expect([discoveries, direct.queries.length]).toEqual([0, 1]);
});

test('goes where it is told, and stays there', async () => {
  direct.behaviour = refusal;
  await upstream.query(query);
  await upstream.query(query);

  expect([discoveries, direct.queries.length, told[0]?.queries.length]).toEqual([1, 1, 2]);
});

test('goes back to DoT where that answers again and the other does not', async () => {
  direct.behaviour = refusal;
  await upstream.query(query);
  direct.behaviour = fakeUpstream('again').behaviour;
  told[0]!.behaviour = refusal;
  await upstream.query(query);

  expect(direct.queries.length).toBe(2);
});

test('fails as DoT failed where nothing is told, and does not ask again at once', async () => {
  direct.behaviour = refusal;
  told = [];

  await expect(upstream.query(query)).rejects.toThrow('not there');
  await expect(upstream.query(query)).rejects.toThrow('not there');
  const atOnce = discoveries;
  now = 61_000;
  await expect(upstream.query(query)).rejects.toThrow('not there');

  expect([atOnce, discoveries]).toEqual([1, 2]);
});

test('closes everything that it opened', async () => {
  direct.behaviour = refusal;
  await upstream.query(query);
  upstream.close();

  expect([direct.isClosed, told[0]?.isClosed]).toEqual([true, true]);
});
