/** The part of the device API about names that a device tells. */

import { Type } from '@sinclair/typebox';
import { type Shape, shapeOf } from '../control/shape.ts';
import { strict } from './shapes.ts';

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

const hostText = Type.String({ minLength: 1, maxLength: maxHost });

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
