/**
 * An edge cannot see from its own machine whether others reach its ports. It asks one device that follows it (the event
 * `look-from-outside`), which tries them from where it is and tells: `PUT /v1/devices/me/outside`. A device looks at the
 * address that it enrolled with, and at nothing that the event could name but ports.
 */

import { Type } from '@sinclair/typebox';
import { type Shape, shapeOf } from '../control/shape.ts';

export interface OutsidePort {
  readonly protocol: 'udp' | 'https';
  readonly port: number;
  /** 'other': somebody answers, and it is not the edge. */
  readonly answer: 'edge' | 'other' | 'refused' | 'silent';
}

export interface OutsideReport {
  /** Of the question. */
  readonly id: string;
  readonly ports: readonly OutsidePort[];
}

/** Of one question. */
export const maxOutsidePorts = 8;

const port = Type.Integer({ minimum: 1, maximum: 0xffff });

export const outsideIdShape: Shape<string> = shapeOf(Type.String({ pattern: '^[a-z0-9]{1,40}$' }));
export const outsidePortsShape: Shape<readonly number[]> = shapeOf(
  Type.Array(port, { maxItems: maxOutsidePorts }),
);

export const outsideReportShape: Shape<OutsideReport> = shapeOf(
  Type.Object(
    {
      id: outsideIdShape,
      ports: Type.Array(
        Type.Object(
          {
            protocol: Type.Union([Type.Literal('udp'), Type.Literal('https')]),
            port,
            answer: Type.Union(
              (['edge', 'other', 'refused', 'silent'] as const).map((answer) => Type.Literal(answer)),
            ),
          },
          { additionalProperties: false },
        ),
        { maxItems: 2 * maxOutsidePorts },
      ),
    },
    { additionalProperties: false },
  ),
);
