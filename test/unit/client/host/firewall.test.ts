// The kill switch as the text that nft gets. Snapshots, because people read these scripts.
import { describe, expect, test } from 'vitest';
import { type FirewallPolicy, scopeOf } from '../../../../client/host/firewall/policy.ts';
import { removeScript, rulesetFor } from '../../../../client/host/firewall/ruleset.ts';

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
      'ip daddr 9.9.9.9 udp dport 53 accept',
      'ip daddr 9.9.9.9 tcp dport 53 accept',
      'ip6 daddr 2620:fe::9 udp dport 53 accept',
      'ip6 daddr 2620:fe::9 tcp dport 53 accept',
    ]);
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
    ['an address', { addresses: ['10.0.0.1; flush ruleset'] }],
    ['a prefix', { scope: ['0.0.0.0/0 }'] }],
  ])('refuses syntax in %s', (_title, change) => {
    expect(() => rulesetFor({ ...policy, ...change })).toThrow('no syntax');
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
