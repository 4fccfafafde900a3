import { expect, test } from 'vitest';
import { portableSuite } from '../../../../../shared/core/crypto/portable.ts';
import type { CryptoSuite } from '../../../../../shared/core/crypto/suite.ts';
import { EphemeralStock } from '../../../../../shared/core/tunnel/ephemerals.ts';
import { seededEntropy } from '../../../../support/seeded.ts';

/** A suite that keeps keys, and notes which. */
function keepingSuite(): { suite: CryptoSuite; kept: string[]; forgotten: string[] } {
  const kept: string[] = [];
  const forgotten: string[] = [];
  const suite: CryptoSuite = {
    ...portableSuite,
    publicKey: (secret) => {
      kept.push(String(secret));
      return portableSuite.publicKey(secret);
    },
    forget: (secret) => forgotten.push(String(secret)),
  };
  return { suite, kept, forgotten };
}

const draw = (stock: EphemeralStock): string => {
  const bytes = new Uint8Array(32);
  stock.fill(bytes);
  return String(bytes);
};

test('a key that was drawn ahead is given out once, its public key known', () => {
  const { suite, kept } = keepingSuite();
  const stock = new EphemeralStock(suite, seededEntropy(1));
  stock.prepare();
  stock.prepare();
  expect(kept).toHaveLength(1);
  expect(draw(stock)).toBe(kept[0]);
  const second = draw(stock);
  expect(second).not.toBe(kept[0]);
  expect(draw(stock)).not.toBe(second);
});

test('other sizes are fresh bytes and leave the key where it is', () => {
  const { suite, kept } = keepingSuite();
  const stock = new EphemeralStock(suite, seededEntropy(1));
  stock.prepare();
  stock.fill(new Uint8Array(4));
  expect(draw(stock)).toBe(kept[0]);
});

test('a wiped stock has forgotten its key', () => {
  const { suite, kept, forgotten } = keepingSuite();
  const stock = new EphemeralStock(suite, seededEntropy(1));
  stock.prepare();
  stock.wipe();
  expect(forgotten).toEqual(kept);
  expect(draw(stock)).not.toBe(kept[0]);
});

test('a suite that keeps nothing is not asked ahead', () => {
  const entropy = seededEntropy(1);
  const { forget: _, ...suite } = portableSuite;
  const stock = new EphemeralStock(suite, entropy);
  stock.prepare();
  const expected = new Uint8Array(32);
  seededEntropy(1).fill(expected);
  expect(draw(stock)).toBe(String(expected));
});
