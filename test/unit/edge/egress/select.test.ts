// The order of choice, its reasons in words, rules, pins of flows and names of addresses: decisions without any network.
import { describe, expect, test } from 'vitest';
import { FlowPins } from '../../../../edge/egress/flow-pins.ts';
import { HostNames } from '../../../../edge/egress/host-name.ts';
import { parsePathsQuestion } from '../../../../edge/egress/paths-question.ts';
import { PathReports } from '../../../../edge/egress/report.ts';
import { type EgressRule, hostMatches, type KnownName, RuleList } from '../../../../edge/egress/rules.ts';
import {
  type Choice,
  PathSelector,
  type Question,
  type SelectablePath,
} from '../../../../edge/egress/select.ts';
import { explain } from '../../../../edge/egress/sentence.ts';
import { registeredName, siteKey } from '../../../../edge/egress/site.ts';
import { type Prefix, parseAddress, parsePrefix } from '../../../../shared/core/base/ip.ts';
import { type MonoMs, monoMs } from '../../../../shared/core/base/time.ts';
import { seededRandom } from '../../../support/seeded.ts';

const start = monoMs(1_000_000);
const after = (ms: number): MonoMs => monoMs(start + ms);

function path(id: string, fields: Partial<SelectablePath> = {}): SelectablePath {
  return { id, type: 'direct', carries: () => true, trouble: () => undefined, ...fields };
}

const paths: readonly SelectablePath[] = [
  path('direct'),
  path('fra'),
  path('corp', { type: 'socks5' }),
  path('web', { type: 'http', carries: (protocol) => protocol === 'tcp' }),
  path('none', { type: 'block', carries: () => false }),
];

function prefix(text: string): Prefix {
  return parsePrefix(text)!;
}

function ask(fields: Partial<Question> & { readonly to?: string } = {}): Question {
  const { to = '203.0.113.9', ...rest } = fields;
  return {
    protocol: 'tcp',
    device: 'laptop',
    tags: [],
    address: parseAddress(to)!,
    port: 443,
    name: undefined,
    ...rest,
  };
}

function told(name: string): KnownName {
  return { name, source: 'told', others: [] };
}

function selector(rules: readonly EgressRule[] = [], reports?: PathReports): PathSelector {
  return new PathSelector({
    paths,
    rules,
    reports: reports ?? measured({ direct: 20, fra: 60, corp: 90, web: 95 }),
  });
}

function measured(times: Readonly<Record<string, number>>): PathReports {
  const reports = new PathReports(paths.map(({ id }) => id));
  for (const [id, ms] of Object.entries(times)) {
    for (let i = 0; i < 6; i++) reports.noteProbe(id, ms, monoMs(start - 1000 + i));
  }
  return reports;
}

function pathOf(choice: Choice): string {
  return choice.kind === 'none' ? 'nothing' : `${choice.kind === 'block' ? 'blocked by ' : ''}${choice.path}`;
}

const rules: readonly EgressRule[] = [
  { match: { host: '*.bank.example' }, use: 'fra' },
  { match: { host: 'ads.example' }, use: 'none' },
  { match: { cidr: prefix('10.0.0.0/8'), device: 'laptop' }, use: 'corp' },
  { match: { port: 22 }, use: 'web' },
  { match: { tag: 'kids' }, use: 'fra' },
  { match: { cidr: prefix('2001:db8::/32') }, use: 'corp' },
];

describe('the order of choice', () => {
  test.each<[string, Question, string]>([
    ['a name below the pattern', ask({ name: told('www.bank.example') }), 'fra'],
    ['the name above the pattern is another', ask({ name: told('bank.example') }), 'direct'],
    ['a name that only ends alike', ask({ name: told('evilbank.example') }), 'direct'],
    ['a blocked name', ask({ name: told('ads.example') }), 'blocked by none'],
    ['a range of a device', ask({ to: '10.1.2.3' }), 'corp'],
    ['the same range of another device', ask({ to: '10.1.2.3', device: 'phone' }), 'direct'],
    ['a port', ask({ port: 22 }), 'web'],
    ['a port by a path that has no datagrams', ask({ port: 22, protocol: 'udp' }), 'nothing'],
    ['a range of IPv6', ask({ to: '2001:db8::1' }), 'corp'],
    ['nothing said', ask(), 'direct'],
    ['a closed range that a rule names', ask({ to: '10.1.2.3', isClosed: true }), 'corp'],
    ['a closed range that no rule names', ask({ to: '192.168.1.1', isClosed: true }), 'nothing'],
    [
      'a closed range is not opened by a rule for ports',
      ask({ to: '192.168.1.1', port: 22, isClosed: true }),
      'nothing',
    ],
  ])('%s', (_what, question, expected) => {
    expect(pathOf(selector(rules).choose(question, start))).toBe(expected);
  });

  test('a pin goes before rules, but not before rules that block, and only to what is granted', () => {
    const made = selector(rules);
    made.setDevices(
      new Map([
        ['laptop', { pin: 'web', granted: ['web'] }],
        ['phone', { pin: 'fra', granted: ['corp'] }],
        ['tablet', { tags: ['kids'] }],
      ]),
    );

    expect(pathOf(made.choose(ask({ to: '10.1.2.3' }), start))).toBe('web');
    expect(pathOf(made.choose(ask({ name: told('ads.example') }), start))).toBe('blocked by none');
    expect(pathOf(made.choose(ask({ device: 'phone' }), start))).toBe('direct');
    expect(pathOf(made.choose(ask({ device: 'tablet' }), start))).toBe('fra');
    expect(pathOf(made.choose(ask({ protocol: 'udp' }), start))).toBe('nothing');
  });

  test('a last rule that blocks everything comes last', () => {
    const made = selector([
      { match: { port: 443 }, use: 'auto' },
      { match: {}, use: 'none' },
    ]);

    expect(pathOf(made.choose(ask(), start))).toBe('direct');
    expect(pathOf(made.choose(ask({ port: 80 }), start))).toBe('blocked by none');
  });

  test('a path that was asked for by name has nothing behind it, a free choice has', () => {
    const named = selector(rules).choose(ask({ name: told('a.bank.example') }), start);
    const free = selector(rules).choose(ask(), start);

    expect(named.kind === 'path' && named.fallbacks).toEqual([]);
    expect(free.kind === 'path' && free.fallbacks).toEqual(['fra', 'corp']);
  });

  test('a path with trouble is avoided', () => {
    const reports = measured({ direct: 20, fra: 60 });
    const made = new PathSelector({
      paths: [path('direct', { trouble: () => 'no interface' }), path('fra')],
      rules: [],
      reports,
    });

    expect(pathOf(made.choose(ask(), start))).toBe('fra');
  });
});

describe('a site', () => {
  test('keeps its exit while a flow lives and for a while after, though another is a little better', () => {
    const reports = measured({ direct: 40, fra: 60 });
    const made = selector([], reports);
    const first = made.choose(ask(), start);
    if (first.kind !== 'path') throw new Error('a path');
    const ended = made.handleOpened(first, first.path, start);
    for (let i = 0; i < 40; i++) reports.noteProbe('fra', 22, after(i * 1000));
    made.choose(ask({ to: '192.0.2.1' }), after(100_000));
    made.choose(ask({ to: '192.0.2.1' }), after(120_000));
    ended(after(60_000));

    const soon = made.choose(ask(), after(20 * 60_000));
    const late = made.choose(ask(), after(40 * 60_000));

    expect([pathOf(soon), soon.reason]).toEqual(['direct', { by: 'auto', why: 'kept' }]);
    expect(pathOf(late)).toBe('fra');
    expect(made.switches).toBe(1);
  });

  test('is the registered name, for each device', () => {
    const address = parseAddress('203.0.113.9')!;
    expect(registeredName('login.www.bank.example')).toBe('bank.example');
    expect(registeredName('a.b.co.uk')).toBe('b.co.uk');
    expect(siteKey('a', address, 'x.bank.example')).toBe(
      siteKey('a', parseAddress('192.0.2.1')!, 'y.bank.example'),
    );
    expect(siteKey('a', address, undefined)).not.toBe(siteKey('b', address, undefined));
  });
});

describe('the reason in words', () => {
  const words = (question: Question, made = selector(rules)): string => {
    const choice = made.choose(question, start);
    const candidates = made.rank(question, start).map((one) => ({ ...one, health: 'good' as const }));
    return explain({ choice, candidates, name: question.name, hasHostRules: true }).sentence;
  };

  test.each<[string, Question, string]>([
    ['a rule', ask({ name: told('www.bank.example') }), 'By fra: rule 1 (host *.bank.example) says so.'],
    [
      'a block',
      ask({ name: told('ads.example') }),
      'Nothing goes there: rule 2 (host ads.example) blocks it.',
    ],
    [
      'a free choice',
      ask({ name: told('x.example') }),
      'By direct: it is the best at the moment. It should connect in about 20 ms, fra in about 60 ms.',
    ],
    [
      'a name that is not certain',
      ask({ name: { name: 'www.bank.example', source: 'guessed', others: ['cdn.example'] } }),
      'By fra: rule 1 (host *.bank.example) says so. This is a guess: the address may also stand for cdn.example.',
    ],
    [
      'no name',
      ask({ to: '10.1.1.1' }),
      'By corp: rule 3 (cidr 10.0.0.0/8, device laptop) says so. No name is known for this address, so rules for hosts were passed over.',
    ],
  ])('%s', (_what, question, sentence) => {
    expect(words(question)).toBe(sentence);
  });
});

describe('names', () => {
  const address = parseAddress('203.0.113.9')!;

  test('are known to the device that asked alone, and for a while', () => {
    const names = new HostNames();
    names.note({ device: 'laptop', name: 'a.example', address, ttlSeconds: 60 }, start);

    expect(names.find('laptop', address, after(1000))).toEqual({
      name: 'a.example',
      source: 'looked-up',
      others: [],
    });
    expect(names.find('phone', address, after(1000))).toBeUndefined();
    expect(names.find(undefined, address, after(1000))).toBeUndefined();
    expect(names.find('laptop', address, after(5 * 60_000))).toBeUndefined();
  });

  test('are a guess where an address has several, the latest first', () => {
    const names = new HostNames();
    for (const name of ['a.example', 'b.example', 'a.example'])
      names.note({ device: 'laptop', name, address, ttlSeconds: 600 }, start);

    expect(names.find('laptop', address, start)).toEqual({
      name: 'a.example',
      source: 'guessed',
      others: ['b.example'],
    });
  });

  test('are few for each address, and gone with the device', () => {
    const names = new HostNames();
    for (let i = 0; i < 100; i++)
      names.note({ device: 'laptop', name: `n${i}.example`, address, ttlSeconds: 600 }, start);

    expect(names.find('laptop', address, start)?.others.length).toBe(7);
    names.forget('laptop');
    expect(names.find('laptop', address, start)).toBeUndefined();
    expect(names.size).toBe(0);
  });

  test('of a device that asks for very many push out its own, and then those of whoever was silent longest', () => {
    const names = new HostNames(3000);
    const flood = (device: string, count: number): void => {
      for (let i = 0; i < count; i++) {
        const one = Uint8Array.of(198, 18, i >> 8, i & 255);
        names.note({ device, name: `n${i}.example`, address: one, ttlSeconds: 600 }, start);
      }
    };
    names.note({ device: 'laptop', name: 'a.example', address, ttlSeconds: 600 }, start);

    flood('hostile', 10_000);
    expect(names.find('laptop', address, start)?.name).toBe('a.example');
    expect(names.size).toBe(2049);
    flood('tablet', 1500);

    expect(names.find('laptop', address, start)).toBeUndefined();
    expect(names.size).toBeLessThanOrEqual(3000 + 2048);
  });

  test('that a connection has said are for explaining, for a while', () => {
    const names = new HostNames();
    names.note({ device: 'laptop', name: 'a.example', address, ttlSeconds: 600 }, start);
    names.noteSaid('laptop', address, { name: 'b.example', source: 'sni', others: [] }, start);

    expect(names.explain('laptop', address, start)?.name).toBe('b.example');
    expect(names.find('laptop', address, start)?.name).toBe('a.example');
    expect(names.explain('laptop', address, after(6 * 60_000))?.name).toBe('a.example');
    expect(names.explain('phone', address, start)).toBeUndefined();
  });
});

test('flows of datagrams come back to their path for a while, unless it is drained', () => {
  const pins = new FlowPins();
  const pin = { path: 'fra', device: 'laptop', openedAt: start };
  pins.open(pin);
  expect(pins.load('fra')).toMatchObject({ flows: 1, opened: 1 });

  pins.end(pin, start, 'flow');
  pins.end(pin, start, 'flow');

  expect(pins.load('fra').flows).toBe(0);
  expect(pins.recent('flow', after(60_000))).toBe('fra');
  expect(pins.recent('flow', after(6 * 60_000))).toBeUndefined();
  pins.forget('fra');
  expect(pins.recent('flow', after(60_000))).toBeUndefined();
});

test('a compiled list finds what a plain scan finds', () => {
  const random = seededRandom(5);
  const pick = <T>(values: readonly T[]): T => values[Math.floor(random() * values.length)]!;
  const cidrs = [
    '10.0.0.0/8',
    '10.1.0.0/16',
    '10.1.2.3/32',
    '0.0.0.0/0',
    '203.0.113.0/25',
    '2001:db8::/33',
    '::/0',
  ];
  const list: EgressRule[] = Array.from({ length: 60 }, () => ({
    match: {
      ...(random() < 0.6 ? { cidr: prefix(pick(cidrs)) } : {}),
      ...(random() < 0.4 ? { port: pick([80, 443]) } : {}),
      ...(random() < 0.5 ? { device: pick(['laptop', 'phone', 'tv']) } : {}),
      ...(random() < 0.4 ? { host: pick(['a.example', '*.example', '*.a.example']) } : {}),
    },
    use: 'fra',
  }));
  const compiled = new RuleList(list);
  for (let i = 0; i < 2000; i++) {
    const to = pick([
      '10.1.2.3',
      '10.200.0.1',
      '203.0.113.200',
      '203.0.113.5',
      '2001:db8::1',
      '2001:db8:ffff::1',
    ]);
    const name = pick([undefined, told('a.example'), told('b.a.example'), told('z.test')]);
    const question = ask({ to, port: pick([80, 443, 22]), device: pick(['laptop', 'phone', 'tv']), name });
    const plain = list.findIndex(({ match }) => {
      const inside = match.cidr === undefined || containsPlainly(match.cidr, question.address);
      const named = match.host === undefined || (name !== undefined && hostMatches(match.host, name.name));
      const port = match.port === undefined || match.port === question.port;
      return inside && named && port && (match.device === undefined || match.device === question.device);
    });

    expect(compiled.find(question)?.index ?? -1).toBe(plain);
  }
});

/** Bit by bit. */
function containsPlainly(cidr: Prefix, address: Uint8Array): boolean {
  if (cidr.address.length !== address.length) return false;
  const bits = (bytes: Uint8Array): string =>
    [...bytes].map((byte) => byte.toString(2).padStart(8, '0')).join('');
  return bits(cidr.address).slice(0, cidr.bits) === bits(address).slice(0, cidr.bits);
}

test.each<[unknown, boolean]>([
  [{ what: 'list' }, true],
  [{ what: 'probe' }, true],
  [{ what: 'drain', path: 'fra', isDrained: true }, true],
  [{ what: 'why', host: 'x', addresses: ['1.2.3.4'], port: 443, protocol: 'tcp' }, true],
  [{ what: 'why', host: 'x', port: 443, protocol: 'tcp' }, false],
  [{ what: 'why', host: 'x', addresses: [1], port: 443, protocol: 'tcp' }, false],
  [{ what: 'drain', path: 'fra' }, false],
  [{ what: 'else' }, false],
  [null, false],
  ['list', false],
])('a question over the control socket is checked: %j', (value, isGood) => {
  const ask = (): unknown => parsePathsQuestion(value);

  if (isGood) expect(ask()).toMatchObject(value as object);
  else expect(ask).toThrow('The request makes no sense');
});
