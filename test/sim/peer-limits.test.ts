/** A device with limits, as one that talks to it under a virtual clock meets them. */

import { describe, expect, it } from 'vitest';
import type { PeerLimits } from '../../shared/core/tunnel/config.ts';
import { seededKey } from '../support/seeded.ts';
import { type Host, introduce, packet, World } from './world.ts';

interface Limited {
  readonly world: World;
  readonly laptop: Host;
  readonly edge: Host;
  limit(limits: PeerLimits): void;
}

/** With a session, and no limits yet. */
function limited(): Limited {
  const world = new World(1, { loss: 0, duplicate: 0, delayMs: 1, jitterMs: 0 });
  const laptop = world.addHost('laptop', '192.0.2.1:1000');
  const edge = world.addHost('edge', '192.0.2.2:51820');
  introduce(world, laptop, edge, {
    a: { number: 1, secretKey: seededKey(11), known: false },
    b: { number: 2, secretKey: seededKey(12), known: true },
  });
  world.send(laptop, packet(4, 1, 2, 'hello'));
  world.run(100);
  const { publicKey } = edge.device.status().peers[0]!;
  const limit = (limits: PeerLimits): void =>
    edge.device.configure({ peers: [{ publicKey, updateOnly: true, allowedIps: [], limits }] }, world.now);
  return { world, laptop, edge, limit };
}

const full = 'x'.repeat(1380);
const size = packet(4, 1, 2, full).length;

/** Packets of `from` that come out of `to` in that time, of twice as many as the rate allows. */
function through(world: World, from: Host, to: Host, rateBytes: number, seconds: number): number {
  const [a, b] = from.name === 'laptop' ? [1, 2] : [2, 1];
  const before = to.received.length;
  const perStep = Math.ceil((2 * rateBytes * 0.01) / size);
  for (let step = 0; step < seconds * 100; step++) {
    world.send(from, ...Array.from({ length: perStep }, () => packet(4, a!, b!, full)));
    world.run(10);
  }
  world.wire.length = 0;
  return (to.received.length - before) * size;
}

describe('a device with a rate', () => {
  it.each(['laptop', 'edge'] as const)('gets it within two in a hundred, from the %s', (name) => {
    const { world, laptop, edge, limit } = limited();
    const rateBytes = 200_000;
    limit({ rateBytes, allowanceBytes: undefined });
    const [from, to] = name === 'laptop' ? [laptop, edge] : [edge, laptop];
    through(world, from, to, rateBytes, 1);

    const bytes = through(world, from, to, rateBytes, 5);

    expect(bytes / 5 / rateBytes).toBeGreaterThan(0.98);
    expect(bytes / 5 / rateBytes).toBeLessThan(1.02);
    expect(edge.device.status().drops['over-rate']).toBeGreaterThan(0);
  });

  it('has all again when the limit is taken away', () => {
    const { world, laptop, edge, limit } = limited();
    limit({ rateBytes: 50_000, allowanceBytes: undefined });
    through(world, laptop, edge, 100_000, 1);

    limit({ rateBytes: 0, allowanceBytes: undefined });
    const offered = through(world, laptop, edge, 100_000, 1);

    expect(offered).toBeGreaterThan(190_000);
    expect(edge.device.status().peers[0]).not.toHaveProperty('limits');
  });
});

describe('a device with an allowance', () => {
  it.each(['laptop', 'edge'] as const)('stops exactly there, packets of the %s', (name) => {
    const { world, laptop, edge, limit } = limited();
    const moved = (): number => {
      const { rxBytes, txBytes } = edge.device.status().peers[0]!;
      return rxBytes + txBytes;
    };
    const allowanceBytes = moved() + 100_000;
    limit({ rateBytes: 0, allowanceBytes });
    const [from, to] = name === 'laptop' ? [laptop, edge] : [edge, laptop];

    through(world, from, to, 100_000, 3);

    // The packet that did not fit was the first that was dropped.
    expect(moved()).toBeLessThanOrEqual(allowanceBytes);
    expect(moved()).toBeGreaterThan(allowanceBytes - size - 48);
    expect(edge.device.status()).toMatchObject({
      peers: [{ isSpent: true, limits: { allowanceBytes } }],
      drops: { 'over-quota': expect.any(Number) as number },
    });
    const before = to.received.length;
    world.send(from, packet(4, name === 'laptop' ? 1 : 2, name === 'laptop' ? 2 : 1, 'small'));
    world.run(100);
    expect(to.received.length).toBe(before);
  });
});
