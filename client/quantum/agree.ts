/** Agrees with an edge on keys for one session (core/registration/session-api.ts). Keeps nothing. */

import { encodeBase64 } from '../../shared/core/base/bytes.ts';
import { CulvertError } from '../../shared/core/control/codes.ts';
import { kemCiphertextSize, sessionSecret } from '../../shared/core/quantum/session-secret.ts';
import { decodeBase64Url, encodeBase64Url } from '../../shared/core/registration/base64url.ts';
import { provePossession } from '../../shared/core/registration/possession.ts';
import type { SessionAnswer, SessionRequest } from '../../shared/core/registration/session-api.ts';
import { type KemKeyPair, makeKemKeys } from '../../shared/node/crypto/kem.ts';
import { nativeDhSuite } from '../../shared/node/crypto/native-dh.ts';
import { generatePrivateKey, publicKeyOf } from '../../shared/node/wgtools/keys.ts';
import { problemIn } from '../enroll/edge-client.ts';
import { NoSessions, type SessionKeys } from './session-keeper.ts';

export interface AgreeParts {
  /** Of this device and of the edge, as WireGuard has them. */
  readonly deviceKey: Uint8Array;
  readonly edgeKey: Uint8Array;
  readonly ask: (request: SessionRequest) => Promise<SessionAnswer>;
}

/** An edge of several workers takes only keys that the device's own worker carries. */
const maxKeys = 64;

/** Rejects with NoSessions where this edge is older than they are, else with what went wrong. */
export async function agreeOnSession({ deviceKey, edgeKey, ask }: AgreeParts): Promise<SessionKeys> {
  const kem = makeKemKeys();
  for (let i = 0; i < maxKeys; i++) {
    const privateKey = generatePrivateKey();
    const sessionKey = publicKeyOf(privateKey);
    try {
      const answer = await ask(requestFor({ privateKey, sessionKey, kem, edgeKey }));
      const ciphertext = decodeBase64Url(answer.ciphertext, kemCiphertextSize);
      const shared = ciphertext === undefined ? undefined : kem.open(ciphertext);
      if (ciphertext === undefined || shared === undefined) throw new CulvertError('edge-refused');
      const said = { deviceKey, edgeKey, sessionKey, kemKey: kem.publicKey, ciphertext };
      const presharedKey = sessionSecret(nativeDhSuite, said, shared);
      shared.fill(0);
      return { privateKey, presharedKey };
    } catch (cause) {
      privateKey.fill(0);
      const problem = problemIn(cause);
      if (problem === 'not-found' || problem === 'method-not-allowed') {
        throw new NoSessions('this edge has no such sessions');
      }
      if (problem !== 'session-elsewhere') throw cause;
    }
  }
  throw new NoSessions('no key was found that this device’s worker carries');
}

interface Asking {
  readonly privateKey: Uint8Array;
  readonly sessionKey: Uint8Array;
  readonly kem: KemKeyPair;
  readonly edgeKey: Uint8Array;
}

function requestFor({ privateKey, sessionKey, kem, edgeKey }: Asking): SessionRequest {
  const kemKey = encodeBase64Url(kem.publicKey);
  const claim = {
    purpose: 'session',
    challenge: '',
    deviceKey: sessionKey,
    edgeKey,
    fields: [kemKey],
  } as const;
  const proof = provePossession(nativeDhSuite, privateKey, edgeKey, claim);
  if (proof === undefined) throw new CulvertError('bad-config', { text: 'The key of the edge is no key.' });
  return { kem: 'ml-kem-768', kemKey, publicKey: encodeBase64(sessionKey), proof: encodeBase64Url(proof) };
}
