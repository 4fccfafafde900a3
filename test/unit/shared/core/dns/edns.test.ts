// What goes to an upstream, what is kept of an answer, and what an asker gets.
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { concat } from '../../../../../shared/core/base/bytes.ts';
import {
  answersQuestion,
  dressAnswer,
  forwardQuery,
  stripAnswer,
} from '../../../../../shared/core/dns/edns.ts';
import { readMessage } from '../../../../../shared/core/dns/reader.ts';
import { ednsOption, flag, recordType } from '../../../../../shared/core/dns/types.ts';
import {
  a,
  cname,
  extendedErrorCodes,
  option,
  parsed,
  soa,
  testAnswer,
  testQuery,
} from '../../../../support/dns-messages.ts';

const { a: typeA, aaaa } = recordType;
const seed = 20261120;
const edns = { udpSize: 4096 };

describe('a forwarded query', () => {
  test('carries the name in lower case, DO and CD, and nothing else of the asker', () => {
    const subnet = option(ednsOption.clientSubnet, Uint8Array.of(0, 1, 24, 0, 192, 0, 2));
    const cookie = option(ednsOption.cookie, new Uint8Array(8));
    const plain = testQuery('ExAmple.COM', typeA, { checkingDisabled: true });
    const withOptions = parsed(
      concat(plain.bytes.with(11, 1), Uint8Array.of(0, 0, 41, 16, 0, 0, 0, 0x80, 0, 0, 23), subnet, cookie),
    );
    const forwarded = parsed(forwardQuery(withOptions, { id: 7, udpSize: 1232, padTo: 128 }));

    expect(withOptions.options().length).toBe(2);
    expect(forwarded.id).toBe(7);
    expect(forwarded.question?.name).toBe('example.com');
    expect(forwarded.checkingDisabled).toBe(true);
    expect(forwarded.isAuthenticated).toBe(true);
    expect(forwarded.opt()?.dnssecOk).toBe(true);
    expect(forwarded.options().map(({ code }) => code)).toEqual([ednsOption.padding]);
    expect(forwarded.bytes.length).toBe(128);
  });
});

describe('an answer belongs to a question', () => {
  const query = testQuery('example.com', typeA);

  test.each([
    ['another case', { name: 'EXAMPLE.com', type: typeA }, true],
    ['another name', { name: 'example.org', type: typeA }, false],
    ['another type', { name: 'example.com', type: aaaa }, false],
    ['no response', { name: 'example.com', type: typeA, flags: flag.recursionDesired }, false],
    ['another opcode', { name: 'example.com', type: typeA, flags: flag.response | (4 << 11) }, false],
  ])('%s', (_what, answer, expected) => {
    expect(answersQuestion(query, parsed(testAnswer(answer)))).toBe(expected);
  });
});

describe('a dressed answer', () => {
  const padding = option(ednsOption.padding, new Uint8Array(50));
  const bogus = option(ednsOption.extendedError, Uint8Array.of(0, 6, 104, 105));
  const answers = [cname('example.com', 'host.example.com', 300), a('host.example.com', '192.0.2.1', 60)];
  const upstream = testAnswer({
    name: 'example.com',
    type: typeA,
    answers,
    options: concat(padding, bogus),
    flags: flag.response | flag.recursionDesired | flag.authenticated | flag.authoritative,
  });
  const stored = stripAnswer(parsed(upstream))!;

  test('has the id, the spelling and the flags of who asks', () => {
    const query = testQuery('eXample.Com', typeA, { id: 0xbeef, recursionDesired: false });
    const dressed = parsed(dressAnswer(query, stored, { ageSeconds: 0 }));

    expect(dressed.id).toBe(0xbeef);
    expect(dressed.question?.name).toBe('eXample.Com');
    expect(dressed.ownerOf(dressed.answers()[0]!)).toBe('eXample.Com');
    expect(dressed.flags).toBe(flag.response | flag.recursionAvailable);
    expect(dressed.addresses().length).toBe(1);
  });

  test.each([
    ['nothing', {}, false],
    ['AD', { authenticated: true }, true],
    ['DO', { edns: { udpSize: 512, dnssecOk: true } }, true],
    ['EDNS alone', { edns }, false],
  ])('says that it was validated to who asks with %s: %s', (_what, more, expected) => {
    const dressed = parsed(dressAnswer(testQuery('example.com', typeA, more), stored, { ageSeconds: 0 }));

    expect(dressed.isAuthenticated).toBe(expected);
  });

  test('has OPT exactly where the query had it: extended errors pass, padding stays behind', () => {
    const without = parsed(dressAnswer(testQuery('example.com', typeA), stored, { ageSeconds: 0 }));
    const error = { code: 3 };
    const query = testQuery('example.com', typeA, { edns });
    const withOpt = parsed(dressAnswer(query, stored, { ageSeconds: 0, extendedError: error }));

    expect(without.opt()).toBeUndefined();
    expect(without.isWellFormed).toBe(true);
    expect(withOpt.isWellFormed).toBe(true);
    expect(extendedErrorCodes(withOpt)).toEqual([3, 6]);
    expect(withOpt.options().map(({ code }) => code)).not.toContain(ednsOption.padding);
  });

  test('counts every TTL down, not below nothing, and leaves what is kept alone', () => {
    const before = stored.bytes.slice();
    const ttls = (age: number, staleTtl?: number): number[] =>
      parsed(
        dressAnswer(testQuery('example.com', typeA), stored, {
          ageSeconds: age,
          ...(staleTtl === undefined ? {} : { staleTtl }),
        }),
      )
        .records()
        .map((record) => record.ttl);

    expect(ttls(0)).toEqual([300, 60]);
    expect(ttls(59)).toEqual([241, 1]);
    expect(ttls(100)).toEqual([200, 0]);
    expect(ttls(100, 30)).toEqual([30, 30]);
    expect(stored.bytes).toEqual(before);
  });

  test('is padded for encrypted listeners', () => {
    const query = testQuery('example.com', typeA, { edns });

    expect(dressAnswer(query, stored, { ageSeconds: 0, padTo: 468 }).length).toBe(468);
  });

  test('says "failed" where only EDNS could say more', () => {
    const badCookie = testAnswer({ name: 'example.com', type: typeA, opt: true });
    badCookie[badCookie.length - 6] = 1; // extended rcode 1: 16
    const kept = stripAnswer(parsed(badCookie))!;

    expect(kept.rcode).toBe(16);
    expect(parsed(dressAnswer(testQuery('example.com', typeA), kept, { ageSeconds: 0 })).rcode).toBe(2);
    expect(
      parsed(dressAnswer(testQuery('example.com', typeA, { edns }), kept, { ageSeconds: 0 })).rcode,
    ).toBe(16);
  });
});

describe('stripping', () => {
  test('moves what stands behind OPT where that is safe, and leaves it out where not', () => {
    const opt = { name: '.', type: recordType.opt, ttl: 0, rdata: new Uint8Array(0) };
    const bytes = testAnswer({
      name: 'example.com',
      type: typeA,
      answers: [a('example.com', '192.0.2.1', 60)],
      additional: [opt, a('example.com', '192.0.2.2', 50), a('other.example', '192.0.2.3', 40)],
    });
    const stored = stripAnswer(parsed(bytes))!;
    const dressed = parsed(dressAnswer(testQuery('example.com', typeA), stored, { ageSeconds: 10 }));

    expect(dressed.isWellFormed).toBe(true);
    expect(dressed.records().map((record) => [record.section, record.ttl])).toEqual([
      ['answer', 50],
      ['additional', 40],
    ]);
  });

  test('keeps the bytes of every record as they came', () => {
    const odd = { name: 'example.com', type: 65_400, ttl: 60, rdata: Uint8Array.of(0, 255, 192, 12) };
    const message = parsed(
      testAnswer({
        name: 'example.com',
        type: 65_400,
        answers: [odd],
        authority: [soa('com', 9, 9)],
        opt: true,
      }),
    );
    const stored = stripAnswer(message)!;

    expect(stored.bytes.subarray(12)).toEqual(message.bytes.subarray(12, stored.bytes.length));
  });

  test('and dressing never throw, and keep what is well-formed well-formed', () => {
    const honest = testAnswer({
      name: 'example.com',
      type: typeA,
      answers: [cname('example.com', 'b.example'), a('b.example', '192.0.2.1')],
      options: option(ednsOption.extendedError, Uint8Array.of(0, 1)),
    });
    const flips = fc.array(fc.tuple(fc.nat(honest.length - 1), fc.nat(255)), { maxLength: 8 });
    const query = testQuery('example.com', typeA, { edns });
    const property = fc.property(flips, (changes) => {
      const bytes = honest.slice();
      for (const [at, value] of changes) bytes[at] = value;
      const answer = readMessage(bytes);
      if (answer === undefined || !answersQuestion(query, answer)) return;
      const stored = stripAnswer(answer);
      expect(stored !== undefined).toBe(answer.isWellFormed);
      if (stored === undefined) return;
      expect(parsed(dressAnswer(query, stored, { ageSeconds: 5 })).isWellFormed).toBe(true);
    });

    fc.assert(property, { seed, numRuns: 1000 });
  });
});
