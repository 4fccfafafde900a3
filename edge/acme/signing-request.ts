/** What an authority signs: a PKCS #10 request (RFC 2986), and the certificate that proves control by TLS (RFC 8737 §3). */

import { createHash, createPublicKey, type KeyObject, sign } from 'node:crypto';
import type { Entropy } from '../../shared/core/base/ports.ts';
import type { UnixMs } from '../../shared/core/base/time.ts';
import { alternativeNames, selfSigned } from '../registration/certificate.ts';
import {
  bitString,
  element,
  integer,
  objectId,
  octetString,
  sequence,
  set,
  yes,
} from '../registration/der.ts';

/** DER, signed with the key that the certificate will be for (P-256). */
export function signingRequest(key: KeyObject, names: readonly string[]): Buffer {
  const wished = sequence(objectId('1.2.840.113549.1.9.14'), set(sequence(alternativeNames(names))));
  const body = sequence(
    integer(Uint8Array.of(0)),
    sequence(),
    createPublicKey(key).export({ type: 'spki', format: 'der' }),
    element(0xa0, wished),
  );
  const signature = sign('sha256', body, { key, dsaEncoding: 'der' });
  return sequence(body, sequence(objectId('1.2.840.10045.4.3.2')), bitString(signature));
}

export interface ProofCertificateWish {
  readonly name: string;
  readonly authorization: string;
  readonly now: UnixMs;
  readonly entropy: Entropy;
}

/** PEM. Who asks by the protocol acme-tls/1 finds in it that we know the token. */
export function proofCertificate(key: KeyObject, wish: ProofCertificateWish): string {
  const digest = createHash('sha256').update(wish.authorization, 'latin1').digest();
  const identifier = sequence(objectId('1.3.6.1.5.5.7.1.31'), yes(), octetString(octetString(digest)));
  return selfSigned(key, { names: [wish.name], now: wish.now, entropy: wish.entropy }, identifier);
}
