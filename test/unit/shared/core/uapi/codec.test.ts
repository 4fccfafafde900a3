import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { noDrops } from '../../../../../shared/core/base/drop.ts';
import type { DeviceStatus } from '../../../../../shared/core/tunnel/config.ts';
import {
  formatErrno,
  formatSet,
  formatStatus,
  maxRequestBytes,
  parseRequest,
} from '../../../../../shared/core/uapi/codec.ts';
import { parseReply } from '../../../../../shared/core/uapi/reply.ts';
import { changes, fixedSeed, statuses } from './arbitraries.ts';

const keyA = 'a1'.repeat(32);
const keyB = 'b2'.repeat(32);

function setOf(...lines: string[]) {
  const request = parseRequest(`set=1\n${lines.join('\n')}\n\n`);
  if (request.kind !== 'set') throw new Error(`expected a set, got ${JSON.stringify(request)}`);
  return request.change;
}

describe('parseRequest', () => {
  test('reads a get', () => {
    expect(parseRequest('get=1\n\n')).toEqual({ kind: 'get' });
  });

  test('reads an empty set as a change of nothing', () => {
    expect(parseRequest('set=1\n\n')).toEqual({ kind: 'set', change: { peers: [] } });
  });

  test('reads every key of a device and of a peer', () => {
    const change = setOf(
      `private_key=${keyA}`,
      'listen_port=51820',
      'fwmark=51966',
      'replace_peers=true',
      `public_key=${keyB}`,
      'update_only=true',
      `preshared_key=${keyA.toUpperCase()}`,
      'protocol_version=1',
      'endpoint=[2001:db8::1]:7',
      'persistent_keepalive_interval=25',
      'replace_allowed_ips=true',
      'allowed_ip=10.1.2.3/8',
      'allowed_ip=fd00::/64',
    );

    expect(change).toEqual({
      privateKey: new Uint8Array(32).fill(0xa1),
      listenPort: 51820,
      fwmark: 51966,
      replacePeers: true,
      peers: [
        {
          publicKey: new Uint8Array(32).fill(0xb2),
          updateOnly: true,
          presharedKey: new Uint8Array(32).fill(0xa1),
          endpoint: { address: '2001:db8::1', port: 7 },
          persistentKeepalive: 25,
          replaceAllowedIps: true,
          allowedIps: ['10.0.0.0/8', 'fd00::/64'],
        },
      ],
    });
  });

  test('keeps repeated sections of one peer apart and in order', () => {
    const change = setOf(
      `public_key=${keyA}`,
      'allowed_ip=10.0.0.0/8',
      `public_key=${keyB}`,
      `public_key=${keyA}`,
      'remove=true',
    );

    expect(change.peers.map((peer) => [peer.publicKey[0], peer.remove])).toEqual([
      [0xa1, undefined],
      [0xb2, undefined],
      [0xa1, true],
    ]);
  });

  test('takes prefixes away that begin with a minus, the last word winning', () => {
    const change = setOf(
      `public_key=${keyA}`,
      'allowed_ip=10.0.0.0/8',
      'allowed_ip=-10.0.0.0/8',
      'allowed_ip=-fd00::/64',
      'allowed_ip=fd00::/64',
    );

    expect(change.peers[0]).toMatchObject({ allowedIps: ['fd00::/64'], removeAllowedIps: ['10.0.0.0/8'] });
  });

  test('forgets the prefixes that came before replace_allowed_ips', () => {
    const change = setOf(
      `public_key=${keyA}`,
      'allowed_ip=10.0.0.0/8',
      'replace_allowed_ips=true',
      'allowed_ip=10.9.0.0/16',
    );

    expect(change.peers[0]?.allowedIps).toEqual(['10.9.0.0/16']);
  });

  test('keeps nothing else of a peer that is removed', () => {
    const change = setOf(`public_key=${keyA}`, 'remove=true', 'allowed_ip=10.0.0.0/8');

    expect(change.peers).toEqual([
      { publicKey: new Uint8Array(32).fill(0xa1), remove: true, allowedIps: [] },
    ]);
  });

  test('asks for the number of an interface that an endpoint names', () => {
    const text = `set=1\npublic_key=${keyA}\nendpoint=[fe80::1%eth0]:51820\n\n`;

    const known = parseRequest(text, (name) => (name === 'eth0' ? 7 : undefined));

    expect(known).toMatchObject({ change: { peers: [{ endpoint: { address: 'fe80::1%7', port: 51820 } }] } });
    expect(parseRequest(text, () => undefined)).toMatchObject({ kind: 'error', errno: -22, line: 3 });
  });

  const refused: readonly (readonly [why: string, ...lines: string[]])[] = [
    ['an unknown key', 'colour=red'],
    ['a line without =', 'listen_port'],
    ['a line without a key', '=1'],
    ['a key that is no hex', `private_key=${'zz'.repeat(32)}`],
    ['a short key', `private_key=${'a1'.repeat(31)}`],
    ['a long key', `private_key=${'a1'.repeat(33)}`],
    ['a port over 65535', 'listen_port=65536'],
    ['a negative port', 'listen_port=-1'],
    ['a port with a sign', 'listen_port=+1'],
    ['an empty port', 'listen_port='],
    ['a mark in hex', 'fwmark=0xca6c'],
    ['a mark over 32 bits', 'fwmark=4294967296'],
    ['replace_peers=false', 'replace_peers=false'],
    ['allowed_ip before public_key', 'allowed_ip=10.0.0.0/8'],
    ['a device key after public_key', `public_key=${keyA}`, 'listen_port=1'],
    ['a prefix over 32', `public_key=${keyA}`, 'allowed_ip=10.0.0.0/33'],
    ['a prefix over 128', `public_key=${keyA}`, 'allowed_ip=fd00::/129'],
    ['a bare address', `public_key=${keyA}`, 'allowed_ip=10.0.0.1'],
    ['a prefix with a plus', `public_key=${keyA}`, 'allowed_ip=+10.0.0.0/8'],
    ['an endpoint with a name', `public_key=${keyA}`, 'endpoint=example.com:51820'],
    ['an endpoint without a port', `public_key=${keyA}`, 'endpoint=192.0.2.1'],
    ['an endpoint with a port over 65535', `public_key=${keyA}`, 'endpoint=192.0.2.1:65536'],
    ['a keepalive over 65535', `public_key=${keyA}`, 'persistent_keepalive_interval=65536'],
    ['another protocol', `public_key=${keyA}`, 'protocol_version=2'],
    ['remove=false', `public_key=${keyA}`, 'remove=false'],
    ['update_only=1', `public_key=${keyA}`, 'update_only=1'],
    ['a space before the value', 'listen_port= 1'],
    ['a carriage return', 'listen_port=1\r'],
    ['an empty line in the middle', '', 'listen_port=1'],
  ];
  test.each(refused)('refuses all of a set with %s', (_why, ...lines) => {
    const request = parseRequest(`set=1\n${['fwmark=1', ...lines].join('\n')}\n\n`);

    const expected = lines.length + 2 - (lines[0] === '' ? 1 : 0);
    expect(request).toMatchObject({ kind: 'error', errno: -22, line: expected });
  });

  test('names the key of a fault but not its value', () => {
    const request = parseRequest('set=1\nprivate_key=verysecret\n\n');

    expect(request).toMatchObject({ kind: 'error', text: expect.stringContaining('private_key') });
    expect(JSON.stringify(request)).not.toContain('verysecret');
  });

  test('refuses a get that goes on', () => {
    expect(parseRequest('get=1\nlisten_port=1\n\n')).toMatchObject({ kind: 'error', errno: -22 });
  });

  test.each(['', '\n', 'get=2\n\n', 'hello\n\n', 'get=1\r\n\r\n', 'set=10\n\n', ' set=1\n\n'])(
    'does not know %j',
    (text) => {
      expect(parseRequest(text)).toEqual({ kind: 'unknown' });
    },
  );

  test('refuses a request over the limit unread', () => {
    expect(parseRequest('x'.repeat(maxRequestBytes + 1))).toMatchObject({ kind: 'error', errno: -22 });
  });

  test('takes ten thousand peers within the limit', () => {
    const peers = Array.from({ length: 10_000 }, (_, i) =>
      [
        `public_key=${i.toString(16).padStart(64, '0')}`,
        `preshared_key=${keyA}`,
        'endpoint=[2001:db8:1111:2222:3333:4444:5555:6666]:51820',
        'replace_allowed_ips=true',
        `allowed_ip=10.${i >> 8}.${i & 255}.1/32`,
        'allowed_ip=fd00:1111:2222:3333:4444:5555:6666:7777/128',
      ].join('\n'),
    );
    const text = `set=1\n${peers.join('\n')}\n\n`;

    expect(text.length).toBeLessThan(maxRequestBytes);
    expect(setOf(...peers).peers).toHaveLength(10_000);
  });

  test('never throws, whatever the text', () => {
    const line = fc.oneof(
      fc.string({ maxLength: 40 }),
      fc.constantFrom(
        'set=1',
        'get=1',
        `public_key=${keyA}`,
        'allowed_ip=',
        'allowed_ip=-',
        'endpoint=[',
        '',
        '=',
      ),
      fc
        .tuple(
          fc.constantFrom('allowed_ip', 'endpoint', 'listen_port', 'fwmark'),
          fc.string({ maxLength: 20 }),
        )
        .map((pair) => pair.join('=')),
    );
    fc.assert(
      fc.property(fc.array(line, { maxLength: 12 }), fc.boolean(), (lines, isSet) => {
        const request = parseRequest(`${isSet ? 'set=1\n' : ''}${lines.join('\n')}\n\n`);
        expect(['get', 'set', 'unknown', 'error']).toContain(request.kind);
      }),
      { ...fixedSeed, numRuns: 500 },
    );
  });
});

describe('formatSet', () => {
  test('is read back as the same change', () => {
    fc.assert(
      fc.property(changes, (change) => {
        expect(parseRequest(formatSet(change))).toEqual({ kind: 'set', change });
      }),
      fixedSeed,
    );
  });
});

const status: DeviceStatus = {
  privateKey: new Uint8Array(32).fill(0xa1),
  publicKey: new Uint8Array(32).fill(0xff),
  listenPort: 51820,
  fwmark: 51820,
  peers: [
    {
      publicKey: new Uint8Array(32).fill(0xb2),
      presharedKey: new Uint8Array(32),
      endpoint: { address: '2001:db8::1', port: 51821 },
      lastHandshakeMs: 1_700_000_000_123,
      rxBytes: 11,
      txBytes: 22,
      persistentKeepalive: 25,
      allowedIps: ['10.0.0.0/8', 'fd00::/64'],
    },
  ],
  drops: noDrops(),
  dataplane: { suite: 'x', udp: 'x', tun: 'x', mtu: 1420 },
};

describe('formatStatus', () => {
  test('prints keys in the order in which wireguard-go does', () => {
    expect(formatStatus(status)).toBe(
      [
        `private_key=${keyA}`,
        'listen_port=51820',
        'fwmark=51820',
        `public_key=${keyB}`,
        `preshared_key=${'0'.repeat(64)}`,
        'protocol_version=1',
        'endpoint=[2001:db8::1]:51821',
        'last_handshake_time_sec=1700000000',
        'last_handshake_time_nsec=123000000',
        'tx_bytes=22',
        'rx_bytes=11',
        'persistent_keepalive_interval=25',
        'allowed_ip=10.0.0.0/8',
        'allowed_ip=fd00::/64',
        'errno=0',
        '',
        '',
      ].join('\n'),
    );
  });

  test('leaves out what is not set', () => {
    const bare = { ...status, privateKey: new Uint8Array(32), listenPort: 0, fwmark: 0, peers: [] };

    expect(formatStatus(bare)).toBe('errno=0\n\n');
  });

  test.each(['example.com', 'fe80::1%eth0', 'fe80::1%', ''])(
    'leaves out the endpoint address %j',
    (address) => {
      const peers = status.peers.map((peer) => ({ ...peer, endpoint: { address, port: 1 } }));

      expect(formatStatus({ ...status, peers })).not.toContain('endpoint=');
    },
  );
});

describe('parseReply', () => {
  test('reads back what a server prints', () => {
    fc.assert(
      fc.property(statuses, (status) => {
        const reply = parseReply(formatStatus(status));
        if (reply.kind !== 'status') throw new Error(JSON.stringify(reply));
        const { privateKey, listenPort, fwmark, peers } = status;
        expect(reply.status).toMatchObject({ listenPort, fwmark, peers });
        expect(reply.status.privateKey).toEqual(privateKey);
      }),
      fixedSeed,
    );
  });

  test('ignores keys that it does not know', () => {
    expect(parseReply('x_vendor=1\nerrno=0\n\n').kind).toBe('status');
  });

  test('reads an error of either sign as a negative one', () => {
    expect(parseReply(formatErrno(-98))).toEqual({ kind: 'error', errno: -98 });
    expect(parseReply('errno=98\n\n')).toEqual({ kind: 'error', errno: -98 });
  });

  test.each([
    '',
    '\n\n',
    'listen_port=1\n\n',
    'errno=x\n\n',
    'errno=0\nlisten_port=1\n\n',
    'listen_port=70000\nerrno=0\n\n',
    'public_key=12\nerrno=0\n\n',
    'errno=0\r\n\r\n',
  ])('does not understand %j', (text) => {
    expect(parseReply(text).kind).toBe('malformed');
  });

  test('never throws, whatever the text', () => {
    fc.assert(
      fc.property(fc.string({ maxLength: 200 }), (text) => {
        expect(['status', 'error', 'malformed']).toContain(parseReply(text).kind);
      }),
      { ...fixedSeed, numRuns: 500 },
    );
  });
});
