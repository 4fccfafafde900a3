// The list of the split tunnel: read, written, asked; and what was learned for its names.
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { LearnedAddresses, maxLearned } from '../../../../client/split/learned.ts';
import {
  addRule,
  formatRule,
  formatRules,
  maxRules,
  parseRules,
  removeRule,
  ruleForAddress,
  ruleForName,
  ruleOf,
  type SplitRule,
} from '../../../../client/split/rules.ts';
import { parseAddress } from '../../../../shared/core/base/ip.ts';
import { monoMs } from '../../../../shared/core/base/time.ts';

function rules(text: string): readonly SplitRule[] {
  const read = parseRules(text);
  if ('problems' in read) throw new Error(JSON.stringify(read.problems));
  return read;
}

const list = rules(
  `
# what the office needs
include ip 10.0.0.0/8
exclude ip 10.9.0.0/16     # printers
exclude host *.bank.example
include host pay.bank.example
EXAMPLE
`.replace('EXAMPLE', 'exclude host News.Example.'),
);

describe('the list', () => {
  test('reads with comments, and comes out in one order that reads back the same', () => {
    expect(formatRules(list)).toBe(
      [
        'exclude ip 10.9.0.0/16',
        'exclude host *.bank.example',
        'exclude host news.example',
        'include ip 10.0.0.0/8',
        'include host pay.bank.example',
        '',
      ].join('\n'),
    );
    expect(formatRules(rules(formatRules(list)))).toBe(formatRules(list));
  });

  test('says all that is wrong, with the lines', () => {
    const read = parseRules(
      'exclude ip 10.0.0.0/33\n\nfoo ip 1.2.3.4\nexclude net x\nexclude host\nexclude host a*b\nexclude host 10.0.0.1\ninclude host a b',
    );

    expect('problems' in read && read.problems.map((one) => one.line)).toEqual([1, 3, 4, 5, 6, 7, 8]);
  });

  test('is bounded', () => {
    expect(parseRules('exclude ip 10.0.0.1\n'.repeat(maxRules + 1))).toHaveProperty('problems');
    expect(parseRules('\n'.repeat(100_000))).toHaveProperty('problems');
    const full = Array.from(
      { length: maxRules },
      (_, i) => ruleOf('host', `h${i}.example`, 'exclude') as SplitRule,
    );
    expect(addRule(full, list[0]!)).toBeUndefined();
  });

  test('has one rule for a target: the last one', () => {
    const added = addRule(list, ruleOf('ip', '10.9.3.4/16', 'include') as SplitRule)!;

    expect(added).toHaveLength(list.length);
    expect(formatRule(added.at(-1)!)).toBe('include ip 10.9.0.0/16');
    expect(removeRule(added, 'ip', '10.9.0.0/16')).toHaveLength(list.length - 1);
    expect(removeRule(added, 'host', '10.9.0.0/16')).toHaveLength(list.length);
  });

  test('never throws, whatever the text', () => {
    const words = fc.constantFrom(
      'exclude',
      'include',
      'ip',
      'host',
      '*.',
      '10.0.0.0/8',
      '#',
      '\n',
      ' ',
      'ü',
      '\\',
    );
    fc.assert(
      fc.property(
        fc.oneof(
          fc.string(),
          fc.array(words).map((all) => all.join(' ')),
        ),
        (text) => {
          const read = parseRules(text);
          if (!('problems' in read)) expect(rules(formatRules(read))).toHaveLength(read.length);
        },
      ),
      { seed: 5, numRuns: 1000 },
    );
  });
});

describe('the rule for a name', () => {
  test.each([
    ['bank.example', undefined],
    ['www.bank.example', 'exclude host *.bank.example'],
    ['a.b.bank.example', 'exclude host *.bank.example'],
    ['notbank.example', undefined],
    ['PAY.bank.example.', 'include host pay.bank.example'],
    ['x.pay.bank.example', 'exclude host *.bank.example'],
    ['news.example', 'exclude host news.example'],
    ['www.news.example', undefined],
  ])('%s is %s', (name, rule) => {
    const found = ruleForName(list, name);

    expect(found && formatRule(found)).toBe(rule);
  });

  test('prefers the longer wildcard', () => {
    const two = rules('include host *.example\nexclude host *.a.example');

    expect(ruleForName(two, 'x.a.example')?.mode).toBe('exclude');
    expect(ruleForName(two, 'x.b.example')?.mode).toBe('include');
  });
});

describe('the rule for an address', () => {
  test.each([
    ['10.1.2.3', 'include ip 10.0.0.0/8'],
    ['10.9.2.3', 'exclude ip 10.9.0.0/16'],
    ['11.0.0.1', undefined],
    ['::ffff:10.1.2.3', undefined],
  ])('%s is %s', (address, rule) => {
    const found = ruleForAddress(list, parseAddress(address)!);

    expect(found && formatRule(found)).toBe(rule);
  });

  test('is the exclusion, also where an include is narrower', () => {
    const two = rules('exclude ip 10.0.0.0/8\ninclude ip 10.1.0.0/16');

    expect(ruleForAddress(two, parseAddress('10.1.0.1')!)?.mode).toBe('exclude');
  });
});

describe('addresses learned for names', () => {
  const nine = parseAddress('203.0.113.9')!;
  const answer = { name: 'www.bank.example', addresses: [nine], ttlMs: 1000 };

  test('are kept longer than the answer says, and then forgotten', () => {
    const learned = new LearnedAddresses();

    expect(learned.handleAnswer(list, answer, monoMs(0))).toBe(true);
    expect(learned.handleAnswer(list, answer, monoMs(1000))).toBe(false);
    expect(learned.prefixes('exclude')).toEqual([{ address: nine, bits: 32 }]);
    expect(learned.nextTimeout()).toBe(601_000);
    expect(learned.handleTimeout(monoMs(600_999))).toBe(false);
    expect(learned.handleTimeout(monoMs(601_000))).toBe(true);
    expect(learned.prefixes('exclude')).toEqual([]);
  });

  test('are none where no rule is about the name', () => {
    const learned = new LearnedAddresses();

    expect(learned.handleAnswer(list, { ...answer, name: 'bank.example' }, monoMs(0))).toBe(false);
    expect(learned.find(nine)).toBeUndefined();
  });

  test('stay excluded where an included name has the same address', () => {
    const learned = new LearnedAddresses();
    learned.handleAnswer(list, answer, monoMs(0));

    expect(learned.handleAnswer(list, { ...answer, name: 'pay.bank.example' }, monoMs(1))).toBe(false);
    expect(learned.find(nine)?.name).toBe('www.bank.example');
  });

  test('follow the rules when those change', () => {
    const learned = new LearnedAddresses();
    learned.handleAnswer(list, answer, monoMs(0));

    expect(learned.handleRules(list)).toBe(false);
    expect(learned.handleRules([])).toBe(true);
    expect(learned.prefixes('exclude')).toEqual([]);
  });

  test('are bounded: the oldest goes first', () => {
    const learned = new LearnedAddresses();
    for (let i = 0; i <= maxLearned; i++) {
      const address = Uint8Array.of(10, 0, i >> 8, i & 255);
      learned.handleAnswer(list, { ...answer, addresses: [address] }, monoMs(i));
    }

    expect(learned.prefixes('exclude')).toHaveLength(maxLearned);
    expect(learned.find(Uint8Array.of(10, 0, 0, 0))).toBeUndefined();
  });
});
