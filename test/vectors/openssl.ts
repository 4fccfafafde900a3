// The same cryptography a second time, from Node's OpenSSL and, where that lacks keyed BLAKE2s, from RFC 7693. Tests
// compare the core with this; nothing of the core is used here.
import {
  createCipheriv,
  createDecipheriv,
  createHash,
  createHmac,
  createPrivateKey,
  createPublicKey,
  diffieHellman,
} from 'node:crypto';

const pkcs8Prefix = Buffer.from('302e020100300506032b656e04220420', 'hex');
const spkiPrefix = Buffer.from('302a300506032b656e032100', 'hex');

export function hex(text: string): Uint8Array {
  return Uint8Array.from(Buffer.from(text, 'hex'));
}

export function refPublicKey(secretKey: Uint8Array): Uint8Array {
  const key = createPrivateKey({
    key: Buffer.concat([pkcs8Prefix, secretKey]),
    format: 'der',
    type: 'pkcs8',
  });
  return Uint8Array.from(createPublicKey(key).export({ format: 'der', type: 'spki' }).subarray(12));
}

export function refDh(secretKey: Uint8Array, publicKey: Uint8Array): Uint8Array {
  const shared = diffieHellman({
    privateKey: createPrivateKey({
      key: Buffer.concat([pkcs8Prefix, secretKey]),
      format: 'der',
      type: 'pkcs8',
    }),
    publicKey: createPublicKey({ key: Buffer.concat([spkiPrefix, publicKey]), format: 'der', type: 'spki' }),
  });
  return Uint8Array.from(shared);
}

export function refHash(...parts: readonly Uint8Array[]): Uint8Array {
  return Uint8Array.from(createHash('blake2s256').update(Buffer.concat(parts)).digest());
}

export function refHmac(key: Uint8Array, ...parts: readonly Uint8Array[]): Uint8Array {
  return Uint8Array.from(createHmac('blake2s256', key).update(Buffer.concat(parts)).digest());
}

/** WireGuard's nonce: four zero bytes and the counter, little-endian. */
export function counterNonce(counter: number): Uint8Array {
  const nonce = Buffer.alloc(12);
  nonce.writeBigUInt64LE(BigInt(counter), 4);
  return Uint8Array.from(nonce);
}

export function refSeal(
  key: Uint8Array,
  nonce: Uint8Array,
  plaintext: Uint8Array,
  additional: Uint8Array = new Uint8Array(0),
): Uint8Array {
  const cipher = createCipheriv('chacha20-poly1305', key, nonce, { authTagLength: 16 });
  cipher.setAAD(additional, { plaintextLength: plaintext.length });
  const sealed = Buffer.concat([cipher.update(plaintext), cipher.final(), cipher.getAuthTag()]);
  return Uint8Array.from(sealed);
}

export function refOpen(
  key: Uint8Array,
  nonce: Uint8Array,
  sealed: Uint8Array,
  additional: Uint8Array = new Uint8Array(0),
): Uint8Array {
  const cipher = createDecipheriv('chacha20-poly1305', key, nonce, { authTagLength: 16 });
  cipher.setAAD(additional, { plaintextLength: sealed.length - 16 });
  cipher.setAuthTag(sealed.subarray(-16));
  return Uint8Array.from(Buffer.concat([cipher.update(sealed.subarray(0, -16)), cipher.final()]));
}

/** XChaCha20-Poly1305 (draft-irtf-cfrg-xchacha): HChaCha20 is a ChaCha20 block minus the state it began with. */
export function refXseal(
  key: Uint8Array,
  nonce: Uint8Array,
  plaintext: Uint8Array,
  additional: Uint8Array,
): Uint8Array {
  const block = createCipheriv('chacha20', key, nonce.subarray(0, 16)).update(Buffer.alloc(64));
  const constants = Buffer.from('expand 32-byte k');
  const subkey = Buffer.alloc(32);
  for (let i = 0; i < 4; i++) {
    const iv = Buffer.from(nonce.subarray(0, 16)).readUInt32LE(4 * i);
    subkey.writeUInt32LE((block.readUInt32LE(4 * i) - constants.readUInt32LE(4 * i)) >>> 0, 4 * i);
    subkey.writeUInt32LE((block.readUInt32LE(48 + 4 * i) - iv) >>> 0, 16 + 4 * i);
  }
  const rest = Uint8Array.from([0, 0, 0, 0, ...nonce.subarray(16)]);
  return refSeal(Uint8Array.from(subkey), rest, plaintext, additional);
}

const iv = [0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19];

const sigma = [
  [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15],
  [14, 10, 4, 8, 9, 15, 13, 6, 1, 12, 0, 2, 11, 7, 5, 3],
  [11, 8, 12, 0, 5, 2, 15, 13, 10, 14, 3, 6, 7, 1, 9, 4],
  [7, 9, 3, 1, 13, 12, 11, 14, 2, 6, 5, 10, 4, 0, 15, 8],
  [9, 0, 5, 7, 2, 4, 10, 15, 14, 1, 11, 12, 6, 8, 3, 13],
  [2, 12, 6, 10, 0, 11, 8, 3, 4, 13, 7, 5, 15, 14, 1, 9],
  [12, 5, 1, 15, 14, 13, 4, 10, 0, 7, 6, 3, 9, 2, 8, 11],
  [13, 11, 7, 14, 12, 1, 3, 9, 5, 0, 15, 4, 8, 6, 2, 10],
  [6, 15, 14, 9, 11, 3, 0, 8, 12, 2, 13, 7, 1, 4, 10, 5],
  [10, 2, 8, 4, 7, 6, 1, 5, 15, 11, 9, 14, 3, 12, 13, 0],
];

const lanes = [
  [0, 4, 8, 12],
  [1, 5, 9, 13],
  [2, 6, 10, 14],
  [3, 7, 11, 15],
  [0, 5, 10, 15],
  [1, 6, 11, 12],
  [2, 7, 8, 13],
  [3, 4, 9, 14],
];

/** BLAKE2s with a key and a length of output (RFC 7693 §3). */
export function refBlake2s(message: Uint8Array, key: Uint8Array, outLength: number): Uint8Array {
  const h = Uint32Array.from(iv);
  h[0] ^= 0x01010000 ^ (key.length << 8) ^ outLength;
  const keyBlock = Buffer.alloc(key.length > 0 ? 64 : 0);
  keyBlock.set(key);
  const input = Buffer.concat([keyBlock, message]);
  const blocks = Math.max(1, Math.ceil(input.length / 64));
  for (let i = 0; i < blocks; i++) {
    const block = Buffer.alloc(64);
    input.copy(block, 0, 64 * i, 64 * i + 64);
    compress(h, block, Math.min(input.length, 64 * i + 64), i === blocks - 1);
  }
  return new Uint8Array(h.buffer).slice(0, outLength);
}

function compress(h: Uint32Array, block: Buffer, count: number, last: boolean): void {
  const v = Uint32Array.from([...h, ...iv]);
  v[12] ^= count;
  if (last) v[14] = ~v[14]!;
  for (const order of sigma) {
    for (const [i, [a, b, c, d]] of lanes.entries()) {
      v[a] = v[a] + v[b] + block.readUInt32LE(4 * order[2 * i]);
      v[d] = turn(v[d] ^ v[a], 16);
      v[c] = v[c] + v[d];
      v[b] = turn(v[b] ^ v[c], 12);
      v[a] = v[a] + v[b] + block.readUInt32LE(4 * order[2 * i + 1]);
      v[d] = turn(v[d] ^ v[a], 8);
      v[c] = v[c] + v[d];
      v[b] = turn(v[b] ^ v[c], 7);
    }
  }
  for (let i = 0; i < 8; i++) h[i] ^= v[i] ^ v[i + 8];
}

function turn(word: number, bits: number): number {
  return (word >>> bits) | (word << (32 - bits));
}
