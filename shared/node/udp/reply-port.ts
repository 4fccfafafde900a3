/**
 * ReplyPort: a UDP socket on one address that answers datagrams, each to its sender. Implementations share this
 * contract and its test suite: reply-linux.ts (batched by FFI) and reply-dgram.ts (portable).
 */

import type { Span } from '../../core/base/span.ts';

/** Who asks. Valid until the call returns. */
export interface Asker {
  /** Equal for equal addresses, unlike for unlike ones; what it is differs between implementations. */
  readonly key: number | string;
  /** Numeric, as text. */
  readonly address: string;
}

export interface ReplyHandler {
  /** Datagrams follow: the moment to look at a clock. */
  beginRound?(): void;
  /**
   * Answers where that needs no waiting: writes at `answer`, whose length is the room there, and sets the length, 0 for
   * silence. False: `answer` is asked. Both spans are borrowed until return.
   */
  answerAtOnce?(question: Span, answer: Span, asker: Asker): boolean;
  /** Undefined: silence. Must not reject. `question` is the handler's from here on. */
  answer(question: Uint8Array, asker: Asker): Uint8Array | undefined | Promise<Uint8Array | undefined>;
}

export interface ReplyPort {
  readonly description: 'linux' | 'dgram';
  readonly address: string;
  /** The bound one. */
  readonly port: number;
  /** Questions and answers that were lost here for want of room, ever. */
  readonly drops: number;
  /** Answers that are still looked for are not sent any more. Idempotent. */
  close(): Promise<void>;
}

export interface ReplyPlace {
  /** Numeric; the socket has no other. */
  readonly address: string;
  /** 0: any. */
  readonly port: number;
}

/** Largest question that is taken, and largest answer that is sent. */
export const maxQuestionBytes = 4096;
export const maxReplyBytes = 4096;
/** Questions whose answer is waited for; more are lost, as a full queue would lose them. */
export const maxWaiting = 4096;
/** Room for questions that came while the thread had something else to do. */
export const wantedBufferBytes: number = 4 * 1024 * 1024;
