/**
 * Known answers that every suite must give before it is used: published vectors (RFC 7748,
 * RFC 7693, draft-irtf-cfrg-xchacha-03), and ChaCha20-Poly1305 (RFC 8439) with WireGuard's nonces,
 * whose first four bytes are zero, which no published vector has; those were computed by OpenSSL.
 */

import { assert } from '../base/assert.ts';
import { ascii, decodeHex, encodeHex } from '../base/bytes.ts';
import { type CryptoSuite, tagSize } from './suite.ts';

/** X25519: secret key, public key, shared secret. RFC 7748 §5.2 (two), §6.1 (both sides). */
export const x25519Vectors: readonly (readonly [string, string, string])[] = [
  [
    'a546e36bf0527c9d3b16154b82465edd62144c0ac1fc5a18506a2244ba449ac4',
    'e6db6867583030db3594c1a424b15f7c726624ec26b3353b10a903a6d0ab1c4c',
    'c3da55379de9c6908e94ea4df28d084f32eccf03491c71f754b4075577a28552',
  ],
  [
    '4b66e9d4d1b4673c5ad22691957d6af5c11b6421e0ea01d42ca4169e7918ba0d',
    'e5210f12786811d3f4b7959d0538ae2c31dbe7106fc03c3efc4cd549c715a493',
    '95cbde9476e8907d7aade45cb4b873f88b595a68799fa152e6f8f7647aac7957',
  ],
  [
    '77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a',
    'de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f',
    '4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742',
  ],
  [
    '5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb',
    '8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a',
    '4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742',
  ],
];

/** Secret key and public key. RFC 7748 §6.1. */
export const publicKeyVectors: readonly (readonly [string, string])[] = [
  [
    '77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a',
    '8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a',
  ],
  [
    '5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb',
    'de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f',
  ],
];

/** Points whose shared secret is zero with every key: 0, 1, the two of order 8, p - 1, p, p + 1. */
export const lowOrderPoints: readonly string[] = [
  '0000000000000000000000000000000000000000000000000000000000000000',
  '0100000000000000000000000000000000000000000000000000000000000000',
  'e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800',
  '5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157',
  'ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
  'edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
  'eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
];

/** BLAKE2s-256 of the bytes 0, 1, 2 … of that number. */
export const hashVectors: readonly (readonly [number, string])[] = [
  [0, '69217a3079908094e11121d042354a7c1f55b6482ca1a51e1b250dfd1ed0eef9'],
  [64, '56f34e8b96557e90c1f24b52d0c89d51086acf1b00f634cf1dde9233b8eaaa3e'],
  [128, '1fa877de67259d19863a2a34bcc6962a2b25fcbf5cbecd7ede8f1fa36688a796'],
  [200, '6d244e1a06ce4ef578dd0f63aff0936706735119ca9c8d22d86c801414ab9741'],
];

/** RFC 7693 appendix B. */
export const hashOfAbc = '508c5e8c327c14e2e1a72ba34eeb452f37458b209ed63a294d999b4c86675982';

/** Keyed BLAKE2s, 16 bytes out: key and message are the bytes 0, 1, 2 … of those numbers. */
export const macVectors: readonly (readonly [number, number, string])[] = [
  [32, 0, '9536f9b267655743dee97b8a670f9f53'],
  [32, 64, 'f1efa90d2547036841ecd3627fafbc36'],
  [32, 200, '42a6f8ff590af21b512e9e088257aa34'],
];

/** A small message under counter 2^32 + 1; the key is vectorKey, the message the bytes 0 to 31. */
export const sealVector: { readonly counter: number; readonly additional: string; readonly sealed: string } =
  {
    counter: 2 ** 32 + 1,
    additional: '50515253c0c1c2c3c4c5c6c7',
    sealed:
      '84e0eb920e331658d50f5066e8d70db98fd36f73c5cdab28232d92d3df7b7937353774c50ebf71371bc83bd33ef88f80',
  };

/** draft-irtf-cfrg-xchacha-03 §A.3.1; the key is vectorKey. */
export const xsealVector: {
  readonly nonce: string;
  readonly additional: string;
  readonly plaintext: string;
  readonly sealed: string;
} = {
  nonce: '404142434445464748494a4b4c4d4e4f5051525354555657',
  additional: '50515253c0c1c2c3c4c5c6c7',
  plaintext:
    "Ladies and Gentlemen of the class of '99: If I could offer you only one tip for the future, sunscreen would be it.",
  sealed:
    'bd6d179d3e83d43b9576579493c0e939572a1700252bfaccbed2902c21396cbb731c7f1b0b4aa6440bf3a82f4eda7e39' +
    'ae64c6708c54c216cb96b72e1213b4522f8c9ba40db5d945b11b69b982c1bb9e3f3fac2bc369488f76b2383565d3fff9' +
    '21f9664c97637da9768812f615c68b13b52ec0875924c1c7987947deafd8780acf49',
};

/**
 * Packets in place: size, counter, tag. The key is vectorKey, the packet patternOf(size). A right
 * tag means right ciphertext: it is computed over it.
 */
export const transportVectors: readonly (readonly [number, number, string])[] = [
  [0, 0, '3ae5d3f2a376d317eaea5aef0215ba54'],
  [0, 1, '2c8bcc023498fb4795f009bc2b0bd49a'],
  [0, 2 ** 32 - 1, '677e52f8ee8e91f2297be89ed2762334'],
  [0, 2 ** 32, 'be8175654017cc1c68cf224f218414e3'],
  [0, 2 ** 32 + 1, '1f47ace55ee5fb0ce8634ff31d593cfc'],
  [0, 2 ** 53 - 1, 'a820420c5ccb7a7a6e8f9520a84bd3bf'],
  [1, 4, '60c992be1fa823c350c38981ced3e819'],
  [15, 46, 'af07f7ef0eea8279fa151c9dc96f0819'],
  [16, 49, 'f986657f854535f7f6f87be8ee07947e'],
  [17, 52, '412c652ed6f48315a6939d8bf07d420a'],
  [63, 190, '74d6ebf7310a85aaee589e8439d7c3fd'],
  [64, 193, '7d41b0fb3523cc995353530756887450'],
  [65, 0, '0eff72af49320920a950b1b87163ea38'],
  [65, 1, 'a45e8c8988374f644f2912cc36f1de10'],
  [65, 2 ** 32 - 1, 'e389f66d4511156be24e0a6995ebdff5'],
  [65, 2 ** 32, '5edf7ca8b501f0945b568f6f29d17ae3'],
  [65, 2 ** 32 + 1, '45f773d9e6bc7a4a0210ec514731f5f7'],
  [65, 2 ** 53 - 1, '459cc312910627f4d35ef82d918aeb96'],
  [127, 382, '82d04d0d7b7fd72483a6b27e4145c019'],
  [128, 385, '83496a65abe868891ddc56fef6f57f6c'],
  [129, 388, '59b9a298ec123b98477cebbf89da8fe1'],
  [255, 766, 'fe436f9a863bae7d429c672f8b989f3e'],
  [256, 769, '5542edb2f813c466760847075732e92b'],
  [257, 772, '424f910f20e1b6d04c07f1996f432f4e'],
  [511, 1534, '797d21f9f6201c77cbcde1b6bca3907a'],
  [512, 1537, 'efa0fe0de9bda2692e11eadeb54b6a16'],
  [513, 1540, '359dd5db81d6d3a1e17bf61c1e0cb543'],
  [1280, 3841, 'c1ed6b2423e8171ab89c707662031882'],
  [1420, 0, 'eb4f5e530b534cc4bbfbb1169b7de55b'],
  [1420, 1, 'ec063b2308fde803c79256297f77053b'],
  [1420, 2 ** 32 - 1, '240ee299034305eff466f894b2543dfc'],
  [1420, 2 ** 32, '9a36e43563d3b843d1aaa77e37bbe559'],
  [1420, 2 ** 32 + 1, '9b55a9a99941510262116fd776c0d3b7'],
  [1420, 2 ** 53 - 1, 'd299cfcb80a6600b7aaccfac7aa93509'],
  [1452, 4357, '08bb0dcc2826309fc4118a23fbc5761a'],
  [4096, 12289, '07e0070df06bd3ac94b06f0c1fd58237'],
  [9001, 27004, '04e50c3069d056b7901b192504b00160'],
];

/** 80 81 82 … 9f, as in RFC 8439 and the draft. */
export const vectorKey: Uint8Array = run(32, 0x80, 1);

/** The packet of a transport vector. */
export function patternOf(size: number): Uint8Array {
  return run(size, 3, 7);
}

/** Bytes before and behind a packet, which no suite may touch. */
const guardSize = 24;
const guard = 0xa5;
const largestPacket = 9001;

/** Memory that selfTest needs. */
export const selfTestBytes: number = largestPacket + tagSize + 2 * guardSize;

/**
 * Puts every vector to a suite. Undefined where all is right, else which answer was wrong. `memory`
 * is where packets are sealed, at least selfTestBytes, for suites that are faster in memory of theirs.
 */
export function selfTest(
  suite: CryptoSuite,
  memory: Uint8Array = new Uint8Array(selfTestBytes),
): string | undefined {
  assert(memory.length >= selfTestBytes, 'the memory holds the largest packet');
  return (
    checkX25519(suite) ?? checkBlake2s(suite) ?? checkSmallMessages(suite) ?? checkTransport(suite, memory)
  );
}

function checkX25519(suite: CryptoSuite): string | undefined {
  for (const [secretKey, publicKey] of publicKeyVectors) {
    if (!same(suite.publicKey(bytesOf(secretKey)), publicKey)) return 'X25519 public key (RFC 7748 6.1)';
  }
  for (const [i, [secretKey, publicKey, shared]] of x25519Vectors.entries()) {
    if (!same(suite.dh(bytesOf(secretKey), bytesOf(publicKey)), shared)) return `X25519 ${i} (RFC 7748)`;
  }
  for (const [i, point] of lowOrderPoints.entries()) {
    if (suite.dh(vectorKey, bytesOf(point)) !== undefined) return `X25519 low-order point ${i}`;
  }
  return undefined;
}

function checkBlake2s(suite: CryptoSuite): string | undefined {
  if (!same(suite.hash(ascii('abc')), hashOfAbc)) return 'BLAKE2s of abc (RFC 7693 B)';
  if (!same(suite.hash(ascii('a'), ascii('bc')), hashOfAbc)) return 'BLAKE2s of two parts';
  for (const [size, digest] of hashVectors) {
    if (!same(suite.hash(run(size, 0, 1)), digest)) return `BLAKE2s of ${size} bytes`;
  }
  for (const [keyLength, size, tag] of macVectors) {
    if (!same(suite.mac(run(keyLength, 0, 1), run(size, 0, 1)), tag)) return `keyed BLAKE2s of ${size} bytes`;
  }
  return undefined;
}

function checkSmallMessages(suite: CryptoSuite): string | undefined {
  const message = run(32, 0, 1);
  const additional = bytesOf(sealVector.additional);
  const sealed = suite.seal(vectorKey, sealVector.counter, message, additional);
  if (!same(sealed, sealVector.sealed)) return 'ChaCha20-Poly1305 seal';
  const opened = suite.open(vectorKey, sealVector.counter, sealed, additional);
  if (!same(opened, encodeHex(message))) return 'ChaCha20-Poly1305 open';
  if (suite.open(vectorKey, sealVector.counter, sealed, message) !== undefined)
    return 'ChaCha20-Poly1305 forged';

  const nonce = bytesOf(xsealVector.nonce);
  const plaintext = ascii(xsealVector.plaintext);
  const xsealed = suite.xseal(vectorKey, nonce, plaintext, additional);
  if (!same(xsealed, xsealVector.sealed)) return 'XChaCha20-Poly1305 seal (draft A.3.1)';
  const xopened = suite.xopen(vectorKey, nonce, xsealed, additional);
  if (!same(xopened, encodeHex(plaintext))) return 'XChaCha20-Poly1305 open (draft A.3.1)';
  if (suite.xopen(vectorKey, nonce, xsealed, message) !== undefined) return 'XChaCha20-Poly1305 forged';
  return undefined;
}

function checkTransport(suite: CryptoSuite, memory: Uint8Array): string | undefined {
  const key = suite.transportKey(vectorKey);
  try {
    for (const [size, counter, tag] of transportVectors) {
      // Every alignment comes by turns.
      const offset = guardSize - (size % 8);
      const end = offset + size;
      const where = `transport packet of ${size} bytes under counter ${counter}`;
      memory.fill(guard);
      memory.set(patternOf(size), offset);
      key.seal(memory, offset, size, counter);
      if (!same(memory.subarray(end, end + tagSize), tag)) return `${where}: seal`;
      if (!untouched(memory, offset, end + tagSize)) return `${where}: bytes beside it`;
      if (!key.open(memory, offset, size, counter)) return `${where}: open`;
      if (!same(memory.subarray(offset, end), encodeHex(patternOf(size)))) return `${where}: plaintext`;
      if (!untouched(memory, offset, end + tagSize)) return `${where}: bytes beside it`;
      key.seal(memory, offset, size, counter);
      memory[end + tagSize - 1]! ^= 1;
      if (key.open(memory, offset, size, counter)) return `${where}: forged`;
    }
  } finally {
    key.wipe();
  }
  return undefined;
}

function untouched(memory: Uint8Array, start: number, end: number): boolean {
  for (let i = 0; i < start; i++) if (memory[i] !== guard) return false;
  for (let i = end; i < selfTestBytes; i++) if (memory[i] !== guard) return false;
  return true;
}

function same(bytes: Uint8Array | undefined, hex: string): boolean {
  return bytes !== undefined && encodeHex(bytes) === hex;
}

function bytesOf(hex: string): Uint8Array {
  const bytes = decodeHex(hex);
  assert(bytes !== undefined, 'a vector is hexadecimal');
  return bytes;
}

/** `size` bytes that begin with `first` and grow by `step`. */
function run(size: number, first: number, step: number): Uint8Array {
  return Uint8Array.from({ length: size }, (_, i) => first + i * step);
}
