/** Words that devices send to whoever runs their edge: types, bounds and shapes for api.ts and admin-api.ts. */

import { Type } from '@sinclair/typebox';
import { type Shape, shapeOf } from '../control/shape.ts';
import { idText, strict, timeText } from './shapes.ts';

export interface FeedbackRequest {
  /** What a person wrote. */
  readonly words: string;
  /** What the person has seen and agreed to send with it, as text; absent: nothing. */
  readonly diagnostics?: string;
}

export interface FeedbackReceipt {
  readonly id: string;
}

export interface FeedbackView {
  readonly id: string;
  /** Of the device; it may be gone by now. */
  readonly device: string;
  /** As it was called then. */
  readonly name: string;
  /** RFC 3339. */
  readonly at: string;
  readonly words: string;
  readonly diagnostics?: string;
}

export interface FeedbackList {
  /** Newest first; without their diagnostics. */
  readonly feedback: readonly FeedbackView[];
}

/** Bytes of UTF-8. */
export const maxWordsBytes: number = 4 * 1024;
export const maxDiagnosticsBytes: number = 64 * 1024;
/** Of a request with both, every letter escaped. */
export const maxFeedbackBody: number = 512 * 1024;

export const feedbackShape: Shape<FeedbackRequest> = shapeOf(
  Type.Object(
    {
      words: Type.String({ minLength: 1, maxLength: maxWordsBytes, pattern: '\\S' }),
      diagnostics: Type.Optional(Type.String({ minLength: 1, maxLength: maxDiagnosticsBytes })),
    },
    strict,
  ),
);
export const feedbackReceiptShape: Shape<FeedbackReceipt> = shapeOf(Type.Object({ id: idText }));
export const feedbackViewShape: Shape<FeedbackView> = shapeOf(
  Type.Object({
    id: idText,
    device: Type.String(),
    name: Type.String(),
    at: timeText,
    words: Type.String(),
    diagnostics: Type.Optional(Type.String()),
  }),
);
export const feedbackListShape: Shape<FeedbackList> = shapeOf(
  Type.Object({ feedback: Type.Array(feedbackViewShape) }),
);
