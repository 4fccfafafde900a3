/**
 * What the registration API answers where it does not do what was asked: problem+json (RFC 9457).
 * One table of stable codes; adding is free, renaming breaks other people's programs.
 */

import { Type } from '@sinclair/typebox';
import { type Shape, shapeOf } from '../control/shape.ts';

/** code → [HTTP status, what happened, what to do]. */
export const problemCodes = {
  'bad-request': [400, 'The request does not fit the API.', 'Compare it with /openapi.json.'],
  'bad-key': [400, 'That is no usable X25519 public key.', 'Make a new key pair.'],
  'challenge-stale': [
    400,
    'The challenge is not from here or too old.',
    'Ask for a new one: GET /v1/challenge',
  ],
  unauthorized: [401, 'The request shows no valid secret.', 'Enrol this device again with a new invitation.'],
  'proof-wrong': [
    403,
    'The proof does not show that the private key is yours.',
    'Use an invitation of this edge.',
  ],
  'invite-unknown': [403, 'This edge knows no such invitation.', 'Ask for a new invitation.'],
  'invite-expired': [403, 'The invitation has expired.', 'Ask for a new invitation.'],
  'invite-used': [403, 'The invitation was used already.', 'Ask for a new invitation.'],
  'device-disabled': [403, 'This device is disabled.', 'Ask whoever runs the edge.'],
  'device-expired': [403, 'The time of this device is over.', 'Ask whoever runs the edge.'],
  forbidden: [403, 'This key may not do that.', 'Use one with another role.'],
  'path-not-granted': [403, 'That path is not granted to this device.', 'See: GET /v1/paths'],
  'udp-elsewhere': [
    403,
    'This edge carries UDP to its own tunnel and nowhere else.',
    'Ask for edge.culvert and one of its UDP ports.',
  ],
  'not-found': [404, 'There is nothing here.', 'See /openapi.json.'],
  'method-not-allowed': [405, 'That cannot be done here.', 'See /openapi.json.'],
  timeout: [408, 'The request took too long to arrive.', 'Try again.'],
  'key-taken': [409, 'Another device has that key.', 'Make a new key pair.'],
  'session-elsewhere': [
    409,
    'Another worker of this edge would carry that key.',
    'Make a new key pair and ask again.',
  ],
  'name-taken': [409, 'Another one has that name.', 'Choose another name.'],
  'too-large': [413, 'The request is too large.', 'Compare it with /openapi.json.'],
  'wrong-media-type': [415, 'The body must be JSON.', 'Send content-type: application/json.'],
  'expectation-failed': [417, 'The edge cannot do what Expect asks.', 'Leave the Expect header out.'],
  'too-much-feedback': [
    429,
    'This device has sent as much feedback as it may within a day.',
    'Send it tomorrow.',
  ],
  'too-many-requests': [429, 'Too many requests.', 'Wait, then try again.'],
  'headers-too-large': [431, 'The headers are too large.', 'Send fewer.'],
  internal: [500, 'The edge met a bug.', 'Please report it.'],
  'no-address-left': [
    503,
    'The edge has no address left for another device.',
    'Remove devices, or widen network.',
  ],
  'no-room': [503, 'The edge carries as many streams as it can.', 'Try again later.'],
  unavailable: [503, 'The edge cannot write to its store now.', 'Look at the disk and the log of the edge.'],
} as const;

export type ProblemCode = keyof typeof problemCodes;

export interface Problem {
  /** 'urn:culvert:problem:CODE' */
  readonly type: string;
  /** What happened, the same for every problem of this code. */
  readonly title: string;
  readonly status: number;
  readonly code: ProblemCode;
  /** What happened this time. */
  readonly detail?: string;
  /** What to do. */
  readonly remedy: string;
}

export const problemType = 'application/problem+json';

export const problemShape: Shape<Problem> = shapeOf(
  Type.Object({
    type: Type.String(),
    title: Type.String(),
    status: Type.Integer(),
    code: Type.Unsafe<ProblemCode>(Type.String()),
    detail: Type.Optional(Type.String()),
    remedy: Type.String(),
  }),
);

export function problemOf(code: ProblemCode, detail?: string): Problem {
  const [status, title, remedy] = problemCodes[code];
  const type = `urn:culvert:problem:${code}`;
  return { type, title, status, code, ...(detail === undefined ? {} : { detail }), remedy };
}

export function isProblemCode(text: unknown): text is ProblemCode {
  return typeof text === 'string' && Object.hasOwn(problemCodes, text);
}
