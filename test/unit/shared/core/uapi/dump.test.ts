import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { parseAllDump, parseDump } from '../../../../../shared/core/uapi/dump.ts';
import { fixedSeed } from './arbitraries.ts';

const privateText = 'AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=';
const publicText = 'AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI=';
const peerText = 'AwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwM=';
const key = (byte: number) => new Uint8Array(32).fill(byte);

const device = `${privateText}\t${publicText}\t51820\t0xca6c`;
const busyPeer = `${peerText}\t${privateText}\t[2001:db8::1]:7\t10.0.0.0/8,fd00::/64\t1700000000\t11\t22\t25`;
const quietPeer = `${publicText}\t(none)\t(none)\t(none)\t0\t0\t0\toff`;

describe('parseDump', () => {
  test('reads the device and its peers', () => {
    const status = parseDump(`${device}\n${busyPeer}\n${quietPeer}\n`);

    expect(status).toMatchObject({
      privateKey: key(1),
      publicKey: key(2),
      listenPort: 51820,
      fwmark: 0xca6c,
    });
    expect(status?.peers).toEqual([
      {
        publicKey: key(3),
        presharedKey: key(1),
        endpoint: { address: '2001:db8::1', port: 7 },
        lastHandshakeMs: 1_700_000_000_000,
        rxBytes: 11,
        txBytes: 22,
        persistentKeepalive: 25,
        allowedIps: ['10.0.0.0/8', 'fd00::/64'],
      },
      {
        publicKey: key(2),
        presharedKey: key(0),
        endpoint: undefined,
        lastHandshakeMs: 0,
        rxBytes: 0,
        txBytes: 0,
        persistentKeepalive: 0,
        allowedIps: [],
      },
    ]);
  });

  test('reads a device of which nothing is set', () => {
    expect(parseDump('(none)\t(none)\t0\toff\n')).toMatchObject({
      privateKey: undefined,
      publicKey: undefined,
      listenPort: 0,
      fwmark: 0,
      peers: [],
    });
  });

  test('takes an endpoint whose interface is gone as none', () => {
    const text = `${device}\n${busyPeer.replace('2001:db8::1', 'fe80::1%gone')}`;

    expect(parseDump(text)?.peers[0]?.endpoint).toBeUndefined();
    expect(parseDump(text, () => 4)?.peers[0]?.endpoint).toEqual({ address: 'fe80::1%4', port: 7 });
  });

  test.each([
    '',
    'x',
    `${device}\textra`,
    `${device}\n${busyPeer}\textra`,
    `${device}\n${busyPeer.replace('10.0.0.0/8', '10.0.0.0/99')}`,
    `${device}\n${busyPeer.replace('\t25', '\tsoon')}`,
    `${device}\n${busyPeer.replace('[2001:db8::1]:7', 'nowhere')}`,
  ])('does not understand %j', (text) => {
    expect(parseDump(text)).toBeUndefined();
  });

  test('never throws, whatever the text', () => {
    const field = fc.oneof(fc.string({ maxLength: 10 }), fc.constantFrom('(none)', 'off', '0', privateText));
    const text = fc
      .array(fc.array(field, { maxLength: 9 }))
      .map((lines) => lines.map((one) => one.join('\t')).join('\n'));
    fc.assert(
      fc.property(text, (text) => {
        parseDump(text);
        parseAllDump(text);
      }),
      { ...fixedSeed, numRuns: 500 },
    );
  });
});

describe('parseAllDump', () => {
  test('reads several interfaces', () => {
    const lines = [`wg0\t${device}`, `wg0\t${busyPeer}`, 'wg1\t(none)\t(none)\t0\toff', `wg1\t${quietPeer}`];

    const all = parseAllDump(`${lines.join('\n')}\n`);

    expect(
      all?.map(({ interfaceName, status }) => [interfaceName, status.peers.length, status.listenPort]),
    ).toEqual([
      ['wg0', 1, 51820],
      ['wg1', 1, 0],
    ]);
  });

  test('reads nothing where there is no tunnel', () => {
    expect(parseAllDump('')).toEqual([]);
  });

  test('does not understand a peer without its interface', () => {
    expect(parseAllDump(`wg0\t${device}\nwg1\t${busyPeer}\n`)).toBeUndefined();
  });
});
