// Names that never leave.
import { describe, expect, test } from 'vitest';
import { encodeName } from '../../../../../shared/core/dns/name.ts';
import {
  answerSpecialName,
  findSpecialName,
  refuseAny,
} from '../../../../../shared/core/dns/special-names.ts';
import { rcode, recordType } from '../../../../../shared/core/dns/types.ts';
import { parsed, testQuery } from '../../../../support/dns-messages.ts';

const kindOf = (name: string, isPublic: boolean) => findSpecialName(encodeName(name)!, isPublic)?.kind;

describe('special names', () => {
  test.each([
    ['localhost', 'loopback', 'loopback'],
    ['a.LocalHost', 'loopback', 'loopback'],
    ['printer.local', 'nonexistent', 'nonexistent'],
    ['x.onion', 'nonexistent', 'nonexistent'],
    ['x.invalid', 'nonexistent', 'nonexistent'],
    ['_dns.resolver.arpa', 'empty', 'empty'],
    ['1.2.168.192.in-addr.arpa', 'nonexistent', undefined],
    ['1.0.16.172.in-addr.arpa', 'nonexistent', undefined],
    ['1.0.32.172.in-addr.arpa', undefined, undefined],
    ['1.0.100.100.in-addr.arpa', 'nonexistent', undefined],
    ['a.b.c.d.f.ip6.arpa', 'nonexistent', undefined],
    ['db.internal', 'nonexistent', undefined],
    ['www.example', undefined, undefined],
    ['local.example', undefined, undefined],
    ['notlocal', undefined, undefined],
    ['.', undefined, undefined],
  ])('%s is %s to a public resolver, %s to a private one', (name, open, own) => {
    expect(kindOf(name, true)).toBe(open);
    expect(kindOf(name, false)).toBe(own);
  });

  test('say "this machine" for localhost, whatever is below it', () => {
    const query = testQuery('App.localhost', recordType.aaaa);
    const answer = parsed(answerSpecialName(query, findSpecialName(query.questionName, true)!));
    const text = testQuery('localhost', recordType.txt);

    expect(answer.addresses().map((entry) => [...entry.address])).toEqual([[...Array(15).fill(0), 1]]);
    expect(parsed(answerSpecialName(text, findSpecialName(text.questionName, true)!)).isNegative).toBe(true);
  });

  test('say "no such name" with how long that holds', () => {
    const query = testQuery('printer.local', recordType.a);
    const answer = parsed(answerSpecialName(query, findSpecialName(query.questionName, true)!));

    expect(answer.rcode).toBe(rcode.nxDomain);
    expect(answer.negativeTtl()).toBe(10_800);
    expect(answer.isWellFormed).toBe(true);
  });
});

test('a question for everything gets one record that says no', () => {
  const answer = parsed(refuseAny(testQuery('example.com', recordType.any)));

  expect(answer.answers().map((record) => record.type)).toEqual([recordType.hinfo]);
  expect(answer.isWellFormed).toBe(true);
});
