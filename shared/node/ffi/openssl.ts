/**
 * Every symbol of OpenSSL that we call, in one table with its C signature: the OpenSSL inside the
 * Node executable (or the one it is linked to). Documented EVP functions only.
 */

import type { Pointer } from './libc.ts';
import { linkTable } from './native.ts';

const signatures = {
  cipherFetch: 'uintptr_t EVP_CIPHER_fetch(uintptr_t context, const char *name, const char *properties)',
  cipherContextNew: 'uintptr_t EVP_CIPHER_CTX_new()',
  cipherContextFree: 'void EVP_CIPHER_CTX_free(uintptr_t context)',
  cipherControl: 'int EVP_CIPHER_CTX_ctrl(uintptr_t context, int command, int size, uintptr_t value)',
  encryptInit:
    'int EVP_EncryptInit_ex2(uintptr_t context, uintptr_t cipher, uintptr_t key, uintptr_t iv, uintptr_t parameters)',
  encryptUpdate:
    'int EVP_EncryptUpdate(uintptr_t context, uintptr_t out, uintptr_t outLength, uintptr_t in, int length)',
  encryptFinal: 'int EVP_EncryptFinal_ex(uintptr_t context, uintptr_t out, uintptr_t outLength)',
  decryptInit:
    'int EVP_DecryptInit_ex2(uintptr_t context, uintptr_t cipher, uintptr_t key, uintptr_t iv, uintptr_t parameters)',
  decryptUpdate:
    'int EVP_DecryptUpdate(uintptr_t context, uintptr_t out, uintptr_t outLength, uintptr_t in, int length)',
  decryptFinal: 'int EVP_DecryptFinal_ex(uintptr_t context, uintptr_t out, uintptr_t outLength)',
  newPrivateKey:
    'uintptr_t EVP_PKEY_new_raw_private_key(int type, uintptr_t engine, uintptr_t key, size_t length)',
  newPublicKey:
    'uintptr_t EVP_PKEY_new_raw_public_key(int type, uintptr_t engine, uintptr_t key, size_t length)',
  rawPublicKey: 'int EVP_PKEY_get_raw_public_key(uintptr_t key, uintptr_t out, uintptr_t length)',
  freeKey: 'void EVP_PKEY_free(uintptr_t key)',
  keyContextNew: 'uintptr_t EVP_PKEY_CTX_new(uintptr_t key, uintptr_t engine)',
  keyContextFree: 'void EVP_PKEY_CTX_free(uintptr_t context)',
  deriveInit: 'int EVP_PKEY_derive_init(uintptr_t context)',
  deriveSetPeer: 'int EVP_PKEY_derive_set_peer(uintptr_t context, uintptr_t key)',
  derive: 'int EVP_PKEY_derive(uintptr_t context, uintptr_t out, uintptr_t length)',
  digestFetch: 'uintptr_t EVP_MD_fetch(uintptr_t context, const char *name, const char *properties)',
  digestContextNew: 'uintptr_t EVP_MD_CTX_new()',
  digestContextFree: 'void EVP_MD_CTX_free(uintptr_t context)',
  digestInit: 'int EVP_DigestInit_ex2(uintptr_t context, uintptr_t digest, uintptr_t parameters)',
  digestUpdate: 'int EVP_DigestUpdate(uintptr_t context, uintptr_t bytes, size_t length)',
  digestFinal: 'int EVP_DigestFinal_ex(uintptr_t context, uintptr_t out, uintptr_t outLength)',
  macFetch: 'uintptr_t EVP_MAC_fetch(uintptr_t context, const char *name, const char *properties)',
  macContextNew: 'uintptr_t EVP_MAC_CTX_new(uintptr_t mac)',
  macContextFree: 'void EVP_MAC_CTX_free(uintptr_t context)',
  macSetParameters: 'int EVP_MAC_CTX_set_params(uintptr_t context, uintptr_t parameters)',
  macInit: 'int EVP_MAC_init(uintptr_t context, uintptr_t key, size_t length, uintptr_t parameters)',
  macUpdate: 'int EVP_MAC_update(uintptr_t context, uintptr_t bytes, size_t length)',
  macFinal: 'int EVP_MAC_final(uintptr_t context, uintptr_t out, uintptr_t outLength, size_t outSize)',
  clearErrors: 'void ERR_clear_error()',
} as const;

type Cipher = (context: Pointer, cipher: Pointer, key: Pointer, iv: Pointer, parameters: Pointer) => number;
type Update = (context: Pointer, out: Pointer, outLength: Pointer, input: Pointer, length: number) => number;

/** Results as in C: 1 (or a pointer) is success; contexts belong to the caller and must be freed. */
export interface OpenSsl {
  readonly cipherFetch: (context: Pointer, name: string, properties: string | null) => Pointer;
  readonly cipherContextNew: () => Pointer;
  readonly cipherContextFree: (context: Pointer) => void;
  readonly cipherControl: (context: Pointer, command: number, size: number, value: Pointer) => number;
  readonly encryptInit: Cipher;
  readonly encryptUpdate: Update;
  readonly encryptFinal: (context: Pointer, out: Pointer, outLength: Pointer) => number;
  readonly decryptInit: Cipher;
  readonly decryptUpdate: Update;
  readonly decryptFinal: (context: Pointer, out: Pointer, outLength: Pointer) => number;
  readonly newPrivateKey: (type: number, engine: Pointer, key: Pointer, length: number) => Pointer;
  readonly newPublicKey: (type: number, engine: Pointer, key: Pointer, length: number) => Pointer;
  readonly rawPublicKey: (key: Pointer, out: Pointer, length: Pointer) => number;
  readonly freeKey: (key: Pointer) => void;
  readonly keyContextNew: (key: Pointer, engine: Pointer) => Pointer;
  readonly keyContextFree: (context: Pointer) => void;
  readonly deriveInit: (context: Pointer) => number;
  readonly deriveSetPeer: (context: Pointer, key: Pointer) => number;
  readonly derive: (context: Pointer, out: Pointer, length: Pointer) => number;
  readonly digestFetch: (context: Pointer, name: string, properties: string | null) => Pointer;
  readonly digestContextNew: () => Pointer;
  readonly digestContextFree: (context: Pointer) => void;
  readonly digestInit: (context: Pointer, digest: Pointer, parameters: Pointer) => number;
  readonly digestUpdate: (context: Pointer, bytes: Pointer, length: number) => number;
  readonly digestFinal: (context: Pointer, out: Pointer, outLength: Pointer) => number;
  readonly macFetch: (context: Pointer, name: string, properties: string | null) => Pointer;
  readonly macContextNew: (mac: Pointer) => Pointer;
  readonly macContextFree: (context: Pointer) => void;
  readonly macSetParameters: (context: Pointer, parameters: Pointer) => number;
  readonly macInit: (context: Pointer, key: Pointer, length: number, parameters: Pointer) => number;
  readonly macUpdate: (context: Pointer, bytes: Pointer, length: number) => number;
  readonly macFinal: (context: Pointer, out: Pointer, outLength: Pointer, outSize: number) => number;
  readonly clearErrors: () => void;
}

export type OpenSslVerdict =
  | { readonly ok: true; readonly openssl: OpenSsl }
  | { readonly ok: false; readonly reason: string };

let verdict: OpenSslVerdict | undefined;

/** The table, or why it cannot be had: no FFI, or a Node that hides or lacks these symbols. Never throws. */
export function opensslAvailable(): OpenSslVerdict {
  verdict ??= link();
  return verdict;
}

function link(): OpenSslVerdict {
  const linked = linkTable<OpenSsl>('openssl', signatures);
  return linked.ok ? { ok: true, openssl: linked.table } : linked;
}
