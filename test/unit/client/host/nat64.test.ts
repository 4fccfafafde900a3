// The prefix of a network's translation, in the answers that RFC 7050 and RFC 6052 give as examples.
import { describe, expect, test } from 'vitest';
import { behind, prefixIn } from '../../../../client/host/network/nat64.ts';
import { formatAddress, parseAddress } from '../../../../shared/core/base/ip.ts';

const bytes = (text: string): Uint8Array => parseAddress(text) ?? new Uint8Array();

describe('the translation of a network', () => {
  test.each([
    ['64:ff9b::192.0.0.170', 96, '64:ff9b::c000:221'],
    ['2001:db8:122:344::192.0.0.171', 96, '2001:db8:122:344::c000:221'],
    ['2001:db8:122:344:c0:0:aa00::', 64, '2001:db8:122:344:c0:2:2100:0'],
    ['2001:db8:122:c000:0:aa00::', 48, '2001:db8:122:c000:2:2100::'],
    ['2001:db8:c000:aa::', 32, '2001:db8:c000:221::'],
  ])('is read from %s (/%i)', (answer, bits, expected) => {
    const prefix = prefixIn(bytes(answer));

    expect(prefix?.bits).toBe(bits);
    expect(prefix === undefined ? '' : formatAddress(behind(prefix, bytes('192.0.2.33')))).toBe(
      formatAddress(bytes(expected)),
    );
  });

  test('is not read from an answer without the known address, nor from IPv4', () => {
    expect(prefixIn(bytes('2001:db8::1'))).toBeUndefined();
    expect(prefixIn(bytes('192.0.0.170'))).toBeUndefined();
  });
});
