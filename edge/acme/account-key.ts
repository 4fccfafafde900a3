/**
 * The key of an account at a certificate authority, and the signed messages that it makes: JWS with ES256 in
 * flattened JSON (RFC 7515, RFC 7518 §3.4), and the key's own digest (RFC 7638) that answers challenges.
 */

import { createHash, createPublicKey, type KeyObject, sign } from 'node:crypto';
import { readOrCreateKey } from '../registration/key-files.ts';

/** Who signs: the address of the account, or the key itself while there is none. */
export interface SignedHead {
  readonly url: string;
  readonly nonce: string;
  readonly account: string | undefined;
}

export class AccountKey {
  readonly #key: KeyObject;
  readonly #jwk: { readonly crv: string; readonly kty: string; readonly x: string; readonly y: string };

  constructor(key: KeyObject) {
    const { crv = '', kty = '', x = '', y = '' } = createPublicKey(key).export({ format: 'jwk' });
    this.#key = key;
    this.#jwk = { crv, kty, x, y };
  }

  /** The file is made (0600) where it is missing. */
  static open(path: string): AccountKey {
    return new AccountKey(readOrCreateKey(path).key);
  }

  /** What shows that a token was read by whoever has this key (RFC 8555 §8.1). */
  authorizationFor(token: string): string {
    const digest = createHash('sha256').update(JSON.stringify(this.#jwk)).digest('base64url');
    return `${token}.${digest}`;
  }

  /** The body of a request; without `payload` one that only reads (RFC 8555 §6.3). */
  sign(head: SignedHead, payload: unknown): string {
    const { url, nonce, account } = head;
    const who = account === undefined ? { jwk: this.#jwk } : { kid: account };
    const fields = {
      protected: base64Url(JSON.stringify({ alg: 'ES256', nonce, url, ...who })),
      payload: payload === undefined ? '' : base64Url(JSON.stringify(payload)),
    };
    const signature = sign('sha256', Buffer.from(`${fields.protected}.${fields.payload}`, 'latin1'), {
      key: this.#key,
      dsaEncoding: 'ieee-p1363',
    });
    return JSON.stringify({ ...fields, signature: signature.toString('base64url') });
  }
}

function base64Url(text: string): string {
  return Buffer.from(text, 'utf8').toString('base64url');
}
