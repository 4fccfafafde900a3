// `culvert route explain`: what it says, case by case. That it is true is shown in test/system/route-explain.test.ts.
import { describe, expect, test } from 'vitest';
import { explainHost, hostIn, type RouteView } from '../../../../client/split/explain.ts';
import { LearnedAddresses } from '../../../../client/split/learned.ts';
import { parseRules, type SplitRule } from '../../../../client/split/rules.ts';
import { parseAddress } from '../../../../shared/core/base/ip.ts';
import { monoMs } from '../../../../shared/core/base/time.ts';

const view: RouteView = {
  reach: 'device',
  interfaceName: 'culvert0',
  allowedIps: ['0.0.0.0/0', '::/0'],
  rules: [],
  hostRoutes: [
    { prefix: '192.168.1.0/24', interfaceName: 'wlan0' },
    { prefix: '10.83.0.0/16', interfaceName: 'culvert0' },
  ],
  granted: [],
  own: ['192.168.1.7', '10.83.0.2'],
  proxyGoesAround: false,
};

function rules(text: string): readonly SplitRule[] {
  const read = parseRules(text);
  if ('problems' in read) throw new Error('bad rules');
  return read;
}

function said(change: Partial<RouteView>, host: string, addresses: readonly string[] = []): string {
  return explainHost({ ...view, ...change }, host, addresses)
    .map(({ address, path, rule, why }) => `${address ?? host}: ${path} [${rule}] ${why}`)
    .join('\n');
}

const exclude = rules('exclude ip 203.0.113.0/24');
const include = rules('include ip 10.0.0.0/8');

describe('the way of an address', () => {
  test.each<[string, Partial<RouteView>, string, string]>([
    ['off', { reach: undefined }, '8.8.8.8', 'outside'],
    ['names only', { reach: 'dns' }, '8.8.8.8', 'outside'],
    ['loopback', {}, '127.0.0.1', 'machine'],
    ['ourselves', {}, '10.83.0.2', 'machine'],
    ['the Internet', {}, '8.8.8.8', 'tunnel'],
    ['IPv6', {}, '2001:db8::1', 'tunnel'],
    ['the local network, closed', {}, '192.168.1.50', 'refused'],
    ['the local network, granted', { granted: ['192.168.0.0/16'] }, '192.168.1.50', 'outside'],
    [
      'the local network, where the edge names it',
      { allowedIps: ['0.0.0.0/0', '192.168.1.0/24'] },
      '192.168.1.50',
      'tunnel',
    ],
    ['IPv6 with an edge that has none', { allowedIps: ['0.0.0.0/0'] }, '2001:db8::1', 'refused'],
    ['the halves of everything', { allowedIps: ['0.0.0.0/1', '128.0.0.0/1'] }, '192.168.1.50', 'refused'],
    ['what is excluded', { rules: exclude }, '203.0.113.9', 'outside'],
    ['what is not, beside an exclusion', { rules: exclude }, '203.0.112.9', 'tunnel'],
    ['the local network, beside an exclusion', { rules: exclude }, '192.168.1.50', 'refused'],
    [
      'IPv6 beside an exclusion, with an edge that has none',
      { rules: exclude, allowedIps: ['0.0.0.0/0'] },
      '2001:db8::1',
      'refused',
    ],
    ['what is included', { rules: include }, '10.1.1.1', 'tunnel'],
    ['what is not, where only some is', { rules: include }, '8.8.8.8', 'outside'],
    ['the local network, where only some is included', { rules: include }, '192.168.1.50', 'outside'],
    ['an edge for few', { allowedIps: ['10.0.0.0/8'] }, '8.8.8.8', 'outside'],
    ['inside an edge for few', { allowedIps: ['10.0.0.0/8'] }, '10.3.3.3', 'tunnel'],
    [
      'an edge for few that covers the local network',
      { allowedIps: ['192.168.0.0/16'] },
      '192.168.1.50',
      'tunnel',
    ],
    ['by proxy', { reach: 'proxy' }, '8.8.8.8', 'tunnel'],
    [
      'by proxy, what the edge does not carry',
      { reach: 'proxy', allowedIps: ['10.0.0.0/8'] },
      '8.8.8.8',
      'refused',
    ],
    [
      'by proxy, what is excluded, where it goes around',
      { reach: 'proxy', rules: exclude, proxyGoesAround: true },
      '203.0.113.9',
      'outside',
    ],
    [
      'by proxy, what is excluded, where it does not',
      { reach: 'proxy', rules: exclude },
      '203.0.113.9',
      'tunnel',
    ],
  ])('%s', (_, change, address, path) => {
    expect(explainHost({ ...view, ...change }, address, [])).toMatchObject([{ address, path }]);
  });

  test('is told in words', () => {
    expect(
      [
        said({}, '8.8.8.8'),
        said({}, '192.168.1.50'),
        said({ rules: exclude }, '203.0.113.9'),
        said({ rules: include }, '8.8.8.8'),
        said({ allowedIps: ['0.0.0.0/0'] }, '2001:db8::1'),
      ].join('\n'),
    ).toMatchSnapshot();
  });
});

describe('the way of a name', () => {
  const byName = rules('exclude host *.bank.example');

  test('is that of each of its addresses', () => {
    const told = explainHost(view, 'www.example', ['203.0.113.9', '2001:db8::9', 'nonsense']);

    expect(told.map((one) => one.address)).toEqual(['203.0.113.9', '2001:db8::9']);
  });

  test('on the device holds from the moment that its address was learned, and says so', () => {
    const learned = new LearnedAddresses();
    expect(said({ rules: byName, learned }, 'www.bank.example', ['203.0.113.9'])).toMatch(
      /: tunnel .*once a program asks/,
    );

    const addresses = [parseAddress('203.0.113.9')!];
    learned.handleAnswer(byName, { name: 'www.bank.example', addresses, ttlMs: 0 }, monoMs(0));

    expect(said({ rules: byName, learned }, 'www.bank.example', ['203.0.113.9'])).toMatch(
      /: outside \[exclude host/,
    );
    expect(said({ rules: byName, learned }, 'other.example', ['203.0.113.9'])).toMatch(
      /also an address of www.bank.example/,
    );
  });

  test('by proxy is exact, without looking the name up', () => {
    const proxy = { reach: 'proxy', rules: byName, proxyGoesAround: true } as const;

    expect(explainHost({ ...view, ...proxy }, 'www.bank.example', [])).toMatchObject([{ path: 'outside' }]);
    expect(explainHost({ ...view, ...proxy }, 'bank.example', [])).toMatchObject([{ path: 'tunnel' }]);
  });
});

test.each([
  ['example.com', 'example.com'],
  ['https://user:pw@example.com:8443/a?b#c', 'example.com'],
  ['example.com:443', 'example.com'],
  ['[fd00::1]:443', 'fd00::1'],
  ['http://[fd00::1]/', 'fd00::1'],
  ['fd00::1', 'fd00::1'],
  [' 10.0.0.1 ', '10.0.0.1'],
])('finds the host in %j', (text, host) => {
  expect(hostIn(text)).toBe(host);
});
