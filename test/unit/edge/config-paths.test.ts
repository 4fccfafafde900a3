// egress.paths, egress.probe and egress.rules of edge.yaml: what is understood, and every mistake with its line.
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { type PathsConfig, parseDuration, readPathsSection } from '../../../edge/config-paths.ts';
import { ConfigReader } from '../../../edge/config-reader.ts';
import { readSecretText } from '../../../edge/secret-text.ts';
import { formatAddress, formatPrefix } from '../../../shared/core/base/ip.ts';
import { CulvertError } from '../../../shared/core/control/codes.ts';

const key = Buffer.alloc(32, 7).toString('base64');
const hop = `[Interface]
PrivateKey = ${key}
Address = 10.9.0.2/32, fd00:9::2/128
[Peer]
PublicKey = ${key}
Endpoint = fra.example:51820
AllowedIPs = 0.0.0.0/0
`;
const files: Readonly<Record<string, string>> = {
  'corp.pw': 'a secret\n',
  'fra.conf': hop,
  'dumb.conf': hop.replace('Endpoint = fra.example:51820\n', ''),
  'broken.conf': '[Interface]\nPrivateKey = x\n',
};

function read(
  text: string,
  backend: 'userspace' | 'kernel' = 'userspace',
): { readonly config: PathsConfig; readonly problems: readonly string[] } {
  const reader = new ConfigReader(text);
  const section = reader.section(reader.root, { known: ['paths', 'probe', 'rules'] });
  const config = readPathsSection(reader, section, {
    backend,
    readSecretText: (path) => {
      const found = files[path];
      if (found === undefined)
        throw new CulvertError('file-unreadable', { text: `there is no file ${path}` });
      return found;
    },
  });
  return { config, problems: reader.problems.map(({ line, text: words }) => `${line}: ${words}`) };
}

test('without a word there is the direct path, no probe and no rule', () => {
  expect(read('{}').config).toEqual({
    paths: [{ id: 'direct', type: 'direct' }],
    probe: { everyMs: 10_000, targets: [] },
    rules: [],
  });
});

test('the whole example of the product is understood', () => {
  const { config, problems } = read(`
paths:
  - { id: direct, type: direct }
  - { id: second, type: source, address: 198.51.100.7, interface: eth1 }
  - { id: fra,    type: wireguard, config: fra.conf }
  - { id: corp,   type: socks5, server: "10.1.2.3:1080", username: u, passwordFile: corp.pw }
  - { id: web,    type: http, server: "[2001:db8::4]:3128", names: true }
  - { id: none,   type: block, how: reject }
probe: { every: 500s, targets: ["1.1.1.1:443", "9.9.9.9:443"] }
rules:
  - { match: { host: "*.Bank.example." }, use: direct }
  - { match: { cidr: 10.0.0.0/8, device: laptop, port: 22, tag: kids }, use: corp }
  - { use: auto }
`);

  expect(problems).toEqual([]);
  const [, second, fra, corp, web, none] = config.paths;
  expect(second).toEqual({ id: 'second', type: 'source', address: '198.51.100.7', interfaceName: 'eth1' });
  expect(fra?.type === 'wireguard' && fra.hop.addresses.map((one) => formatAddress(one))).toEqual([
    '10.9.0.2',
    'fd00:9::2',
  ]);
  expect(fra?.type === 'wireguard' && fra.hop.peers[0]?.host).toBe('fra.example');
  expect(corp).toMatchObject({ login: { username: 'u', password: 'a secret' }, tellNames: false });
  expect(web).toMatchObject({ type: 'http', login: undefined, tellNames: true, server: { port: 3128 } });
  expect(none).toEqual({ id: 'none', type: 'block', how: 'reject' });
  expect(config.probe.everyMs).toBe(500_000);
  expect(config.probe.targets.map((one) => one.port)).toEqual([443, 443]);
  expect(config.rules[0]).toEqual({ match: { host: '*.bank.example' }, use: 'direct' });
  expect(formatPrefix(config.rules[1]!.match.cidr!)).toBe('10.0.0.0/8');
  expect(config.rules[2]).toEqual({ match: {}, use: 'auto' });
});

describe('mistakes are told:', () => {
  test.each<[string, string, readonly string[]]>([
    [
      'nothing that carries',
      'paths: [{ id: none, type: block }]',
      ['1: paths needs a path that carries, for example { id: direct, type: direct }'],
    ],
    [
      'an empty list',
      'paths: []',
      ['1: paths needs a path that carries, for example { id: direct, type: direct }'],
    ],
    [
      'an id twice',
      'paths:\n  - { id: a, type: direct }\n  - { id: a, type: direct }',
      ['3: paths[1]: the id a is taken'],
    ],
    [
      'the id auto',
      'paths: [{ id: auto, type: direct }]',
      ['1: paths[0].id: auto means every path, no path may have that name'],
    ],
    [
      'a setting of another type',
      'paths: [{ id: a, type: direct, server: "1.2.3.4:5" }]',
      ['1: paths[0].server does not belong to a path of type direct'],
    ],
    [
      'a source without anything',
      'paths: [{ id: a, type: source }]',
      ['1: paths[0] needs address, interface or both'],
    ],
    [
      'a source that is no address',
      'paths: [{ id: a, type: source, address: eth0 }]',
      ['1: paths[0].address must be a numeric address of this machine'],
    ],
    [
      'a server by name',
      'paths: [{ id: a, type: socks5, server: "proxy:1080" }]',
      ['1: paths[0].server must be a numeric address and a port, for example "10.1.2.3:1080"'],
    ],
    [
      'a name without a password',
      'paths: [{ id: a, type: http, server: "1.2.3.4:5", username: u }]',
      ['1: paths[0] needs username and passwordFile, or neither'],
    ],
    [
      'a password that is not there',
      'paths: [{ id: a, type: http, server: "1.2.3.4:5", username: u, passwordFile: gone }]',
      ['1: paths[0].passwordFile: there is no file gone'],
    ],
    [
      'a hop without an endpoint',
      'paths: [{ id: a, type: wireguard, config: dumb.conf }]',
      ['1: paths[0].config: a [Peer] of that file has no Endpoint'],
    ],
    [
      'a hop with mistakes',
      'paths: [{ id: a, type: wireguard, config: broken.conf }]',
      ['1: paths[0].config: line 2 of that file: The value of PrivateKey is wrong.'],
    ],
    [
      'a rule for a path that is not there',
      'rules: [{ use: fra }]',
      ['1: rules[0].use: there is no path "fra"; there are direct'],
    ],
    [
      'a rule behind everything',
      'rules:\n  - { use: auto }\n  - { match: { port: 25 }, use: direct }',
      ['2: rules[0] matches everything: the rules below it are never asked'],
    ],
    [
      'an address as a host',
      'rules: [{ match: { host: 1.2.3.4 }, use: auto }]',
      ['1: rules[0].match.host must be a name, or *. and a name for all below it; addresses go into cidr'],
    ],
    [
      'a time without a unit',
      'probe: { every: 10 }',
      ['1: probe.every must be a time from 1s to 1h, for example 10s'],
    ],
    [
      'a time too short',
      'probe: { every: 10ms }',
      ['1: probe.every must be a time from 1s to 1h, for example 10s'],
    ],
    [
      'a target by name',
      'probe: { targets: ["one.one.one.one:443"] }',
      ['1: probe.targets[0] must be a numeric address and a port, for example "10.1.2.3:1080"'],
    ],
  ])('%s', (_what, text, problems) => {
    expect(read(text).problems).toEqual(problems);
  });

  test('what packets cannot take, with the reason', () => {
    const { problems } = read(
      'paths: [{ id: a, type: http, server: "1.2.3.4:5" }]\nrules: [{ use: auto }]',
      'kernel',
    );

    expect(problems).toEqual([
      '1: paths[0].type: a proxy carries connections, and the kernel forwards packets; http needs egress.backend: userspace',
    ]);
  });
});

describe('a file with a secret', () => {
  const folder = mkdtempSync(join(tmpdir(), 'culvert-secret-'));
  const path = join(folder, 'secret');
  afterAll(() => rmSync(folder, { recursive: true }));

  test('is read where only its owner can read it, and refused where others can', () => {
    writeFileSync(path, 'word', { mode: 0o600 });
    expect(readSecretText(path)).toBe('word');

    chmodSync(path, 0o644);
    expect(() => readSecretText(path)).toThrow(
      `the file ${path} can be read by other users; close it: chmod 600 ${path}`,
    );
    expect(() => readSecretText(join(folder, 'none'))).toThrow('there is no file');
  });
});

test.each([
  ['10s', 10_000],
  ['250ms', 250],
  ['2m', 120_000],
  ['1h', 3_600_000],
  ['10', undefined],
  ['-1s', undefined],
  ['1 s', undefined],
])('a duration of %s', (text, ms) => {
  expect(parseDuration(text)).toBe(ms);
});
