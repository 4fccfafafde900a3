// What a device says of much that it sends.
import { describe, expect, test } from 'vitest';
import { seededKey } from '../support/seeded.ts';
import { type Host, introduce, packet, World } from './world.ts';

function pair(announceLostPackets: number): { readonly world: World; readonly alice: Host } {
  const world = new World(6);
  const alice = world.addHost('alice', '192.0.2.1:1000', { announceLostPackets });
  const bob = world.addHost('bob', '192.0.2.2:51820');
  const a = { number: 1, secretKey: seededKey(31), known: false };
  introduce(world, alice, bob, { a, b: { number: 2, secretKey: seededKey(32), known: true } });
  world.send(alice, packet(4, 1, 2, 'hello'));
  world.run(100);
  return { world, alice };
}

/** So many packets of some 1000 bytes a second. */
function upload(world: World, from: Host, packets: number, seconds: number): void {
  for (let i = 0; i < packets * seconds; i++) {
    world.send(from, packet(4, 1, 2, 'x'.repeat(960)));
    world.run(1000 / packets);
  }
}

const said = (host: Host): number => host.events.filter(({ kind }) => kind === 'sending').length;

describe('a device that counts', () => {
  test('says once a second that much is sent', () => {
    const { world, alice } = pair(4);

    upload(world, alice, 20, 10);

    expect(said(alice)).toBeGreaterThanOrEqual(8);
    expect(said(alice)).toBeLessThanOrEqual(10);
  });

  test('says nothing of a little, of one burst, or where nobody counts', () => {
    const little = pair(4);
    const burst = pair(4);
    const uncounted = pair(0);

    upload(little.world, little.alice, 4, 10);
    upload(burst.world, burst.alice, 100, 0.5);
    burst.world.run(5000);
    burst.world.send(burst.alice, packet(4, 1, 2, 'later'));
    upload(uncounted.world, uncounted.alice, 20, 5);

    expect([little, burst, uncounted].map(({ alice }) => said(alice))).toEqual([0, 0, 0]);
  });
});
