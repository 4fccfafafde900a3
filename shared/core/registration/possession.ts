/**
 * Proof that a device holds the private half of the X25519 key it registers.
 *
 * Both sides compute DH(device key, edge key); from it a MAC key that names both keys; the proof is
 * the MAC over a challenge of the edge and everything else the request says. Why this way:
 * - Nobody can register the public key of somebody else (and so take over or block that device), as
 *   public keys travel in the open.
 * - X25519 keys cannot sign. A MAC under their shared secret needs no second key and no new
 *   primitive, and the edge's key is known from the invite before the first byte is sent.
 * - The edge's own key is in the MAC key, so that a proof made for one edge means nothing to another.
 * - The challenge is fresh and made by the edge, so that no clock of the device matters: machines
 *   that enrol have wrong clocks more often than others. It needs no memory at the edge, either.
 * - Purpose and every field are inside, so that a proof serves for no other request.
 * It hides nothing: that is the work of TLS around it.
 */

import { ascii, concat, equalBytes, wipe, writeU32BE } from '../base/bytes.ts';
import type { CryptoSuite } from '../crypto/suite.ts';

/**
 * What the key is proven for. `enrol`: fields are token, name, platform. `rotate`: the device's id. `session`: the KEM's
 * key; no challenge, since a key that is given twice is refused and nobody can use another's.
 */
export type ProofPurpose = 'enrol' | 'rotate' | 'session';

export interface ProofRequest {
  readonly purpose: ProofPurpose;
  /** As the edge gave it. */
  readonly challenge: string;
  /** The public key being registered, 32 bytes. */
  readonly deviceKey: Uint8Array;
  /** The edge's public key, 32 bytes. */
  readonly edgeKey: Uint8Array;
  /** In the order that the purpose says; absent ones are empty. */
  readonly fields: readonly string[];
}

/** Bytes of a proof. */
export const proofSize = 16;

const label = ascii('culvert possession v1');
/** 2^255 - 19, little-endian, from its last byte: what is not below it has a second spelling. */
const lastByte = 31;

/**
 * The proof, made by whoever has one of the two private keys and `other` public key. Undefined where
 * the other key is none that X25519 can use.
 */
export function provePossession(
  suite: CryptoSuite,
  privateKey: Uint8Array,
  other: Uint8Array,
  request: ProofRequest,
): Uint8Array | undefined {
  const shared = suite.dh(privateKey, other);
  if (shared === undefined) return undefined;
  const key = suite.hash(concat(label, shared, request.deviceKey, request.edgeKey));
  const proof = suite.mac(key, transcript(request));
  wipe(shared);
  wipe(key);
  return proof;
}

/** The edge's side. False for a wrong proof and for a key that nobody should use. */
export function checkPossession(
  suite: CryptoSuite,
  edgePrivateKey: Uint8Array,
  request: ProofRequest,
  proof: Uint8Array,
): boolean {
  if (!isCanonicalKey(request.deviceKey)) return false;
  const expected = provePossession(suite, edgePrivateKey, request.deviceKey, request);
  return expected !== undefined && equalBytes(expected, proof);
}

/**
 * False for bytes that X25519 would read as another number (RFC 7748 §5 masks and reduces): one
 * private key must not be able to appear as two devices.
 */
export function isCanonicalKey(publicKey: Uint8Array): boolean {
  const top = publicKey[lastByte] ?? 0xff;
  if (publicKey.length !== lastByte + 1 || top > 0x7f) return false;
  if (top < 0x7f || publicKey.subarray(1, lastByte).some((byte) => byte !== 0xff)) return true;
  return (publicKey[0] ?? 0xff) < 0xed;
}

/** Every part behind its length, so that no two requests have the same bytes. */
function transcript(request: ProofRequest): Uint8Array {
  const texts = [request.purpose, request.challenge, ...request.fields];
  return concat(...texts.flatMap((text) => withLength(utf8(text))));
}

function withLength(bytes: Uint8Array): readonly Uint8Array[] {
  const length = new Uint8Array(4);
  writeU32BE(length, 0, bytes.length);
  return [length, bytes];
}

/** Half of a surrogate pair, which no UTF-8 has, becomes U+FFFD. */
function utf8(text: string): Uint8Array {
  const escaped = encodeURIComponent(text.toWellFormed());
  const bytes: number[] = [];
  for (let i = 0; i < escaped.length; i++) {
    if (escaped[i] === '%') {
      bytes.push(Number.parseInt(escaped.slice(i + 1, i + 3), 16));
      i += 2;
    } else {
      bytes.push(escaped.charCodeAt(i));
    }
  }
  return Uint8Array.from(bytes);
}
