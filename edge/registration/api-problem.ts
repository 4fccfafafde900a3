/** An answer that is no success, thrown by whoever finds the reason; the server writes it as problem+json. */

import { CulvertError, type ErrorCode } from '../../shared/core/control/codes.ts';
import { type ProblemCode, problemCodes } from '../../shared/core/registration/problem.ts';

export class ApiProblem extends Error {
  override readonly name = 'ApiProblem';
  readonly code: ProblemCode;
  /** What happened this time; undefined: what the code says. */
  readonly detail: string | undefined;

  constructor(code: ProblemCode, detail?: string) {
    super(detail ?? problemCodes[code][1]);
    this.code = code;
    this.detail = detail;
  }
}

/** What errors of the store and of administration are to those who call from outside. */
const outside: Partial<Record<ErrorCode, ProblemCode>> = {
  'unknown-device': 'not-found',
  'unknown-invite': 'not-found',
  'unknown-admin-key': 'not-found',
  'unknown-feedback': 'not-found',
  'name-taken': 'name-taken',
  'key-taken': 'key-taken',
  'no-address-left': 'no-address-left',
  'bad-usage': 'bad-request',
  'store-busy': 'unavailable',
  'store-full': 'unavailable',
  'store-damaged': 'unavailable',
  'store-unreadable': 'unavailable',
};

/** Undefined where the error is a bug. Details of the store stay inside. */
export function problemBehind(error: unknown): ApiProblem | undefined {
  if (error instanceof ApiProblem) return error;
  if (!(error instanceof CulvertError)) return undefined;
  const code = outside[error.code];
  if (code === undefined) return undefined;
  return code === 'unavailable' ? new ApiProblem(code) : new ApiProblem(code, error.message);
}
