/** What `init` chooses and writes, and what the commands read. */

import { describe, expect, test } from 'vitest';
import { parseBytes, parseSeconds, table } from '../../../edge/cli/amounts.ts';
import { edgeYaml } from '../../../edge/cli/edge-yaml.ts';
import { qrText } from '../../../edge/cli/qr.ts';
import { parseEdgeConfig } from '../../../edge/config.ts';
import { routedRanges } from '../../../edge/host/used-ranges.ts';
import { newNetwork } from '../../../edge/new-network.ts';
import { ownFacts } from '../../../edge/plan.ts';
import { formatPrefix, parsePrefix } from '../../../shared/core/base/ip.ts';
import { seededEntropy } from '../../support/seeded.ts';

describe('a new network', () => {
  test('is one that the host routes nowhere', () => {
    const used = Array.from({ length: 191 }, (_, i) => parsePrefix(`10.${64 + i}.0.0/16`)!);
    const free = used.splice(100, 1)[0]!;

    for (let seed = 0; seed < 20; seed++) {
      const found = newNetwork(used, seededEntropy(seed));
      expect([formatPrefix(free), undefined]).toContain(found?.v4);
    }
    expect(newNetwork([], seededEntropy(1))?.v6).toMatch(/^fd[0-9a-f]{2}:.*::\/64$/);
    expect(newNetwork([parsePrefix('10.0.0.0/8')!], seededEntropy(1))).toBeUndefined();
  });

  test('knows the routes of this kernel, least byte first, without the default one', () => {
    const text = `Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask
eth0\t00000000\t010002C0\t0003\t0\t0\t0\t00000000
eth0\t0000530A\t00000000\t0001\t0\t0\t0\t0000FFFF
`;
    expect(routedRanges(text).map(formatPrefix)).toEqual(['10.83.0.0/16']);
  });
});

describe('the edge.yaml of init', () => {
  const surroundings = {
    fileName: 'edge.yaml',
    folder: '/',
    dataFolder: '/',
    readSecretKey: () => undefined,
    readSecretText: () => '',
  };
  const edge = {
    name: 'home',
    endpoint: 'edge.example.com',
    udpPorts: [51820],
    httpsPorts: [443, 8443],
    metrics: '127.0.0.1:9586',
    network: { v4: '10.83.0.0/16', v6: 'fd7c::/64' },
  };

  test('is understood without a word, and means the defaults', () => {
    const written = parseEdgeConfig(edgeYaml(edge), surroundings);
    const least = parseEdgeConfig(
      'name: home\nendpoint: edge.example.com\nlisten: { https: [443, 8443], metrics: "127.0.0.1:9586" }\n' +
        'network: { v4: 10.83.0.0/16, v6: "fd7c::/64" }\n',
      surroundings,
    );

    expect(written.warnings).toEqual([]);
    expect(written.config).toEqual(least.config);
  });

  test('may leave the endpoint open, and survives a strange one', () => {
    expect(parseEdgeConfig(edgeYaml({ ...edge, endpoint: undefined }), surroundings).config.endpoint).toBe(
      undefined,
    );
    expect(() => parseEdgeConfig(edgeYaml({ ...edge, endpoint: '"\n a: b' }), surroundings)).toThrow(
      /endpoint/,
    );
  });

  test('tells devices everything goes through it', () => {
    const facts = ownFacts(parseEdgeConfig(edgeYaml(edge), surroundings).config);

    expect(facts.routes.map(formatPrefix)).toEqual(['0.0.0.0/0', '::/0']);
    expect(facts.dns).toEqual(['10.83.0.1', 'fd7c::1']);
  });
});

describe('amounts on the command line', () => {
  test.each([
    ['90s', 90],
    ['15m', 900],
    ['12h', 43_200],
    ['7d', 604_800],
  ])('%s is a duration', (text, seconds) => {
    expect(parseSeconds(text)).toBe(seconds);
  });

  test.each([
    ['none', 0],
    ['0', 0],
    ['500MB', 500_000_000],
    ['1.5 tb'.replace(' ', ''), 1_500_000_000_000],
    ['10g', 10_000_000_000],
  ])('%s are bytes', (text, bytes) => {
    expect(parseBytes(text)).toBe(bytes);
  });

  test.each(['', '5', '0m', '-1m', '1w', '1e3s'])('"%s" is no duration', (text) => {
    expect(() => parseSeconds(text)).toThrow(/no duration/);
  });

  test.each(['', '-1', 'GB', '1.2345G', '99999999T', '1 G'])('"%s" are no bytes', (text) => {
    expect(() => parseBytes(text)).toThrow(/no amount/);
  });
});

test('a table has its columns in line', () => {
  expect(
    table([
      ['A', 'B'],
      ['long', 'x'],
    ]),
  ).toBe('A     B\nlong  x\n');
});

test('a QR code has a light border and lines of one width', () => {
  const escape = String.fromCharCode(27);
  const lines = qrText('culvert://192.0.2.1:443/join').split('\n').slice(0, -1);
  const cells = lines.map((line) => line.replaceAll(new RegExp(`${escape}\\[[0-9;]*m`, 'g'), ''));

  expect(new Set(cells.map((line) => line.length)).size).toBe(1);
  expect(cells[0]).toMatch(/^ +$/);
  expect(cells.join('')).toMatch(/█/);
});
