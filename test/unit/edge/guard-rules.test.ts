/** The nftables script of an edge, as people read it. */

import { describe, expect, test } from 'vitest';
import { closedRanges } from '../../../edge/host/closed-ranges.ts';
import { type GuardPlan, guardScript, removalScript } from '../../../edge/host/guard-rules.ts';

const plan: GuardPlan = {
  interfaceNames: ['cvedge0'],
  mtu: 1420,
  v4: { prefix: '10.83.0.0/16', gateway: '10.83.0.1' },
  v6: { prefix: 'fd7c::/64', gateway: 'fd7c::1' },
  closePrivate: true,
  services: [
    { address: '10.83.0.1', protocol: 'udp', port: 53 },
    { address: 'fd7c::1', protocol: 'tcp', port: 80 },
  ],
  allow: [
    { cidr: '192.168.1.0/24', from: ['10.83.0.2/32', 'fd7c::2/128'] },
    { cidr: 'fd00:5::/64', from: undefined },
  ],
};

describe('the guard of an edge', () => {
  test('reads as one script for both families', () => {
    expect(guardScript(plan)).toMatchSnapshot();
  });

  test('closes a family that the tunnel does not speak', () => {
    const script = guardScript({ ...plan, v6: undefined, allow: [], services: [] });

    expect(script).toContain('iifname "cvedge0" meta nfproto ipv6 counter drop');
    expect(script).not.toContain('fd7c');
  });

  test('replaces an earlier table in the same transaction', () => {
    expect(guardScript(plan).split('\n').slice(0, 3)).toEqual([
      'table inet culvert_edge',
      'delete table inet culvert_edge',
      'table inet culvert_edge {',
    ]);
  });

  test('is removed by a script that also succeeds where there is none', () => {
    expect(removalScript()).toBe('table inet culvert_edge\ndelete table inet culvert_edge\n');
  });

  test('lets an opening for a device through in the family of its destination alone', () => {
    const lines = guardScript(plan).split('\n');

    expect(lines).toContain('    ip saddr { 10.83.0.2/32 } ip daddr 192.168.1.0/24 accept');
    expect(lines.filter((line) => line.includes('192.168.1.0/24'))).toHaveLength(1);
  });

  test('opens what the edge serves in the tunnel, on that address alone, before it refuses the rest there', () => {
    const lines = guardScript(plan).split('\n');

    const served = lines.indexOf('    ip daddr 10.83.0.1 udp dport 53 accept');
    expect(served).toBeGreaterThan(lines.findIndex((line) => line.includes('chain to_this_host')));
    expect(served).toBeLessThan(lines.findIndex((line) => line.includes('reject')));
    expect(lines).toContain('    ip6 daddr fd7c::1 tcp dport 80 accept');
    expect(guardScript({ ...plan, services: [] })).not.toContain('dport');
  });

  test('writes no rule for a device without an address in that family', () => {
    const script = guardScript({ ...plan, allow: [{ cidr: 'fd00:5::/64', from: ['10.83.0.2/32'] }] });

    expect(script).not.toContain('fd00:5::/64');
  });
});

describe('the guard of an edge with several workers', () => {
  const script = guardScript({ ...plan, interfaceNames: ['cvedge0', 'cvedge0a'] });

  test('says of all interfaces what it says of one', () => {
    const one = guardScript(plan);

    const names = '{ "cvedge0", "cvedge0a" }';
    expect(script).toBe(
      one
        .replaceAll('{ "cvedge0", "lo" }', '{ "cvedge0", "cvedge0a", "lo" }')
        .replaceAll(/(?<!\{ )"cvedge0"/g, names),
    );
  });
});

describe('closed ranges', () => {
  test.each(['192.0.2.0', '198.51.100.0', '203.0.113.0', '2001:db8'])(
    'leave documentation (%s) open',
    (range) => {
      const { v4, v6 } = closedRanges(true);

      expect([...v4, ...v6].filter((one) => one.startsWith(range))).toEqual([]);
    },
  );

  test("keep clouds' secrets closed where private ranges are open", () => {
    const { v4, v6 } = closedRanges(false);

    expect(v4).toEqual(expect.arrayContaining(['169.254.0.0/16', '100.100.100.200/32', '168.63.129.16/32']));
    expect(v6).toEqual(expect.arrayContaining(['fd00:ec2::254/128', 'fe80::/10']));
    expect(v4).not.toContain('10.0.0.0/8');
    expect(v6).not.toContain('fc00::/7');
  });

  test('are closed also where a translator hides the IPv4 address in an IPv6 one', () => {
    const { v6 } = closedRanges(true);

    expect(v6).toEqual(
      expect.arrayContaining(['64:ff9b::a00:0/104', '2002:a00:0::/24', '64:ff9b::a9fe:0/112']),
    );
  });
});
