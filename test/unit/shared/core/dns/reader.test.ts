// The lazy view over a message.
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { formatAddress } from '../../../../../shared/core/base/ip.ts';
import { readMessage } from '../../../../../shared/core/dns/reader.ts';
import { ednsOption, recordType } from '../../../../../shared/core/dns/types.ts';
import {
  a,
  cname,
  option,
  parsed,
  soa,
  testAnswer,
  testQuery,
  txt,
} from '../../../../support/dns-messages.ts';

const seed = 20261120;
const { a: typeA, aaaa, https } = recordType;
const addressesOf = (bytes: Uint8Array): string[] =>
  parsed(bytes)
    .addresses()
    .map((entry) => `${formatAddress(entry.address)} ${entry.ttl}`);

describe('the header and the question', () => {
  test('are read as they were written', () => {
    const query = testQuery('ExAmple.com', typeA, { edns: { udpSize: 1232, dnssecOk: true } });

    expect(query.id).toBe(0x1234);
    expect(query.isResponse).toBe(false);
    expect(query.recursionDesired).toBe(true);
    expect(query.question).toMatchObject({
      name: 'ExAmple.com',
      type: typeA,
      class: 1,
      nameAt: 12,
      nameEnd: 25,
    });
    expect(query.opt()).toMatchObject({ udpSize: 1232, dnssecOk: true, version: 0 });
    expect(query.questionKey()).toBe(testQuery('eXample.COM', typeA).questionKey());
    expect(query.questionKey()).not.toBe(testQuery('example.com', aaaa).questionKey());
  });

  test('are refused where they are cut or there are two questions', () => {
    const { bytes } = testQuery('example.com', typeA);
    const two = bytes.slice();
    two[5] = 2;

    for (let length = 0; length < bytes.length; length++) {
      expect(readMessage(bytes.subarray(0, length))).toBeUndefined();
    }
    expect(readMessage(two)).toBeUndefined();
    expect(readMessage(Uint8Array.from([...bytes.subarray(0, 12), 0xc0, 0, 0, 1, 0, 1]))).toBeUndefined();
  });

  test('may lack the question', () => {
    const message = parsed(new Uint8Array(12));

    expect(message.question).toBeUndefined();
    expect(message.records()).toEqual([]);
    expect(message.addresses()).toEqual([]);
  });
});

describe('addresses', () => {
  test('are those of the question, in the order of the answer', () => {
    const answers = [
      a('x.example', '192.0.2.1', 60),
      a('x.example', '192.0.2.2', 60),
      a('y.example', '192.0.2.9'),
    ];

    expect(addressesOf(testAnswer({ name: 'x.example', type: typeA, answers }))).toEqual([
      '192.0.2.1 60',
      '192.0.2.2 60',
    ]);
  });

  test('are found over aliases in any order, with the least TTL on the way', () => {
    const answers = [
      a('c.example', '2001:db8::1', 60),
      cname('b.example', 'C.Example', 300),
      cname('a.example', 'b.example', 30),
    ];
    const bytes = testAnswer({ name: 'A.example', type: aaaa, answers });

    expect(addressesOf(bytes)).toEqual(['2001:db8::1 30']);
    expect(parsed(bytes).aliases()).toEqual(['b.example', 'C.Example']);
  });

  test.each([
    ['aliases go in a circle', [cname('a.example', 'b.example'), cname('b.example', 'a.example')]],
    ['the alias leads nowhere', [cname('a.example', 'b.example')]],
    ['the record has the wrong size', [{ name: 'a.example', type: typeA, ttl: 1, rdata: new Uint8Array(3) }]],
    ['only the other family is there', [a('a.example', '2001:db8::1')]],
  ])('are none where %s', (_why, answers) => {
    expect(addressesOf(testAnswer({ name: 'a.example', type: typeA, answers }))).toEqual([]);
  });
});

describe('how long an answer may be kept', () => {
  test('is the least TTL, OPT aside', () => {
    const answers = [a('x.example', '192.0.2.1', 60), a('x.example', '192.0.2.2', 50)];

    expect(parsed(testAnswer({ name: 'x.example', type: typeA, answers, opt: true })).minTtl()).toBe(50);
    expect(parsed(testAnswer({ name: 'x.example', type: typeA })).minTtl()).toBeUndefined();
  });

  test('is nothing where the TTL has its top bit set', () => {
    const answers = [a('x.example', '192.0.2.1', 0x8000_0000)];

    expect(parsed(testAnswer({ name: 'x.example', type: typeA, answers })).minTtl()).toBe(0);
  });

  test.each([
    [300, 60, 60],
    [30, 900, 30],
  ])('for "there is nothing": SOA with TTL %i and minimum %i give %i', (ttl, minimum, least) => {
    const bytes = testAnswer({
      name: 'x.example',
      type: typeA,
      rcode: 3,
      authority: [soa('example', ttl, minimum)],
    });

    expect(parsed(bytes).negativeTtl()).toBe(least);
    expect(parsed(bytes).isNegative).toBe(true);
  });

  test('is unknown for "there is nothing" without SOA', () => {
    expect(parsed(testAnswer({ name: 'x.example', type: typeA, rcode: 3 })).negativeTtl()).toBeUndefined();
  });

  test.each([
    ['an alias to nothing of the type', [cname('x.example', 'y.example')], 0, true],
    ['an address', [a('x.example', '192.0.2.1')], 0, false],
    ['a server that failed', [], 2, false],
  ])('knows what "there is nothing" is: %s', (_what, answers, rcode, negative) => {
    expect(parsed(testAnswer({ name: 'x.example', type: typeA, answers, rcode })).isNegative).toBe(negative);
  });
});

describe('OPT', () => {
  test('gives its options, views into the message', () => {
    const cookie = option(ednsOption.cookie, Uint8Array.of(1, 2, 3));
    const message = parsed(testAnswer({ name: 'x.example', type: typeA, options: cookie }));

    expect(message.options().map(({ code, bytes }) => [code, ...bytes])).toEqual([
      [ednsOption.cookie, 1, 2, 3],
    ]);
  });

  test('ends at an option that runs over the end', () => {
    const options = Uint8Array.from([0, 10, 0, 1, 7, 0, 11, 0, 9, 1]);
    const message = parsed(testAnswer({ name: 'x.example', type: typeA, options }));

    expect(message.options().map(({ code }) => code)).toEqual([10]);
    expect(message.isWellFormed).toBe(true);
  });

  test('makes a message malformed where it stands twice or in the answer', () => {
    const opt = { name: '.', type: recordType.opt, ttl: 0, rdata: new Uint8Array(0) };
    const twice = testAnswer({ name: 'x.example', type: typeA, additional: [opt], opt: true });
    const astray = testAnswer({ name: 'x.example', type: typeA, answers: [opt] });

    expect(parsed(twice).isWellFormed).toBe(false);
    expect(parsed(astray).isWellFormed).toBe(false);
    expect(parsed(astray).opt()).toBeUndefined();
  });
});

describe('hostile bytes', () => {
  const answers = [cname('x.example', 'y.example'), a('y.example', '192.0.2.1'), txt('y.example', 40)];
  const honest = testAnswer({
    name: 'x.example',
    type: https,
    answers,
    authority: [soa('example', 9, 9)],
    opt: true,
  });

  test('leave what is cut malformed, with the records before the cut', () => {
    expect(parsed(honest).isWellFormed).toBe(true);
    for (let length = 27; length < honest.length; length++) {
      const message = parsed(honest.subarray(0, length));
      expect(message.isWellFormed).toBe(false);
      expect(message.records().length).toBeLessThan(5);
    }
  });

  test('never throw', () => {
    const flips = fc.array(fc.tuple(fc.nat(honest.length - 1), fc.nat(255)), { maxLength: 12 });
    const hostile = fc.oneof(
      fc.uint8Array({ maxLength: 400 }),
      flips.map((changes) => {
        const bytes = honest.slice();
        for (const [at, value] of changes) bytes[at] = value;
        return bytes;
      }),
    );
    const property = fc.property(hostile, (bytes) => {
      const message = readMessage(bytes);
      if (message === undefined) return;
      message.addresses();
      message.aliases();
      message.minTtl();
      message.negativeTtl();
      message.options();
      message.questionKey();
      expect(message.rcode).toBeLessThan(4096);
      for (const record of message.records()) {
        expect(record.end).toBeLessThanOrEqual(bytes.length);
        message.ownerOf(record);
      }
    });

    fc.assert(property, { seed, numRuns: 1000 });
  });

  test('cost bounded work: a message full of aliases that meet in one name', () => {
    const many = Array.from({ length: 4000 }, () => cname('a.example', 'a.example'));
    const message = parsed(testAnswer({ name: 'a.example', type: typeA, answers: many }).subarray(0, 65_535));

    expect(message.addresses()).toEqual([]);
    expect(message.aliases().length).toBe(16);
  });
});
