/**
 * Arbitrary schedules of loss, delay, duplication, reordering and roaming: once the weather is fair
 * again, both sides exchange data again, and nothing was delivered twice or altered on the way.
 */

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { seededKey } from '../support/seeded.ts';
import { fairWeather, type Host, introduce, packet, textOf, World } from './world.ts';

const step = fc.record({
  from: fc.constantFrom('alice', 'bob'),
  packets: fc.integer({ min: 0, max: 5 }),
  waitMs: fc.constantFrom(0, 1, 50, 900, 6_000, 25_000, 130_000, 200_000),
  loss: fc.constantFrom(0, 0, 0.1, 0.5, 1),
  duplicate: fc.constantFrom(0, 0.3),
  jitterMs: fc.constantFrom(0, 30, 4_000),
  roam: fc.boolean(),
});

/** Longest that an honest pair may need to find each other again: one give-up, one new try, and slack. */
const recoveryMs = 120_000;

describe('an arbitrary schedule', () => {
  it('ends with both sides exchanging data again, nothing forged, nothing twice', () => {
    fc.assert(
      fc.property(fc.integer(), fc.array(step, { maxLength: 12 }), (seed, steps) => {
        const world = new World(seed);
        const alice = world.addHost('alice', '192.0.2.1:1000');
        const bob = world.addHost('bob', '192.0.2.2:51820');
        introduce(world, alice, bob, {
          a: { number: 1, secretKey: seededKey(1), known: false, keepalive: 25 },
          b: { number: 2, secretKey: seededKey(2), known: true },
        });
        const sent = new Set<string>();
        const say = (host: Host, text: string): void => {
          sent.add(text);
          world.send(host, host === alice ? packet(4, 1, 2, text) : packet(6, 2, 1, text));
        };

        for (const [n, { from, packets, waitMs, roam, ...weather }] of steps.entries()) {
          Object.assign(world.weather, weather);
          // Only the client roams: with both ends moving at once nobody could find anybody.
          if (roam) alice.address = `198.51.100.${n + 1}:${2000 + n}`;
          for (let i = 0; i < packets; i++) say(from === 'alice' ? alice : bob, `${from} ${n} ${i}`);
          world.run(waitMs);
        }
        Object.assign(world.weather, fairWeather);
        world.run(recoveryMs);
        say(alice, 'from alice at last');
        world.run(10_000);
        say(bob, 'from bob at last');
        world.run(10_000);

        for (const host of [alice, bob]) {
          // Besides data a host may see ICMP from its own device, while it knows no endpoint.
          const got = host.received
            .filter((bytes) => bytes[bytes[0]! >> 4 === 4 ? 9 : 6] === 253)
            .map(textOf);
          expect(new Set(got).size).toBe(got.length);
          for (const text of got) expect(sent).toContain(text);
        }
        expect(bob.received.map(textOf)).toContain('from alice at last');
        expect(alice.received.map(textOf)).toContain('from bob at last');
      }),
      { seed: 20261121, numRuns: 150 },
    );
  });

  it('of arbitrary bytes never throws and never disturbs a session', () => {
    const world = new World(5);
    const alice = world.addHost('alice', '192.0.2.1:1000');
    const bob = world.addHost('bob', '192.0.2.2:51820');
    introduce(world, alice, bob, {
      a: { number: 1, secretKey: seededKey(1), known: false },
      b: { number: 2, secretKey: seededKey(2), known: true },
    });
    world.send(alice, packet(4, 1, 2, 'hello'));
    world.run(1000);
    const genuine = world.wire.map((datagram) => datagram.bytes);

    fc.assert(
      fc.property(
        fc.oneof(
          fc.uint8Array({ maxLength: 400 }),
          fc.tuple(fc.constantFrom(...genuine), fc.nat(200), fc.nat(255)).map(([bytes, at, mask]) => {
            const bent = bytes.slice();
            bent[at % bent.length]! ^= mask;
            return bent;
          }),
          fc.tuple(fc.constantFrom(...genuine), fc.nat(200)).map(([bytes, cut]) => bytes.slice(0, cut)),
        ),
        (bytes) => {
          world.deliver(bob, '203.0.113.1:1', bytes);
          world.deliver(alice, '203.0.113.1:1', bytes);
        },
      ),
      { seed: 7, numRuns: 2000 },
    );
    world.run(100);
    world.send(bob, packet(4, 2, 1, 'still here'));
    world.send(alice, packet(4, 1, 2, 'so am I'));
    world.run(1000);

    expect(textOf(alice.received.at(-1)!)).toBe('still here');
    expect(textOf(bob.received.at(-1)!)).toBe('so am I');
  });

  it('of arbitrary packets from inside never throws', () => {
    const world = new World(6);
    const alice = world.addHost('alice', '192.0.2.1:1000');
    const bob = world.addHost('bob', '192.0.2.2:51820');
    introduce(world, alice, bob, {
      a: { number: 1, secretKey: seededKey(1), known: false },
      b: { number: 2, secretKey: seededKey(2), known: true },
    });

    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 1500 }), (bytes) => {
        world.send(alice, bytes);
      }),
      { seed: 8, numRuns: 1000 },
    );

    expect(alice.device.status().drops['malformed-packet']).toBeGreaterThan(900);
  });
});
