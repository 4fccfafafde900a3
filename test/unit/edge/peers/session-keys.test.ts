import { expect, test } from 'vitest';
import type { SessionKey } from '../../../../edge/peers/session-keys.ts';
import type { DeviceRecord } from '../../../../edge/peers/store.ts';
import { DevicePeers } from '../../../../edge/peers/sync-plan.ts';
import type { UnixMs } from '../../../../shared/core/base/time.ts';
import type { PeerChange } from '../../../../shared/core/tunnel/config.ts';

const now = 1000 as UnixMs;
const own = new Uint8Array(32).fill(1);

function device(patch: Partial<DeviceRecord> = {}): DeviceRecord {
  return {
    id: 'd',
    name: 'laptop',
    publicKey: own,
    addresses: ['10.83.0.2'],
    enabled: true,
    tags: [],
    ...patch,
  } as DeviceRecord;
}

function session(byte: number): SessionKey {
  return { publicKey: new Uint8Array(32).fill(byte), presharedKey: new Uint8Array(32).fill(0x80 | byte) };
}

/** Key byte → what the tunnel has, as a WireGuard device would after these changes. */
class Tunnel {
  readonly peers = new Map<number, { addresses: readonly string[]; psk: number }>();

  apply(changes: readonly PeerChange[]): void {
    for (const { publicKey, remove, allowedIps, presharedKey } of changes) {
      const key = publicKey[0] ?? 0;
      if (remove === true) {
        this.peers.delete(key);
        continue;
      }
      for (const [other, peer] of this.peers) {
        if (other !== key) peer.addresses = peer.addresses.filter((one) => !allowedIps.includes(one));
      }
      const psk = presharedKey?.[0] ?? this.peers.get(key)?.psk ?? 0;
      this.peers.set(key, { addresses: [...allowedIps], psk });
    }
  }

  get shown(): string {
    return [...this.peers].map(([key, { addresses, psk }]) => `${key}:${addresses.join()}:${psk}`).join(' ');
  }
}

function world() {
  const peers = new DevicePeers();
  const tunnel = new Tunnel();
  const settle = (): string => {
    tunnel.apply(peers.plan(now).peers);
    peers.done(now);
    return tunnel.shown;
  };
  peers.set(device());
  settle();
  return { peers, settle };
}

test('a key for a session waits without addresses, and takes them over when it is heard', () => {
  const { peers, settle } = world();

  peers.openSession('d', session(2));
  expect(settle()).toBe('1:10.83.0.2/32:0 2::130');
  peers.heard(session(2).publicKey);

  expect(settle()).toBe('1::0 2:10.83.0.2/32:130');
  expect(peers.deviceOf(session(2).publicKey)?.id).toBe('d');
});

test('whoever waits claims the addresses, whoever has them does not', () => {
  const { peers, settle } = world();
  const claims = (): Record<number, unknown> =>
    Object.fromEntries(peers.plan(now).peers.map(({ publicKey, claims: all }) => [publicKey[0], all]));
  peers.openSession('d', session(2));
  expect(claims()).toEqual({ 2: ['10.83.0.2/32'] });
  settle();

  peers.heard(session(2).publicKey);

  expect(claims()).toEqual({ 1: ['10.83.0.2/32'], 2: [] });
});

test('the device begins anew with its own key: the session is gone and its addresses are back', () => {
  const { peers, settle } = world();
  peers.openSession('d', session(2));
  peers.heard(session(2).publicKey);
  settle();

  peers.heard(own);

  expect(settle()).toBe('1:10.83.0.2/32:0');
  expect(peers.deviceOf(session(2).publicKey)).toBeUndefined();
  expect(peers.awaits(own)).toBe(false);
});

test('its own key, heard while the session was not, leaves the session waiting', () => {
  const { peers, settle } = world();
  peers.openSession('d', session(2));

  peers.heard(own);

  expect(settle()).toBe('1:10.83.0.2/32:0 2::130');
});

test('the next session takes over from the one before; one that was never heard is replaced', () => {
  const { peers, settle } = world();
  peers.openSession('d', session(2));
  peers.heard(session(2).publicKey);
  settle();

  peers.openSession('d', session(3));
  settle();
  peers.openSession('d', session(4));
  expect(settle()).toBe('1::0 2:10.83.0.2/32:130 4::132');
  peers.heard(session(4).publicKey);

  expect(settle()).toBe('1::0 4:10.83.0.2/32:132');
});

test('a device that is disabled loses its session too, and begins with its own key afterwards', () => {
  const { peers, settle } = world();
  peers.openSession('d', session(2));
  peers.heard(session(2).publicKey);
  settle();

  peers.set(device({ enabled: false }));
  expect(settle()).toBe('');
  peers.set(device());

  expect(settle()).toBe('1:10.83.0.2/32:0');
});

test('a removed device leaves nothing, and its session key means nobody', () => {
  const { peers, settle } = world();
  peers.openSession('d', session(2));
  settle();

  peers.remove('d');

  expect(settle()).toBe('');
  expect(peers.deviceOf(session(2).publicKey)).toBeUndefined();
});

test('a rotated key and a session: the session keeps the addresses', () => {
  const { peers, settle } = world();
  peers.openSession('d', session(2));
  peers.heard(session(2).publicKey);
  settle();

  const rotated = new Uint8Array(32).fill(9);
  peers.set(device({ publicKey: rotated, formerKey: { publicKey: own, until: (now + 1) as UnixMs } }));
  expect(settle()).toBe('1::0 2:10.83.0.2/32:130 9::0');
  peers.heard(rotated);

  expect(settle()).toBe('9:10.83.0.2/32:0');
});
