/** Two devices that disguise their messages: what is on the wire, and who is not answered. */

import { describe, expect, it } from 'vitest';
import { encodeHex } from '../../shared/core/base/bytes.ts';
import { portableSuite } from '../../shared/core/crypto/portable.ts';
import type { DisguiseFields } from '../../shared/core/wire/disguise-fields.ts';
import { plainRules } from '../../shared/core/wire/disguise-rules.ts';
import { firstVersionFields, fullFields, rulesOf } from '../support/disguises.ts';
import { seededKey } from '../support/seeded.ts';
import { refBlake2s, refHash } from '../vectors/openssl.ts';
import { type Host, introduce, packet, textOf, type Weather, World } from './world.ts';

interface Pair {
  readonly world: World;
  readonly alice: Host;
  readonly bob: Host;
}

/** Alice begins. An absent disguise: plain WireGuard. */
function pair(a: DisguiseFields | undefined, b: DisguiseFields | undefined, weather?: Weather): Pair {
  const world = new World(3, weather);
  const alice = world.addHost('alice', '192.0.2.1:1000');
  const bob = world.addHost('bob', '192.0.2.2:51820');
  introduce(world, alice, bob, {
    a: { number: 1, secretKey: seededKey(21), known: false },
    b: { number: 2, secretKey: seededKey(22), known: true },
  });
  for (const [host, fields] of [
    [alice, a],
    [bob, b],
  ] as const) {
    if (fields !== undefined) host.device.configure({ disguise: rulesOf(fields), peers: [] }, world.now);
  }
  return { world, alice, bob };
}

/** Of the other device: refusals that the own one answers (ICMP) are left out. */
const texts = (host: Host): string[] =>
  host.received.filter((bytes) => bytes[0]! >> 4 === 6 || bytes[9] !== 1).map(textOf);
const u32 = (bytes: Uint8Array, at: number): number =>
  new DataView(bytes.buffer, bytes.byteOffset).getUint32(at, true);

function talk({ world, alice, bob }: Pair): void {
  world.send(alice, packet(4, 1, 2, 'question'), packet(6, 1, 2, 'x'.repeat(1300)));
  world.run(1000);
  world.send(bob, packet(4, 2, 1, 'answer'));
  world.run(1000);
}

describe.each([
  ['every parameter', fullFields],
  ['the parameters of the first version', firstVersionFields],
  ['noise alone', { jc: '5', jmin: '10', jmax: '300' }],
  ['types alone', { h1: '11', h2: '12', h3: '13', h4: '14' }],
  ['the longest noise before data', { s1: '1132', s2: '1187', s3: '1214', s4: '32' }],
] as const)('two devices with %s', (_name, fields) => {
  it('shake hands and talk both ways', () => {
    const both = pair(fields, fields);

    talk(both);

    expect(texts(both.bob)).toEqual(['question', 'x'.repeat(1300)]);
    expect(texts(both.alice)).toEqual(['answer']);
  });

  it('go on through hours of loss, doubles and new sessions', () => {
    const both = pair(fields, fields, { loss: 0.2, duplicate: 0.2, delayMs: 20, jitterMs: 40 });
    const { world, alice, bob } = both;
    for (let minute = 0; minute < 60; minute++) {
      world.send(alice, packet(4, 1, 2, `minute ${minute}`));
      world.run(60_000);
    }
    const before = bob.received.length;
    for (let n = 0; n < 20; n++) {
      world.send(alice, packet(4, 1, 2, 'still there'));
      world.run(10_000);
    }

    expect(bob.received.length).toBeGreaterThan(before + 8);
    expect(bob.device.status().drops['bad-mac1']).toBe(0);
  });
});

describe('a disguised tunnel on the wire', () => {
  it('has no message of WireGuard’s types and no handshake of its lengths', () => {
    const both = pair(fullFields, fullFields);
    talk(both);

    expect(both.world.wire.length).toBeGreaterThan(8);
    for (const { bytes } of both.world.wire) {
      expect([148, 92, 64]).not.toContain(bytes.length);
      expect(bytes[0]).toBeGreaterThan(4);
    }
  });

  it('has noise, then the initiation, whose mac covers its disguised type', () => {
    const both = pair(firstVersionFields, firstVersionFields);
    talk(both);
    const [, , , fourth, fifth] = both.world.wire.map(({ bytes }) => bytes);
    const initiation = fourth!.subarray(86);
    const response = fifth!.subarray(57);

    expect([initiation.length, u32(initiation, 0)]).toEqual([148, 1376979037]);
    expect([response.length, u32(response, 0)]).toEqual([92, 1283620850]);
    for (const [message, receiver] of [
      [initiation, seededKey(22)],
      [response, seededKey(21)],
    ] as const) {
      const label = Uint8Array.from('mac1----', (c) => c.charCodeAt(0));
      const macKey = refHash(label, portableSuite.publicKey(receiver));
      const mac = refBlake2s(message.slice(0, message.length - 32), macKey, 16);
      expect(encodeHex(message.subarray(message.length - 32, message.length - 16))).toBe(encodeHex(mac));
    }
  });

  it('has data with its own type and no noise before it where S4 is 0', () => {
    const both = pair(firstVersionFields, firstVersionFields);
    talk(both);
    const datagrams = both.world.wire.filter(({ bytes }) => u32(bytes, 0) === 1696394334);

    // The confirming packets, which are the data themselves, and the answer.
    expect(datagrams.map(({ bytes }) => bytes.length)).toEqual([64, 1376, 64]);
  });
});

describe('who does not wear the same disguise', () => {
  it('is not answered where it speaks plain WireGuard, and is counted', () => {
    const both = pair(undefined, fullFields);

    talk(both);

    expect(texts(both.bob)).toEqual([]);
    expect(both.world.wire.filter(({ from }) => from === both.bob.address)).toEqual([]);
    expect(both.bob.device.status().drops.undisguised).toBeGreaterThan(0);
  });

  it('is not answered by plain WireGuard either', () => {
    const both = pair(fullFields, undefined);

    talk(both);

    expect(texts(both.bob)).toEqual([]);
  });

  it.each([
    ['S1', { ...fullFields, s1: '34' }],
    ['S2', { ...fullFields, s2: '72' }],
    ['S4', { ...fullFields, s4: '17' }],
    ['H1', { ...fullFields, h1: '5' }],
    ['H2', { ...fullFields, h2: '6' }],
    ['H4', { ...fullFields, h4: '7' }],
  ])('has no tunnel where %s differs', (_key, other) => {
    const both = pair(fullFields, other);

    talk(both);

    expect(texts(both.bob)).toEqual([]);
    expect(texts(both.alice)).toEqual([]);
  });

  it('has one where only the noise before the handshake differs', () => {
    const both = pair({ ...fullFields, jc: '9', jmin: '1', jmax: '30' }, { ...fullFields, jc: '0' });

    talk(both);

    expect(texts(both.alice)).toEqual(['answer']);
  });

  it('understands noise alone without knowing of it', () => {
    const both = pair({ jc: '7', jmin: '5', jmax: '1000' }, undefined);

    talk(both);

    expect(texts(both.alice)).toEqual(['answer']);
  });
});

describe('a disguised device under load', () => {
  it('asks for a cookie in disguise, and answers whoever has it', () => {
    const { world, alice, bob } = pair(fullFields, fullFields);
    world.send(alice, packet(4, 1, 2, 'hello'));
    const initiation = world.wire.at(-1)!.bytes;
    const crowd = Array.from({ length: 200 }, (_, n) => `198.51.100.${n % 250}:${1000 + n}`);
    world.flood(bob, initiation, crowd);
    const replies = world.wire.filter(({ from }) => from === bob.address).map(({ bytes }) => bytes);
    const cookies = replies.filter(({ length }) => length === 64 + 20);

    expect(cookies.length).toBeGreaterThan(10);
    for (const cookie of cookies) {
      expect(u32(cookie, 20)).toBeGreaterThanOrEqual(500_000);
      expect(u32(cookie, 20)).toBeLessThanOrEqual(600_000);
    }
    // Alice takes the one that answers her message.
    const before = alice.device.status().drops;
    world.deliver(alice, bob.address, cookies[0]!);
    expect(alice.device.status().drops['bad-cookie']).toBe(before['bad-cookie']);
    expect(alice.device.status().drops.undisguised).toBe(before.undisguised);
  });
});

describe('a change of the disguise', () => {
  it('keeps the session: what was agreed goes on in the new clothes', () => {
    const both = pair(undefined, undefined);
    const { world, alice, bob } = both;
    talk(both);
    for (const host of [alice, bob])
      host.device.configure({ disguise: rulesOf(fullFields), peers: [] }, world.now);
    const first = world.wire.length;

    world.send(alice, packet(4, 1, 2, 'dressed'));
    world.run(1000);

    expect(texts(bob).at(-1)).toBe('dressed');
    const [datagram] = world.wire.slice(first);
    expect(u32(datagram!.bytes, 18)).toBeGreaterThanOrEqual(700_000);
    for (const host of [alice, bob]) host.device.configure({ disguise: plainRules, peers: [] }, world.now);
    world.send(bob, packet(4, 2, 1, 'undressed'));
    world.run(1000);
    expect(texts(alice).at(-1)).toBe('undressed');
    expect(alice.device.status()).not.toHaveProperty('disguise');
  });

  it('is told by the status', () => {
    const { alice } = pair(fullFields, fullFields);

    expect(alice.device.status().disguise).toEqual(rulesOf(fullFields));
  });
});
