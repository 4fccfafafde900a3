/** The part of the device API about ways out: why a place is reached as it is, and names that a device tells. */

import { Type } from '@sinclair/typebox';
import { type Shape, shapeOf } from '../control/shape.ts';
import { strict } from './shapes.ts';

export interface PathView {
  readonly id: string;
  readonly type: string;
  /** As the edge measures it now. */
  readonly state: 'up' | 'down' | 'unknown';
  /** Usual time to connect by it, milliseconds; absent where nothing was measured. */
  readonly rttMs?: number;
  readonly lossPercent?: number;
  /** Flows take it where neither a rule nor a pin says otherwise. */
  readonly usual?: boolean;
  /** Why it stands as it does: half a sentence. */
  readonly reason?: string;
}

export interface Paths {
  /** Granted to this device. */
  readonly paths: readonly PathView[];
  /** The one it is pinned to, or 'auto'. */
  readonly chosen: string;
  /** Where its flows go now unless a rule says otherwise; absent where the edge does not know yet. */
  readonly using?: string;
}

export interface WhyRequest {
  /** A name, or a numeric address. */
  readonly host: string;
  /** Default: 443. */
  readonly port?: number;
  /** Default: 'tcp'. */
  readonly protocol?: 'tcp' | 'udp';
}

/** For each address of the host, as the edge looks it up. */
export interface WhyView {
  readonly host: string;
  readonly answers: readonly {
    readonly address: string;
    /** Null where nothing goes there. */
    readonly path: string | null;
    /** Whole sentences. */
    readonly sentence: string;
  }[];
}

/** What the device's own resolver answered; only of names that the edge's host rules mean. */
export interface ToldNames {
  readonly names: readonly ToldName[];
}

export interface ToldName {
  readonly name: string;
  /** Numeric. */
  readonly addresses: readonly string[];
  readonly ttlSeconds: number;
}

/** Of one request. */
export const maxToldNames = 32;
export const maxToldAddresses = 32;
const maxHost = 253;
const maxAddressText = 45;
const maxTtlSeconds = 86_400;
const lastPort = 0xffff;

const pathState = Type.Union([Type.Literal('up'), Type.Literal('down'), Type.Literal('unknown')]);
const hostText = Type.String({ minLength: 1, maxLength: maxHost });

export const pathsShape: Shape<Paths> = shapeOf(
  Type.Object({
    paths: Type.Array(
      Type.Object({
        id: Type.String(),
        type: Type.String(),
        state: pathState,
        rttMs: Type.Optional(Type.Number()),
        lossPercent: Type.Optional(Type.Number()),
        usual: Type.Optional(Type.Boolean()),
        reason: Type.Optional(Type.String()),
      }),
    ),
    chosen: Type.String(),
    using: Type.Optional(Type.String()),
  }),
);

export const whyRequestShape: Shape<WhyRequest> = shapeOf(
  Type.Object(
    {
      host: hostText,
      port: Type.Optional(Type.Integer({ minimum: 1, maximum: lastPort })),
      protocol: Type.Optional(Type.Union([Type.Literal('tcp'), Type.Literal('udp')])),
    },
    strict,
  ),
);

export const whyShape: Shape<WhyView> = shapeOf(
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

export const toldNamesShape: Shape<ToldNames> = shapeOf(
  Type.Object(
    {
      names: Type.Array(
        Type.Object(
          {
            name: hostText,
            addresses: Type.Array(Type.String({ maxLength: maxAddressText }), { maxItems: maxToldAddresses }),
            ttlSeconds: Type.Integer({ minimum: 0, maximum: maxTtlSeconds }),
          },
          strict,
        ),
        { maxItems: maxToldNames },
      ),
    },
    strict,
  ),
);
