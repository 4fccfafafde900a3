/**
 * The cipher, the authenticator and the curve inside OpenSSL by themselves. The Node executable exports them, but
 * no document promises them, so they are used under two conditions: an OpenSSL of the series 3, through
 * which their signatures stand, and a size of the state as expected. Whoever uses them first checks
 * known answers, as with every suite.
 */

import type { Pointer } from './libc.ts';
import { linkTable } from './native.ts';

const signatures = {
  chacha: 'void ChaCha20_ctr32(uintptr_t out, uintptr_t in, size_t length, uintptr_t key, uintptr_t counter)',
  polyStateSize: 'size_t Poly1305_ctx_size()',
  polyInit: 'void Poly1305_Init(uintptr_t state, uintptr_t key)',
  polyUpdate: 'void Poly1305_Update(uintptr_t state, uintptr_t in, size_t length)',
  polyFinal: 'void Poly1305_Final(uintptr_t state, uintptr_t tag)',
  x25519: 'int ossl_x25519(uintptr_t out, uintptr_t secretKey, uintptr_t publicKey)',
  x25519PublicKey: 'void ossl_x25519_public_from_private(uintptr_t out, uintptr_t secretKey)',
} as const;

/** What the state of the authenticator may at most take; it has 248 bytes in OpenSSL 3.5 on x64. */
export const polyStateBytes = 512;

export interface OpenSslPrimitives {
  /**
   * RFC 8439 §2.4: `length` bytes xor the key stream. `counter` is four words: that of the block, then
   * the nonce. In place, or `out` elsewhere without overlap.
   */
  readonly chacha: (out: Pointer, input: Pointer, length: number, key: Pointer, counter: Pointer) => void;
  /** RFC 8439 §2.5, with `polyStateBytes` of room. Always init, update, final: final twice ends the process. */
  readonly polyInit: (state: Pointer, key: Pointer) => void;
  readonly polyUpdate: (state: Pointer, input: Pointer, length: number) => void;
  readonly polyFinal: (state: Pointer, tag: Pointer) => void;
  /** RFC 7748 §6.1, 32 bytes each; 1, or 0 where the shared secret is all zeros. */
  readonly x25519: (out: Pointer, secretKey: Pointer, publicKey: Pointer) => number;
  readonly x25519PublicKey: (out: Pointer, secretKey: Pointer) => void;
}

export type PrimitivesVerdict =
  | { readonly ok: true; readonly primitives: OpenSslPrimitives }
  | { readonly ok: false; readonly reason: string };

interface Table extends OpenSslPrimitives {
  readonly polyStateSize: () => number;
}

/** The table, or why it cannot be had. Never throws. */
export function primitivesAvailable(version: string = process.versions.openssl): PrimitivesVerdict {
  if (!version.startsWith('3.')) {
    return { ok: false, reason: `the primitives of OpenSSL ${version} were not tried` };
  }
  const linked = linkTable<Table>('primitives', signatures);
  if (!linked.ok) return linked;
  const size = linked.table.polyStateSize();
  if (size > polyStateBytes) return { ok: false, reason: `Poly1305 wants ${size} bytes of state` };
  return { ok: true, primitives: linked.table };
}
