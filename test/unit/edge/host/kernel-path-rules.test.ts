// Which flow takes which path where the kernel forwards: the script for nftables, in the order of choice.
import { describe, expect, test } from 'vitest';
import { closedRanges } from '../../../../edge/host/closed-ranges.ts';
import { guardScript } from '../../../../edge/host/guard-rules.ts';
import { markOfSlot, PathSlots, pathMarkMask } from '../../../../edge/host/kernel-marks.ts';
import { parseOpened, parseOpenFlows } from '../../../../edge/host/kernel-path-load.ts';
import { isPlain, pathKey, pathRulesPlan, routedOpenings } from '../../../../edge/host/kernel-path-plan.ts';
import {
  hostScript,
  type PathRulesPlan,
  pathScript,
  pathsTableWords,
} from '../../../../edge/host/kernel-path-rules.ts';
import { automaticScript, silentScript } from '../../../../edge/host/kernel-place-rules.ts';
import { guardPlan } from '../../../../edge/plan.ts';
import { parsePrefix } from '../../../../shared/core/base/ip.ts';
import { readEdgeConfig } from './edge-config.ts';

const plan: PathRulesPlan = {
  interfaceNames: ['cvedge0', 'cvedge0a'],
  networks: ['10.83.0.0/16', 'fd7c::/64'],
  closed: { v4: ['10.0.0.0/8'], v6: ['fc00::/7'] },
  allow: [{ cidr: '10.5.0.0/16', from: ['10.83.0.2/32'] }],
  paths: [
    { slot: 1, kind: 'carry', sources: [], hop: undefined, opened: 7 },
    { slot: 2, kind: 'carry', sources: ['198.51.100.7', '2001:db8::7'], hop: undefined, opened: 0 },
    { slot: 3, kind: 'carry', sources: ['10.9.0.2'], hop: { interfaceName: 'cvhop3', mtu: 1400 }, opened: 0 },
    { slot: 4, kind: 'drop', sources: [], hop: undefined, opened: 0 },
    { slot: 5, kind: 'reject', sources: [], hop: undefined, opened: 0 },
  ],
  rules: [
    rule(0, { cidr: '203.0.113.0/24', use: 2 }),
    rule(1, { port: 25, use: 5 }),
    rule(2, { isForHost: true, from: ['10.83.0.2/32', 'fd7c::2/128'], use: 3 }),
    rule(3, { cidr: '10.6.0.0/16', from: ['10.83.0.2/32'], use: 3 }),
    rule(4, { from: ['10.83.0.9/32'], cidr: '2001:db8::/32', use: 1 }),
    rule(5, { from: [], use: 1 }),
    rule(6, { port: 22, use: 'auto' }),
    rule(7, { use: 4 }),
  ],
  pins: [
    { prefix: '10.83.0.3/32', slot: 2 },
    { prefix: 'fd7c::3/128', slot: 2 },
  ],
  automatic: { v4: 1, v6: 127 },
  places: [
    { prefix: '203.0.113.0/24', slot: 2 },
    { prefix: '2001:db8:5::/48', slot: 3 },
  ],
  silent: { v4: [3], v6: [] },
  isProbed: true,
  hosts: [
    { index: 2, from: '10.83.0.2/32', address: '203.0.113.10' },
    { index: 2, from: 'fd7c::2/128', address: '2001:db8::10' },
  ],
};

function rule(index: number, more: Partial<PathRulesPlan['rules'][number]>): PathRulesPlan['rules'][number] {
  return { index, from: undefined, cidr: undefined, port: undefined, isForHost: false, use: 1, ...more };
}

/** Lines of one chain. */
function chain(script: string, name: string): readonly string[] {
  const found = new RegExp(`chain ${name} \\{\\n((?: {4}.*\\n)*)`).exec(script)?.[1] ?? '';
  return found
    .trimEnd()
    .split('\n')
    .map((line) => line.trim());
}

describe('the script', () => {
  test('is one transaction with every part', () => {
    expect(pathScript(plan)).toMatchSnapshot();
  });

  test('asks for the path of the flow before anything else, then in the order of choice', () => {
    const lines = chain(pathScript(plan), 'choose').slice(1);

    const order = ['iifname', 'ct direction', 'ct mark', 'ct mark', 'ct state', 'ip daddr', 'ip6 daddr'];
    const rest = [
      'jump blocking',
      'jump closed',
      'ip saddr vmap @pins',
      'ip6 saddr vmap @pins',
      'goto by_rule',
    ];
    expect(lines.map((line, i) => line.startsWith([...order, ...rest][i] ?? '?'))).toEqual(
      lines.map(() => true),
    );
  });

  test('lets a last line that blocks come last, and other blocks first', () => {
    const script = pathScript(plan);

    expect(chain(script, 'blocking')).toEqual(['meta l4proto { tcp, udp } th dport 25 goto take_5']);
    expect(chain(script, 'by_rule').slice(-2)).toEqual(['goto take_4', 'goto by_place']);
  });

  test('has no line for a device that is not there, nor for a family that it does not have', () => {
    const text = chain(pathScript(plan), 'by_rule').join('\n');

    expect(text).not.toContain('saddr {  }');
    expect(text).not.toContain('2001:db8::/32');
  });

  test('asks nothing about closed places where no rule opens one', () => {
    const script = pathScript({ ...plan, rules: [rule(0, { port: 22, use: 2 })] });

    expect(script).not.toContain('closed');
  });

  test('moves new flows to another path in one step', () => {
    const after = { automatic: { v4: 2, v6: 2 }, places: [{ prefix: '203.0.113.0/24', slot: 1 }] };

    expect(automaticScript(pathsTableWords, { v4: 1, v6: 127 }, after)).toBe(
      'delete element inet culvert_edge_paths automatic { ipv4 : goto take_1, ipv6 : goto take_127 }\n' +
        'add element inet culvert_edge_paths automatic { ipv4 : goto take_2, ipv6 : goto take_2 }\n' +
        'flush map inet culvert_edge_paths places_v4\n' +
        'add element inet culvert_edge_paths places_v4 { 203.0.113.0/24 : goto take_1 }\n' +
        'flush map inet culvert_edge_paths places_v6\n',
    );
  });

  test('asks for the place before the usual path, and after every rule', () => {
    const script = pathScript(plan);

    expect(chain(script, 'by_place')).toEqual([
      'ip daddr vmap @places_v4',
      'ip6 daddr vmap @places_v6',
      'meta nfproto vmap @automatic',
    ]);
  });

  test('refuses new flows of a silent path, each family for itself', () => {
    expect(silentScript(pathsTableWords, { v4: [3], v6: [] })).toBe(
      'flush map inet culvert_edge_paths silent_v4\n' +
        'add element inet culvert_edge_paths silent_v4 { 0x03000000 : goto refuse }\n' +
        'flush map inet culvert_edge_paths silent_v6\n',
    );
    const paths = plan.paths.filter(({ hop }) => hop === undefined);
    expect(pathScript({ ...plan, paths, isProbed: false })).not.toContain('silent');
  });

  test('tells names in the order in which they were learnt', () => {
    const element = { index: 2, from: '10.83.0.2/32', address: '203.0.113.10' };

    expect(
      hostScript([
        { verb: 'delete', element },
        { verb: 'add', element: { ...element, address: '2001:db8::10', from: 'fd7c::2/128' } },
      ]),
    ).toBe(
      'delete element inet culvert_edge_paths host_2_v4 { 10.83.0.2/32 . 203.0.113.10 }\n' +
        'add element inet culvert_edge_paths host_2_v6 { fd7c::2/128 . 2001:db8::10 }\n',
    );
  });
});

describe('what the script is made from', () => {
  const config = readEdgeConfig(`
  paths:
    - { id: direct, type: direct }
    - { id: second, type: source, address: 198.51.100.7 }
    - { id: none, type: block }
  rules:
    - { match: { cidr: 10.6.0.0/16, device: laptop }, use: second }
    - { match: { tag: kids, port: 25 }, use: none }
    - { match: { host: "*.bank.example" }, use: direct }
`);
  const paths = config.paths.map((path, i) => ({ config: path, slot: i + 1 }));
  const prefix = (text: string): NonNullable<ReturnType<typeof parsePrefix>> => {
    const parsed = parsePrefix(text);
    if (parsed === undefined) throw new Error(text);
    return parsed;
  };
  const devices = [
    { name: 'laptop', key: 'a', prefixes: [prefix('10.83.0.2/32')], path: 'second' },
    { name: 'phone', key: 'b', prefixes: [prefix('10.83.0.3/32')], path: 'second', granted: ['direct'] },
    { name: 'tablet', key: 'c', prefixes: [prefix('10.83.0.4/32')], path: 'gone', tags: ['kids'] },
  ];
  const made = pathRulesPlan({
    config,
    interfaceNames: ['cvedge0'],
    paths,
    devices,
    automatic: { v4: 'second', v6: undefined },
    places: [{ prefix: '203.0.113.0/24', path: 'second' }],
    silent: { v4: [], v6: [] },
    hosts: [],
    opened: new Map([[2, 5]]),
  });

  test('pins whoever may have the path, where there is one', () => {
    expect(made.pins).toEqual([{ prefix: '10.83.0.2/32', slot: 2 }]);
  });

  test('knows devices by name and by tag', () => {
    expect(made.rules.map(({ from, use }) => [from, use])).toEqual([
      [['10.83.0.2/32'], 2],
      [['10.83.0.4/32'], 3],
      [undefined, 1],
    ]);
  });

  test('sends what nothing carries nowhere', () => {
    expect(made.automatic).toEqual({ v4: 2, v6: 127 });
    expect(made.closed).toEqual(closedRanges(true));
  });

  test('tells the guard what rules open, each for the mark of its own path', () => {
    expect(routedOpenings(config.rules, paths, devices)).toEqual([
      { cidr: '10.6.0.0/16', from: ['10.83.0.2/32'], mark: '0x7f000000 == 0x02000000' },
    ]);
  });

  test('opens a place for the mark of a path alone, and neither this host nor devices', () => {
    const allow = routedOpenings(
      [
        { match: { cidr: prefix('10.6.0.1/32') }, use: 'second' },
        { match: { cidr: prefix('10.83.0.3/32') }, use: 'second' },
      ],
      paths,
      devices,
    );

    const script = guardScript(guardPlan(config, [], [], allow));

    const mark = 'meta mark & 0x7f000000 == 0x02000000 accept';
    expect(chain(script, 'openings_places')).toEqual([`ip daddr 10.6.0.1/32 ${mark}`]);
    expect(chain(script, 'openings_own').join('')).toBe('');
    expect(chain(script, 'openings_devices').join('')).toBe('');
  });

  test('is nothing at all for an edge with the default route alone', () => {
    expect(isPlain(config)).toBe(false);
    expect(isPlain(readEdgeConfig('  paths: [{ id: direct, type: direct }]\n'))).toBe(true);
  });

  test('gives a path the same slot in every run, another when it is changed, and none twice', () => {
    const [direct, second] = config.paths;
    if (direct === undefined || second === undefined) throw new Error('two paths');
    const keys = Array.from({ length: 100 }, (_, i) => `path ${i}`);
    const slots = new PathSlots();

    const all = keys.map((key) => slots.take(key));

    expect(new Set(all).size).toBe(100);
    expect(Math.min(...all)).toBeGreaterThan(0);
    expect(Math.max(...all)).toBeLessThan(127);
    expect((markOfSlot(126) & ~pathMarkMask) >>> 0).toBe(0);
    expect(new PathSlots().take(pathKey(second))).toBe(new PathSlots().take(pathKey(second)));
    expect(pathKey({ ...second, id: 'other' })).not.toBe(pathKey(second));
  });
});

describe('what the kernel counts', () => {
  test('is read by slot', () => {
    const text =
      '{"nftables": [{"counter": {"family": "inet", "name": "path_12", "table": "t", "handle": 2, "packets": 34, "bytes": 5}}]}';

    expect([...parseOpened(text)]).toEqual([[12, 34]]);
  });

  test('is counted by mark, whatever other bits the mark has', () => {
    const line = (mark: number): string =>
      `ipv4     2 tcp      6 431999 ESTABLISHED src=10.83.0.2 dst=203.0.113.10 sport=1 dport=2 mark=${mark} use=1`;

    const flows = parseOpenFlows([0, 5, 0x0200_0000, 0x8200_0001, 0x0300_0000].map(line).join('\n'));

    expect([...flows]).toEqual([
      [2, 2],
      [3, 1],
    ]);
  });
});
