import { expect, test } from 'vitest';
import { portableSuite } from '../../../../../shared/core/crypto/portable.ts';
import type { CryptoSuite } from '../../../../../shared/core/crypto/suite.ts';
import { EphemeralStock } from '../../../../../shared/core/tunnel/ephemerals.ts';
import { seededEntropy } from '../../../../support/seeded.ts';

const alice = portableSuite.publicKey(new Uint8Array(32).fill(1));
const bob = portableSuite.publicKey(new Uint8Array(32).fill(2));

/** A suite that notes what is computed, and for which keys. */
function notingSuite(): { suite: CryptoSuite; made: string[]; agreed: Uint8Array[]; forgotten: string[] } {
  const made: string[] = [];
  const agreed: Uint8Array[] = [];
  const forgotten: string[] = [];
  const suite: CryptoSuite = {
    ...portableSuite,
    publicKey: (secret) => {
      made.push(String(secret));
      return portableSuite.publicKey(secret);
    },
    dh: (secret, peer) => {
      agreed.push(peer);
      return portableSuite.dh(secret, peer);
    },
    forget: (secret) => forgotten.push(String(secret)),
  };
  return { suite, made, agreed, forgotten };
}

test('a key that was drawn ahead for a peer is given out once, with everything computed', () => {
  const { suite, made, agreed } = notingSuite();
  const stock = new EphemeralStock(suite, seededEntropy(1));
  stock.prepare(alice);
  stock.prepare(alice);
  expect([made.length, agreed]).toEqual([1, [alice]]);

  const key = stock.take(alice);

  expect([made.length, agreed.length]).toEqual([1, 1]);
  expect(String(key.secretKey)).toBe(made[0]);
  expect(key.publicKey).toEqual(portableSuite.publicKey(key.secretKey));
  expect(key.shared).toEqual(portableSuite.dh(key.secretKey, alice));
  expect(stock.take(alice).secretKey).not.toEqual(key.secretKey);
});

test.each([
  ['another peer was expected', bob],
  ['nobody was expected', undefined],
])('where %s the key is the one drawn ahead, and agrees with the right peer', (_, expected) => {
  const { suite, made } = notingSuite();
  const stock = new EphemeralStock(suite, seededEntropy(1));
  stock.prepare(expected);

  const key = stock.take(alice);

  expect(made).toEqual([String(key.secretKey)]);
  expect(key.shared).toEqual(portableSuite.dh(key.secretKey, alice));
});

test('who is expected may change while the key stays', () => {
  const { suite, made, agreed } = notingSuite();
  const stock = new EphemeralStock(suite, seededEntropy(1));
  for (const expected of [undefined, bob, alice]) stock.prepare(expected);

  expect(stock.take(alice).shared).toBeDefined();
  expect([made.length, agreed]).toEqual([1, [bob, alice]]);
});

test('without one drawn ahead a key is fresh and whole', () => {
  const key = new EphemeralStock(portableSuite, seededEntropy(1)).take(alice);

  expect(key.publicKey).toEqual(portableSuite.publicKey(key.secretKey));
  expect(key.shared).toEqual(portableSuite.dh(key.secretKey, alice));
});

test('a wiped stock has forgotten its key, in the suite too, and what was made of it', () => {
  const { suite, made, forgotten } = notingSuite();
  const stock = new EphemeralStock(suite, seededEntropy(1));
  stock.prepare(alice);
  stock.wipe();
  stock.wipe();

  expect(forgotten).toEqual(made);
  expect(String(stock.take(alice).secretKey)).not.toBe(made[0]);
});
