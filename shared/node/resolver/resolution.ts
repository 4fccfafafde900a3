/** What an asker gets: an answer that is known, dressed for the question, or SERVFAIL with a reason. */

import { type CacheHit, dressingOf } from '../../core/dns/cache.ts';
import { answersQuestion, dressAnswer } from '../../core/dns/edns.ts';
import { type DnsMessage, readMessage } from '../../core/dns/reader.ts';
import { extendedError, rcode } from '../../core/dns/types.ts';
import { type ExtendedError, writeAnswer } from '../../core/dns/writer.ts';

/** How an answer came about. */
export type AnswerSource = 'cache' | 'stale' | 'upstream' | 'failure';

export interface Resolution {
  readonly bytes: Uint8Array;
  readonly source: AnswerSource;
  /** Name of the upstream that answered now. */
  readonly upstream: string | undefined;
}

export const unreachableReason: ExtendedError = {
  code: extendedError.networkError,
  text: 'no upstream answers',
};
export const noUpstreams: ExtendedError = {
  code: extendedError.prohibited,
  text: 'no upstreams are configured',
};
export const tooMany: ExtendedError = { code: extendedError.other, text: 'too many questions at once' };
const closing: ExtendedError = { code: extendedError.notReady, text: 'the resolver is ending' };
const triedBefore: ExtendedError = { code: extendedError.cachedError, text: 'it failed a moment ago' };

export function failed(query: DnsMessage, reason: ExtendedError, code: number): Resolution {
  const bytes = writeAnswer(query, { rcode: code, extendedError: reason });
  return { bytes, source: 'failure', upstream: undefined };
}

export function closedResolution(query: DnsMessage): Resolution {
  return failed(query, closing, rcode.servFail);
}

/** The answer without asking anybody; undefined where somebody has to be asked. */
export function resolutionOf(query: DnsMessage, hit: CacheHit | undefined): Resolution | undefined {
  if (hit === undefined || hit.freshness === 'stale') return undefined;
  if (hit.answer === undefined) return failed(query, triedBefore, rcode.servFail);
  return given(query, hit, hit.freshness === 'fresh' ? 'cache' : 'stale');
}

export function given(query: DnsMessage, hit: CacheHit, source: AnswerSource): Resolution {
  if (hit.answer === undefined) return failed(query, triedBefore, rcode.servFail);
  return { bytes: dressAnswer(query, hit.answer, dressingOf(hit)), source, upstream: undefined };
}

/** Undefined where it is none to this question. */
export function readAnswer(query: DnsMessage, bytes: Uint8Array): DnsMessage | undefined {
  const answer = readMessage(bytes);
  const isAnswer = answer?.isWellFormed === true && answersQuestion(query, answer);
  return isAnswer ? answer : undefined;
}

export function noAnswer(upstream: string): Error {
  return new Error(`${upstream} sent no answer to the question.`);
}
