/** The nftables script of an edge, as people read it. */

import { describe, expect, test } from 'vitest';
import { closedRanges } from '../../../edge/host/closed-ranges.ts';
import { type GuardPlan, guardScript, removalScript } from '../../../edge/host/guard-rules.ts';
import { GuardCounts, parseGuardDrops } from '../../../edge/host/kernel-nat.ts';
import type { Run } from '../../../shared/node/run.ts';

const plan: GuardPlan = {
  interfaceNames: ['cvedge0'],
  mtu: 1420,
  v4: { prefix: '10.83.0.0/16', gateway: '10.83.0.1' },
  v6: { prefix: 'fd7c::/64', gateway: 'fd7c::1' },
  closePrivate: true,
  connectionsPerSecond: 500,
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

    expect(script).toContain('iifname "cvedge0" meta nfproto ipv6 counter name "drop_spoofed" drop');
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
    // Once for the place, once for mail to it.
    expect(lines.filter((line) => line.includes('192.168.1.0/24'))).toHaveLength(2);
  });

  test('opens what the edge serves in the tunnel, on that address alone, before it refuses the rest there', () => {
    const lines = guardScript(plan).split('\n');

    const served = lines.indexOf('    ip daddr 10.83.0.1 udp dport 53 accept');
    expect(served).toBeGreaterThan(lines.findIndex((line) => line.includes('chain to_this_host')));
    expect(served).toBeLessThan(lines.findIndex((line) => line.includes('reject')));
    expect(lines).toContain('    ip6 daddr fd7c::1 tcp dport 80 accept');
    expect(guardScript({ ...plan, services: [] })).not.toMatch(/dport (53|80)/);
  });

  test('writes no rule for a device without an address in that family', () => {
    const script = guardScript({ ...plan, allow: [{ cidr: 'fd00:5::/64', from: ['10.83.0.2/32'] }] });

    expect(script).not.toContain('fd00:5::/64');
  });
});

describe('what an opening opens', () => {
  const from = ['10.83.0.2/32'];
  const chain = (name: string, cidr: string): readonly string[] => {
    const script = guardScript({ ...plan, allow: [{ cidr, from }] });
    const [, body = ''] =
      new RegExp(`chain openings_${name} \\{\\n([^}]*(?:\\{[^}]*\\}[^}]*)*?)\\n  \\}`).exec(script) ?? [];
    return body
      .split('\n')
      .map((line) => line.trim())
      .filter((line) => line !== '');
  };
  const saddr = 'ip saddr { 10.83.0.2/32 }';

  test.each<[string, string, readonly string[]]>([
    ['a part of a closed place', '192.168.1.0/24', [`${saddr} ip daddr 192.168.1.0/24 accept`]],
    ['no place that it is wider than', '0.0.0.0/0', []],
    ['nor half of one and more', '192.0.0.0/8', []],
    [
      "link-local, but not a cloud's secrets there",
      '169.254.0.0/16',
      [`${saddr} ip daddr 169.254.0.0/16 ip daddr != { 169.254.169.254/32 } accept`],
    ],
    ['these, where it names them', '169.254.169.254/32', [`${saddr} ip daddr 169.254.169.254/32 accept`]],
    ['nothing outside, where it is inside the tunnel', '10.83.0.3/32', []],
  ])('%s', (_, cidr, expected) => {
    expect(chain('places', cidr)).toEqual(expected);
  });

  test('another device, where it is inside the tunnel, and not by a range around the tunnel', () => {
    expect(chain('devices', '10.83.0.3/32')).toEqual([
      `${saddr} ip daddr 10.83.0.3/32 accept`,
      'ip daddr { 10.83.0.2/32 } ip saddr 10.83.0.3/32 ct state established,related ct direction reply accept',
    ]);
    expect(chain('devices', '10.0.0.0/8')).toEqual([]);
  });

  test("this host's own address, where it names that one", () => {
    expect(chain('own', '192.168.1.5/32')).toEqual([`${saddr} ip daddr 192.168.1.5/32 accept`]);
    expect(chain('own', '192.168.1.0/24')).toEqual([]);
    expect(chain('own', '10.83.0.1/32')).toEqual([]);
  });
});

describe('what the guard has dropped', () => {
  const listed = (packets: number): string =>
    JSON.stringify({
      nftables: [
        { metainfo: { version: '1.0.6' } },
        {
          counter: { family: 'inet', name: 'drop_own', table: 'culvert_edge', handle: 1, packets, bytes: 99 },
        },
        {
          counter: {
            family: 'inet',
            name: 'drop_mail',
            table: 'culvert_edge',
            handle: 2,
            packets: 0,
            bytes: 0,
          },
        },
        {
          counter: { family: 'inet', name: 'other', table: 'culvert_edge', handle: 3, packets: 7, bytes: 0 },
        },
      ],
    });

  test('is read by the names of the table', () => {
    expect(parseGuardDrops(listed(3))).toEqual({ own: 3, mail: 0 });
    expect(parseGuardDrops('Error: no such table')).toEqual({});
  });

  test('goes on over a new table', async () => {
    let packets = 3;
    const run = (): ReturnType<Run> => Promise.resolve({ exitCode: 0, stdout: listed(packets), stderr: '' });
    const counts = new GuardCounts(run);

    await counts.keep();
    packets = 2;

    expect(await counts.read()).toMatchObject({ own: 5 });
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
