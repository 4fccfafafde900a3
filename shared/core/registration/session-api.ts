/**
 * How a device and its edge agree on a session that is safe from quantum computers: ML-KEM-768 (FIPS 203), asked inside
 * the first tunnel or over the pinned API. core/quantum/session-secret.ts makes the preshared key of what both said.
 */

import { Type } from '@sinclair/typebox';
import { type Shape, shapeOf } from '../control/shape.ts';
import { keyText, proofText, strict } from './shapes.ts';

export interface SessionRequest {
  readonly kem: 'ml-kem-768';
  /** 1184 bytes, base64url. */
  readonly kemKey: string;
  /** The device's WireGuard key for this session alone, base64. */
  readonly publicKey: string;
  /** possession.ts, base64url: nobody takes another's key. */
  readonly proof: string;
}

export interface SessionAnswer {
  /** 1088 bytes, base64url. */
  readonly ciphertext: string;
}

export const sessionRequestShape: Shape<SessionRequest> = shapeOf<SessionRequest>(
  Type.Object(
    {
      kem: Type.Literal('ml-kem-768'),
      kemKey: Type.String({ pattern: '^[A-Za-z0-9_-]{1579}$' }),
      publicKey: keyText,
      proof: proofText,
    },
    strict,
  ),
);
export const sessionAnswerShape: Shape<SessionAnswer> = shapeOf<SessionAnswer>(
  Type.Object({ ciphertext: Type.String({ pattern: '^[A-Za-z0-9_-]{1451}$' }) }),
);
