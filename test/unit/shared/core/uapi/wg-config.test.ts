import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { parseWgConfig, type WgConfig } from '../../../../../shared/core/uapi/wg-config.ts';
import { printWgConfig, stripWgConfig } from '../../../../../shared/core/uapi/wg-config-print.ts';
import { anyKeys, fixedSeed, prefixTexts } from './arbitraries.ts';

const privateText = 'AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=';
const publicText = 'AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI=';
const otherText = 'AwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwM=';
const key = (byte: number) => new Uint8Array(32).fill(byte);

function configOf(text: string): WgConfig {
  const parsed = parseWgConfig(text);
  if (parsed.kind !== 'config') throw new Error(JSON.stringify(parsed.faults));
  return parsed.config;
}

function faultsOf(text: string, options?: { requirePrivateKey: boolean }) {
  const parsed = parseWgConfig(text, options);
  return parsed.kind === 'faults' ? parsed.faults : [];
}

describe('parseWgConfig', () => {
  test('reads all that wg-quick knows, in any case and spacing', () => {
    const config = configOf(
      [
        '\uFEFF# a comment',
        '[interface]\r',
        `  PRIVATEKEY=${privateText} # mine\r`,
        'listenport = 51820',
        'FwMark = 0xCA6C',
        'Address = 10.7.0.2/24,fd00::2/64',
        'Address = 10.8.0.2',
        'DNS = 1.1.1.1, 2606:4700:4700::1111, corp.example',
        'MTU = 1380',
        'Table = off',
        'SaveConfig = false',
        'PostUp = iptables -A FORWARD -i %i -j ACCEPT',
        '',
        '[PEER]',
        `PublicKey = ${publicText}`,
        `PresharedKey = ${otherText}`,
        'AllowedIPs = 10.7.0.9/24 , fd00::/64',
        'AllowedIPs = 192.0.2.1',
        'Endpoint = vpn.example.com:51820',
        'PersistentKeepalive = off',
      ].join('\n'),
    );

    expect(config).toEqual({
      interface: {
        privateKey: key(1),
        listenPort: 51820,
        fwmark: 0xca6c,
        addresses: ['10.7.0.2/24', 'fd00::2/64', '10.8.0.2/32'],
        dns: ['1.1.1.1', '2606:4700:4700::1111'],
        searchDomains: ['corp.example'],
        mtu: 1380,
        table: 'off',
        saveConfig: false,
      },
      peers: [
        {
          publicKey: key(2),
          presharedKey: key(3),
          allowedIps: ['10.7.0.0/24', 'fd00::/64', '192.0.2.1/32'],
          endpoint: { host: 'vpn.example.com', port: 51820 },
          persistentKeepalive: 0,
        },
      ],
      ignored: [{ line: 12, key: 'PostUp', value: 'iptables -A FORWARD -i %i -j ACCEPT' }],
    });
  });

  test('takes an empty list of prefixes', () => {
    expect(
      configOf(`[Interface]\nPrivateKey=${privateText}\n[Peer]\nPublicKey=${publicText}\nAllowedIPs=\n`)
        .peers,
    ).toEqual([{ publicKey: key(2), allowedIps: [] }]);
  });

  test.each([
    ['Table = main', { table: 254 }],
    ['Table = 51820', { table: 51820 }],
    ['Table = Auto', { table: 'auto' }],
    ['FwMark = off', { fwmark: 0 }],
    ['FwMark = 51820', { fwmark: 51820 }],
    ['ListenPort = 0', { listenPort: 0 }],
  ])('reads %s', (line, expected) => {
    expect(configOf(`[Interface]\nPrivateKey=${privateText}\n${line}\n`).interface).toMatchObject(expected);
  });

  test.each([
    ['192.0.2.1:51820', { host: '192.0.2.1', port: 51820 }],
    ['[2001:DB8:0::1]:51820', { host: '2001:db8::1', port: 51820 }],
    ['edge_1.example-host.org.:1', { host: 'edge_1.example-host.org.', port: 1 }],
    ['localhost:65535', { host: 'localhost', port: 65535 }],
  ])('reads the endpoint %s', (text, endpoint) => {
    const config = configOf(
      `[Interface]\nPrivateKey=${privateText}\n[Peer]\nPublicKey=${publicText}\nEndpoint=${text}`,
    );

    expect(config.peers[0]?.endpoint).toEqual(endpoint);
  });

  test('names every fault at once, in order, each with a remedy', () => {
    const faults = faultsOf(
      [
        'Address = 10.0.0.1/8',
        '[Interface]',
        'PrivateKey = tooshort',
        'ListenPort = 70000',
        'ListenPort = 1',
        'AllowedIPs = 10.0.0.0/8',
        'Jx = 4',
        'nonsense',
        '[Peer]',
        'AllowedIPs = 10.0.0.0/33',
        '[Peer]',
        `PublicKey = ${publicText}`,
        'Endpoint = 192.0.2.1',
        '[Peer]',
        `PublicKey = ${publicText}`,
        '[Server]',
        'Anything = here',
        '[Interface]',
        'MTU =',
      ].join('\n'),
    );

    expect(faults.map((fault) => fault.line)).toEqual([1, 3, 4, 5, 6, 7, 8, 9, 10, 13, 14, 16, 18, 19]);
    for (const fault of faults) expect(fault.remedy).toMatch(/\w/);
    expect(faults.map((fault) => fault.text).join('\n')).toMatchInlineSnapshot(`
      "A setting before any section.
      The value of PrivateKey is wrong.
      The value '70000' of ListenPort is wrong.
      ListenPort is there twice in this section.
      AllowedIPs does not belong to [Interface].
      'jx' is no known setting.
      This is neither a section nor a setting.
      This [Peer] has no PublicKey.
      The value '10.0.0.0/33' of AllowedIPs is wrong.
      The value '192.0.2.1' of Endpoint is wrong.
      This is the peer of line 11 again.
      An unknown section.
      A second [Interface]; the first is on line 2.
      MTU has no value."
    `);
  });

  test.each([
    ['PrivateKey', `[Interface]\nPrivateKey = ${privateText.slice(1)}x`],
    [
      'PresharedKey',
      `[Interface]\nPrivateKey=${privateText}\n[Peer]\nPublicKey=${publicText}\nPresharedKey=secretx`,
    ],
  ])('never repeats a wrong %s', (name, text) => {
    const [fault] = faultsOf(text);

    expect(fault?.text).toBe(`The value of ${name} is wrong.`);
  });

  test('asks for a private key unless told otherwise', () => {
    const peerOnly = `[Peer]\nPublicKey = ${publicText}\n`;

    expect(faultsOf('')).toMatchObject([{ line: 0, text: 'There is no [Interface] section.' }]);
    expect(faultsOf(`[Interface]\n${peerOnly}`)).toMatchObject([
      { line: 1, text: '[Interface] has no PrivateKey.' },
    ]);
    expect(faultsOf(peerOnly, { requirePrivateKey: false })).toEqual([]);
  });

  test.each([
    'Endpoint = 2001:db8::1:51820',
    'Endpoint = [2001:db8::1]',
    'Endpoint = 192.0.2.300:51820',
    'Endpoint = a b:51820',
    'Endpoint = -host:51820',
    'Endpoint = host:0',
    'Endpoint = host:65536',
    'Endpoint = :51820',
    'AllowedIPs = 10.0.0.0/8,,fd00::/64',
    'AllowedIPs = 10.0.0/8',
    'PersistentKeepalive = 65536',
    'PersistentKeepalive = on',
    `PublicKey = ${publicText.replace('I=', 'J=')}`,
  ])('refuses a peer with %s', (line) => {
    const head = `[Interface]\nPrivateKey=${privateText}\n[Peer]\n`;
    const other = line.startsWith('PublicKey') ? '' : `PublicKey = ${publicText}\n`;

    expect(faultsOf(head + other + line)).toHaveLength(1);
  });

  test.each([
    'DNS = 1.1.1',
    'DNS = a..b',
    'DNS = 1:2',
    'MTU = 575',
    'MTU = 65536',
    'Table = 0',
    'Table = x',
    'SaveConfig = yes',
    'FwMark = 0x',
    'Address = 10.0.0.1/33',
    'Address = host',
  ])('refuses an interface with %s', (line) => {
    expect(faultsOf(`[Interface]\nPrivateKey=${privateText}\n${line}`)).toMatchObject([{ line: 3 }]);
  });

  test('never throws, whatever the text', () => {
    const line = fc.oneof(
      fc.string({ maxLength: 30 }),
      fc.constantFrom(
        '[Interface]',
        '[Peer]',
        '[',
        '=',
        '#',
        `PublicKey=${publicText}`,
        `PrivateKey=${privateText}`,
      ),
      fc
        .tuple(
          fc.constantFrom('Endpoint', 'AllowedIPs', 'DNS', 'Address', 'Table'),
          fc.string({ maxLength: 20 }),
        )
        .map((pair) => pair.join(' = ')),
    );
    fc.assert(
      fc.property(fc.array(line, { maxLength: 15 }), (lines) => {
        expect(['config', 'faults']).toContain(parseWgConfig(lines.join('\n')).kind);
      }),
      { ...fixedSeed, numRuns: 500 },
    );
  });
});

const prefixes = fc.uniqueArray(fc.constantFrom(...prefixTexts), { maxLength: 4 });
const configs = fc.record({
  interface: fc.record(
    {
      privateKey: anyKeys,
      listenPort: fc.integer({ min: 0, max: 65535 }),
      fwmark: fc.integer({ min: 0, max: 0xffff_ffff }),
      addresses: fc.uniqueArray(fc.constantFrom('10.7.0.2/24', 'fd00::2/64', '192.0.2.1/32')),
      dns: fc.uniqueArray(fc.constantFrom('1.1.1.1', '2606:4700:4700::1111')),
      searchDomains: fc.uniqueArray(fc.constantFrom('corp.example', 'lan')),
      mtu: fc.integer({ min: 576, max: 65535 }),
      table: fc.oneof(
        fc.constantFrom('auto' as const, 'off' as const),
        fc.integer({ min: 1, max: 0xffff_ffff }),
      ),
      saveConfig: fc.boolean(),
    },
    { requiredKeys: ['privateKey', 'addresses', 'dns', 'searchDomains'] },
  ),
  peers: fc.uniqueArray(
    fc.record(
      {
        publicKey: anyKeys,
        presharedKey: anyKeys,
        endpoint: fc.record({
          host: fc.constantFrom('edge.example', '192.0.2.1', '2001:db8::1', 'a'),
          port: fc.integer({ min: 1, max: 65535 }),
        }),
        persistentKeepalive: fc.integer({ min: 0, max: 65535 }),
        allowedIps: prefixes,
      },
      { requiredKeys: ['publicKey', 'allowedIps'] },
    ),
    { maxLength: 4, selector: (peer) => String(peer.publicKey) },
  ),
  ignored: fc.constant([]),
});

describe('printWgConfig', () => {
  test('is read back as the same configuration', () => {
    fc.assert(
      fc.property(configs, (config) => {
        expect(parseWgConfig(printWgConfig(config))).toEqual({ kind: 'config', config });
      }),
      fixedSeed,
    );
  });
});

describe('stripWgConfig', () => {
  test('keeps what wg setconf takes and nothing else', () => {
    fc.assert(
      fc.property(configs, (config) => {
        const { privateKey, listenPort, fwmark } = config.interface;
        const own = { privateKey, listenPort, fwmark, addresses: [], dns: [], searchDomains: [] };

        const stripped = configOf(stripWgConfig(config));

        expect(stripped.peers).toEqual(config.peers);
        expect({ listenPort: undefined, fwmark: undefined, ...stripped.interface }).toEqual(own);
      }),
      fixedSeed,
    );
  });
});
