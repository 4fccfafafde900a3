// The kill switch as the text that nft gets. Snapshots, because people read these scripts.
import { describe, expect, test } from 'vitest';
import { type FirewallPolicy, scopeOf } from '../../../../client/host/firewall/policy.ts';
import { removeScript, rulesetFor } from '../../../../client/host/firewall/ruleset.ts';
import { parseRules } from '../../../../client/split/rules.ts';
import { noSplit, type SplitView } from '../../../../client/split/view.ts';

const policy: FirewallPolicy = {
  kind: 'connected',
  interfaceName: 'culvert0',
  mark: 0x8383,
  endpoints: [{ address: '192.0.2.1', port: 51820 }],
  nameServers: [],
  addresses: ['10.9.0.2', 'fd09::2'],
  scope: 'everything',
};

describe('the ruleset', () => {
  test('of a connected device lets out the tunnel, its datagrams, and what the link needs', () => {
    expect(rulesetFor(policy)).toMatchSnapshot();
  });

  test('of a blocked device lets out only what the link needs', () => {
    const script = rulesetFor({ ...policy, kind: 'blocked', endpoints: [] });

    expect(script).toMatchSnapshot();
    expect(script).not.toContain('oifname "culvert0" accept');
    expect(script).not.toContain('192.0.2.1');
  });

  test('opens port 53 of the name servers while the name of the edge is looked up, and nothing else of them', () => {
    const looking = rulesetFor({
      ...policy,
      kind: 'connecting',
      endpoints: [],
      nameServers: ['9.9.9.9', '2620:fe::9'],
    });

    const lines = looking.split('\n').filter((line) => line.includes('9.9.9.9') || line.includes('2620'));

    expect(lines.map((line) => line.trim())).toEqual([
      'meta mark 0x8383 ip daddr 9.9.9.9 udp dport 53 accept',
      'meta mark 0x8383 ip6 daddr 2620:fe::9 udp dport 53 accept',
    ]);
  });

  test('opens port 53 of the servers of rules in the state connected alone, and for our mark alone', () => {
    const ruleServers = ['192.0.2.53', '2001:db8::53'];
    const opened = (kind: FirewallPolicy['kind']): readonly string[] =>
      rulesetFor({ ...policy, kind, ruleServers })
        .split('\n')
        .filter((line) => line.includes('dport 53') || ruleServers.some((one) => line.includes(one)))
        .map((line) => line.trim());

    expect(opened('connected')).toEqual([
      'meta mark 0x8383 ip daddr 192.0.2.53 udp dport 53 accept',
      'meta mark 0x8383 ip daddr 192.0.2.53 tcp dport 53 accept',
      'meta mark 0x8383 ip6 daddr 2001:db8::53 udp dport 53 accept',
      'meta mark 0x8383 ip6 daddr 2001:db8::53 tcp dport 53 accept',
    ]);
    for (const kind of ['connecting', 'blocked', 'portal'] as const) expect(opened(kind)).toEqual([]);
    expect(() => rulesetFor({ ...policy, ruleServers: ['192.0.2.53 accept'] })).toThrow();
  });

  test('lets connections of ours to the HTTPS ports of the edge out, and nobody else there', () => {
    const tlsEndpoints = [
      { address: '192.0.2.1', port: 443 },
      { address: '2001:db8::1', port: 8443 },
    ];

    const script = rulesetFor({ ...policy, tlsEndpoints });

    expect(script.split('\n').filter((line) => line.includes('tcp dport'))).toEqual([
      '    meta mark 0x8383 ip daddr 192.0.2.1 tcp dport 443 accept',
      '    meta mark 0x8383 ip6 daddr 2001:db8::1 tcp dport 8443 accept',
    ]);
    expect(rulesetFor({ ...policy, kind: 'blocked', tlsEndpoints })).not.toContain('tcp dport');
  });

  test('of a network that wants a sign-in lets every program to its servers and to the sign-in, and nowhere else', () => {
    const lookout = { servers: ['192.0.2.53'], ports: [80, 8443, 80] };
    const way = { servers: ['192.0.2.53'], addresses: [{ address: '192.0.2.80', port: 443 }] };
    const script = rulesetFor({ ...policy, kind: 'portal', way, lookout });

    const accepted = script.split('\n').filter((line) => line.includes('accept') && line.includes('daddr'));
    expect(accepted.map((line) => line.trim()).filter((line) => line.includes('192.0.2'))).toEqual([
      'meta mark 0x8383 ip daddr 192.0.2.53 udp dport 53 accept',
      'ip daddr 192.0.2.53 udp dport 53 accept',
      'ip daddr 192.0.2.53 tcp dport 53 accept',
      'ip daddr 192.0.2.80 tcp dport 443 accept',
    ]);
    expect(script).toContain('meta mark 0x8383 tcp dport { 80, 8443 } accept');
    expect(script).not.toContain('oifname "culvert0" accept');
    expect(script).not.toContain('192.0.2.1 ');
  });

  test('of a sign-in whose time is over lets out our own questions alone', () => {
    const lookout = { servers: ['192.0.2.53'], ports: [80] };
    const script = rulesetFor({ ...policy, kind: 'portal', endpoints: [], lookout });

    const lines = script.split('\n').filter((line) => /192\.0\.2|tcp dport/.test(line));
    expect(lines.every((line) => line.includes('meta mark 0x8383'))).toBe(true);
    expect(lines).toHaveLength(2);
  });

  test('of a connected device lets no questions for a sign-in out', () => {
    const lookout = { servers: ['192.0.2.53'], ports: [80] };

    expect(rulesetFor({ ...policy, lookout })).toBe(rulesetFor(policy));
  });

  test('of a split tunnel closes only what belongs to the tunnel', () => {
    expect(rulesetFor({ ...policy, scope: ['10.0.0.0/8', 'fd00::/8'] })).toMatchSnapshot();
  });

  test('leaves the scope of a link-local endpoint out', () => {
    const script = rulesetFor({ ...policy, endpoints: [{ address: 'fe80::1%2', port: 7 }] });

    expect(script).toContain('ip6 daddr fe80::1 udp dport 7 accept');
  });

  test('is replaced and removed in one transaction, whether it was there or not', () => {
    expect(removeScript).toBe('add table inet culvert\ndelete table inet culvert\n');
    expect(rulesetFor(policy).startsWith(`${removeScript}table inet culvert {`)).toBe(true);
  });

  test.each([
    ['an interface name', { interfaceName: 'a" accept; #' }],
    ['an endpoint', { endpoints: [{ address: '1.1.1.1 accept', port: 1 }] }],
    ['a place for TLS', { tlsEndpoints: [{ address: '1.1.1.1 accept', port: 1 }] }],
    ['an address', { addresses: ['10.0.0.1; flush ruleset'] }],
    ['a prefix', { scope: ['0.0.0.0/0 }'] }],
    ['a name server', { lookout: { servers: ['192.0.2.53 accept'], ports: [] } }],
    ['a sign-in', { way: { servers: [], addresses: [{ address: '::1 }', port: 80 }] } }],
  ])('refuses syntax in %s', (_title, change) => {
    expect(() => rulesetFor({ ...policy, ...change })).toThrow('no syntax');
  });
});

describe('what goes around the tunnel', () => {
  const read = parseRules('exclude ip 203.0.113.0/24\nexclude ip 2001:db8:5::/48');
  if ('problems' in read) throw new Error('bad rules');
  const local = [{ interfaceName: 'wlan0', prefix: '192.168.1.0/24' }];
  const split: SplitView = { ...noSplit, rules: read, local, lanOpen: true, outsideGroup: 'culvert-outside' };

  test('has its own words in the script of a connected device', () => {
    expect(rulesetFor(policy, split)).toMatchSnapshot();
  });

  test.each(['blocked', 'connecting'] as const)(
    'is closed while %s, but for the network around us',
    (kind) => {
      const script = rulesetFor({ ...policy, kind }, split);

      expect(script).not.toMatch(/203\.0\.113|2001:db8:5|around|cgroup|0x8384/);
      expect(script).toContain('oifname "wlan0" ip daddr 192.168.1.0/24 accept');
    },
  );

  test('does not open the network around us by itself', () => {
    expect(rulesetFor(policy, { ...split, lanOpen: false })).not.toContain('wlan0');
  });

  test('is everything but what is included, and that also before the tunnel is up', () => {
    const rules = parseRules('include ip 10.0.0.0/8');
    if ('problems' in rules) throw new Error('bad rules');

    for (const kind of ['blocked', 'connecting', 'connected'] as const) {
      const script = rulesetFor({ ...policy, kind }, { ...noSplit, rules });
      expect(script).toContain('ip daddr 10.0.0.0/8 goto refuse');
      expect(script).toContain('hook output priority filter; policy accept;');
    }
  });

  test.each([
    ['an interface', { local: [{ interfaceName: 'a"', prefix: '10.0.0.0/8' }] }],
    ['a network', { local: [{ interfaceName: 'a', prefix: '10.0.0.0/8 }' }] }],
    ['a group', { outsideGroup: 'a" accept' }],
  ])('refuses syntax in %s', (_title, change) => {
    expect(() => rulesetFor(policy, { ...split, ...change })).toThrow('no syntax');
  });
});

describe('the scope', () => {
  test.each([
    ['everything', ['0.0.0.0/0']],
    ['everything', ['::/0', '10.0.0.0/8']],
    ['everything', ['0.0.0.0/1', '128.0.0.0/1']],
    ['everything', ['8000::/1', '::/1']],
    [['10.0.0.0/8'], ['10.0.0.0/8']],
    [['0.0.0.0/1'], ['0.0.0.0/1']],
  ])('is %s for %j', (scope, allowedIps) => {
    expect(scopeOf(allowedIps)).toEqual(scope);
  });
});
