// What a device says of a network that loses datagrams on their way to it.
import { describe, expect, test } from 'vitest';
import { seededKey } from '../support/seeded.ts';
import { type Host, introduce, packet, World } from './world.ts';

function pair(announceLostPackets: number): {
  readonly world: World;
  readonly alice: Host;
  readonly bob: Host;
} {
  const world = new World(5);
  const alice = world.addHost('alice', '192.0.2.1:1000', { announceLostPackets });
  const bob = world.addHost('bob', '192.0.2.2:51820');
  const a = { number: 1, secretKey: seededKey(21), known: false };
  introduce(world, alice, bob, { a, b: { number: 2, secretKey: seededKey(22), known: true } });
  world.send(alice, packet(4, 1, 2, 'hello'));
  world.run(100);
  return { world, alice, bob };
}

function load(world: World, from: Host, packets: number): void {
  for (let i = 0; i < packets; i++) {
    world.send(from, packet(4, 2, 1, `part ${i}`));
    world.run(10);
  }
}

const said = (host: Host): number => host.events.filter(({ kind }) => kind === 'lossy').length;

describe('a device that counts what is lost', () => {
  test('counts what came and what did not, exactly, once the next one came', () => {
    const { world, alice, bob } = pair(4);
    load(world, bob, 50);
    world.weather.loss = 1;
    load(world, bob, 7);
    world.weather.loss = 0;
    load(world, bob, 50);
    world.run(200);

    const { arrivals } = alice.device.status().peers[0] ?? {};
    expect(arrivals?.lost).toBe(7);
    expect(arrivals?.received).toBeGreaterThanOrEqual(100);
    expect(said(alice)).toBe(1);
  });

  test('says it again while it lasts, once a second at most', () => {
    const { world, alice, bob } = pair(4);
    world.weather.loss = 0.3;

    load(world, bob, 500);

    // 500 packets take five seconds.
    expect(said(alice)).toBeGreaterThanOrEqual(3);
    expect(said(alice)).toBeLessThanOrEqual(6);
  });

  test('takes what comes out of order for what came', () => {
    const { world, alice, bob } = pair(50);
    world.weather.jitterMs = 40;

    load(world, bob, 300);
    world.run(500);

    expect(alice.device.status().peers[0]?.arrivals?.lost).toBe(0);
    expect(said(alice)).toBe(0);
  });

  test('goes on counting in a new session', () => {
    const { world, alice, bob } = pair(4);
    load(world, bob, 20);
    const publicKey = bob.device.status().publicKey ?? new Uint8Array(32);
    alice.device.configure(
      { peers: [{ publicKey, updateOnly: true, renew: true, allowedIps: [] }] },
      world.now,
    );
    world.run(200);
    load(world, bob, 20);

    expect(alice.device.status().peers[0]?.arrivals?.lost).toBe(0);
  });

  test('counts nothing where nobody asked for it', () => {
    const { world, alice, bob } = pair(0);
    world.weather.loss = 0.3;

    load(world, bob, 200);

    expect(alice.device.status().peers[0]?.arrivals).toBeUndefined();
    expect(said(alice)).toBe(0);
  });
});
