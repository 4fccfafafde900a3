/**
 * The edge's side of a session that is safe from quantum computers (core/registration/session-api.ts): seals a secret to
 * the device's KEM key and gives the session's key to the tunnel, in memory alone.
 */

import { decodeBase64Key } from '../../shared/core/base/bytes.ts';
import type { CryptoSuite } from '../../shared/core/crypto/suite.ts';
import { kemKeySize, sessionSecret } from '../../shared/core/quantum/session-secret.ts';
import { decodeBase64Url, encodeBase64Url } from '../../shared/core/registration/base64url.ts';
import { checkPossession, isCanonicalKey, proofSize } from '../../shared/core/registration/possession.ts';
import type { SessionAnswer, SessionRequest } from '../../shared/core/registration/session-api.ts';
import { sealToKem } from '../../shared/node/crypto/kem.ts';
import type { SessionKey } from '../peers/session-keys.ts';
import type { DeviceRecord } from '../peers/store.ts';
import { ApiProblem } from './api-problem.ts';
import type { EdgeFacts } from './edge-facts.ts';

/** False where somebody has that key. Resolves when the tunnel has it. */
export type AddSession = (deviceId: string, session: SessionKey) => Promise<boolean>;

export interface QuantumParts {
  readonly suite: CryptoSuite;
  readonly identity: { readonly privateKey: Uint8Array; readonly publicKey: Uint8Array };
  readonly facts: () => Pick<EdgeFacts, 'udpPortOf'>;
  readonly onSession?: AddSession | undefined;
}

/** Throws ApiProblem. */
export async function openSessionFor(
  device: Pick<DeviceRecord, 'id' | 'publicKey'>,
  request: SessionRequest,
  { suite, identity, facts, onSession }: QuantumParts,
): Promise<SessionAnswer> {
  if (onSession === undefined) throw new ApiProblem('not-found');
  const sessionKey = decodeBase64Key(request.publicKey);
  const kemKey = decodeBase64Url(request.kemKey, kemKeySize);
  const proof = decodeBase64Url(request.proof, proofSize);
  if (sessionKey === undefined || kemKey === undefined || proof === undefined)
    throw new ApiProblem('bad-request');
  if (!isCanonicalKey(sessionKey)) throw new ApiProblem('bad-key');
  const claim = {
    purpose: 'session',
    challenge: '',
    deviceKey: sessionKey,
    edgeKey: identity.publicKey,
    fields: [request.kemKey],
  } as const;
  if (!checkPossession(suite, identity.privateKey, claim, proof)) throw new ApiProblem('proof-wrong');
  const { udpPortOf } = facts();
  if (udpPortOf !== undefined && udpPortOf(sessionKey) !== udpPortOf(device.publicKey)) {
    throw new ApiProblem('session-elsewhere');
  }
  const sealed = sealToKem(kemKey);
  if (sealed === undefined) throw new ApiProblem('bad-key');
  const { ciphertext, secret } = sealed;
  const said = { deviceKey: device.publicKey, edgeKey: identity.publicKey, sessionKey, kemKey, ciphertext };
  const presharedKey = sessionSecret(suite, said, secret);
  secret.fill(0);
  const isTaken = !(await onSession(device.id, { publicKey: sessionKey, presharedKey }));
  if (isTaken) throw new ApiProblem('key-taken');
  return { ciphertext: encodeBase64Url(ciphertext) };
}
