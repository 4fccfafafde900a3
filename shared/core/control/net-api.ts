/** The part of the control API about the network and its faults: types, schemas and routes for api.ts. */

import { Type } from '@sinclair/typebox';
import type { Route } from './api.ts';
import { type Shape, shapeOf } from './shape.ts';

export interface NetLineView {
  readonly subject: string;
  readonly verdict: 'good' | 'warning' | 'bad' | 'unknown';
  /** One sentence. */
  readonly text: string;
}

export interface NetReport {
  readonly lines: readonly NetLineView[];
  /** The numbers behind them, for programs. No keys. */
  readonly facts: Readonly<Record<string, unknown>>;
}

export interface DoctorReport extends NetReport {
  /** Stable; 'healthy' where nothing is wrong. */
  readonly fault: string;
  readonly text: string;
  readonly remedy: string;
}

export interface NetRoutes {
  readonly netcheck: Route<undefined, NetReport>;
  readonly doctor: Route<undefined, DoctorReport>;
}

const report = {
  lines: Type.Array(
    Type.Object({
      subject: Type.String(),
      verdict: Type.Union([
        Type.Literal('good'),
        Type.Literal('warning'),
        Type.Literal('bad'),
        Type.Literal('unknown'),
      ]),
      text: Type.String(),
    }),
  ),
  facts: Type.Record(Type.String(), Type.Unknown()),
};
const netShape: Shape<NetReport> = shapeOf(Type.Object(report));
const doctorShape: Shape<DoctorReport> = shapeOf(
  Type.Object({ ...report, fault: Type.String(), text: Type.String(), remedy: Type.String() }),
);

export const netRoutes: NetRoutes = {
  netcheck: {
    method: 'GET',
    path: '/v1/netcheck',
    text: 'What this network lets through, and how well. Takes some seconds.',
    body: undefined,
    result: netShape,
  },
  doctor: {
    method: 'GET',
    path: '/v1/doctor',
    text: 'What is wrong between this machine and the edge, asked at both ends. Takes some seconds.',
    body: undefined,
    result: doctorShape,
  },
};
