/** Many devices around one edge, and a flood of handshakes while data flows. */

import { describe, expect, it } from 'vitest';
import { portableSuite } from '../../shared/core/crypto/portable.ts';
import { seededKey } from '../support/seeded.ts';
import { endpointOf, type Host, packet, textOf, World } from './world.ts';

const publicOf = (seed: number): Uint8Array => portableSuite.publicKey(seededKey(seed));

function crowd(seed: number, clients: number): { world: World; edge: Host; hosts: Host[] } {
  const world = new World(seed, { loss: 0.05, duplicate: 0.05, delayMs: 20, jitterMs: 20 });
  const edge = world.addHost('edge', '192.0.2.254:51820');
  const numbers = Array.from({ length: clients }, (_, i) => i + 1);
  edge.device.configure(
    {
      privateKey: seededKey(1000),
      peers: numbers.map((n) => ({ publicKey: publicOf(n), allowedIps: [`10.0.0.${n}/32`] })),
    },
    world.now,
  );
  const hosts = numbers.map((n) => {
    const host = world.addHost(`client ${n}`, `192.0.2.${n}:5000`);
    host.device.configure(
      {
        privateKey: seededKey(n),
        peers: [{ publicKey: publicOf(1000), allowedIps: ['0.0.0.0/0'], endpoint: endpointOf(edge.address) }],
      },
      world.now,
    );
    return host;
  });
  return { world, edge, hosts };
}

describe('an edge with many clients', () => {
  it('gives every client its own packets, and what it sends back reaches only that client', () => {
    const { world, edge, hosts } = crowd(3, 40);
    for (let round = 0; round < 5; round++) {
      for (const [i, host] of hosts.entries()) world.send(host, packet(4, i + 1, 254, `up ${i + 1}`));
      world.run(10_000);
    }
    for (const i of hosts.keys()) world.send(edge, packet(4, 254, i + 1, `down ${i + 1}`));
    world.run(1000);
    for (const i of hosts.keys()) world.send(edge, packet(4, 254, i + 1, `down ${i + 1}`));
    world.run(10_000);

    const up = new Set(edge.received.map(textOf));
    expect(up.size).toBe(40);
    for (const [i, host] of hosts.entries()) {
      expect(new Set(host.received.map(textOf))).toEqual(new Set([`down ${i + 1}`]));
    }
  });

  it('asks for cookies under a flood of initiations, keeps data flowing, and still lets a newcomer in', () => {
    const { world, edge, hosts } = crowd(4, 3);
    Object.assign(world.weather, { loss: 0, duplicate: 0, delayMs: 5, jitterMs: 0 });
    const [talker, newcomer, attacker] = hosts as [Host, Host, Host];
    world.send(talker, packet(4, 1, 254, 'before'));
    world.send(attacker, packet(4, 3, 254, 'x'));
    world.run(100);
    // An initiation with a good mac1 from many made-up addresses: all that an attacker who knows our key can do.
    const initiation = world.wire.find((datagram) => datagram.from === attacker.address)!.bytes;
    for (let wave = 0; wave < 10; wave++) {
      const sources = Array.from({ length: 200 }, (_, i) => `203.0.${wave}.${i}:7`);
      world.flood(edge, initiation, sources);
      if (wave === 5) world.send(talker, packet(4, 1, 254, 'during'));
    }
    world.send(newcomer, packet(4, 2, 254, 'newcomer'));
    world.run(20_000);

    const { drops } = edge.device.status();
    expect(drops['bad-mac2-under-load']).toBeGreaterThan(1000);
    expect(world.wire.filter((datagram) => datagram.bytes[0] === 3).length).toBeGreaterThan(1000);
    expect(edge.received.map(textOf)).toEqual(expect.arrayContaining(['before', 'during', 'newcomer']));
  });
});
