/** Schema of the fields of a disguise, for the control API and the registration API. What they mean: wire/disguise-fields.ts. */

import { type TObject, type TOptional, type TString, Type } from '@sinclair/typebox';
import { type DisguiseKey, disguiseKeys } from '../wire/disguise-fields.ts';

const field = Type.Optional(Type.String({ pattern: '^[0-9]{1,10}(-[0-9]{1,10})?$' }));

export const disguiseSchema: TObject<Record<DisguiseKey, TOptional<TString>>> = Type.Object(
  Object.fromEntries(disguiseKeys.map((key) => [key, field])) as Record<DisguiseKey, typeof field>,
);
