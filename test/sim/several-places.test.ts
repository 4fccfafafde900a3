// Initiations that go to several places at once: who answers is where the peer is.
import { describe, expect, test } from 'vitest';
import { seededKey } from '../support/seeded.ts';
import { type Host, packet, textOf, World } from './world.ts';

const nowhere = { address: '192.0.2.9', port: 1 };
const elsewhere = { address: '192.0.2.9', port: 2 };
const there = { address: '192.0.2.2', port: 51820 };

interface Pair {
  readonly world: World;
  readonly alice: Host;
  readonly bob: Host;
  readonly bobKey: Uint8Array;
}

/** Alice believes Bob where nobody is. */
function pair(): Pair {
  const world = new World(5);
  const alice = world.addHost('alice', '192.0.2.1:1000');
  const bob = world.addHost('bob', '192.0.2.2:51820');
  for (const host of [alice, bob]) {
    host.device.configure({ privateKey: seededKey(host === alice ? 1 : 2), peers: [] }, world.now);
  }
  const keyOf = (host: Host): Uint8Array => host.device.status().publicKey ?? new Uint8Array(32);
  const [aliceKey, bobKey] = [keyOf(alice), keyOf(bob)];
  bob.device.configure({ peers: [{ publicKey: aliceKey, allowedIps: ['10.0.0.1/32'] }] }, world.now);
  alice.device.configure(
    { peers: [{ publicKey: bobKey, allowedIps: ['10.0.0.2/32'], endpoint: nowhere }] },
    world.now,
  );
  return { world, alice, bob, bobKey };
}

function tell({ world, alice, bobKey }: Pair, change: object): void {
  alice.device.configure(
    { peers: [{ publicKey: bobKey, updateOnly: true, allowedIps: [], ...change }] },
    world.now,
  );
}

const initiationsTo = (world: World, to: string): readonly string[] =>
  world.wire
    .filter((one) => one.bytes[0] === 1 && one.to === to)
    .map(({ bytes }) => Buffer.from(bytes).toString('hex'));

describe('an initiation to several places', () => {
  test('is the same one everywhere, also where a place is added while it is under way', () => {
    const all = pair();
    const { world, alice } = all;
    world.send(alice, packet(4, 1, 2, 'hello'));
    world.run(50);

    tell(all, { alsoTo: [elsewhere] });
    world.run(10);
    tell(all, { alsoTo: [elsewhere, there] });
    world.run(200);

    const first = initiationsTo(world, '192.0.2.9:1');
    expect(first).toHaveLength(1);
    expect(initiationsTo(world, '192.0.2.9:2')).toEqual(first);
    expect(initiationsTo(world, '192.0.2.2:51820')).toEqual(first);
  });

  test('moves the peer to the place that answers, and then goes nowhere else', () => {
    const all = pair();
    const { world, alice, bob } = all;
    tell(all, { alsoTo: [elsewhere, there] });
    world.send(alice, packet(4, 1, 2, 'hello'));
    world.run(300);

    expect(alice.device.status().peers[0]?.endpoint).toEqual(there);
    expect(bob.received.map(textOf)).toEqual(['hello']);
    expect(alice.events.map(({ kind }) => kind)).toContain('roamed');

    tell(all, { renew: true });
    world.run(300);
    expect(initiationsTo(world, '192.0.2.9:2')).toHaveLength(1);
    expect(initiationsTo(world, '192.0.2.2:51820')).toHaveLength(2);
  });

  test('is repeated everywhere until one is answered, and not where it was forgotten', () => {
    const all = pair();
    const { world, alice } = all;
    tell(all, { alsoTo: [elsewhere] });
    world.send(alice, packet(4, 1, 2, 'hello'));
    world.run(7000);
    expect(initiationsTo(world, '192.0.2.9:2')).toHaveLength(2);

    tell(all, { alsoTo: [] });
    world.run(7000);

    expect(initiationsTo(world, '192.0.2.9:2')).toHaveLength(2);
    expect(initiationsTo(world, '192.0.2.9:1').length).toBeGreaterThan(2);
  });

  test('while a session stands: its packets stay where they are until the other place answers', () => {
    const all = pair();
    const { world, alice, bob } = all;
    tell(all, { endpoint: there });
    world.send(alice, packet(4, 1, 2, 'one'));
    world.run(300);

    tell(all, { alsoTo: [elsewhere], renew: true });
    world.send(alice, packet(4, 1, 2, 'two'));
    world.run(300);

    expect(bob.received.map(textOf)).toEqual(['one', 'two']);
    expect(initiationsTo(world, '192.0.2.9:2')).toHaveLength(1);
    expect(alice.device.status().peers[0]?.endpoint).toEqual(there);
  });

  test('goes to thirty-two further places at most', () => {
    const all = pair();
    const { world, alice } = all;
    tell(all, { alsoTo: Array.from({ length: 200 }, (_, i) => ({ address: '192.0.2.9', port: 100 + i })) });

    world.send(alice, packet(4, 1, 2, 'hello'));
    world.run(100);

    expect(world.wire.filter(({ bytes }) => bytes[0] === 1)).toHaveLength(33);
  });
});
