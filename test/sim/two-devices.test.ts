/** Two devices under a virtual clock: handshake, data, rekey, silence, roaming, hostile datagrams. */

import { describe, expect, it } from 'vitest';
import { seededKey } from '../support/seeded.ts';
import { type Host, introduce, packet, textOf, type Weather, World } from './world.ts';

interface Pair {
  readonly world: World;
  readonly alice: Host;
  readonly bob: Host;
}

interface PairOptions {
  readonly seed?: number;
  readonly weather?: Weather;
  readonly bobKnowsAlice?: boolean;
  readonly keepalive?: number;
  readonly presharedKey?: Uint8Array;
  readonly firstCounter?: number;
}

function pair(options: PairOptions = {}): Pair {
  const world = new World(options.seed ?? 1, options.weather);
  const alice = world.addHost('alice', '192.0.2.1:1000', {}, options.firstCounter);
  const bob = world.addHost('bob', '192.0.2.2:51820', {}, options.firstCounter);
  introduce(world, alice, bob, {
    a: {
      number: 1,
      secretKey: seededKey(11),
      known: options.bobKnowsAlice ?? false,
      ...(options.keepalive === undefined ? {} : { keepalive: options.keepalive }),
    },
    b: { number: 2, secretKey: seededKey(12), known: true },
    ...(options.presharedKey === undefined ? {} : { presharedKey: options.presharedKey }),
  });
  return { world, alice, bob };
}

const texts = (host: Host): string[] => host.received.map(textOf);

describe('two devices', () => {
  it('stage packets, shake hands once, and deliver the packets in order', () => {
    const { world, alice, bob } = pair();

    world.send(alice, packet(4, 1, 2, 'one'), packet(6, 1, 2, 'two'));
    world.run(1000);

    expect(texts(bob)).toEqual(['one', 'two']);
    expect(world.wire.map((datagram) => datagram.bytes[0])).toEqual([1, 2, 4, 4]);
    expect(alice.events.map((event) => event.kind)).toContain('established');
    expect(bob.events.map((event) => event.kind)).toEqual(['roamed', 'established', 'confirmed']);
  });

  it('answer over the session that the other side began', () => {
    const { world, alice, bob } = pair();
    world.send(alice, packet(4, 1, 2, 'question'));
    world.run(1000);

    world.send(bob, packet(4, 2, 1, 'answer'));
    world.run(1000);

    expect(texts(alice)).toEqual(['answer']);
    expect(world.wire.filter((datagram) => datagram.bytes[0] === 1)).toHaveLength(1);
  });

  it('pad to 16 bytes, never past the MTU, and hide the length of small packets', () => {
    const { world, alice } = pair();
    world.send(alice, packet(4, 1, 2, 'x'), packet(4, 1, 2, 'y'.repeat(1400)));
    world.run(1000);

    const sizes = world.wire
      .filter((datagram) => datagram.bytes[0] === 4)
      .map((datagram) => datagram.bytes.length);

    expect(sizes).toEqual([32 + 32, 1420 + 32]);
  });

  it('need the same preshared key', () => {
    const good = pair({ presharedKey: seededKey(77) });
    const bad = pair();
    bad.alice.device.configure(
      {
        peers: [
          { publicKey: bad.bob.device.status().publicKey!, presharedKey: seededKey(78), allowedIps: [] },
        ],
      },
      bad.world.now,
    );

    for (const { world, alice } of [good, bad]) world.send(alice, packet(4, 1, 2, 'secret'));
    good.world.run(2000);
    bad.world.run(2000);

    expect(texts(good.bob)).toEqual(['secret']);
    expect(texts(bad.bob)).toEqual([]);
    expect(bad.alice.device.status().drops['bad-handshake']).toBe(1);
  });

  it('rekey after 120 seconds of use without losing a packet', () => {
    const { world, alice, bob } = pair();
    const sent: string[] = [];

    for (let second = 0; second < 400; second++) {
      sent.push(`${second}`);
      world.send(alice, packet(4, 1, 2, `${second}`));
      world.run(1000);
    }

    expect(texts(bob)).toEqual(sent);
    const handshakes = world.wire.filter((datagram) => datagram.bytes[0] === 1).length;
    expect(handshakes).toBe(4);
  });

  it('rekey also where only the responder sends', () => {
    const { world, alice, bob } = pair();
    world.send(alice, packet(4, 1, 2, 'hello'));
    world.run(1000);

    for (let second = 0; second < 400; second++) {
      world.send(bob, packet(4, 2, 1, `${second}`));
      world.run(1000);
    }

    expect(texts(alice)).toHaveLength(400);
  });

  it('send a keepalive ten seconds after data that got no answer, and are silent otherwise', () => {
    const { world, alice } = pair();
    world.send(alice, packet(4, 1, 2, 'one'));
    world.run(1000);
    const before = world.wire.length;

    world.run(60_000);

    const later = world.wire.slice(before);
    expect(later.map((datagram) => [datagram.from, datagram.bytes.length])).toEqual([
      ['192.0.2.2:51820', 32],
    ]);
    expect(later[0]!.at).toBeGreaterThanOrEqual(11_000);
    expect(later[0]!.at).toBeLessThan(11_100);
  });

  it('send persistent keepalives at their interval without any data', () => {
    const { world } = pair({ keepalive: 25 });
    world.run(120_000);

    const fromAlice = world.wire.filter(
      (datagram) => datagram.from.startsWith('192.0.2.1') && datagram.bytes[0] === 4,
    );

    expect(fromAlice.map((datagram) => Math.round((datagram.at - 1000) / 1000))).toEqual([
      0, 25, 50, 75, 100,
    ]);
  });

  it('ask again every five seconds for 90 seconds, then give up and forget what waited', () => {
    const { world, alice } = pair({ weather: { loss: 1, duplicate: 0, delayMs: 10, jitterMs: 0 } });
    world.send(alice, packet(4, 1, 2, 'lost'));
    world.run(200_000);

    const initiations = world.wire.filter((datagram) => datagram.bytes[0] === 1);

    expect(initiations).toHaveLength(19);
    expect(alice.events.map((event) => event.kind)).toEqual(['gave-up']);
    expect(alice.device.status().drops['staging-full']).toBe(1);
  });

  it('begin a new handshake 15 seconds after data went unanswered, and recover', () => {
    const { world, alice, bob } = pair();
    world.send(alice, packet(4, 1, 2, 'before'));
    world.run(1000);
    world.weather.loss = 1;
    world.send(alice, packet(4, 1, 2, 'in the dark'));
    world.run(16_000);
    world.weather.loss = 0;

    world.run(20_000);
    world.send(alice, packet(4, 1, 2, 'after'));
    world.run(1000);

    expect(texts(bob)).toEqual(['before', 'after']);
  });

  it('forget all keys after three session lifetimes without a new one', () => {
    const { world, alice, bob } = pair();
    world.send(alice, packet(4, 1, 2, 'x'));
    world.run(1000);

    world.run(541_000);

    expect(alice.events.at(-1)?.kind).toBe('expired');
    expect(bob.events.at(-1)?.kind).toBe('expired');
  });

  it('follow a peer whose address and port change, either side', () => {
    const { world, alice, bob } = pair();
    world.send(alice, packet(4, 1, 2, 'home'));
    world.run(1000);

    alice.address = '198.51.100.9:4444';
    world.send(alice, packet(4, 1, 2, 'café'));
    world.run(1000);
    world.send(bob, packet(4, 2, 1, 'welcome'));
    world.run(1000);
    bob.address = '[2001:db8::5]:9';
    world.send(bob, packet(4, 2, 1, 'moved too'));
    world.run(1000);
    world.send(alice, packet(4, 1, 2, 'found you'));
    world.run(1000);

    expect(texts(bob)).toEqual(['home', 'café', 'found you']);
    expect(texts(alice)).toEqual(['welcome', 'moved too']);
  });

  it('drop a replayed datagram and do not follow it', () => {
    const { world, alice, bob } = pair();
    world.send(alice, packet(4, 1, 2, 'once'));
    world.run(1000);
    const data = world.wire.find((datagram) => datagram.bytes[0] === 4)!;

    world.deliver(bob, '203.0.113.66:666', data.bytes);
    world.send(bob, packet(4, 2, 1, 'answer'));
    world.run(1000);

    expect(texts(bob)).toEqual(['once']);
    expect(bob.device.status().drops.replayed).toBe(1);
    expect(texts(alice)).toEqual(['answer']);
  });

  it('drop a replayed initiation by its timestamp', () => {
    const { world, alice, bob } = pair();
    world.send(alice, packet(4, 1, 2, 'x'));
    world.run(1000);

    world.deliver(bob, '203.0.113.66:666', world.wire[0]!.bytes);

    expect(bob.device.status().drops['stale-timestamp']).toBe(1);
  });

  it('drop packets from inside that claim another source', () => {
    const { world, alice, bob } = pair();
    world.send(alice, packet(4, 9, 2, 'forged'), packet(6, 9, 2, 'forged'), packet(4, 1, 2, 'honest'));
    world.run(1000);

    expect(texts(bob)).toEqual(['honest']);
    expect(bob.device.status().drops['disallowed-source']).toBe(2);
  });

  it('answer a packet that nobody may get with ICMP unreachable', () => {
    const { world, alice } = pair();
    world.send(alice, packet(4, 1, 77, 'whom?'), packet(6, 1, 77, 'whom?'));

    expect(alice.received.map((bytes) => [bytes[0]! >> 4, bytes[bytes[0]! >> 4 === 4 ? 20 : 40]])).toEqual([
      [4, 3],
      [6, 1],
    ]);
    expect(alice.device.status().drops['no-route']).toBe(2);
  });

  it('count on past 2^32 packets', () => {
    const { world, alice, bob } = pair({ firstCounter: 2 ** 32 - 3 });
    for (let i = 0; i < 8; i++) {
      world.send(alice, packet(4, 1, 2, `${i}`));
      world.run(100);
    }

    expect(texts(bob)).toEqual(['0', '1', '2', '3', '4', '5', '6', '7']);
  });

  it('rekey where the other clock is wrong by years', () => {
    const { world, alice, bob } = pair();
    alice.clockErrorMs = -8 * 365 * 86_400_000;

    for (let second = 0; second < 200; second++) {
      world.send(alice, packet(4, 1, 2, `${second}`));
      world.run(1000);
    }

    expect(texts(bob)).toHaveLength(200);
  });

  it('carry congestion marks from the outer header to packets that are capable, and from inner to outer', () => {
    const { world, alice, bob } = pair();
    const capable = packet(6, 1, 2, 'capable');
    capable[1] = 0x20;
    world.send(alice, packet(4, 1, 2, 'start'));
    world.run(1000);
    world.markCongestion = true;

    world.send(alice, capable);
    world.run(1000);

    expect(world.wire.at(-1)!.tos & 3).toBe(2);
    expect((bob.received.at(-1)![1]! >> 4) & 3).toBe(3);
  });

  it('stage no more than 128 packets and drop the oldest', () => {
    const { world, alice, bob } = pair();
    const packets = Array.from({ length: 200 }, (_, i) => packet(4, 1, 2, `${i}`));

    world.send(alice, ...packets);
    world.run(1000);

    expect(texts(bob)).toEqual(Array.from({ length: 128 }, (_, i) => `${i + 72}`));
    expect(alice.device.status().drops['staging-full']).toBe(72);
  });

  it('keep sessions when the same private key is set again, and lose them with another', () => {
    const { world, alice, bob } = pair();
    world.send(alice, packet(4, 1, 2, 'a'));
    world.run(1000);

    alice.device.configure({ privateKey: seededKey(11), peers: [] }, world.now);
    world.send(alice, packet(4, 1, 2, 'b'));
    world.run(1000);
    alice.device.configure({ privateKey: seededKey(99), peers: [] }, world.now);
    world.send(alice, packet(4, 1, 2, 'c'));
    world.run(10_000);

    expect(texts(bob)).toEqual(['a', 'b']);
    expect(bob.device.status().drops['unknown-peer']).toBeGreaterThan(0);
  });
});
