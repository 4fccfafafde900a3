/**
 * Joins a hand-written type with its TypeBox schema, so that the compiler refuses a schema that
 * allows what the type does not. Exports need explicit types; inferring them from schemas cannot.
 */

import { type TSchema, type TUnsafe, Type } from '@sinclair/typebox';

/** A JSON schema whose valid values are `T`. */
export type Shape<T> = TUnsafe<T>;

/** Marks `schema` as the schema of `T`; does not compile where the schema admits something else. */
export function shapeOf<T>(schema: TSchema & { static: T }): Shape<T> {
  return Type.Unsafe<T>(schema);
}
