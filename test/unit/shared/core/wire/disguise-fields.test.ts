import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  type DisguiseFields,
  disguiseFields,
  disguiseKeys,
  readDisguise,
  writtenFields,
} from '../../../../../shared/core/wire/disguise-fields.ts';
import { isPlain, isPlainOnWire, plainRules } from '../../../../../shared/core/wire/disguise-rules.ts';
import { firstVersionFields, fullFields, rulesOf } from '../../../../support/disguises.ts';

/** The keys that are complained about, in order. */
function faultKeys(fields: DisguiseFields): readonly string[] {
  const reading = readDisguise(fields);
  return reading.kind === 'faults' ? reading.faults.map(({ key }) => key) : [];
}

describe('the fields of a disguise', () => {
  test('are plain WireGuard where none is said', () => {
    expect(readDisguise({})).toEqual({ kind: 'rules', rules: plainRules });
    expect(isPlain(rulesOf({ jc: '0', s1: '0', h1: '1', h2: '2', h3: '3', h4: '4' }))).toBe(true);
  });

  test('are read into numbers and ranges', () => {
    expect(rulesOf(fullFields)).toEqual({
      junk: { count: 4, min: 40, max: 900 },
      prefix: { initiation: 33, response: 71, cookieReply: 20, transport: 18 },
      types: {
        initiation: { from: 100_000, to: 200_000 },
        response: { from: 300_000, to: 400_000 },
        cookieReply: { from: 500_000, to: 600_000 },
        transport: { from: 700_000, to: 800_000 },
      },
    });
  });

  test('come back as they were read', () => {
    expect(disguiseFields(rulesOf(fullFields))).toEqual(fullFields);
    expect(disguiseFields(rulesOf(firstVersionFields))).toEqual({ ...firstVersionFields, s3: '0', s4: '0' });
  });

  test('are written without zeros, so that older programs understand them', () => {
    expect(Object.fromEntries(writtenFields(rulesOf(firstVersionFields)))).toEqual(firstVersionFields);
  });

  test.each<[string, DisguiseFields, readonly string[]]>([
    ['Jc above 128', { jc: '129', jmin: '1', jmax: '2' }, ['jc']],
    ['Jc without sizes', { jc: '3' }, ['jmax']],
    ['empty noise', { jc: '3', jmin: '0', jmax: '9' }, ['jmin']],
    ['Jmin above Jmax', { jc: '3', jmin: '10', jmax: '9' }, ['jmin']],
    ['Jmax above 1280', { jc: '3', jmin: '10', jmax: '1281' }, ['jmax']],
    ['S1 that makes more than 1280 bytes', { s1: '1133' }, ['s1']],
    ['S2 that makes more than 1280 bytes', { s2: '1189' }, ['s2']],
    ['S4 above 32', { s4: '33' }, ['s4']],
    ['S1 + 56 = S2', { s1: '10', s2: '66' }, ['s2']],
    ['S2 + 28 = S3', { s2: '10', s3: '38' }, ['s3']],
    ['S1 + 84 = S3', { s1: '10', s3: '94' }, ['s3']],
    ['a type of another message', { h1: '2' }, ['h1']],
    ['type 0', { h2: '0' }, ['h2']],
    ['a type above 32 bits', { h3: '4294967296' }, ['h3']],
    ['a range that begins at a type of WireGuard', { h4: '4-5' }, ['h4']],
    ['a range that goes backwards', { h4: '20-10' }, ['h4']],
    ['the same type twice', { h1: '9', h4: '9' }, ['h4']],
    ['ranges with values in common', { h1: '10-20', h2: '20-30' }, ['h2']],
    ['a word', { jc: 'many', s1: '-1', h1: '0x10' }, ['s1', 'h1', 'jc']],
  ])('refuse %s', (_what, fields, keys) => {
    expect(faultKeys(fields)).toEqual(keys);
  });

  test('say all that is wrong at once, each with what to do', () => {
    const reading = readDisguise({ s1: 'x', s4: '99', h2: '3' });

    expect(reading).toEqual({
      kind: 'faults',
      faults: [
        { key: 's1', text: 'The value of S1 is wrong.', remedy: 'Write a number from 0 to 1132.' },
        { key: 's4', text: 'The value of S4 is wrong.', remedy: 'Write a number from 0 to 32.' },
        {
          key: 'h2',
          text: 'The value of H2 is wrong.',
          remedy: 'Write 2, a number from 5 to 4294967295, or a range of such numbers: 1000-2000.',
        },
      ],
    });
  });

  test('tell noise that anybody may send from what both ends must know', () => {
    const junk = rulesOf({ jc: '3', jmin: '10', jmax: '20' });

    expect([isPlain(junk), isPlainOnWire(junk)]).toEqual([false, true]);
    expect(isPlainOnWire(rulesOf({ s2: '1' }))).toBe(false);
  });

  test('never throw, whatever is said', () => {
    const value = fc.oneof(
      fc.string(),
      fc.nat().map(String),
      fc.tuple(fc.nat(), fc.nat()).map((two) => two.join('-')),
    );
    fc.assert(
      fc.property(fc.dictionary(fc.constantFrom(...disguiseKeys), value), (fields) => {
        const reading = readDisguise(fields);
        if (reading.kind === 'rules') {
          expect(readDisguise(disguiseFields(reading.rules))).toEqual(reading);
        }
      }),
      { seed: 9 },
    );
  });
});
