/** The part of the control API by which this machine joins and leaves edges: types and schemas for api.ts. */

import { Type } from '@sinclair/typebox';
import type { EdgeEntry, Route } from './api.ts';
import { type Shape, shapeOf } from './shape.ts';

export interface EnrollRequest {
  /** The invitation: `culvert://…`. A secret until it is used. */
  readonly link: string;
  /** How the edge calls this device; absent: the name of this machine. */
  readonly name?: string;
}

export interface EnrollResult {
  readonly edge: EdgeEntry;
  readonly device: EnrolledDevice;
}

/** This machine as the edge knows it. */
export interface EnrolledDevice {
  readonly id: string;
  readonly name: string;
  readonly publicKey: string;
  readonly addresses: readonly string[];
  readonly enabled: boolean;
  /** The path it is pinned to, or 'auto'. */
  readonly path: string;
}

export interface RegistrationRequest {
  /** Absent: the edge in use. */
  readonly edge?: string;
}

export interface RegistrationView {
  readonly edge: string;
  /** 'host:port' of the edge's API. */
  readonly api: string;
  /** RFC 3339. */
  readonly enrolledAt: string;
  readonly device: EnrolledDevice;
}

/** Words for whoever runs the edge, and what the person agreed to send with them. */
export interface SendFeedback {
  readonly words: string;
  readonly diagnostics?: string;
  /** Absent: the edge in use. */
  readonly edge?: string;
}

export interface SentFeedback {
  /** How it is known at the edge. */
  readonly id: string;
}

const maxNameLength = 64;
const maxLinkLength = 2048;
/** Letters; the edge counts bytes. */
export const maxFeedbackWords: number = 4 * 1024;
export const maxFeedbackDiagnostics: number = 64 * 1024;
const name = Type.String({ minLength: 1, maxLength: maxNameLength });
const strict = { additionalProperties: false };
const texts = Type.Array(Type.String());

export const enrollShape: Shape<EnrollRequest> = shapeOf(
  Type.Object({ link: Type.String({ maxLength: maxLinkLength }), name: Type.Optional(name) }, strict),
);
export const enrolledDevice: Shape<EnrolledDevice> = shapeOf(
  Type.Object({
    id: Type.String(),
    name: Type.String(),
    publicKey: Type.String(),
    addresses: texts,
    enabled: Type.Boolean(),
    path: Type.String(),
  }),
);
export const registrationRequestShape: Shape<RegistrationRequest> = shapeOf(
  Type.Object({ edge: Type.Optional(name) }, strict),
);
export const registrationShape: Shape<RegistrationView> = shapeOf(
  Type.Object({
    edge: Type.String(),
    api: Type.String(),
    enrolledAt: Type.String(),
    device: enrolledDevice,
  }),
);
const sendFeedbackShape: Shape<SendFeedback> = shapeOf(
  Type.Object(
    {
      words: Type.String({ minLength: 1, maxLength: maxFeedbackWords }),
      diagnostics: Type.Optional(Type.String({ maxLength: maxFeedbackDiagnostics })),
      edge: Type.Optional(name),
    },
    strict,
  ),
);
const sentFeedbackShape: Shape<SentFeedback> = shapeOf(Type.Object({ id: Type.String() }));

export interface FeedbackRoutes {
  readonly sendFeedback: Route<SendFeedback, SentFeedback>;
}

export const feedbackRoutes: FeedbackRoutes = {
  sendFeedback: {
    method: 'POST',
    path: '/v1/registration/feedback',
    text: 'Sends words to whoever runs an edge.',
    body: sendFeedbackShape,
    result: sentFeedbackShape,
  },
};
