/**
 * CryptoSuite: the only way to cryptography in the core (WireGuard paper §5.4: X25519, BLAKE2s,
 * ChaCha20-Poly1305, XChaCha20-Poly1305). Implementations: portable.ts (reference) and faster ones
 * in shared/node/crypto. All pass the same vectors (known-answer.ts).
 */

export const keySize = 32;
export const hashSize = 32;
export const macSize = 16;
export const tagSize = 16;
export const xnonceSize = 24;

/** One direction's transport key, ready for packets in place. Nonce = 4 zero bytes, counter as 64-bit little-endian. */
export interface TransportKey {
  /**
   * Seals `bytes[offset … offset+length)` in place and writes the tag (16 bytes) behind it.
   * `counter` is a whole number below 2^53.
   */
  seal(bytes: Uint8Array, offset: number, length: number, counter: number): void;
  /**
   * Opens in place: `length` bytes of ciphertext at `offset`, the tag behind them. On false the
   * bytes are garbage and must not be used.
   */
  open(bytes: Uint8Array, offset: number, length: number, counter: number): boolean;
  /** Forgets the key. Not usable afterwards. */
  wipe(): void;
}

export interface CryptoSuite {
  /** For logs and `status`: for example 'portable', 'openssl-ffi'. */
  readonly name: string;
  /** X25519 public key of a secret key (32 bytes; clamped inside). */
  publicKey(secretKey: Uint8Array): Uint8Array;
  /** X25519. Undefined where the shared secret is all zeros (a low-order public key). */
  dh(secretKey: Uint8Array, publicKey: Uint8Array): Uint8Array | undefined;
  /** Forgets what it may keep for a secret key between calls. Called before the caller wipes the key. */
  forget?(secretKey: Uint8Array): void;
  /** BLAKE2s-256 of one or two parts. */
  hash(first: Uint8Array, second?: Uint8Array): Uint8Array;
  /** Keyed BLAKE2s with 16 bytes of output. Key: up to 32 bytes. */
  mac(key: Uint8Array, message: Uint8Array): Uint8Array;
  /** ChaCha20-Poly1305 of a small message: ciphertext and tag in a new array. */
  seal(key: Uint8Array, counter: number, plaintext: Uint8Array, additional: Uint8Array): Uint8Array;
  /** The reverse. Undefined where the tag does not match. */
  open(key: Uint8Array, counter: number, sealed: Uint8Array, additional: Uint8Array): Uint8Array | undefined;
  /** XChaCha20-Poly1305 with a 24-byte nonce, for cookies. */
  xseal(key: Uint8Array, nonce: Uint8Array, plaintext: Uint8Array, additional: Uint8Array): Uint8Array;
  xopen(
    key: Uint8Array,
    nonce: Uint8Array,
    sealed: Uint8Array,
    additional: Uint8Array,
  ): Uint8Array | undefined;
  /** Prepares a transport key. The array is copied. */
  transportKey(key: Uint8Array): TransportKey;
}
