// Where devices may go: a table of forms of the same few places, and the same judgement for whatever is hidden in
// an address.
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { DenyPolicy, type Verdict } from '../../../../edge/egress/deny.ts';
import { closedRanges } from '../../../../edge/host/closed-ranges.ts';
import {
  formatAddress,
  type Prefix,
  parseAddress,
  parsePrefix,
  prefixContains,
} from '../../../../shared/core/base/ip.ts';

const seed = 20_261_121;
/** The edge's own, on a public, a private and a v6 address. */
const own = ['203.0.113.10', '192.168.1.5', '2001:db8::10'];

function policy(
  allow: readonly (readonly [cidr: string, device?: string])[] = [],
  closePrivate = true,
): DenyPolicy {
  return new DenyPolicy(
    {
      closePrivate,
      network: [prefix('10.83.0.0/16'), prefix('fd7c::/64')],
      allow: allow.map(([cidr, device]) => ({ cidr: prefix(cidr), device })),
    },
    (asked) => own.includes(formatAddress(asked)),
  );
}

function judge(rules: DenyPolicy, to: string, device = 'laptop', port = 443): Verdict {
  return rules.judge({ protocol: 'tcp', address: bytes(to), port }, device);
}

describe('without openings', () => {
  test.each<[string, Verdict]>([
    ['8.8.8.8', 'open'],
    ['2606:4700::1111', 'open'],
    // Documentation ranges are ordinary.
    ['192.0.2.1', 'open'],
    ['198.51.100.1', 'open'],
    ['203.0.113.1', 'open'],
    ['2001:db8::1', 'open'],
    ['10.0.0.1', 'private'],
    ['172.16.0.1', 'private'],
    ['172.31.255.255', 'private'],
    ['172.32.0.0', 'open'],
    ['192.168.0.1', 'private'],
    ['100.64.0.1', 'private'],
    ['100.128.0.0', 'open'],
    ['fc00::1', 'private'],
    ['fdff::1', 'private'],
    ['0.0.0.0', 'reserved'],
    ['0.1.2.3', 'reserved'],
    ['127.0.0.1', 'reserved'],
    ['127.255.0.1', 'reserved'],
    ['169.254.1.1', 'reserved'],
    ['224.0.0.1', 'reserved'],
    ['255.255.255.255', 'reserved'],
    ['::', 'reserved'],
    ['::1', 'reserved'],
    ['fe80::1', 'reserved'],
    ['fec0::1', 'reserved'],
    ['ff02::1', 'reserved'],
    ['169.254.169.254', 'metadata'],
    ['100.100.100.200', 'metadata'],
    ['168.63.129.16', 'metadata'],
    ['192.0.0.192', 'metadata'],
    ['fd00:ec2::254', 'metadata'],
    ['fd20:ce::254', 'metadata'],
    ['203.0.113.10', 'own'],
    ['2001:db8::10', 'own'],
    ['10.83.0.2', 'device'],
    ['10.83.0.1', 'device'],
    ['fd7c::2', 'device'],
  ])('%s is %s', (to, expected) => {
    expect(judge(policy(), to)).toBe(expected);
  });

  test.each<[form: string, to: string, expected: Verdict]>([
    ['IPv4-mapped', '::ffff:10.0.0.1', 'reserved'],
    ['IPv4-mapped, of an open one', '::ffff:8.8.8.8', 'reserved'],
    ['IPv4-compatible', '::10.0.0.1', 'reserved'],
    ['NAT64', '64:ff9b::10.0.0.1', 'private'],
    ['NAT64 to metadata', '64:ff9b::169.254.169.254', 'metadata'],
    ['NAT64 to loopback', '64:ff9b::127.0.0.1', 'reserved'],
    ['NAT64 to the edge', '64:ff9b::203.0.113.10', 'own'],
    ['NAT64 to a device', '64:ff9b::10.83.0.2', 'device'],
    ['NAT64 to an open one', '64:ff9b::8.8.8.8', 'open'],
    ['a NAT64 of the network itself', '64:ff9b:1::8.8.8.8', 'private'],
    ['6to4', '2002:a00:1::1', 'private'],
    ['6to4 to metadata', '2002:a9fe:a9fe::1', 'metadata'],
    ['6to4 to the edge', '2002:cb00:710a::1', 'own'],
    ['6to4 to an open one', '2002:808:808::1', 'open'],
    ['Teredo', '2001:0:808:808::f5ff:fffe', 'reserved'],
  ])('%s (%s) is %s', (_form, to, expected) => {
    expect(judge(policy(), to)).toBe(expected);
  });

  test('mail between servers is closed, and nothing else on that host', () => {
    const to = { address: bytes('8.8.8.8'), port: 25 };

    expect(policy().judge({ protocol: 'tcp', ...to }, 'laptop')).toBe('mail');
    expect(policy().judge({ protocol: 'udp', ...to }, 'laptop')).toBe('open');
    expect(judge(policy(), '8.8.8.8', 'laptop', 587)).toBe('open');
    expect(judge(policy([['8.8.8.8']]), '8.8.8.8', 'laptop', 25)).toBe('open');
  });

  test('leaving private out of deny opens private ranges and no other', () => {
    const rules = policy([], false);

    expect(['10.0.0.1', 'fd99::1', '64:ff9b::10.0.0.1'].map((to) => judge(rules, to))).toEqual([
      'open',
      'open',
      'open',
    ]);
    expect(
      ['192.168.1.5', '100.100.100.200', '169.254.1.1', '10.83.0.2', 'fd7c::2', 'fd00:ec2::254'].map((to) =>
        judge(rules, to),
      ),
    ).toEqual(['own', 'metadata', 'reserved', 'device', 'device', 'metadata']);
  });
});

describe('an opening', () => {
  test('is for its device alone', () => {
    const rules = policy([['192.168.1.0/24', 'laptop']]);

    expect(judge(rules, '192.168.1.9')).toBe('open');
    expect(judge(rules, '192.168.1.9', 'phone')).toBe('private');
    expect(rules.judge({ protocol: 'tcp', address: bytes('192.168.1.9'), port: 80 }, undefined)).toBe(
      'private',
    );
    expect(judge(rules, '192.168.2.9')).toBe('private');
  });

  test.each<[string, string, Verdict]>([
    // A network does not open the edge in it; its address does.
    ['192.168.1.0/24', '192.168.1.5', 'own'],
    ['192.168.1.5/32', '192.168.1.5', 'open'],
    ['203.0.113.10/32', '203.0.113.10', 'open'],
    // Nor a cloud's secrets.
    ['100.64.0.0/10', '100.100.100.200', 'metadata'],
    ['100.100.100.200/32', '100.100.100.200', 'open'],
    ['169.254.0.0/16', '169.254.169.254', 'metadata'],
    ['169.254.0.0/16', '169.254.1.1', 'open'],
    ['127.0.0.0/8', '127.0.0.1', 'open'],
    // Whoever names everything has named nothing.
    ['0.0.0.0/0', '10.0.0.1', 'private'],
    ['::/0', 'fe80::1', 'reserved'],
    // Devices reach each other never.
    ['10.0.0.0/8', '10.83.0.2', 'device'],
    // What a translator hides is opened by its own name, not by that of the hidden one.
    ['10.0.0.0/8', '64:ff9b::10.0.0.1', 'private'],
    ['64:ff9b::a00:0/104', '64:ff9b::10.0.0.1', 'open'],
  ])('of %s makes %s %s', (cidr, to, expected) => {
    expect(judge(policy([[cidr]]), to)).toBe(expected);
  });
});

describe('every address', () => {
  const v4 = fc.uint8Array({ minLength: 4, maxLength: 4 });
  const v6 = fc.uint8Array({ minLength: 16, maxLength: 16 });
  const ranges = closedRanges(true);
  const closedV4 = ranges.v4.map(prefix);
  const closedV6 = ranges.v6.map(prefix);
  // Half of them inside what is closed, or chance would hardly meet it.
  const inClosed = fc
    .tuple(fc.constantFrom(...closedV4, ...closedV6), v6)
    .map(([range, fill]) => withPrefix(range, fill));

  test('that the firewall closes is closed here, and no other but our own', () => {
    fc.assert(
      fc.property(fc.oneof(v4, v6, inClosed), (address) => {
        const byFirewall = [...closedV4, ...closedV6].some((range) => prefixContains(range, address));
        const verdict = policy().judge({ protocol: 'tcp', address, port: 443 }, 'laptop');

        expect(verdict !== 'open').toBe(byFirewall);
      }),
      { seed, numRuns: 3000 },
    );
  });

  test('is judged the same behind a translator, at least as strictly', () => {
    fc.assert(
      fc.property(
        fc.oneof(
          v4,
          inClosed.filter((address) => address.length === 4),
        ),
        (address) => {
          const plain = policy().judge({ protocol: 'tcp', address, port: 443 }, 'laptop');
          const nat64 = Uint8Array.from([...bytes('64:ff9b::').subarray(0, 12), ...address]);
          const sixToFour = Uint8Array.from([0x20, 2, ...address, ...new Uint8Array(10)]);

          for (const hidden of [nat64, sixToFour]) {
            expect(policy().judge({ protocol: 'tcp', address: hidden, port: 443 }, 'laptop')).toBe(plain);
          }
        },
      ),
      { seed, numRuns: 2000 },
    );
  });
});

function prefix(text: string): Prefix {
  const parsed = parsePrefix(text);
  if (parsed === undefined) throw new Error(`${text} is no prefix`);
  return parsed;
}

function bytes(text: string): Uint8Array {
  const parsed = parseAddress(text);
  if (parsed === undefined) throw new Error(`${text} is no address`);
  return parsed;
}

function withPrefix(range: Prefix, fill: Uint8Array): Uint8Array {
  return range.address.map((byte, i) => {
    const kept = Math.min(8, Math.max(0, range.bits - i * 8));
    const mask = (0xff00 >> kept) & 0xff;
    return (byte & mask) | ((fill[i] ?? 0) & ~mask & 0xff);
  });
}
