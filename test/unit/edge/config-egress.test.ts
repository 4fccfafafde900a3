/** The key egress.allow of edge.yaml: places and devices that are opened, and what is wrong with an entry. */

import { describe, expect, test } from 'vitest';
import { type EdgeConfig, parseEdgeConfig } from '../../../edge/config.ts';
import { formatPrefix } from '../../../shared/core/base/ip.ts';
import { CulvertError } from '../../../shared/core/control/codes.ts';

/** The first entry is in line 4. */
function parse(...entries: readonly string[]): EdgeConfig {
  const lines = entries.map((entry) => `    - ${entry}\n`);
  const text = `network: { v4: 10.83.0.0/16 }\negress:\n  allow:\n${lines.join('')}`;
  return parseEdgeConfig(text, {
    fileName: 'edge.yaml',
    folder: '/etc/edge',
    dataFolder: '/data',
    readSecretKey: () => undefined,
    readSecretText: () => '',
    kernelMissing: undefined,
  }).config;
}

function problemsOf(...entries: readonly string[]): readonly string[] {
  try {
    parse(...entries);
  } catch (cause) {
    if (cause instanceof CulvertError) return cause.message.split('\n').slice(1);
    throw cause;
  }
  return [];
}

describe('egress.allow', () => {
  test('opens places, for one device or all, and devices by their names', () => {
    const { allow, pairs, allowNames } = parse(
      '{ cidr: 192.168.1.0/24, device: laptop }',
      '{ device: laptop, to: phone }',
      '{ cidr: "10.83.0.3" }',
      '{ to: printer }',
    );

    expect(allow.map((one) => [formatPrefix(one.cidr), one.device])).toEqual([
      ['192.168.1.0/24', 'laptop'],
      ['10.83.0.3/32', undefined],
    ]);
    expect(pairs).toEqual([
      { device: 'laptop', to: 'phone' },
      { device: undefined, to: 'printer' },
    ]);
    expect(allowNames.map(({ entry, name }) => `${entry} ${name}`)).toEqual([
      '1 laptop',
      '2 laptop',
      '2 phone',
      '4 printer',
    ]);
  });

  test.each<[string, string, string]>([
    ['neither', '{ device: a }', ' needs cidr, a place, or to, the name of a device: one of the two'],
    [
      'both a place and a device',
      '{ cidr: 10.1.0.0/16, to: b }',
      ' needs cidr, a place, or to, the name of a device: one of the two',
    ],
    ['a device for itself', '{ device: a, to: a }', '.to is the device itself, which needs no opening'],
    [
      'names that cannot be',
      '{ cidr: 10.1.0.0/16, device: "t/v" }',
      '.device must be 1 to 64 letters, digits, spaces, dots, dashes or underscores',
    ],
    [
      'other names that cannot be',
      '{ device: a, to: "t/v" }',
      '.to must be 1 to 64 letters, digits, spaces, dots, dashes or underscores',
    ],
    ['no prefix', '{ cidr: all }', '.cidr must be an address or a prefix, for example 192.168.1.0/24'],
  ])('refuses an entry with its line: %s', (_, entry, problem) => {
    expect(problemsOf('{ to: a }', entry)).toEqual([`  edge.yaml:5: egress.allow[1]${problem}`]);
  });

  test('knows its keys, and how many entries are too many', () => {
    expect(problemsOf('{ too: phone, device: a }')).toContain(
      '  edge.yaml:4: unknown key "egress.allow[0].too" (did you mean "to"?)',
    );
    expect(problemsOf(...Array.from({ length: 257 }, (_, i) => `{ to: d${i} }`))).toEqual([
      '  edge.yaml:3: egress.allow may have 256 entries at most',
    ]);
  });
});
