// What `culvert route explain` says, held against what the kernel does: routes, rules and throws as planned, in a
// namespace, asked for many addresses.
import { spawnSync } from 'node:child_process';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { planRoutes } from '../../client/host/routes/plan.ts';
import { explainHost, type RouteView } from '../../client/split/explain.ts';
import { parseRules } from '../../client/split/rules.ts';
import { noSplit } from '../../client/split/view.ts';
import { formatAddress } from '../../shared/core/base/ip.ts';
import { describeWith } from '../support/requires.ts';
import { seededRandom } from '../support/seeded.ts';

const localNetworks = [{ interfaceName: 'wifi0', prefix: '192.168.1.0/24' }];
let space = '';

function ip(words: readonly string[], input = ''): string {
  const done = spawnSync('ip', ['-n', space, ...words], { encoding: 'utf8', input });
  if (done.status !== 0) throw new Error(`ip ${words.join(' ')}: ${done.stderr}`);
  return done.stdout;
}

function lines(...all: string[]): string {
  return `${all.join('\n')}\n`;
}

/** Addresses near the edges of everything that is in play, and some anywhere. */
function addresses(): string[] {
  const random = seededRandom(42);
  const some = [
    '192.168.1.1',
    '192.168.1.254',
    '192.168.2.1',
    '10.9.0.1',
    '10.9.255.254',
    '10.10.0.1',
    '9.255.255.255',
  ];
  const more = [
    '11.0.0.1',
    '203.0.113.1',
    '203.0.112.255',
    '203.0.114.0',
    '172.16.5.5',
    '8.8.8.8',
    '223.255.255.1',
  ];
  const six = ['2001:db8:1::5', '2001:db8:2::5', '2606:4700::1111', 'fd00::5', 'fd12::1'];
  const wild = Array.from({ length: 60 }, () => {
    const size = random() < 0.5 ? 4 : 16;
    const bytes = Uint8Array.from({ length: size }, () => Math.floor(random() * 256));
    if (size === 4) bytes[0] = 1 + Math.floor(random() * 126) + (random() < 0.4 ? 97 : 0);
    else bytes[0] = 0x20 | (bytes[0]! & 0x1f);
    return formatAddress(bytes);
  });
  return [...some, ...more, ...six, ...wild].filter((one) => !one.startsWith('127.'));
}

describeWith({ namespaces: true, tools: ['ip'] }, 'the explanation of a route', () => {
  beforeEach(() => {
    space = `cvexplain-${process.pid}`;
    spawnSync('ip', ['netns', 'add', space]);
    const setup = ['wifi0', 'culvert0'].flatMap((name, i) => [
      `link add ${name} type veth peer name far${i}`,
      `link set far${i} up`,
      `link set ${name} up`,
    ]);
    ip(
      ['-batch', '-'],
      lines(
        'link set lo up',
        ...setup,
        'address add 192.168.1.7/24 dev wifi0',
        'address add 2001:db8:1::7/64 dev wifi0 nodad',
        'route add default via 192.168.1.1',
        'route add 10.9.0.0/16 via 192.168.1.2',
      ),
    );
    ip(['-6', '-batch', '-'], lines('route add default via 2001:db8:1::1 dev wifi0'));
  });

  afterEach(() => {
    spawnSync('ip', ['netns', 'del', space]);
  });

  test.each<[string, readonly string[], string]>([
    ['everything', ['0.0.0.0/0', '::/0'], ''],
    ['everything in halves', ['0.0.0.0/1', '128.0.0.0/1', '::/1', '8000::/1'], ''],
    ['IPv4 alone', ['0.0.0.0/0'], ''],
    ['everything, and the local network by name', ['0.0.0.0/0', '::/0', '192.168.1.0/24'], ''],
    ['an edge for few', ['10.0.0.0/8', 'fd00::/8'], ''],
    [
      'everything but some',
      ['0.0.0.0/0', '::/0'],
      'exclude ip 203.0.113.0/24\nexclude ip 10.0.0.0/8\nexclude ip 2606:4700::/32',
    ],
    ['everything but one address', ['0.0.0.0/0', '::/0'], 'exclude ip 200.0.0.1'],
    [
      'some alone',
      ['0.0.0.0/0', '::/0'],
      'include ip 10.0.0.0/8\nexclude ip 10.9.0.0/16\ninclude ip fd00::/8',
    ],
    ['half of everything included', ['0.0.0.0/0', '::/0'], 'include ip 0.0.0.0/1\ninclude ip 192.168.0.0/16'],
    ['a narrow range inside an exclusion', ['0.0.0.0/0', '10.9.4.0/24'], 'exclude ip 10.0.0.0/8'],
  ])('agrees with the kernel: %s', (_, allowedIps, text) => {
    const rules = parseRules(text);
    if ('problems' in rules) throw new Error('bad rules');
    const own = ['10.83.0.2/32', 'fd83::2/128'];
    const shape = { interfaceName: 'culvert0', addresses: own, allowedIps, mtu: 1420, ipv6: true };
    const plan = planRoutes(shape, { ...noSplit, rules, local: localNetworks });
    ip(['-batch', '-'], lines(...plan.link));
    for (const one of plan.routes) ip([`-${one.family}`, '-batch', '-'], lines(...one.lines));
    for (const one of plan.rules) ip([`-${one.family}`, 'rule', 'add', ...one.words]);
    const view: RouteView = {
      reach: 'device',
      interfaceName: 'culvert0',
      allowedIps,
      rules,
      hostRoutes: localNetworks,
      granted: [],
      own: [],
      proxyGoesAround: false,
    };

    for (const address of addresses()) {
      const way = / dev (\S+)/.exec(ip(['route', 'get', address]))?.[1];
      const [told] = explainHost(view, address, []);
      expect({ address, inTunnel: told?.path === 'tunnel' }).toEqual({
        address,
        inTunnel: way === 'culvert0',
      });
    }
  });
});
