// Which routes and rules a tunnel needs, as the words that `ip` gets.
import { describe, expect, test } from 'vitest';
import { planRoutes, type TunnelShape } from '../../../../client/host/routes/plan.ts';

const shape: TunnelShape = {
  interfaceName: 'culvert0',
  addresses: ['10.9.0.2/24', 'fd09::2/64'],
  allowedIps: ['0.0.0.0/0', '::/0'],
  mtu: 1420,
  ipv6: true,
};

describe('the plan of routes', () => {
  test('sends everything but marked datagrams through the tunnel, in both families', () => {
    expect(planRoutes(shape)).toMatchSnapshot();
  });

  test('asks nothing of IPv6 where the machine has none', () => {
    const plan = planRoutes({ ...shape, ipv6: false });

    expect(JSON.stringify(plan)).not.toMatch(/fd09|::/);
    expect(plan.rules.every((rule) => rule.family === 4)).toBe(true);
  });

  test('of a split tunnel has one rule a family, and no default', () => {
    const plan = planRoutes({ ...shape, allowedIps: ['10.0.0.0/8', 'fd00::/8'] });

    expect(plan.rules.map((rule) => `${rule.family} ${rule.words.join(' ')}`)).toEqual([
      '4 pref 8383 not fwmark 0x8383 lookup 8383',
      '6 pref 8383 not fwmark 0x8383 lookup 8383',
    ]);
  });

  test('puts narrow prefixes before the main table where there is also a default', () => {
    const plan = planRoutes({ ...shape, allowedIps: ['0.0.0.0/0', '10.0.0.0/8'] });

    expect(plan.rules.map((rule) => rule.words.slice(0, 2).join(' '))).toEqual([
      'pref 8381',
      'pref 8382',
      'pref 8383',
    ]);
    expect(plan.rules[0]?.words).toContain('suppress_prefixlength');
  });

  test('has each prefix once', () => {
    const plan = planRoutes({ ...shape, allowedIps: ['10.0.0.0/8', '10.0.0.0/8'] });

    expect(plan.routes).toEqual([{ family: 4, lines: ['route replace 10.0.0.0/8 dev culvert0 table 8383'] }]);
  });
});
