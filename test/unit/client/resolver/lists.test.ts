import { expect, test } from 'vitest';
import { BlockList } from '../../../../client/resolver/block-list.ts';
import { LocalDomains } from '../../../../client/resolver/local-domains.ts';
import { NameSet } from '../../../../client/resolver/name-set.ts';
import { QueryLog } from '../../../../client/resolver/query-log.ts';
import { RebindGuard } from '../../../../client/resolver/rebind.ts';
import { unixMs } from '../../../../shared/core/base/time.ts';
import { encodeName } from '../../../../shared/core/dns/name.ts';
import { readMessage } from '../../../../shared/core/dns/reader.ts';
import { recordType } from '../../../../shared/core/dns/types.ts';
import { writeAnswer, writeQuery } from '../../../../shared/core/dns/writer.ts';

test('an entry covers itself and what is below, the longest one holds', () => {
  const set = new NameSet<number>();
  set.add('example', 1);
  set.add('b.example', 2);

  const found = ['example', 'a.example', 'b.example', 'c.b.example', 'bexample', 'x'].map(
    (name) => set.find(name)?.value,
  );

  expect(found).toEqual([1, 1, 2, 2, undefined, undefined]);
});

test('an escaped dot is no end of a label', () => {
  const set = new NameSet<number>();
  set.add('b.example', 1);

  expect(set.find('a\\.b.example')).toBeUndefined();
});

test('names of the network go to the network, names of the Internet do not', () => {
  const domains = new LocalDomains([{ name: 'office.example', servers: ['192.0.2.53'], via: 'tunnel' }]);

  const via = (name: string): string | undefined => domains.find(name)?.via;

  expect(['printer', 'nas.lan', '1.1.168.192.in-addr.arpa', '4.3.16.172.in-addr.arpa'].map(via)).toEqual(
    Array.from({ length: 4 }, () => 'network'),
  );
  expect(domains.find('mail.office.example')).toEqual({
    name: 'office.example',
    servers: ['192.0.2.53'],
    via: 'tunnel',
  });
  expect(['.', 'www.example.com', '8.8.8.8.in-addr.arpa', '1.32.172.in-addr.arpa'].map(via)).toEqual([
    undefined,
    undefined,
    undefined,
    undefined,
  ]);
});

test('what must not leave is asked of nobody, not even by a rule', () => {
  const domains = new LocalDomains([{ name: 'onion', servers: ['192.0.2.53'], via: 'network' }]);

  expect(['printer.local', 'x.onion', 'localhost', 'edge.culvert'].map((name) => domains.find(name))).toEqual(
    [undefined, undefined, undefined, undefined],
  );
});

test('reads lists in the forms that people publish', () => {
  const text = [
    '# a comment',
    'ads.example',
    'UPPER.example.',
    '0.0.0.0 one.example two.example # both',
    '127.0.0.1 localhost',
    '||filter.example^',
    '*.wild.example',
    'what is this',
    '||bad.example/path^',
    '',
  ].join('\n');

  const list = new BlockList([{ name: 'mine', text }], []);

  expect(list.sources).toEqual([{ name: 'mine', names: 6, ignored: 2 }]);
  expect(list.find('x.upper.example')).toEqual({ entry: 'upper.example', source: 'mine' });
  expect(list.find('two.example')?.entry).toBe('two.example');
  expect(list.find('localhost')).toBeUndefined();
  expect(list.find('example')).toBeUndefined();
});

test('the more exact of block and allow holds, allow at a tie', () => {
  const list = new BlockList(
    [{ name: 'mine', text: 'example\nbad.good.example\ntie.example\n' }],
    ['good.example', 'tie.example'],
  );

  const isBlocked = (name: string): boolean => list.find(name) !== undefined;

  expect(['x.example', 'good.example', 'bad.good.example', 'tie.example'].map(isBlocked)).toEqual([
    true,
    false,
    true,
    false,
  ]);
});

function answerOf(name: string, ...addresses: readonly (readonly number[])[]) {
  const query = readMessage(writeQuery({ id: 1, name, type: recordType.a }) ?? new Uint8Array(0));
  if (query === undefined || encodeName(name) === undefined) throw new Error('no name');
  const answers = addresses.map((rdata) => ({
    type: rdata.length === 4 ? recordType.a : recordType.aaaa,
    ttl: 60,
    rdata: Uint8Array.from(rdata),
  }));
  const message = readMessage(writeAnswer(query, { rcode: 0, answers }));
  if (message === undefined) throw new Error('no answer');
  return message;
}

test.each([
  ['192.168.1.1', [192, 168, 1, 1], true],
  ['127.0.0.1', [127, 0, 0, 1], true],
  ['fe80::1', [0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1], true],
  ['mapped', [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 10, 0, 0, 1], true],
  ['a filter that says no', [0, 0, 0, 0], false],
  ['a documentation address', [192, 0, 2, 1], false],
] as const)('an answer of %s', (_what, address, isAttack) => {
  const guard = new RebindGuard(['home.example']);

  expect(guard.isAttack('x.example', answerOf('x.example', [192, 0, 2, 9], address))).toBe(isAttack);
  expect(guard.isAttack('nas.home.example', answerOf('nas.home.example', address))).toBe(false);
});

test('the log holds the last names while it is on, and forgets them when it goes off', () => {
  const log = new QueryLog();
  const add = (i: number): void =>
    log.add({ at: unixMs(i), name: `n${i}.example`, type: 1, origin: 'cache', ms: 0 });
  add(0);
  log.turn(true);
  for (let i = 1; i <= 3000; i++) add(i);

  const kept = log.list();
  log.turn(false);

  expect([kept.length, kept.at(-1)?.name]).toEqual([1000, 'n3000.example']);
  expect(log.list()).toEqual([]);
});
