/** JSON schemas that several calls of the registration API share, and the names of what stands in them. */

import { type TSchema, Type } from '@sinclair/typebox';
import { tokenPattern } from './tokens.ts';

/** What devices and people may be called: safe in status lines, logs and command lines. */
export const namePattern = '^[\\p{L}\\p{N}][\\p{L}\\p{N} ._-]{0,62}$';
/** Ids of devices, invites, keys: letters and digits, made by the edge. */
export const idPattern = '^[a-z0-9]{8,32}$';
/** Ids of paths, as edge.yaml names them. */
export const pathPattern = '^[A-Za-z0-9][A-Za-z0-9._-]{0,31}$';
/** What an operator may call a kind of device: 'kids', 'work'. */
export const tagPattern = '^[a-z0-9][a-z0-9._-]{0,31}$';
/** Of one device. */
export const maxTags = 16;
/** The word for "the edge chooses". */
export const autoPath = 'auto';

export const strict: { readonly additionalProperties: false } = { additionalProperties: false };

export const nameText: TSchema & { static: string } = Type.String({ pattern: namePattern, maxLength: 63 });
export const idText: TSchema & { static: string } = Type.String({ pattern: idPattern });
export const pathText: TSchema & { static: string } = Type.String({ pattern: pathPattern });
export const tagsText: TSchema & { static: string[] } = Type.Array(Type.String({ pattern: tagPattern }), {
  maxItems: maxTags,
  uniqueItems: true,
});
/** 32 bytes in canonical base64, as `wg` writes keys. */
export const keyText: TSchema & { static: string } = Type.String({
  pattern: '^[A-Za-z0-9+/]{42}[AEIMQUYcgkosw048]=$',
});
/** 16 bytes, base64url. */
export const proofText: TSchema & { static: string } = Type.String({ pattern: '^[A-Za-z0-9_-]{21}[AQgw]$' });
export const challengeText: TSchema & { static: string } = Type.String({
  pattern: '^[A-Za-z0-9_-]{40,64}$',
});
export const inviteText: TSchema & { static: string } = Type.String({ pattern: tokenPattern('invite') });
export const platformText: TSchema & { static: string } = Type.String({ pattern: '^[A-Za-z0-9 ._-]{1,64}$' });
/** RFC 3339. */
export const timeText: TSchema & { static: string } = Type.String({
  pattern: '^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\\.[0-9]{1,9})?Z$',
});
/** Bytes, or bits a second; 0 = no limit. */
export const amount: TSchema & { static: number } = Type.Integer({
  minimum: 0,
  maximum: Number.MAX_SAFE_INTEGER,
});
export const texts: TSchema & { static: string[] } = Type.Array(Type.String());

const namePatternExact = new RegExp(namePattern, 'u');
const tagPatternExact = new RegExp(tagPattern);

export function isDeviceName(text: string): boolean {
  return namePatternExact.test(text);
}

export function isTag(text: string): boolean {
  return tagPatternExact.test(text);
}
