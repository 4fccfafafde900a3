/** What a relay understands, and that it says what it does not. */

import { describe, expect, test } from 'vitest';
import { CulvertError } from '../../../../../shared/core/control/codes.ts';
import { endsBetween } from '../../../../../shared/node/lab/relay-child.ts';
import { parseRelayOrder, parseRelaySettings } from '../../../../../shared/node/lab/relay-settings.ts';

const good = { seed: 1, ...endsBetween('a', 'b'), forward: { delayMs: 10 }, backward: {} };

describe('settings of a relay', () => {
  test('are read as they were written', () => {
    expect(parseRelaySettings(JSON.stringify(good))).toEqual(good);
  });

  test.each([
    ['no JSON', '{'],
    ['an unknown key', JSON.stringify({ ...good, speed: 1 })],
    ['an unknown impairment', JSON.stringify({ ...good, forward: { los: 1 } })],
    ['a share above one hundred', JSON.stringify({ ...good, backward: { lossPercent: 101 } })],
    ['an option of ip instead of an address', withAddress('-family')],
    [
      'a shell in the name of a namespace',
      JSON.stringify({ ...good, first: { ...good.first, namespace: 'a;b' } }),
    ],
    ['a packet size that IPv6 cannot have', JSON.stringify({ ...good, mtu: 1000 })],
  ])('with %s are refused', (_title, text) => {
    expect(codeOf(() => parseRelaySettings(text))).toBe('bad-usage');
  });
});

describe('orders', () => {
  test('may change one direction alone', () => {
    expect(parseRelayOrder('{"id":3,"backward":{"lossPercent":5}}')).toEqual({
      id: 3,
      backward: { lossPercent: 5 },
    });
  });

  test('of another kind are refused', () => {
    expect(codeOf(() => parseRelayOrder('{"seed":3}'))).toBe('bad-usage');
  });
});

function withAddress(address: string): string {
  return JSON.stringify({ ...good, first: { ...good.first, addresses: [address] } });
}

function codeOf(act: () => unknown): string | undefined {
  try {
    act();
    return undefined;
  } catch (cause) {
    return cause instanceof CulvertError ? cause.code : String(cause);
  }
}
