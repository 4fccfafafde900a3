/** Errors between threads: as plain fields, since errors lose theirs on the way. */

import { CulvertError, type ErrorCode, errorCodes } from '../../core/control/codes.ts';
import type { WorkerError } from './messages.ts';

export function describeError(error: unknown): WorkerError {
  if (error instanceof CulvertError) {
    const { code, message: text, remedy, errno } = error;
    return errno === undefined ? { code, text, remedy } : { code, text, remedy, errno };
  }
  return { code: 'internal', text: error instanceof Error ? (error.stack ?? error.message) : String(error) };
}

export function toCulvertError(error: WorkerError): CulvertError {
  const code: ErrorCode = error.code in errorCodes ? (error.code as ErrorCode) : 'internal';
  return new CulvertError(code, {
    text: error.text,
    ...(error.remedy === undefined ? {} : { remedy: error.remedy }),
    ...(error.errno === undefined ? {} : { errno: error.errno }),
  });
}
