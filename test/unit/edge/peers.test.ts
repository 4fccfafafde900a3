/** Peers of the configuration: what a reload tells the tunnel, and what `wg set` may not touch. */

import { describe, expect, test } from 'vitest';
import type { ConfiguredPeer } from '../../../edge/peers/configured-peers.ts';
import { type Ownership, refuseOwned } from '../../../edge/peers/owned-peers.ts';
import { peerChanges } from '../../../edge/peers/peer-changes.ts';
import { type Prefix, parsePrefix } from '../../../shared/core/base/ip.ts';
import type { DeviceChange } from '../../../shared/core/tunnel/config.ts';
import { plainRules } from '../../../shared/core/wire/disguise-rules.ts';
import { rulesOf } from '../../support/disguises.ts';

const keyOf = (fill: number): Uint8Array => new Uint8Array(32).fill(fill);
const prefix = (text: string): Prefix => parsePrefix(text)!;

function peer(fill: number, ips: readonly string[], presharedKey?: Uint8Array): ConfiguredPeer {
  return { name: `peer ${fill}`, publicKey: keyOf(fill), presharedKey, allowedIps: ips.map(prefix) };
}

describe('a reload', () => {
  test('leaves peers alone that stay as they were', () => {
    expect(
      peerChanges([peer(1, ['10.83.0.2/32'])], [{ ...peer(1, ['10.83.0.2/32']), name: 'renamed' }]),
    ).toEqual([]);
  });

  test('removes before it adds, so that an address may move', () => {
    const changes = peerChanges([peer(1, ['10.83.0.2/32'])], [peer(2, ['10.83.0.2/32'])]);

    expect(changes).toEqual([
      { publicKey: keyOf(1), remove: true, allowedIps: [] },
      {
        publicKey: keyOf(2),
        presharedKey: new Uint8Array(32),
        replaceAllowedIps: true,
        allowedIps: ['10.83.0.2/32'],
      },
    ]);
  });

  test.each([
    ['addresses', peer(1, ['10.83.0.3/32'])],
    ['preshared key', peer(1, ['10.83.0.2/32'], keyOf(7))],
  ])('replaces a peer whose %s changed', (_title, after) => {
    expect(peerChanges([peer(1, ['10.83.0.2/32'])], [after])).toHaveLength(1);
  });
});

describe('wg set', () => {
  const owned: Ownership = { privateKey: keyOf(50), listenPort: 51820, peers: [peer(1, ['10.83.0.8/29'])] };
  const change = (fields: Partial<DeviceChange>): DeviceChange => ({ peers: [], ...fields });

  test.each<[string, DeviceChange]>([
    ['another private key', change({ privateKey: keyOf(51) })],
    ['another port', change({ listenPort: 1 })],
    ['how messages are disguised', change({ disguise: rulesOf({ s1: '9' }) })],
    ['all peers at once', change({ replacePeers: true })],
    ['a peer of the configuration', change({ peers: [{ publicKey: keyOf(1), allowedIps: [] }] })],
    ['its removal', change({ peers: [{ publicKey: keyOf(1), remove: true, allowedIps: [] }] })],
    [
      'its address for somebody else',
      change({ peers: [{ publicKey: keyOf(2), allowedIps: ['10.83.0.8/29'] }] }),
    ],
    ['a part of its addresses', change({ peers: [{ publicKey: keyOf(2), allowedIps: ['10.83.0.9/32'] }] })],
  ])('may not change %s', (_title, refused) => {
    expect(() => refuseOwned(refused, owned)).toThrow(
      expect.objectContaining({ code: 'owned-by-edge', errno: 1 }),
    );
  });

  test.each<[string, DeviceChange]>([
    ['the same key and port', change({ privateKey: keyOf(50), listenPort: 51820 })],
    ['the mark of packets', change({ fwmark: 7 })],
    ['the disguise that is there', change({ disguise: plainRules })],
    [
      'a peer of its own',
      change({ peers: [{ publicKey: keyOf(2), allowedIps: ['10.83.1.0/24', '0.0.0.0/0'] }] }),
    ],
  ])('may set %s', (_title, allowed) => {
    expect(() => refuseOwned(allowed, owned)).not.toThrow();
  });
});
