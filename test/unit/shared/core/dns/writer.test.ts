// The messages that are ours, and answers cut to a size.
import { describe, expect, test } from 'vitest';
import { encodeHex } from '../../../../../shared/core/base/bytes.ts';
import { parseAddress } from '../../../../../shared/core/base/ip.ts';
import { readMessage } from '../../../../../shared/core/dns/reader.ts';
import { extendedError, flag, rcode, recordType } from '../../../../../shared/core/dns/types.ts';
import {
  fitAnswer,
  writeAddressAnswer,
  writeAnswer,
  writeFormatError,
  writeQuery,
} from '../../../../../shared/core/dns/writer.ts';
import {
  a,
  extendedErrorCodes,
  parsed,
  testAnswer,
  testQuery,
  txt,
} from '../../../../support/dns-messages.ts';

const { a: typeA, aaaa, txt: typeTxt } = recordType;

describe('a query', () => {
  test('is the one of RFC 8484 §4.1.1 for www.example.com', () => {
    const query = writeQuery({ id: 0, name: 'www.example.com', type: typeA });

    expect(encodeHex(query!)).toBe('00000100000100000000000003777777076578616d706c6503636f6d0000010001');
  });

  test('is padded to whole blocks whatever the name', () => {
    for (const name of ['.', 'a.example', `${'a'.repeat(63)}.${'b'.repeat(40)}.example`]) {
      const query = parsed(writeQuery({ id: 1, name, type: typeA, edns: { udpSize: 1232, padTo: 128 } }));
      expect(query.bytes.length % 128).toBe(0);
      expect(query.isWellFormed).toBe(true);
    }
  });

  test('is none for what is no name', () => {
    expect(writeQuery({ id: 1, name: 'a..b', type: typeA })).toBeUndefined();
  });

  test('carries the flags that were asked for', () => {
    const off = testQuery('a.example', typeA, { recursionDesired: false });
    const on = testQuery('a.example', typeA, { checkingDisabled: true, authenticated: true });

    expect(off.flags).toBe(0);
    expect(on.flags).toBe(flag.recursionDesired | flag.checkingDisabled | flag.authenticated);
    expect(off.opt()).toBeUndefined();
  });
});

describe('an answer of our own', () => {
  test('echoes id, question and case, and has OPT exactly where the query had it', () => {
    const plain = parsed(writeAnswer(testQuery('ExAmple.com', typeA), { rcode: rcode.refused }));
    const query = testQuery('ExAmple.com', typeA, { edns: { udpSize: 4096, dnssecOk: true } });
    const error = { code: extendedError.prohibited, text: 'no' };
    const edns = parsed(writeAnswer(query, { rcode: rcode.refused, extendedError: error }));

    expect(plain.id).toBe(0x1234);
    expect(plain.question?.name).toBe('ExAmple.com');
    expect(plain.rcode).toBe(rcode.refused);
    expect(plain.isResponse).toBe(true);
    expect(plain.opt()).toBeUndefined();
    expect(edns.opt()).toMatchObject({ dnssecOk: true, udpSize: 1232 });
    expect(extendedErrorCodes(edns)).toEqual([extendedError.prohibited]);
  });

  test('carries a code above 15 only where EDNS can', () => {
    const edns = testQuery('a.example', typeA, { edns: { udpSize: 512 } });

    expect(parsed(writeAnswer(edns, { rcode: rcode.badVers })).rcode).toBe(rcode.badVers);
    expect(parsed(writeAnswer(testQuery('a.example', typeA), { rcode: rcode.badVers })).rcode).toBe(2);
  });

  test('gives the addresses of the family that was asked for', () => {
    const addresses = [parseAddress('10.83.0.1')!, parseAddress('fd7c::1')!];
    const four = parsed(writeAddressAnswer(testQuery('Edge.culvert', typeA), addresses, 60));
    const six = parsed(writeAddressAnswer(testQuery('edge.culvert', aaaa), addresses, 60));
    const none = parsed(writeAddressAnswer(testQuery('edge.culvert', typeTxt), addresses, 60));

    expect(four.addresses()).toEqual([{ address: addresses[0], ttl: 60 }]);
    expect(six.addresses()).toEqual([{ address: addresses[1], ttl: 60 }]);
    expect(none.records()).toEqual([]);
    expect(none.rcode).toBe(rcode.noError);
    expect(four.flags & flag.authoritative).not.toBe(0);
  });

  test('to bytes that are no query is the header with FORMERR, to answers nothing', () => {
    const broken = Uint8Array.from([9, 9, 1, 0, 0, 7, 0, 0, 0, 0, 0, 0, 5]);
    const answer = broken.slice();
    answer[2] = 0x81;

    expect(encodeHex(writeFormatError(broken)!)).toBe('090981810000000000000000');
    expect(writeFormatError(answer)).toBeUndefined();
    expect(writeFormatError(broken.subarray(0, 11))).toBeUndefined();
  });
});

describe('an answer that is too long', () => {
  const records = (count: number, name = 'x.example') =>
    Array.from({ length: count }, (_, i) => a(name, `192.0.2.${i}`));

  test('stays the same array where it fits', () => {
    const message = parsed(testAnswer({ name: 'x.example', type: typeA, answers: records(3) }));

    expect(fitAnswer(message, 512)).toBe(message.bytes);
  });

  test('loses whole record sets and says so', () => {
    const answers = [...records(3, 'x.example'), txt('x.example', 200), txt('x.example', 201)];
    const cut = parsed(
      fitAnswer(parsed(testAnswer({ name: 'x.example', type: 255, answers, opt: true })), 512),
    );

    // one of the two texts would fit, but a set is whole or gone
    expect(cut.answers().map((record) => record.type)).toEqual([typeA, typeA, typeA]);
    expect(cut.isTruncated).toBe(true);
    expect(cut.isWellFormed).toBe(true);
    expect(cut.opt()).toBeDefined();
    expect(cut.bytes.length).toBeLessThanOrEqual(512);
  });

  test('keeps question and OPT where nothing else fits', () => {
    const bytes = testAnswer({ name: 'x.example', type: typeA, answers: records(200), opt: true });
    const cut = parsed(fitAnswer(parsed(bytes), 512));

    expect(cut.answers()).toEqual([]);
    expect(cut.question?.name).toBe('x.example');
    expect(cut.opt()).toBeDefined();
    expect(cut.isTruncated).toBe(true);
  });

  test('is not truncated where only what was extra had to go', () => {
    const additional = [txt('y.example', 250), txt('z.example', 251)];
    const bytes = testAnswer({ name: 'x.example', type: typeA, answers: records(2), additional });
    const cut = parsed(fitAnswer(parsed(bytes), 512));

    expect(cut.isTruncated).toBe(false);
    expect(cut.section('additional').length).toBe(1);
    expect(cut.isWellFormed).toBe(true);
  });

  test('fits every size and stays readable', () => {
    const answers = [...records(20), txt('y.example', 200), ...records(20, 'z.example')];
    const message = parsed(testAnswer({ name: 'x.example', type: 255, answers, opt: true }));

    for (let size = 512; size < message.bytes.length; size++) {
      const cut = readMessage(fitAnswer(message, size));
      expect(cut?.isWellFormed).toBe(true);
      expect(cut?.bytes.length).toBeLessThanOrEqual(size);
      expect([0, 20, 21]).toContain(cut?.answers().length);
    }
  });
});
