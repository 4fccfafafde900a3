// Answers at once: the same bytes as the long way gives, for ordinary questions only, and never too long.
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { concat } from '../../../../../shared/core/base/bytes.ts';
import { type MonoMs, monoMs } from '../../../../../shared/core/base/time.ts';
import { AnswerCache, type CacheLimits, cacheKey } from '../../../../../shared/core/dns/cache.ts';
import { dressAnswer } from '../../../../../shared/core/dns/edns.ts';
import { HotAnswers } from '../../../../../shared/core/dns/hot-answers.ts';
import type { DnsMessage } from '../../../../../shared/core/dns/reader.ts';
import { ednsOption, recordType } from '../../../../../shared/core/dns/types.ts';
import {
  a,
  cname,
  option,
  parsed,
  soa,
  type TestAnswer,
  testAnswer,
  testQuery,
  txt,
} from '../../../../support/dns-messages.ts';

const { a: typeA, ptr } = recordType;
const limits: CacheLimits = { maxEntries: 100, maxBytes: 1_000_000, maxStaleMs: 0 };
const seed = 20261121;
const room = 4096;
const at = (seconds: number): MonoMs => monoMs(seconds * 1000);
const usual = { name: 'www.example.com', type: typeA, answers: [a('www.example.com', '192.0.2.1', 300)] };

interface World {
  readonly cache: AnswerCache;
  readonly hot: HotAnswers;
}

function world(slots = 64): World {
  return { cache: new AnswerCache(limits), hot: new HotAnswers(slots, 7) };
}

/** Stored at 0, learnt from a question at `seconds`. */
function learn({ cache, hot }: World, query: DnsMessage, answer: TestAnswer, seconds = 0): void {
  cache.put(cacheKey(query), parsed(testAnswer(answer)), at(0));
  const hit = cache.lookup(cacheKey(query), at(seconds));
  if (hit === undefined) throw new Error('the cache has it');
  hot.learn(query, hit, cache.generation);
}

function ask({ cache, hot }: World, bytes: Uint8Array, seconds = 1, most = room): Uint8Array | undefined {
  // Somewhere inside two larger memories, as ports hand them over.
  const question = {
    bytes: concat(new Uint8Array(9), bytes, new Uint8Array(5)),
    at: 9,
    length: bytes.length,
  };
  const answer = { bytes: new Uint8Array(room + 100), at: 50, length: most };
  if (!hot.answer(question, answer, at(seconds), cache.generation)) return undefined;
  return answer.bytes.slice(50, 50 + answer.length);
}

describe('an answer at once', () => {
  const cases: readonly [string, DnsMessage, TestAnswer][] = [
    ['without EDNS', testQuery('www.example.com', typeA), usual],
    ['with EDNS', testQuery('www.example.com', typeA, { edns: { udpSize: 4096 } }), usual],
    ['with DO', testQuery('www.example.com', typeA, { edns: { udpSize: 1232, dnssecOk: true } }), usual],
    ['with padding', testQuery('www.example.com', typeA, { edns: { udpSize: 1232, padTo: 128 } }), usual],
    ['with CD', testQuery('www.example.com', typeA, { checkingDisabled: true }), usual],
    ['without RD', testQuery('www.example.com', typeA, { recursionDesired: false }), usual],
    ['spelled oddly', testQuery('wWw.ExAMPLE.coM', typeA, { edns: { udpSize: 1232 } }), usual],
    [
      'validated, to one who asks',
      testQuery('www.example.com', typeA, { authenticated: true }),
      { ...usual, flags: 0x81a0 },
    ],
    ['validated, to one who does not', testQuery('www.example.com', typeA), { ...usual, flags: 0x81a0 }],
    [
      'over aliases, with different times',
      testQuery('www.example.com', typeA),
      {
        ...usual,
        answers: [cname('www.example.com', 'x.example.net', 60), a('x.example.net', '192.0.2.9', 30)],
      },
    ],
    [
      'that there is no such name',
      testQuery('www.example.com', typeA),
      { name: 'www.example.com', type: typeA, rcode: 3, authority: [soa('example.com', 600, 60)] },
    ],
    [
      'with a time of years',
      testQuery('www.example.com', typeA),
      { ...usual, answers: [a('www.example.com', '192.0.2.1', 90_000_000)] },
    ],
    ['that came with EDNS', testQuery('www.example.com', typeA), { ...usual, opt: true }],
  ];

  test.each(cases)('is what the long way gives: %s', (_what, query, answer) => {
    const here = world();
    learn(here, query, answer);
    const again = parsed(query.bytes.with(0, 0xab).with(1, 0xcd));

    for (const seconds of [0, 1, 9, 1, 20]) {
      const hit = here.cache.lookup(cacheKey(again), at(seconds));
      const stored = hit?.answer;
      if (stored === undefined) throw new Error('the cache has it');
      expect(ask(here, again.bytes, seconds)).toEqual(dressAnswer(again, stored, { ageSeconds: seconds }));
    }
  });

  test('is told apart by name, type, DO and CD', () => {
    const here = world();
    learn(here, testQuery('www.example.com', typeA), usual);

    for (const other of [
      testQuery('wwx.example.com', typeA),
      testQuery('www.example.com', recordType.aaaa),
      testQuery('www.example.com', typeA, { checkingDisabled: true }),
      testQuery('www.example.com', typeA, { edns: { udpSize: 1232, dnssecOk: true } }),
    ]) {
      expect(ask(here, other.bytes)).toBeUndefined();
    }
    expect(ask(here, testQuery('www.example.com', typeA).bytes)).toBeDefined();
  });

  test('ends before the time of the answer is over, so that somebody notices', () => {
    const here = world();
    const query = testQuery('www.example.com', typeA);
    learn(here, query, usual);

    expect(ask(here, query.bytes, 269)).toBeDefined();
    expect(ask(here, query.bytes, 270)).toBeUndefined();
  });

  test('ends when the cache forgets, or is told to', () => {
    const query = testQuery('www.example.com', typeA);
    const [cleared, moved, told] = [world(), world(), world()];
    for (const here of [cleared, moved, told]) learn(here, query, usual);

    cleared.cache.clear();
    moved.cache.forgetNegative();
    told.hot.clear();

    for (const here of [cleared, moved, told]) expect(ask(here, query.bytes)).toBeUndefined();
  });

  test('counts as a use of the answer, so that the cache keeps it', () => {
    const here = world();
    const query = testQuery('www.example.com', typeA);
    learn(here, query, usual);
    const before = here.cache.lookup(cacheKey(query), at(1))?.use?.hits ?? 0;

    ask(here, query.bytes);
    ask(here, query.bytes);

    expect(here.cache.lookup(cacheKey(query), at(1))?.use?.hits).toBe(before + 3);
  });

  test('is not longer than the asker takes, or than there is room', () => {
    const here = world();
    const long = {
      name: 'www.example.com',
      type: recordType.txt,
      answers: [1, 2, 3].map((fill) => txt('www.example.com', 250, 300, fill)),
    };
    const [plain, large] = [
      testQuery('www.example.com', recordType.txt),
      testQuery('www.example.com', recordType.txt, { edns: { udpSize: 1232 } }),
    ];
    learn(here, plain, long);

    expect(ask(here, plain.bytes)).toBeUndefined();
    expect(ask(here, large.bytes)?.length).toBeGreaterThan(512);
    expect(ask(here, large.bytes, 1, 600)).toBeUndefined();
  });

  test('is not given where the long way has more to say', () => {
    const here = world();
    const reverse = testQuery('1.2.0.192.in-addr.arpa', ptr);
    const withError = testQuery('blocked.example', typeA);
    learn(here, reverse, {
      name: '1.2.0.192.in-addr.arpa',
      type: ptr,
      answers: [{ ...a('x', '192.0.2.1'), name: '1.2.0.192.in-addr.arpa', type: ptr }],
    });
    learn(here, withError, {
      name: 'blocked.example',
      type: typeA,
      answers: [a('blocked.example', '0.0.0.0')],
      options: option(ednsOption.extendedError, Uint8Array.of(0, 17)),
    });

    expect(ask(here, reverse.bytes)).toBeUndefined();
    expect(ask(here, withError.bytes)).toBeUndefined();
  });

  test('makes room for what is asked now', () => {
    const here = world(4);
    const names = Array.from({ length: 40 }, (_, i) => `n${i}.example`);
    for (const name of names)
      learn(here, testQuery(name, typeA), { name, type: typeA, answers: [a(name, '192.0.2.1')] });

    const held = names.filter((name) => ask(here, testQuery(name, typeA).bytes) !== undefined);

    expect(held).toContain('n39.example');
    expect(held.length).toBeLessThanOrEqual(4);
  });
});

describe('bytes that are no ordinary question', () => {
  test('go the long way, whatever they are', () => {
    const here = world();
    const query = testQuery('www.example.com', typeA, { edns: { udpSize: 1232 } });
    learn(here, query, usual);

    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 80 }), (bytes) => {
        expect(ask(here, bytes)).toBeUndefined();
      }),
      { seed, numRuns: 2000 },
    );
    // A byte more or less, an answer, another operation, a second question, another class, another EDNS.
    const { bytes } = query;
    const odd = [
      concat(bytes, Uint8Array.of(0)),
      ...Array.from({ length: bytes.length }, (_, i) => bytes.slice(0, i)),
      bytes.with(2, 0x81),
      bytes.with(2, 0x21),
      bytes.with(5, 2),
      bytes.with(7, 1),
      bytes.with(11, 2),
      bytes.with(12 + 17 + 3, 3),
      bytes.with(bytes.length - 5, 1),
    ];
    for (const one of odd) expect(ask(here, one)).toBeUndefined();
  });

  test('changed anywhere, get no answer to another question', () => {
    const here = world();
    const query = testQuery('www.example.com', typeA, { edns: { udpSize: 1232 } });
    learn(here, query, usual);

    for (let i = 0; i < query.bytes.length; i++) {
      for (const bit of [1, 2, 4, 8, 16, 32, 64, 128]) {
        const changed = query.bytes.with(i, query.bytes[i]! ^ bit);
        const answer = ask(here, changed);
        if (answer === undefined) continue;
        expect(parsed(answer).question?.name.toLowerCase()).toBe('www.example.com');
        expect(answer.slice(0, 2)).toEqual(changed.slice(0, 2));
      }
    }
  });
});
