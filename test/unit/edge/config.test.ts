/** edge.yaml: every mistake is told at once, with its line and what was meant. */

import { describe, expect, test } from 'vitest';
import { type EdgeConfig, type ParsedConfig, parseEdgeConfig } from '../../../edge/config.ts';
import { formatPrefix } from '../../../shared/core/base/ip.ts';
import { CulvertError } from '../../../shared/core/control/codes.ts';

const key = (fill: number): string => Buffer.alloc(32, fill).toString('base64');

const minimal = 'network: { v4: 10.83.0.0/16 }\n';

const full = `name: home
endpoint: edge.example.com
interface: cv-home
mtu: 1380
listen: { udp: [51820] }
network: { v4: 10.83.0.0/16, v6: "fd7c:1:2:3::/64" }
privateKeyFile: keys/edge.key
egress:
  backend: auto
  paths:
    - { id: direct, type: direct }
  deny: [private, link-local, metadata]
  allow:
    - { cidr: 192.168.1.0/24, device: laptop }
    - { cidr: "10.83.0.3" }
peers:
  - name: laptop
    publicKey: ${key(1)}
    presharedKeyFile: laptop.psk
    allowedIps: [10.83.0.2/32, "fd7c:1:2:3::2/128"]
  - name: phone
    publicKey: ${key(2)}
    allowedIps: [10.83.0.3]
    tags: [kids, kids, work]
`;

const psk = new Uint8Array(32).fill(9);

function parse(text: string, kernelMissing?: string): ParsedConfig {
  return parseEdgeConfig(text, {
    fileName: 'edge.yaml',
    folder: '/etc/edge',
    dataFolder: '/data',
    readSecretKey: (path) => {
      if (path === '/etc/edge/laptop.psk') return psk;
      if (path === '/etc/edge/open.psk') throw new CulvertError('file-unreadable', { text: 'It is open.' });
      return undefined;
    },
    readSecretText: () => '',
    kernelMissing,
  });
}

function config(text: string): EdgeConfig {
  return parse(text).config;
}

function problemsOf(text: string): string[] {
  try {
    parse(text);
  } catch (error) {
    if (!(error instanceof CulvertError)) throw error;
    expect(error.code).toBe('bad-config');
    return error.message.split('\n').slice(1);
  }
  return [];
}

describe('a configuration without mistakes', () => {
  test('needs no more than a network', () => {
    const { config, warnings } = parse(minimal);

    expect(warnings).toEqual([]);
    expect(config).toMatchObject({
      name: 'edge',
      endpoint: undefined,
      interfaceName: 'cvedge0',
      mtu: 1420,
      udpPorts: [51820],
      privateKeyFile: '/data/edge.key',
      closePrivate: true,
      allow: [],
      peers: [],
    });
  });

  test('is read key by key', () => {
    const read = config(full);

    expect(read).toMatchObject({
      name: 'home',
      endpoint: 'edge.example.com',
      interfaceName: 'cv-home',
      mtu: 1380,
    });
    expect(read.privateKeyFile).toBe('/etc/edge/keys/edge.key');
    expect(read.peers.map((peer) => [peer.name, peer.allowedIps.map(formatPrefix)])).toEqual([
      ['laptop', ['10.83.0.2/32', 'fd7c:1:2:3::2/128']],
      ['phone', ['10.83.0.3/32']],
    ]);
    expect(read.peers[0]?.presharedKey).toEqual(psk);
    expect(read.peers.map((peer) => peer.tags)).toEqual([[], ['kids', 'work']]);
  });

  test('warns of ports that are not served yet', () => {
    const { config, warnings } = parse(`listen: { udp: [51820, 443, 4500] }\n${minimal}`);

    expect(config.udpPorts).toEqual([51820, 443, 4500]);
    expect(warnings).toEqual([{ line: 1, text: 'of listen.udp, only 51820 is served yet; not 443, 4500' }]);
  });

  test('has as many workers as it asks for, each with a port', () => {
    const { config, warnings } = parse(`workers: 2\nlisten: { udp: [51820, 443, 4500] }\n${minimal}`);

    expect(config).toMatchObject({ workers: 2, udpPorts: [51820, 443, 4500] });
    expect(warnings).toEqual([{ line: 2, text: 'of listen.udp, only 51820, 443 are served yet; not 4500' }]);
    expect(parse(minimal).config.workers).toBe(1);
  });

  test('asks Cloudflare for names, encrypted, unless it says whom else, or nobody', () => {
    expect(config(minimal).dns).toEqual({
      upstreams: ['tls://1.1.1.1', 'https://1.1.1.1/dns-query'],
      families: 'off',
      cacheEntries: 100_000,
    });
    const upstreams = ['tls://dns.example:8853', 'https://[2001:db8::53]/q?x=1', 'tls://[2001:db8::53]'];
    const text = `${minimal}dns: { upstreams: ${JSON.stringify(upstreams)}, families: malware, cacheEntries: 0 }\n`;
    expect(config(text).dns).toEqual({ upstreams, families: 'malware', cacheEntries: 0 });
    expect(config(`${minimal}dns: { upstreams: [] }\n`).dns.upstreams).toEqual([]);
  });

  test('opens private ranges where deny leaves them out', () => {
    expect(config(`${minimal}egress: { deny: [link-local, metadata] }\n`).closePrivate).toBe(false);
  });
});

describe('the backend', () => {
  const backendOf = (text: string, kernelMissing?: string): readonly string[] => {
    const { backend, backendReason } = parse(`${minimal}${text}`, kernelMissing).config;
    return [backend, backendReason];
  };

  test.each<[string, string | undefined, string, string]>([
    ['', undefined, 'kernel', 'this program may use it'],
    ['egress: { backend: auto }\n', 'there is no TUN', 'userspace', 'there is no TUN'],
    ['egress: { backend: kernel }\n', 'there is no TUN', 'kernel', 'edge.yaml asks for it'],
    ['egress: { backend: userspace }\n', undefined, 'userspace', 'edge.yaml asks for it'],
  ])('of %j where the kernel is missing for %j is %s, because %s', (text, missing, backend, reason) => {
    expect(backendOf(text, missing)).toEqual([backend, reason]);
  });

  test('of a program without privileges is held to what it can do also where it was not named', () => {
    const text = `${minimal}workers: 2\nlisten: { udp: [1, 2] }\n`;

    expect(() => parse(text)).not.toThrow();
    expect(() => parse(text, 'there is no TUN')).toThrow(
      'edge.yaml:2: workers: the userspace backend has one',
    );
  });

  test('without an interface says so where one is named', () => {
    const { warnings } = parse(`${minimal}interface: wg7\n`, 'there is no TUN');

    expect(warnings).toEqual([
      { line: 2, text: 'interface is not used: the userspace backend makes no network interface' },
    ]);
  });
});

describe('mistakes', () => {
  test.each([
    [
      'a wrong key, with the near one',
      `pears: []\n${minimal}`,
      ['1: unknown key "pears" (did you mean "peers"?)'],
    ],
    ['a wrong key, with nothing near', `${minimal}zzzzzzz: 1\n`, ['2: unknown key "zzzzzzz"']],
    [
      'a wrong key deep inside',
      `${minimal}peers:\n  - { name: a, publickey: ${key(1)}, allowedIps: [10.83.0.2] }\n`,
      ['3: unknown key "peers[0].publickey" (did you mean "publicKey"?)', '3: peers[0].publicKey is missing'],
    ],
    [
      'a store of a later version',
      `${minimal}store: "postgres://db"\n`,
      ['2: store is not available yet; only sqlite is'],
    ],
    [
      'ports and places that are none',
      `${minimal}listen: { https: [443, 443, 70000], metrics: "edge.example:9586" }\n`,
      [
        '2: listen.https[2] must be a whole number from 1 to 65535',
        '2: listen.https names a port twice',
        '2: listen.metrics must be an address and a port, for example "127.0.0.1:9586", or off',
      ],
    ],
    [
      'half a certificate',
      `${minimal}certificate: { keyFile: a.pem }\n`,
      ['2: certificate.certificateFile is missing'],
    ],
    [
      'what the userspace backend cannot do',
      `${minimal}egress: { backend: userspace }\nworkers: 2\nlisten: { udp: [1, 2] }\n`,
      ['3: workers: the userspace backend has one; several need egress.backend: kernel'],
    ],
    [
      'a backend that there is not',
      `${minimal}egress: { backend: userpace }\n`,
      ['2: egress.backend is "userpace" (did you mean "userspace"?); it can be auto, kernel, userspace'],
    ],
    [
      'what is no resolver',
      `${minimal}dns: { upstreams: ["udp://a.example", "tls://1.1.1.1/x", "ftp://a", "https://"] }\n`,
      [
        '2: dns.upstreams[0]: udp://a.example is no DNS upstream: udp:// needs an address.',
        '2: dns.upstreams[1]: tls://1.1.1.1/x is no DNS upstream: only https:// has a path.',
        '2: dns.upstreams[2]: ftp://a is no DNS upstream: ftp:// is not known.',
        '2: dns.upstreams[3]: https:// is no DNS upstream: that is no address.',
      ],
    ],
    [
      'a filter that there is not',
      `${minimal}dns: { families: malwar }\n`,
      ['2: dns.families is "malwar" (did you mean "malware"?); it can be off, malware, full'],
    ],
    [
      'a limit of nothing, and a rate that lets nothing pass',
      `${minimal}limits: { connectionsPerDevice: 0, deviceRate: 5 }\n`,
      [
        '2: limits.deviceRate is in bytes a second: 1000 at least, or 0 for no limit',
        '2: limits.connectionsPerDevice must be a whole number from 1 to 65536',
      ],
    ],
    [
      'a path that the kernel backend does not have',
      `${minimal}egress:\n  paths:\n    - { id: web, type: http, server: "10.1.2.4:3128" }\n`,
      [
        '4: egress.paths[0].type: a proxy carries connections, and the kernel forwards packets; http needs egress.backend: userspace',
      ],
    ],
    [
      'a path of no type',
      `${minimal}egress: { paths: [{ id: direct, type: dirct }] }\n`,
      [
        '2: egress.paths[0].type is "dirct" (did you mean "direct"?); it can be direct, source, wireguard, socks5, http, block',
      ],
    ],
    ['no network', 'name: home\n', ['1: network is missing']],
    ['an empty network', 'network: {}\n', ['1: network needs v4, v6 or both']],
    [
      'a network of the wrong family',
      'network: { v4: "fd7c::/64" }\n',
      ['1: network.v4 must be an IPv4 prefix, for example 10.83.0.0/16'],
    ],
    [
      'a network of one address',
      'network: { v4: 10.0.0.1/32 }\n',
      ['1: network.v4 must be between /8 and /30'],
    ],
    [
      'a port that is none',
      `${minimal}listen: { udp: [70000] }\n`,
      ['2: listen.udp[0] must be a whole number from 1 to 65535'],
    ],
    [
      'an interface name that is too long',
      `${minimal}interface: abcdefghijklmnop\n`,
      ['2: interface must be 1 to 15 letters, digits, dots, dashes or underscores'],
    ],
    [
      'a name of an interface that leaves no room for the letter of a worker',
      `${minimal}interface: exactly15-chars\nworkers: 2\nlisten: { udp: [1, 2] }\n`,
      ['2: interface must be 1 to 14 letters, digits, dots, dashes or underscores'],
    ],
    [
      'more workers than ports',
      `${minimal}workers: 3\nlisten: { udp: [51820, 443] }\n`,
      ['2: workers: 3 workers need 3 ports in listen.udp, there are 2'],
    ],
    [
      'several workers where the port is the default',
      `${minimal}workers: 2\n`,
      ['2: workers: 2 workers need 2 ports in listen.udp, there is 1'],
    ],
    ['no worker', `${minimal}workers: 0\n`, ['2: workers must be a whole number from 1 to 16']],
    [
      'an MTU below that of IPv6',
      `${minimal}mtu: 1200\n`,
      ['2: mtu must be a whole number from 1280 to 65535'],
    ],
    [
      'an endpoint with a port',
      `${minimal}endpoint: a.example:51820\n`,
      ['2: endpoint must be a host name or an address, without a port'],
    ],
    ['a list that is none', `${minimal}peers: laptop\n`, ['2: peers must be a list']],
    ['a file that is no mapping', '- a\n- b\n', ['1: the file must have keys and values']],
    ['an empty file', '', ['1: the file must have keys and values']],
    ['the same key twice', `${minimal}name: a\nname: b\n`, ['3: Map keys must be unique']],
  ])('are told: %s', (_title, text, expected) => {
    expect(problemsOf(text)).toEqual(expected.map((line) => `  edge.yaml:${line}`));
  });

  test.each([
    [
      'a tag that is no word',
      { tags: '[kids, Work of mine]' },
      'tags[1] must be small letters, digits, dots, dashes or underscores',
    ],
    ['a bad key', { publicKey: 'abc' }, 'publicKey must be a WireGuard key: 44 characters of base64'],
    [
      'an address outside the network',
      { allowedIps: '[10.84.0.2]' },
      'allowedIps[0]: 10.84.0.2 is outside the network (10.83.0.0/16)',
    ],
    [
      'a default route',
      { allowedIps: '[0.0.0.0/0]' },
      'allowedIps[0]: 0.0.0.0/0 is outside the network (10.83.0.0/16)',
    ],
    [
      "the edge's own address",
      { allowedIps: '[10.83.0.0/24]' },
      "allowedIps[0]: 10.83.0.0/24 takes the edge's own address",
    ],
    ['no address', { allowedIps: '[]' }, 'allowedIps needs an address'],
    ['a preshared key that is not there', { psk: 'gone.psk' }, 'presharedKeyFile: there is no file gone.psk'],
    [
      'a preshared key that others can read',
      { psk: 'open.psk' },
      'presharedKeyFile: It is open. Check its path and permissions.',
    ],
    [
      'a name with a line break in it',
      { name: '"a\\nb"' },
      'name must be 1 to 64 letters, digits, spaces, dots, dashes or underscores',
    ],
  ])('of a peer are told: %s', (_title, fields, expected) => {
    const {
      name = 'a',
      publicKey = key(1),
      allowedIps = '[10.83.0.2]',
      psk,
      tags,
    } = fields as Record<string, string>;
    const lines = [`name: ${name}`, `publicKey: ${publicKey}`, `allowedIps: ${allowedIps}`];
    if (psk !== undefined) lines.push(`presharedKeyFile: ${psk}`);
    if (tags !== undefined) lines.push(`tags: ${tags}`);
    const text = `${minimal}peers:\n  - ${lines.join('\n    ')}\n`;

    const problems = problemsOf(text);

    expect(problems).toHaveLength(1);
    expect(problems[0]).toMatch(/^ {2}edge\.yaml:\d+: peers\[0\]\./);
    expect(problems[0]?.replace(/^.*?peers\[0\]\./, '')).toBe(expected);
  });

  test('of two peers that want the same are told with the line of the second', () => {
    const peer = (name: string, fill: number, ip: string): string =>
      `  - { name: ${name}, publicKey: ${key(fill)}, allowedIps: [${ip}] }\n`;
    const text = `${minimal}peers:\n${peer('a', 1, '10.83.0.2')}${peer('a', 1, '10.83.0.2')}${peer('c', 3, '10.83.0.0/30')}${peer('d', 4, '10.83.0.4/30')}${peer('e', 5, '10.83.0.5')}`;

    expect(problemsOf(text)).toEqual([
      '  edge.yaml:4: peers[1].name: "a" is the name of peers[0] too',
      '  edge.yaml:4: peers[1].publicKey is the key of peers[0] too',
      '  edge.yaml:4: peers[1].allowedIps[0]: 10.83.0.2 overlaps with an address of a',
      "  edge.yaml:5: peers[2].allowedIps[0]: 10.83.0.0/30 takes the edge's own address",
      '  edge.yaml:7: peers[4].allowedIps[0]: 10.83.0.5 overlaps with an address of d',
    ]);
  });

  test('come all at once, in the order of the lines', () => {
    const problems = problemsOf('nam: home\nmtu: big\nnetwork: { v4: nonsense }\nlisten: { upd: [1] }\n');

    expect(problems.map((line) => line.split(': ')[0])).toEqual([
      '  edge.yaml:1',
      '  edge.yaml:2',
      '  edge.yaml:3',
      '  edge.yaml:4',
    ]);
  });

  test('of YAML itself are told with their line', () => {
    expect(problemsOf('name: home\nnetwork: { v4: [\n')[0]).toMatch(/^ {2}edge\.yaml:[23]: /);
  });
});
