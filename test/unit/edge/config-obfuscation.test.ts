// obfuscation of edge.yaml: what is understood, and every mistake with its line and in this file's words.
import { describe, expect, test } from 'vitest';
import { type EdgeConfig, parseEdgeConfig } from '../../../edge/config.ts';
import { needRestart } from '../../../edge/plan.ts';
import { CulvertError } from '../../../shared/core/control/codes.ts';
import { fullFields, rulesOf } from '../../support/disguises.ts';

function config(more: string): EdgeConfig {
  return parseEdgeConfig(`network: { v4: 10.83.0.0/16 }\n${more}`, {
    fileName: 'edge.yaml',
    folder: '/',
    dataFolder: '/',
    readSecretKey: () => undefined,
    readSecretText: () => '',
  }).config;
}

function problemsOf(more: string): readonly string[] {
  try {
    config(more);
  } catch (error) {
    if (!(error instanceof CulvertError)) throw error;
    return error.message
      .split('\n')
      .slice(1)
      .map((line) => line.trim());
  }
  return [];
}

const full = `obfuscation:
  junk: { count: 4, min: 40, max: 900 }
  prefix: { initiation: 33, response: 71, cookieReply: 20, data: 18 }
  types: { initiation: 100000-200000, response: 300000-400000, cookieReply: 500000-600000, data: 700000-800000 }
`;

describe('obfuscation in edge.yaml', () => {
  test('is off without a word, and where the words change nothing', () => {
    expect(config('').disguise).toBeUndefined();
    expect(config('obfuscation: { junk: { count: 0 }, types: { data: 4 } }\n').disguise).toBeUndefined();
  });

  test('is AmneziaWG’s parameters', () => {
    expect(config(full).disguise).toEqual(rulesOf(fullFields));
  });

  test('takes the noise before data from the MTU', () => {
    expect([config('').mtu, config(full).mtu]).toEqual([1420, 1402]);
    expect(config(`mtu: 1400\n${full}`).mtu).toBe(1400);
    expect(problemsOf(`mtu: 1410\n${full}`)).toEqual([
      'edge.yaml:2: mtu must be 1402 at most: obfuscation.prefix.data takes 18 bytes of each packet',
    ]);
  });

  test('has every mistake named with its line, in the words of this file', () => {
    const text =
      'obfuscation:\n  junk: { count: 300 }\n  prefix:\n    data: 64\n  types: { initiation: 4 }\n  sugar: 1\n';

    expect(problemsOf(text)).toEqual([
      'edge.yaml:3: obfuscation.junk.count: The value of junk.count is wrong. Write a number from 0 to 128.',
      'edge.yaml:5: obfuscation.prefix.data: The value of prefix.data is wrong. Write a number from 0 to 32.',
      'edge.yaml:6: obfuscation.types.initiation: The value of types.initiation is wrong. Write 1, a number from 5 to 4294967295, or a range of such numbers: 1000-2000.',
      'edge.yaml:7: unknown key "obfuscation.sugar"',
    ]);
  });

  test('has what does not fit together named in the same words', () => {
    expect(problemsOf('obfuscation: { prefix: { initiation: 10, response: 66 } }\n')).toEqual([
      'edge.yaml:2: obfuscation.prefix.response: prefix.initiation and prefix.response make two kinds of messages equally long (158 bytes). Change prefix.response by at least 1, at both ends.',
    ]);
    expect(problemsOf('obfuscation: { types: { initiation: 9, data: 9 } }\n')).toEqual([
      'edge.yaml:2: obfuscation.types.data: types.initiation and types.data have values in common. Give each of types.initiation, types.response, types.cookieReply and types.data values of its own.',
    ]);
  });

  test('needs a restart where it changes', () => {
    expect(needRestart(config(''), config('obfuscation: { types: { data: 44 } }\n'))).toEqual([
      'obfuscation',
    ]);
    expect(needRestart(config(full), config(full))).toEqual([]);
  });
});
