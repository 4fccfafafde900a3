// What a device says of a send that nobody answers, and a new session on demand.
import { describe, expect, test } from 'vitest';
import { seededKey } from '../support/seeded.ts';
import { type Host, introduce, packet, textOf, World } from './world.ts';

function pair(announceUnansweredMs: number): {
  readonly world: World;
  readonly alice: Host;
  readonly bob: Host;
} {
  const world = new World(3);
  const alice = world.addHost('alice', '192.0.2.1:1000', { announceUnansweredMs });
  const bob = world.addHost('bob', '192.0.2.2:51820');
  const a = { number: 1, secretKey: seededKey(11), known: false };
  introduce(world, alice, bob, { a, b: { number: 2, secretKey: seededKey(12), known: true } });
  world.send(alice, packet(4, 1, 2, 'hello'));
  world.run(100);
  world.send(bob, packet(4, 2, 1, 'hello'));
  world.run(100);
  return { world, alice, bob };
}

const kinds = (host: Host): readonly string[] => host.events.map(({ kind }) => kind);
const initiations = (world: World): number => world.wire.filter(({ bytes }) => bytes[0] === 1).length;

function renew(world: World, alice: Host, bob: Host): void {
  const publicKey = bob.device.status().publicKey ?? new Uint8Array(32);
  alice.device.configure(
    { peers: [{ publicKey, updateOnly: true, renew: true, allowedIps: [] }] },
    world.now,
  );
  world.run(100);
}

describe('a device that announces', () => {
  test('says once in a silence that a send is unanswered, after the time for it', () => {
    const { world, alice } = pair(1000);
    world.weather.loss = 1;

    world.send(alice, packet(4, 1, 2, 'one'));
    world.run(990);
    const early = kinds(alice).includes('unanswered');
    world.send(alice, packet(4, 1, 2, 'two'));
    world.run(8000);

    expect(early).toBe(false);
    expect(kinds(alice).filter((kind) => kind === 'unanswered')).toHaveLength(1);
  });

  test('says nothing of what was answered, nor of a tunnel at rest', () => {
    const { world, alice, bob } = pair(1000);

    world.send(alice, packet(4, 1, 2, 'asked'));
    world.run(500);
    world.send(bob, packet(4, 2, 1, 'answered'));
    world.run(100_000);

    expect(kinds(alice)).not.toContain('unanswered');
  });

  test('waits two round trips on a slow link, and a second at most', () => {
    const late = (delayMs: number): number => {
      const { world, alice, bob } = pair(250);
      world.weather.delayMs = delayMs;
      renew(world, alice, bob);
      world.run(4 * delayMs);
      world.weather.loss = 1;
      world.send(alice, packet(4, 1, 2, 'lost'));
      for (let ms = 0; ms < 3000; ms += 10) {
        if (kinds(alice).includes('unanswered')) return ms;
        world.run(10);
      }
      return Number.POSITIVE_INFINITY;
    };

    expect(late(10)).toBeLessThanOrEqual(260);
    expect(late(150)).toBeGreaterThanOrEqual(590);
    expect(late(150)).toBeLessThanOrEqual(660);
    expect(late(450)).toBeLessThanOrEqual(1010);
  });

  test('says nothing where nobody asked for it', () => {
    const { world, alice } = pair(0);
    world.weather.loss = 1;

    world.send(alice, packet(4, 1, 2, 'lost'));
    world.run(14_000);

    expect(kinds(alice)).not.toContain('unanswered');
  });

  test('asks for a new session on demand, at once and again at once, and goes on with the old one', () => {
    const { world, alice, bob } = pair(0);
    const before = initiations(world);

    renew(world, alice, bob);
    renew(world, alice, bob);
    world.send(alice, packet(4, 1, 2, 'after'));
    world.run(100);

    expect(initiations(world) - before).toBe(2);
    expect(bob.received.map(textOf)).toEqual(['hello', 'after']);
  });
});
