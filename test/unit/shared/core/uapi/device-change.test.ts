import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { DeviceChange, DeviceStatus } from '../../../../../shared/core/tunnel/config.ts';
import {
  applyChange,
  diffDevice,
  emptyStatus,
  toDeviceChange,
} from '../../../../../shared/core/uapi/device-change.ts';
import type { WgConfig } from '../../../../../shared/core/uapi/wg-config.ts';
import { changes, fixedSeed, statuses } from './arbitraries.ts';

const key = (byte: number) => new Uint8Array(32).fill(byte);

interface NaivePeer {
  key: string;
  psk: string;
  endpoint: string;
  keepalive: number;
  prefixes: string[];
}

/** The rules of the protocol on plain lists, the slow way. */
function naive(current: DeviceStatus, change: DeviceChange): NaivePeer[] {
  let peers = change.replacePeers ? [] : settingsOf(current);
  for (const one of change.peers) {
    const name = String(one.publicKey);
    if (one.remove) {
      peers = peers.filter((peer) => peer.key !== name);
      continue;
    }
    let peer = peers.find((candidate) => candidate.key === name);
    if (!peer && one.updateOnly) continue;
    if (!peer) {
      peer = { key: name, psk: String(key(0)), endpoint: '', keepalive: 0, prefixes: [] };
      peers.push(peer);
    }
    if (one.presharedKey) peer.psk = String(one.presharedKey);
    if (one.endpoint) peer.endpoint = `${one.endpoint.address} ${one.endpoint.port}`;
    if (one.persistentKeepalive !== undefined) peer.keepalive = one.persistentKeepalive;
    if (one.replaceAllowedIps) peer.prefixes = [];
    peer.prefixes = peer.prefixes.filter((prefix) => !one.removeAllowedIps?.includes(prefix));
    for (const prefix of one.allowedIps) {
      for (const any of peers) any.prefixes = any.prefixes.filter((held) => held !== prefix);
      peer.prefixes.push(prefix);
    }
  }
  return sorted(peers);
}

function settingsOf(status: DeviceStatus): NaivePeer[] {
  return status.peers.map((peer) => ({
    key: String(peer.publicKey),
    psk: String(peer.presharedKey),
    endpoint: peer.endpoint ? `${peer.endpoint.address} ${peer.endpoint.port}` : '',
    keepalive: peer.persistentKeepalive,
    prefixes: [...peer.allowedIps],
  }));
}

function sorted(peers: NaivePeer[]): NaivePeer[] {
  return peers
    .map((peer) => ({ ...peer, prefixes: peer.prefixes.toSorted() }))
    .toSorted((a, b) => (a.key < b.key ? -1 : 1));
}

describe('applyChange', () => {
  test('agrees with the naive model', () => {
    fc.assert(
      fc.property(statuses, changes, (current, change) => {
        const after = applyChange(current, change);

        expect(sorted(settingsOf(after))).toEqual(naive(current, change));
        expect(after.listenPort).toBe(change.listenPort ?? current.listenPort);
        expect(after.fwmark).toBe(change.fwmark ?? current.fwmark);
        expect(after.privateKey).toEqual(change.privateKey ?? current.privateKey);
      }),
      fixedSeed,
    );
  });

  test('removes the private key where it is told zeros', () => {
    const current = { ...emptyStatus(), privateKey: key(1), publicKey: key(2) };

    expect(applyChange(current, { privateKey: key(0), peers: [] })).toMatchObject({
      privateKey: undefined,
      publicKey: undefined,
    });
    expect(applyChange(current, { listenPort: 1, peers: [] }).publicKey).toEqual(key(2));
  });
});

describe('diffDevice', () => {
  test('turns the current device into the wanted one', () => {
    fc.assert(
      fc.property(statuses, changes, (current, wanted) => {
        const after = naive(current, diffDevice(current, wanted));

        const target = naive(emptyStatus(), wanted);
        const keptEndpoints = new Map(settingsOf(current).map((peer) => [peer.key, peer.endpoint]));
        const expected = target.map((peer) => ({
          ...peer,
          endpoint: peer.endpoint || (keptEndpoints.get(peer.key) ?? ''),
        }));
        expect(after).toEqual(expected);
      }),
      { ...fixedSeed, numRuns: 1000 },
    );
  });

  test('says nothing where nothing changes', () => {
    fc.assert(
      fc.property(statuses, (current) => {
        const { privateKey, listenPort, fwmark, peers } = current;
        const wanted = { ...(privateKey ? { privateKey } : {}), listenPort, fwmark, peers };

        expect(diffDevice(current, asChange(wanted))).toEqual({ peers: [] });
      }),
      fixedSeed,
    );
  });

  test('names only what differs of a peer, and removals first', () => {
    const peer = {
      presharedKey: key(0),
      endpoint: undefined,
      lastHandshakeMs: 0,
      rxBytes: 0,
      txBytes: 0,
      persistentKeepalive: 0,
    };
    const current: DeviceStatus = {
      ...emptyStatus(),
      peers: [
        { ...peer, publicKey: key(1), allowedIps: ['10.0.0.0/8'] },
        { ...peer, publicKey: key(2), allowedIps: ['10.2.0.0/16'] },
        { ...peer, publicKey: key(3), allowedIps: ['10.3.0.0/16'] },
      ],
    };

    const change = diffDevice(current, {
      peers: [
        { publicKey: key(1), allowedIps: ['10.0.0.0/8'] },
        { publicKey: key(2), allowedIps: ['10.2.0.0/16'], persistentKeepalive: 25 },
      ],
    });

    expect(change).toEqual({
      peers: [
        { publicKey: key(3), remove: true, allowedIps: [] },
        { publicKey: key(2), persistentKeepalive: 25, allowedIps: [] },
      ],
    });
  });
});

function asChange(wanted: Partial<DeviceChange> & { peers: DeviceStatus['peers'] }): DeviceChange {
  return {
    ...wanted,
    peers: wanted.peers.map(({ publicKey, presharedKey, endpoint, persistentKeepalive, allowedIps }) => ({
      publicKey,
      presharedKey,
      ...(endpoint ? { endpoint } : {}),
      persistentKeepalive,
      allowedIps,
    })),
  };
}

describe('toDeviceChange', () => {
  const config: WgConfig = {
    interface: { privateKey: key(1), addresses: ['10.0.0.1/32'], dns: [], searchDomains: [] },
    peers: [
      { publicKey: key(2), endpoint: { host: 'edge.example', port: 51820 }, allowedIps: ['0.0.0.0/0'] },
      { publicKey: key(3), endpoint: { host: '2001:db8::1', port: 1 }, allowedIps: [] },
      {
        publicKey: key(4),
        endpoint: { host: 'unknown.example', port: 1 },
        presharedKey: key(9),
        allowedIps: [],
      },
    ],
    ignored: [],
  };

  test('asks a peer with a numeric address where it is said to be, which may be elsewhere', () => {
    const elsewhere = { address: '127.0.0.1', port: 9 };

    const { peers } = toDeviceChange(config, new Map([['[2001:db8::1]:1', elsewhere]]));

    expect(peers[1]?.endpoint).toEqual(elsewhere);
  });

  test('replaces all peers and leaves alone what the file leaves out', () => {
    const change = toDeviceChange(
      config,
      new Map([['edge.example:51820', { address: '192.0.2.1', port: 51820 }]]),
    );

    expect(change).toEqual({
      privateKey: key(1),
      replacePeers: true,
      peers: [
        {
          publicKey: key(2),
          presharedKey: key(0),
          endpoint: { address: '192.0.2.1', port: 51820 },
          persistentKeepalive: 0,
          replaceAllowedIps: true,
          allowedIps: ['0.0.0.0/0'],
        },
        {
          publicKey: key(3),
          presharedKey: key(0),
          endpoint: { address: '2001:db8::1', port: 1 },
          persistentKeepalive: 0,
          replaceAllowedIps: true,
          allowedIps: [],
        },
        {
          publicKey: key(4),
          presharedKey: key(9),
          persistentKeepalive: 0,
          replaceAllowedIps: true,
          allowedIps: [],
        },
      ],
    });
  });
});
