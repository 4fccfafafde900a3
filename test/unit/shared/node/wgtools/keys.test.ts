import { describe, expect, test } from 'vitest';
import {
  generatePresharedKey,
  generatePrivateKey,
  publicKeyOf,
} from '../../../../../shared/node/wgtools/keys.ts';

const bytes = (hex: string) => new Uint8Array(Buffer.from(hex, 'hex'));

describe('publicKeyOf', () => {
  // RFC 7748 §6.1
  test.each([
    [
      '77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a',
      '8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a',
    ],
    [
      '5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb',
      'de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f',
    ],
  ])('of %s is the published one', (privateKey, publicKey) => {
    expect(publicKeyOf(bytes(privateKey))).toEqual(bytes(publicKey));
  });

  test('is the same for a key before and after clamping', () => {
    const clamped = generatePrivateKey();
    const raw = Uint8Array.from(clamped);
    raw[0] = clamped[0] | 5;
    raw[31] = clamped[31] | 128;

    expect(publicKeyOf(raw)).toEqual(publicKeyOf(clamped));
  });

  test('refuses what has not 32 bytes', () => {
    expect(() => publicKeyOf(new Uint8Array(31))).toThrow('32 bytes');
  });
});

describe('generatePrivateKey', () => {
  test('is clamped and never the same twice', () => {
    const made = Array.from({ length: 50 }, generatePrivateKey);

    for (const key of made) {
      expect(key).toHaveLength(32);
      expect(key[0] & 7).toBe(0);
      expect(key[31] & 0xc0).toBe(0x40);
    }
    expect(new Set(made.map(String)).size).toBe(50);
  });
});

describe('generatePresharedKey', () => {
  test('has 32 bytes and is never the same twice', () => {
    const made = Array.from({ length: 50 }, generatePresharedKey);

    expect(made.every((key) => key.length === 32)).toBe(true);
    expect(new Set(made.map(String)).size).toBe(50);
  });
});
