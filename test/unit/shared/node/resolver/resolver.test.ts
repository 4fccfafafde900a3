// The resolver on upstreams that do what the test says, in virtual time.
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { monoMs, unixMs } from '../../../../../shared/core/base/time.ts';
import { clientCacheLimits } from '../../../../../shared/core/dns/cache.ts';
import { rcode, recordType } from '../../../../../shared/core/dns/types.ts';
import { Resolver, type ResolverOptions } from '../../../../../shared/node/resolver/resolver.ts';
import { silentLog } from '../../../../../shared/node/silent-log.ts';
import {
  a,
  extendedErrorCodes,
  option,
  parsed,
  soa,
  testAnswer,
  testQuery,
} from '../../../../support/dns-messages.ts';
import { answerAll } from '../../../../support/dns-servers.ts';
import { type FakeUpstream, fakeUpstream, refusal, silence } from '../../../../support/fake-upstream.ts';

const { a: typeA } = recordType;
const clock = {
  kind: 'process' as const,
  now: () => monoMs(Date.now()),
  unix: () => unixMs(Date.now()),
};
const query = (name = 'x.example', more = {}) => testQuery(name, typeA, { edns: { udpSize: 1232 }, ...more });
const servfail = (bytes: Uint8Array): Uint8Array =>
  testAnswer({
    name: parsed(bytes).question!.name,
    type: typeA,
    rcode: 2,
    options: option(15, Uint8Array.of(0, 6)),
  });

let one: FakeUpstream;
let two: FakeUpstream;
const opened: Resolver[] = [];

function open(more: Partial<ResolverOptions> = {}): Resolver {
  const usual = { clock, log: silentLog, cache: clientCacheLimits, prefetch: false, random: () => 0.5 };
  const resolver = new Resolver({ upstreams: [[one, two]], ...usual, ...more });
  opened.push(resolver);
  return resolver;
}

beforeEach(() => {
  vi.useFakeTimers({ now: 1_000_000 });
  one = fakeUpstream('one');
  two = fakeUpstream('two');
});

afterEach(() => {
  for (const resolver of opened.splice(0)) resolver.close();
  expect(vi.getTimerCount()).toBe(0);
  vi.useRealTimers();
});

describe('an answer', () => {
  test('comes from the first upstream, then from the cache with its TTL run down', async () => {
    const resolver = open();
    const first = await resolver.resolve(query('X.Example', { id: 1 }));
    vi.advanceTimersByTime(100_000);
    const second = await resolver.resolve(query('x.eXample', { id: 2 }));

    expect(first).toMatchObject({ source: 'upstream', upstream: 'one' });
    expect(second).toMatchObject({ source: 'cache', upstream: undefined });
    expect(parsed(first.bytes)).toMatchObject({ id: 1, question: { name: 'X.Example' } });
    expect(parsed(second.bytes)).toMatchObject({ id: 2, question: { name: 'x.eXample' } });
    expect(parsed(second.bytes).minTtl()).toBe(200);
    expect(one.queries.length).toBe(1);
    expect(two.queries.length).toBe(0);
  });

  test('is asked for in lower case, padded where the upstream is encrypted, not where it is plain', async () => {
    const plain = fakeUpstream('plain', false);
    await open().resolve(query('X.Example'));
    await open({ upstreams: [[plain]] }).resolve(query('X.Example'));

    expect(parsed(one.queries[0]).question?.name).toBe('x.example');
    expect(one.queries[0]!.length).toBe(128);
    expect(plain.queries[0]!.length).toBeLessThan(128);
  });

  test('is shared by all who ask at the same time, each in its own spelling', async () => {
    const resolver = open();
    const names = ['x.example', 'X.example', 'x.EXAMPLE'];
    const answers = await Promise.all(names.map((name) => resolver.resolve(query(name))));

    expect(one.queries.length).toBe(1);
    expect(answers.map(({ bytes }) => parsed(bytes).question?.name)).toEqual(names);
  });

  test('that is fresh comes without a promise', async () => {
    const resolver = open();
    expect(resolver.answerFromCache(query())).toBeUndefined();
    await resolver.resolve(query());

    expect(parsed(resolver.answerFromCache(query())).addresses().length).toBe(1);
    vi.advanceTimersByTime(300_000);
    expect(resolver.answerFromCache(query())).toBeUndefined();
  });

  test('is not told as validated where it came in the clear', async () => {
    const validated = (bytes: Uint8Array): Uint8Array => answerAll(bytes).with(3, 0xa0);
    const plain = fakeUpstream('plain', false);
    plain.behaviour = validated;
    one.behaviour = validated;
    const ask = async (upstream: FakeUpstream): Promise<boolean> => {
      const { bytes } = await open({ upstreams: [[upstream]] }).resolve(
        query('x.example', { authenticated: true }),
      );
      return parsed(bytes).isAuthenticated;
    };

    expect(await ask(one)).toBe(true);
    expect(await ask(plain)).toBe(false);
  });

  test('to another question, or malformed, is a failure of the upstream', async () => {
    one.behaviour = () =>
      testAnswer({ name: 'y.example', type: typeA, answers: [a('y.example', '192.0.2.66')] });
    two.behaviour = (bytes) => answerAll(bytes).subarray(0, 40);
    const three = fakeUpstream('three');
    const { upstream } = await open({ upstreams: [[one, two, three]] }).resolve(query());

    expect(upstream).toBe('three');
  });
});

describe('when upstreams fail', () => {
  test('the next one answers at once', async () => {
    one.behaviour = refusal;
    const before = Date.now();
    const { source, upstream } = await open().resolve(query());

    expect([source, upstream, Date.now() - before]).toEqual(['upstream', 'two', 0]);
  });

  test('and the first only is silent, the second answers inside 500 ms, and is asked first from then on', async () => {
    one.behaviour = silence;
    const resolver = open();
    const before = Date.now();
    for (const name of ['a.example', 'b.example']) {
      const answer = resolver.resolve(query(name));
      await vi.advanceTimersByTimeAsync(500);
      expect((await answer).upstream).toBe('two');
    }
    one.queries.length = 0;
    const third = await resolver.resolve(query('c.example'));

    expect(Date.now() - before).toBe(1000);
    expect(third.upstream).toBe('two');
    expect(one.queries.length).toBe(0);
    expect(resolver.upstreams().map(({ isDown }) => isDown)).toEqual([true, false]);
  });

  test('one that is down is tried beside a real question and comes back', async () => {
    one.behaviour = refusal;
    const resolver = open();
    await resolver.resolve(query('a.example'));
    one.behaviour = answerAll;
    await vi.advanceTimersByTimeAsync(2000);
    const second = await resolver.resolve(query('b.example'));
    await vi.advanceTimersByTimeAsync(0);
    const third = await resolver.resolve(query('c.example'));

    expect(second.upstream).toBe('two');
    expect(third.upstream).toBe('one');
  });

  test('all of them, the answer is a failure with a reason, remembered for a moment', async () => {
    one.behaviour = refusal;
    two.behaviour = refusal;
    const resolver = open();
    const answer = resolver.resolve(query());
    await vi.advanceTimersByTimeAsync(5000);
    const first = parsed((await answer).bytes);
    const asked = one.queries.length;
    vi.setSystemTime(Date.now() - 4400);
    const second = parsed((await resolver.resolve(query())).bytes);

    expect(first.rcode).toBe(rcode.servFail);
    expect(extendedErrorCodes(first)).toEqual([23]);
    expect(extendedErrorCodes(second)).toEqual([13]);
    expect(one.queries.length).toBe(asked);
  });

  test('silently, everybody who waits has an answer within five seconds', async () => {
    one.behaviour = silence;
    two.behaviour = silence;
    const answer = open().resolve(query());
    await vi.advanceTimersByTimeAsync(5000);

    expect(parsed((await answer).bytes).rcode).toBe(rcode.servFail);
  });

  test('a SERVFAIL is asked of another, and given with its reason where that agrees', async () => {
    one.behaviour = servfail;
    const resolver = open();
    expect((await resolver.resolve(query('a.example'))).upstream).toBe('two');
    two.behaviour = servfail;
    const answer = resolver.resolve(query('b.example'));
    await vi.advanceTimersByTimeAsync(1000);
    const { bytes, source } = await answer;

    expect(source).toBe('failure');
    expect(parsed(bytes).rcode).toBe(rcode.servFail);
    expect(extendedErrorCodes(parsed(bytes))).toEqual([6]);
  });

  test('an older answer is given, and said to be old', async () => {
    const resolver = open();
    await resolver.resolve(query());
    vi.advanceTimersByTime(400_000);
    one.behaviour = refusal;
    two.behaviour = refusal;
    const answer = resolver.resolve(query());
    await vi.advanceTimersByTimeAsync(800);
    const { bytes, source } = await answer;

    expect(source).toBe('stale');
    expect(parsed(bytes).minTtl()).toBe(30);
    expect(extendedErrorCodes(parsed(bytes))).toEqual([3]);
    expect((await resolver.resolve(query())).source).toBe('stale');
  });

  test('to answer in time, an older answer is given after 1.8 s and the new one kept', async () => {
    const resolver = open({ upstreams: [[one]] });
    await resolver.resolve(query());
    vi.advanceTimersByTime(400_000);
    one.behaviour = (bytes) =>
      new Promise((resolve) => {
        setTimeout(() => resolve(answerAll(bytes)), 3000);
      });
    const answer = resolver.resolve(query());
    await vi.advanceTimersByTimeAsync(1800);
    expect((await answer).source).toBe('stale');
    await vi.advanceTimersByTimeAsync(1500);

    expect((await resolver.resolve(query())).source).toBe('cache');
    await vi.advanceTimersByTimeAsync(5000);
  });
});

describe('the cache', () => {
  test('is refreshed for popular names before their time is over', async () => {
    const resolver = open({ prefetch: true });
    await resolver.resolve(query());
    resolver.answerFromCache(query());
    vi.advanceTimersByTime(280_000);
    resolver.answerFromCache(query());
    await vi.advanceTimersByTimeAsync(0);
    vi.advanceTimersByTime(100_000);

    expect((await resolver.resolve(query())).source).toBe('cache');
    expect(one.queries.length).toBe(2);
  });

  test('keeps nothing that was asked before it was cleared', async () => {
    let answerNow = (): void => {};
    one.behaviour = (bytes) =>
      new Promise((resolve) => {
        answerNow = () => resolve(answerAll(bytes));
      });
    const resolver = open();
    const answer = resolver.resolve(query());
    await vi.advanceTimersByTimeAsync(0);
    resolver.cache.clear();
    answerNow();

    expect((await answer).source).toBe('upstream');
    expect(resolver.cache.entries).toBe(0);
  });

  test('keeps answers with and without CD and DO apart', async () => {
    const resolver = open();
    const variants = [
      query(),
      query('x.example', { checkingDisabled: true }),
      query('x.example', { edns: { udpSize: 1232, dnssecOk: true } }),
    ];
    for (const variant of variants) expect((await resolver.resolve(variant)).source).toBe('upstream');

    expect(one.queries.length).toBe(3);
  });
});

describe('at once', () => {
  const spans = (bytes: Uint8Array) => {
    const answer = { bytes: new Uint8Array(1232), at: 0, length: 1232 };
    return [{ bytes, at: 0, length: bytes.length }, answer] as const;
  };

  test('is answered what the cache has answered before, in the same words', async () => {
    const resolver = open();
    await resolver.resolve(query());
    const [question, answer] = spans(query().bytes);

    const before = resolver.answerAtOnce(question, answer, clock.now());
    const told = resolver.answerFromCache(query());
    const after = resolver.answerAtOnce(question, answer, clock.now());

    expect([before, after]).toEqual([false, true]);
    expect(answer.bytes.slice(0, answer.length)).toEqual(told);
    expect(resolver.cache.counts.hits).toBe(2);
  });

  test('nothing is answered after another network or other rules', async () => {
    const resolver = open();
    await resolver.resolve(query());

    for (const change of [() => resolver.handleNetworkChange(), () => resolver.forgetHot()]) {
      resolver.answerFromCache(query());
      expect(resolver.answerAtOnce(...spans(query().bytes), clock.now())).toBe(true);
      change();
      expect(resolver.answerAtOnce(...spans(query().bytes), clock.now())).toBe(false);
    }
  });
});

describe('another network', () => {
  test('ends connections and forgets what was missing, not what was there', async () => {
    const resolver = open();
    await resolver.resolve(query());
    one.behaviour = (bytes) => {
      const { name } = parsed(bytes).question!;
      return testAnswer({ name, type: typeA, rcode: 3, authority: [soa('example', 300, 300)] });
    };
    await resolver.resolve(query('missing.example'));
    resolver.handleNetworkChange();

    expect([one.resets, two.resets]).toEqual([1, 1]);
    expect((await resolver.resolve(query())).source).toBe('cache');
    expect((await resolver.resolve(query('missing.example'))).source).toBe('upstream');
  });
});

describe('a resolver', () => {
  test('without upstreams refuses, and says why', async () => {
    const { bytes } = await open({ upstreams: [] }).resolve(query());

    expect(parsed(bytes).rcode).toBe(rcode.refused);
    expect(extendedErrorCodes(parsed(bytes))).toEqual([18]);
  });

  test('that is closed answers who waits, closes its upstreams, and asks nobody any more', async () => {
    one.behaviour = silence;
    const resolver = open();
    const answer = resolver.resolve(query());
    await vi.advanceTimersByTimeAsync(0);
    resolver.close();

    expect(parsed((await answer).bytes).rcode).toBe(rcode.servFail);
    expect(parsed((await resolver.resolve(query('y.example'))).bytes).rcode).toBe(rcode.servFail);
    expect([one.isClosed, two.isClosed]).toEqual([true, true]);
    expect(one.queries.length).toBe(1);
  });

  test('takes so many askers of one question and no more', async () => {
    one.behaviour = silence;
    two.behaviour = silence;
    const resolver = open();
    const answers = Array.from({ length: 300 }, () => resolver.resolve(query()));
    const refused = await Promise.race(answers.slice(256));

    expect(parsed(refused.bytes).rcode).toBe(rcode.servFail);
    await vi.advanceTimersByTimeAsync(5000);
    await Promise.all(answers);
    expect(one.queries.length).toBeLessThanOrEqual(3);
  });
});
