/** Arbitrary devices and changes for the properties of this room. Few keys and prefixes, so that they meet. */

import fc from 'fast-check';
import { noDrops } from '../../../../../shared/core/base/drop.ts';
import type { Endpoint } from '../../../../../shared/core/base/endpoint.ts';
import type {
  DeviceChange,
  DeviceStatus,
  PeerChange,
  PeerStatus,
} from '../../../../../shared/core/tunnel/config.ts';

export const fixedSeed = { seed: 20_261_121, numRuns: 200 };

export const prefixTexts = [
  '0.0.0.0/0',
  '10.0.0.0/8',
  '10.7.0.0/24',
  '10.7.0.2/32',
  '::/0',
  'fd00::/64',
  'fd00::2/128',
] as const;

export const keys: fc.Arbitrary<Uint8Array> = fc
  .integer({ min: 1, max: 5 })
  .map((n) => new Uint8Array(32).fill(n));
export const anyKeys: fc.Arbitrary<Uint8Array> = fc.uint8Array({ minLength: 32, maxLength: 32 });
const prefixes = fc.uniqueArray(fc.constantFrom(...prefixTexts), { maxLength: 4 });
const ports = fc.integer({ min: 1, max: 65535 });

export const endpoints: fc.Arbitrary<Endpoint> = fc.record({
  address: fc.constantFrom('192.0.2.1', '198.51.100.7', '2001:db8::1', 'fe80::1%3'),
  port: ports,
});

const peerChange: fc.Arbitrary<PeerChange> = fc
  .record(
    {
      publicKey: keys,
      // Rare, or devices would stay empty and properties of their peers would say nothing.
      removes: fc.nat(9),
      updates: fc.nat(5),
      presharedKey: anyKeys,
      endpoint: endpoints,
      persistentKeepalive: fc.integer({ min: 0, max: 65535 }),
      replaceAllowedIps: fc.constantFrom(true as const),
      allowedIps: prefixes,
      removeAllowedIps: prefixes,
    },
    { requiredKeys: ['publicKey', 'allowedIps', 'removes', 'updates'] },
  )
  .map(({ removes, updates, ...peer }): PeerChange => {
    if (removes === 0) return { publicKey: peer.publicKey, remove: true, allowedIps: [] };
    const { removeAllowedIps, ...settings } = peer;
    const rest = updates === 0 ? { ...settings, updateOnly: true } : settings;
    const taken = removeAllowedIps?.filter((prefix) => !peer.allowedIps.includes(prefix)) ?? [];
    return taken.length > 0 ? { ...rest, removeAllowedIps: taken } : rest;
  });

export const changes: fc.Arbitrary<DeviceChange> = fc
  .record(
    {
      privateKey: anyKeys,
      listenPort: fc.integer({ min: 0, max: 65535 }),
      fwmark: fc.integer({ min: 0, max: 0xffff_ffff }),
      replaces: fc.nat(7),
      peers: fc.array(peerChange, { maxLength: 6 }),
    },
    { requiredKeys: ['peers', 'replaces'] },
  )
  .map(({ replaces, ...change }) => (replaces === 0 ? { ...change, replacePeers: true } : change));

const peerStatus: fc.Arbitrary<PeerStatus> = fc.record({
  publicKey: keys,
  presharedKey: fc.oneof(fc.constant(new Uint8Array(32)), anyKeys),
  endpoint: fc.option(endpoints, { nil: undefined }),
  lastHandshakeMs: fc.integer({ min: 0, max: 4_000_000_000_000 }),
  rxBytes: fc.integer({ min: 0, max: Number.MAX_SAFE_INTEGER }),
  txBytes: fc.integer({ min: 0, max: Number.MAX_SAFE_INTEGER }),
  persistentKeepalive: fc.integer({ min: 0, max: 65535 }),
  allowedIps: prefixes,
});

/** Devices as they can be: each key once, each prefix at one peer. */
export const statuses: fc.Arbitrary<DeviceStatus> = fc
  .record({
    privateKey: fc.option(
      anyKeys.filter((key) => key.some((byte) => byte !== 0)),
      { nil: undefined },
    ),
    listenPort: fc.integer({ min: 0, max: 65535 }),
    fwmark: fc.integer({ min: 0, max: 0xffff_ffff }),
    peers: fc.uniqueArray(peerStatus, { maxLength: 5, selector: (peer) => peer.publicKey[0] }),
  })
  .map((device) => {
    const taken = new Set<string>();
    const peers = device.peers.map((peer) => {
      const allowedIps = peer.allowedIps.filter((prefix) => !taken.has(prefix));
      for (const prefix of allowedIps) taken.add(prefix);
      return { ...peer, allowedIps };
    });
    const dataplane = { suite: 'test', udp: 'test', tun: 'test', mtu: 1420 };
    return { ...device, peers, publicKey: undefined, drops: noDrops(), dataplane };
  });
