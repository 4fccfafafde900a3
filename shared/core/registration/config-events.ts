/**
 * What an edge tells a device without being asked: server-sent events on `GET /v1/config/events`, each with one
 * JSON object as `data`. Outside the table of calls, since its answer has no end. Kinds that are not known are
 * to be passed over.
 */

import { Type } from '@sinclair/typebox';
import { type Shape, shapeOf } from '../control/shape.ts';
import { outsideIdShape, outsidePortsShape } from './outside-api.ts';

export const configEventsPath = '/v1/config/events';

export type ConfigEvent =
  /** `GET /v1/config` has this revision now. Comes first on every stream. */
  | { readonly kind: 'config-changed'; readonly revision: string }
  /** The edge ends; `backInMs` where it knows when it comes back. */
  | { readonly kind: 'edge-stopping'; readonly backInMs?: number }
  /** Try these ports from where you are, and the UDP ports that are yours, and tell (outside-api.ts). */
  | { readonly kind: 'look-from-outside'; readonly id: string; readonly httpsPorts: readonly number[] };

const longestAbsenceMs = 24 * 60 * 60 * 1000;

export const configEventShape: Shape<ConfigEvent> = shapeOf(
  Type.Union([
    Type.Object({ kind: Type.Literal('config-changed'), revision: Type.String({ maxLength: 64 }) }),
    Type.Object({
      kind: Type.Literal('look-from-outside'),
      id: outsideIdShape,
      httpsPorts: outsidePortsShape,
    }),
    Type.Object({
      kind: Type.Literal('edge-stopping'),
      backInMs: Type.Optional(Type.Integer({ minimum: 0, maximum: longestAbsenceMs })),
    }),
  ]),
);
