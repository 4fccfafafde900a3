// SVCB: the wire forms of RFC 9460 Appendix D, and what of them matters for finding a resolver.
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { readServiceBinding } from '../../../../../shared/core/dns/svcb.ts';

const name = [3, 102, 111, 111, 7, 101, 120, 97, 109, 112, 108, 101, 3, 99, 111, 109, 0];
const nothing = { alpn: [], port: undefined, addresses: [], dohPath: undefined };

test.each([
  ['D.2: the owner itself', [0, 1, 0], { priority: 1, target: '.', ...nothing }],
  [
    'D.2: a port',
    [0, 16, ...name, 0, 3, 0, 2, 0, 53],
    { ...nothing, priority: 16, target: 'foo.example.com', port: 53 },
  ],
  [
    'D.2: hints of IPv6',
    [0, 1, ...name, 0, 6, 0, 16, 0x20, 1, 0x0d, 0xb8, ...Array.from({ length: 11 }, () => 0), 1],
    {
      ...nothing,
      priority: 1,
      target: 'foo.example.com',
      addresses: [Uint8Array.of(0x20, 1, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1)],
    },
  ],
  [
    'D.2: mandatory keys that are there',
    [0, 16, ...name, 0, 0, 0, 4, 0, 1, 0, 4, 0, 1, 0, 3, 2, 104, 50, 0, 4, 0, 4, 192, 0, 2, 1],
    {
      ...nothing,
      priority: 16,
      target: 'foo.example.com',
      alpn: ['h2'],
      addresses: [Uint8Array.of(192, 0, 2, 1)],
    },
  ],
  [
    'RFC 9461: a path',
    [0, 1, 0, 0, 1, 0, 3, 2, 104, 50, 0, 7, 0, 7, 47, 113, 123, 63, 100, 110, 115],
    { ...nothing, priority: 1, target: '.', alpn: ['h2'], dohPath: '/q{?dns' },
  ],
  ['D.1: an alias', [0, 0, ...name], undefined],
  ['keys that do not rise', [0, 1, 0, 0, 3, 0, 2, 0, 53, 0, 3, 0, 2, 0, 54], undefined],
  ['a mandatory key that is missing', [0, 1, 0, 0, 0, 0, 2, 0, 3], undefined],
  ['a mandatory key that nobody knows', [0, 1, 0, 0, 0, 0, 2, 2, 155, 2, 155, 0, 0], undefined],
  ['a parameter that is cut off', [0, 1, 0, 0, 3, 0, 2, 0], undefined],
  ['a port of three bytes', [0, 1, 0, 0, 3, 0, 3, 0, 53, 1], undefined],
  ['a hint of three bytes', [0, 1, 0, 0, 4, 0, 3, 1, 2, 3], undefined],
  ['an empty protocol', [0, 1, 0, 0, 1, 0, 1, 0], undefined],
  ['nothing', [], undefined],
])('%s', (_title, bytes, expected) => {
  expect(readServiceBinding(Uint8Array.from(bytes))).toEqual(expected);
});

test('any bytes are read or refused, never thrown about', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
      const binding = readServiceBinding(bytes);
      expect(binding === undefined || binding.priority > 0).toBe(true);
    }),
    { seed: 83, numRuns: 2000 },
  );
});
