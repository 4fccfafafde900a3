// An upstream known by name.
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { monoMs, unixMs } from '../../../../../shared/core/base/time.ts';
import { recordType } from '../../../../../shared/core/dns/types.ts';
import type { Upstream } from '../../../../../shared/node/resolver/upstream.ts';
import { createNamedUpstream } from '../../../../../shared/node/resolver/upstream-named.ts';
import { testQuery } from '../../../../support/dns-messages.ts';
import { type FakeUpstream, fakeUpstream, refusal } from '../../../../support/fake-upstream.ts';

const query = testQuery('x.example', recordType.a).bytes;
let now = 0;
let lookups: string[][];
let asked: number;
let opened: Map<string, FakeUpstream>;
let upstream: Upstream;

beforeEach(() => {
  now = 0;
  asked = 0;
  opened = new Map();
  lookups = [['192.0.2.1', '192.0.2.2']];
  upstream = createNamedUpstream({
    name: 'tls://dns.example',
    clock: { kind: 'process', now: () => monoMs(now), unix: () => unixMs(0) },
    lookUp: async () => {
      asked++;
      const addresses = lookups.length > 1 ? lookups.shift()! : lookups[0]!;
      return { addresses, ttl: 300 };
    },
    open: (address) => {
      const fake = fakeUpstream(address);
      opened.set(address, fake);
      return fake;
    },
  });
});

afterEach(() => upstream.close());

describe('an upstream known by name', () => {
  test('is looked up once for many questions', async () => {
    await Promise.all([upstream.query(query), upstream.query(query)]);
    await upstream.query(query);

    expect(asked).toBe(1);
    expect(opened.get('192.0.2.1')?.queries.length).toBe(3);
  });

  test('uses its other address, and stays with it', async () => {
    await upstream.query(query);
    opened.get('192.0.2.1')!.behaviour = refusal;
    await upstream.query(query);
    await upstream.query(query);

    expect(opened.get('192.0.2.1')?.queries.length).toBe(2);
    expect(opened.get('192.0.2.2')?.queries.length).toBe(2);
  });

  test('is looked up again where no address works', async () => {
    await upstream.query(query);
    for (const fake of opened.values()) fake.behaviour = refusal;
    await expect(upstream.query(query)).rejects.toThrow('not there');
    lookups = [['192.0.2.9']];
    await upstream.query(query);

    expect(asked).toBe(2);
    expect(opened.get('192.0.2.1')?.isClosed).toBe(true);
    expect(opened.get('192.0.2.9')?.queries.length).toBe(1);
  });

  test('is looked up again when its time is over, without waiting for that', async () => {
    await upstream.query(query);
    now = 301_000;
    lookups = [['192.0.2.2']];
    await upstream.query(query);
    expect(opened.get('192.0.2.1')?.queries.length).toBe(2);
    await new Promise((resolve) => setImmediate(resolve));
    await upstream.query(query);

    expect(asked).toBe(2);
    expect(opened.get('192.0.2.2')?.queries.length).toBe(1);
  });

  test('fails where nobody knows the name', async () => {
    lookups = [[]];

    await expect(upstream.query(query)).rejects.toMatchObject({ failure: 'unreachable' });
  });

  test('asks nobody after it was closed', async () => {
    upstream.close();

    await expect(upstream.query(query)).rejects.toThrow();
    expect(opened.size).toBe(0);
  });
});
