/**
 * The part of the control API about the edge's ways out: types, schemas and routes for api.ts. The edge's device API
 * (registration/paths-api.ts) answers in the same words.
 */

import { Type } from '@sinclair/typebox';
import type { Route } from './api.ts';
import { type Shape, shapeOf } from './shape.ts';

export interface PathEntry {
  readonly id: string;
  readonly type: string;
  readonly state: 'up' | 'down' | 'unknown';
  /** Usual time to connect by it from the edge on, milliseconds; absent where nothing was measured. */
  readonly rttMs?: number;
  readonly lossPercent?: number;
  /** Flows take it where neither a rule nor a choice says otherwise. */
  readonly usual?: boolean;
  /** Why it stands as it does: half a sentence. */
  readonly reason?: string;
}

export interface Paths {
  /** Those that this device may use. */
  readonly paths: readonly PathEntry[];
  /** The one that was asked for, or 'auto'. */
  readonly chosen: string;
  /** Where flows go now unless a rule of the edge says otherwise; absent where the edge does not know yet. */
  readonly using?: string;
}

export interface PathList extends Paths {
  readonly edge: string;
}

export interface PathUse {
  /** An id, or 'auto'. */
  readonly path: string;
}

export interface PathWhyRequest {
  /** A name or a numeric address. */
  readonly host: string;
  /** Default: 443. */
  readonly port?: number;
  /** Default: 'tcp'. */
  readonly protocol?: 'tcp' | 'udp';
}

/** For each address of the host, as the edge looks it up. */
export interface PathWhy {
  readonly host: string;
  readonly answers: readonly {
    readonly address: string;
    /** Null where nothing goes there. */
    readonly path: string | null;
    /** Whole sentences. */
    readonly sentence: string;
  }[];
}

export interface PathRoutes {
  readonly paths: Route<undefined, PathList>;
  readonly usePath: Route<PathUse, PathList>;
  readonly whyPath: Route<PathWhyRequest, PathWhy>;
}

const maxPath = 32;
const maxHost = 253;
const lastPort = 0xffff;
const strict = { additionalProperties: false };

const pathsProperties = {
  paths: Type.Array(
    Type.Object({
      id: Type.String(),
      type: Type.String(),
      state: Type.Union([Type.Literal('up'), Type.Literal('down'), Type.Literal('unknown')]),
      rttMs: Type.Optional(Type.Number()),
      lossPercent: Type.Optional(Type.Number()),
      usual: Type.Optional(Type.Boolean()),
      reason: Type.Optional(Type.String()),
    }),
  ),
  chosen: Type.String(),
  using: Type.Optional(Type.String()),
};

export const pathsShape: Shape<Paths> = shapeOf(Type.Object(pathsProperties));
const listShape: Shape<PathList> = shapeOf(Type.Object({ edge: Type.String(), ...pathsProperties }));
const useShape: Shape<PathUse> = shapeOf(
  Type.Object({ path: Type.String({ minLength: 1, maxLength: maxPath }) }, strict),
);
export const whyRequestShape: Shape<PathWhyRequest> = shapeOf(
  Type.Object(
    {
      host: Type.String({ minLength: 1, maxLength: maxHost }),
      port: Type.Optional(Type.Integer({ minimum: 1, maximum: lastPort })),
      protocol: Type.Optional(Type.Union([Type.Literal('tcp'), Type.Literal('udp')])),
    },
    strict,
  ),
);
export const whyShape: Shape<PathWhy> = shapeOf(
  Type.Object({
    host: Type.String(),
    answers: Type.Array(
      Type.Object({
        address: Type.String(),
        path: Type.Union([Type.String(), Type.Null()]),
        sentence: Type.String(),
      }),
    ),
  }),
);

export const pathRoutes: PathRoutes = {
  paths: {
    method: 'GET',
    path: '/v1/paths',
    text: 'The ways out of the edge that this machine may use, and how they do.',
    body: undefined,
    result: listShape,
  },
  usePath: {
    method: 'PUT',
    path: '/v1/paths/use',
    text: 'Chooses a way out; auto lets the edge choose.',
    body: useShape,
    result: listShape,
  },
  whyPath: {
    method: 'POST',
    path: '/v1/paths/why',
    text: 'By which way out a place is reached, and why.',
    body: whyRequestShape,
    result: whyShape,
  },
};
