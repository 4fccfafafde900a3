// Keys that change under a running tunnel: with `keepSessions` at the end that changes and `claims` at the other not one
// packet is lost, without the program above the tunnel having done anything between.
import { describe, expect, test } from 'vitest';
import { encodeBase64 } from '../../shared/core/base/bytes.ts';
import { seededKey } from '../support/seeded.ts';
import { fairWeather, type Host, packet, textOf, World } from './world.ts';

const laptopAddress = '10.0.0.1/32';
const edgeAddress = '10.0.0.2/32';
const everyMs = 2;

class Pair {
  readonly world = new World(11, { ...fairWeather, delayMs: 9 });
  readonly laptop: Host = this.world.addHost('laptop', '192.0.2.1:1000');
  readonly edge: Host = this.world.addHost('edge', '192.0.2.2:51820');
  readonly ownKey: Uint8Array = this.#keyOf(seededKey(1));
  readonly sessionKey: Uint8Array = this.#keyOf(seededKey(3));
  readonly edgeKey: Uint8Array = this.#keyOf(seededKey(2));
  #sent = 0;

  constructor() {
    const { now } = this.world;
    this.laptop.device.configure({ privateKey: seededKey(1), peers: [] }, now);
    this.edge.device.configure(
      { privateKey: seededKey(2), peers: [{ publicKey: this.ownKey, allowedIps: [laptopAddress] }] },
      now,
    );
    const endpoint = { address: '192.0.2.2', port: 51820 };
    this.laptop.device.configure(
      { peers: [{ publicKey: this.edgeKey, allowedIps: [edgeAddress], endpoint }] },
      now,
    );
    this.world.send(this.laptop, packet(4, 1, 2, 'first'));
    this.world.run(100);
    this.forget();
  }

  get holders(): Record<string, readonly string[]> {
    const names = new Map(
      [this.ownKey, this.sessionKey].map((key, i) => [encodeBase64(key), ['own', 'session'][i]]),
    );
    return Object.fromEntries(
      this.edge.device
        .status()
        .peers.map((peer) => [names.get(encodeBase64(peer.publicKey)), peer.allowedIps]),
    );
  }

  /** A packet each way every two milliseconds. */
  talk(forMs: number): void {
    for (let ms = 0; ms < forMs; ms += everyMs) {
      this.#sent++;
      this.world.send(this.laptop, packet(4, 1, 2, `up ${this.#sent}`));
      this.world.send(this.edge, packet(4, 2, 1, `down ${this.#sent}`));
      this.world.run(everyMs);
    }
  }

  /** What arrived, and what did not. */
  get lost(): readonly string[] {
    this.world.run(50);
    const came = new Set([...this.laptop.received, ...this.edge.received].map(textOf));
    return Array.from({ length: this.#sent }, (_, i) => [`up ${i + 1}`, `down ${i + 1}`])
      .flat()
      .filter((text) => !came.has(text));
  }

  forget(): void {
    this.laptop.received.length = 0;
    this.edge.received.length = 0;
    this.#sent = 0;
  }

  expectSession(claims: readonly string[]): void {
    const peers = [{ publicKey: this.sessionKey, presharedKey: seededKey(7), allowedIps: [], claims }];
    this.edge.device.configure({ peers }, this.world.now);
  }

  rekey(secretKey: Uint8Array, presharedKey: Uint8Array, keepSessions: boolean): void {
    const peers = [
      { publicKey: this.edgeKey, updateOnly: true, presharedKey, renew: true, allowedIps: [] },
    ] as const;
    this.laptop.device.configure({ privateKey: secretKey, keepSessions, peers }, this.world.now);
  }

  #keyOf(secretKey: Uint8Array): Uint8Array {
    const { device } = new World(1).addHost('x', '192.0.2.1:1');
    device.configure({ privateKey: secretKey, peers: [] }, this.world.now);
    return device.status().publicKey ?? new Uint8Array(32);
  }
}

describe('another key for a running tunnel', () => {
  test('takes the addresses over with its first packet, and no packet is lost either way', () => {
    const pair = new Pair();
    pair.expectSession([laptopAddress]);
    pair.talk(40);

    pair.rekey(seededKey(3), seededKey(7), true);
    pair.talk(200);

    expect(pair.lost).toEqual([]);
    expect(pair.holders).toEqual({ own: [], session: [laptopAddress] });
    expect(pair.laptop.events.map(({ kind }) => kind)).not.toContain('expired');
  });

  test('without claims packets are lost until somebody moves the addresses', () => {
    const pair = new Pair();
    pair.expectSession([]);

    pair.rekey(seededKey(3), seededKey(7), true);
    pair.talk(100);

    expect(pair.lost.length).toBeGreaterThan(0);
    expect(pair.holders).toEqual({ own: [laptopAddress], session: [] });
  });

  test('without keepSessions the present session ends at once, as in WireGuard', () => {
    const pair = new Pair();
    pair.expectSession([laptopAddress]);

    pair.rekey(seededKey(3), seededKey(7), false);
    pair.world.run(1);

    expect(pair.laptop.events.map(({ kind }) => kind)).toContain('expired');
  });

  test('a device that begins anew with its own key has its addresses back with its first packet', () => {
    const pair = new Pair();
    pair.expectSession([laptopAddress]);
    pair.rekey(seededKey(3), seededKey(7), true);
    pair.talk(60);
    const peers = [
      { publicKey: pair.ownKey, replaceAllowedIps: true, allowedIps: [], claims: [laptopAddress] },
    ];
    pair.edge.device.configure({ peers }, pair.world.now);
    expect(pair.lost).toEqual([]);
    pair.forget();

    pair.rekey(seededKey(1), new Uint8Array(32), false);
    // Waits for the session at the laptop's end.
    pair.world.send(pair.laptop, packet(4, 1, 2, 'again'));
    pair.world.run(100);

    expect(pair.edge.received.map(textOf)).toEqual(['again']);
    expect(pair.holders).toEqual({ own: [laptopAddress], session: [] });
  });

  test('the key that lost its addresses is asked for nothing more', () => {
    const pair = new Pair();
    pair.expectSession([laptopAddress]);
    // The last word was the edge's: it would ask for a new session where no answer comes.
    pair.world.send(pair.edge, packet(4, 2, 1, 'down'));
    pair.rekey(seededKey(3), seededKey(7), true);
    pair.world.run(60_000);

    const initiations = pair.world.wire.filter(
      ({ from, bytes }) => from === '192.0.2.2:51820' && bytes[0] === 1,
    );
    expect(initiations).toEqual([]);
  });

  test('an old session that is still heard takes nothing back', () => {
    const pair = new Pair();
    pair.expectSession([laptopAddress]);
    const [old] = pair.world.wire.filter(({ bytes }) => bytes[0] === 4);
    pair.rekey(seededKey(3), seededKey(7), true);
    pair.talk(60);
    const peers = [
      { publicKey: pair.ownKey, replaceAllowedIps: true, allowedIps: [], claims: [laptopAddress] },
    ];
    pair.edge.device.configure({ peers }, pair.world.now);

    pair.world.deliver(pair.edge, '192.0.2.1:1000', old?.bytes ?? new Uint8Array());
    pair.talk(20);

    expect(pair.lost).toEqual([]);
    expect(pair.holders).toEqual({ own: [], session: [laptopAddress] });
  });
});
