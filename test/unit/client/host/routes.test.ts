// Which routes and rules a tunnel needs, as the words that `ip` gets.
import { describe, expect, test } from 'vitest';
import { planRoutes, type TunnelShape } from '../../../../client/host/routes/plan.ts';
import { parseRules, type SplitRule } from '../../../../client/split/rules.ts';
import { noSplit } from '../../../../client/split/view.ts';

const shape: TunnelShape = {
  interfaceName: 'culvert0',
  addresses: ['10.9.0.2/24', 'fd09::2/64'],
  allowedIps: ['0.0.0.0/0', '::/0'],
  mtu: 1420,
  ipv6: true,
};

function rules(text: string): readonly SplitRule[] {
  const read = parseRules(text);
  if ('problems' in read) throw new Error('bad rules');
  return read;
}

describe('the plan of routes', () => {
  test('sends everything but marked datagrams through the tunnel, in both families', () => {
    expect(planRoutes(shape)).toMatchSnapshot();
  });

  test('asks nothing of IPv6 where the machine has none', () => {
    const plan = planRoutes({ ...shape, ipv6: false });

    expect(JSON.stringify({ ...plan, shape: undefined })).not.toMatch(/fd09|::/);
    expect(plan.rules.every((rule) => rule.family === 4)).toBe(true);
  });

  test('of a split tunnel has one rule a family, and no default', () => {
    const plan = planRoutes({ ...shape, allowedIps: ['10.0.0.0/8', 'fd00::/8'] });

    expect(plan.rules.map((rule) => `${rule.family} ${rule.words.join(' ')}`)).toEqual([
      '4 pref 8383 not fwmark 0x8383 lookup 8383',
      '6 pref 8383 not fwmark 0x8383 lookup 8383',
    ]);
  });

  test('never asks the main table before ours: what the network hands out there pulls nothing out', () => {
    const plan = planRoutes({ ...shape, allowedIps: ['0.0.0.0/0', '10.0.0.0/8'] });

    expect(plan.rules.map((rule) => rule.words.join(' '))).toEqual([
      'pref 8383 not fwmark 0x8383 lookup 8383',
    ]);
  });

  test('takes what goes around the tunnel out of the table', () => {
    const plan = planRoutes(shape, {
      ...noSplit,
      rules: rules('exclude ip 203.0.113.0/24\nexclude ip 2001:db8::/32'),
    });

    expect(plan.routes).toEqual([
      {
        family: 4,
        lines: [
          'route replace 0.0.0.0/0 dev culvert0 table 8383',
          'route replace throw 203.0.113.0/24 table 8383',
        ],
      },
      {
        family: 6,
        lines: ['route replace ::/0 dev culvert0 table 8383', 'route replace throw 2001:db8::/32 table 8383'],
      },
    ]);
  });

  test('has only what is included, and the resolvers inside, where a list includes', () => {
    const list = rules('include ip 10.0.0.0/8\nexclude ip 10.1.0.0/16');

    const plan = planRoutes(
      { ...shape, resolvers: ['10.83.0.1', '172.16.0.1'] },
      { ...noSplit, rules: list },
    );

    expect(plan.routes).toEqual([
      {
        family: 4,
        lines: [
          'route replace 10.0.0.0/8 dev culvert0 table 8383',
          'route replace 10.83.0.1/32 dev culvert0 table 8383',
          'route replace 172.16.0.1/32 dev culvert0 table 8383',
          'route replace throw 10.1.0.0/16 table 8383',
        ],
      },
    ]);
  });

  test.each([
    ['leaves the network around us to the firewall', ['0.0.0.0/0'], false, ['throw 192.168.1.0/24']],
    ['unless the edge names a range that holds it', ['0.0.0.0/0', '192.168.0.0/16'], false, []],
    ['which counts no more once it is open', ['0.0.0.0/0', '192.168.0.0/16'], true, ['throw 192.168.1.0/24']],
    ['and asks nothing of a tunnel for few', ['10.0.0.0/8'], true, []],
  ])('%s', (_title, allowedIps, lanOpen, wanted) => {
    const local = [{ interfaceName: 'wlan0', prefix: '192.168.1.0/24' }];

    const plan = planRoutes({ ...shape, allowedIps }, { ...noSplit, local, lanOpen });

    const lines = plan.routes.flatMap((one) => one.lines).filter((line) => line.includes('throw'));
    expect(lines).toEqual(wanted.map((text) => `route replace ${text} table 8383`));
  });

  test('lets marked programs look into the main table first', () => {
    const plan = planRoutes({ ...shape, ipv6: false }, { ...noSplit, outsideGroup: 'culvert-outside' });

    expect(plan.rules.map((rule) => rule.words.join(' '))).toEqual([
      'pref 8382 fwmark 0x8384 lookup main',
      'pref 8383 not fwmark 0x8383 lookup 8383',
    ]);
  });

  test('has each prefix once', () => {
    const plan = planRoutes({ ...shape, allowedIps: ['10.0.0.0/8', '10.0.0.0/8'] });

    expect(plan.routes).toEqual([{ family: 4, lines: ['route replace 10.0.0.0/8 dev culvert0 table 8383'] }]);
  });
});
