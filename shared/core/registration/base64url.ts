/** base64url without padding (RFC 4648 §5): how bytes stand in links and tokens. Strict: one text for each array. */

import { decodeBase64, encodeBase64 } from '../base/bytes.ts';

export function encodeBase64Url(bytes: Uint8Array): string {
  return encodeBase64(bytes).replaceAll('+', '-').replaceAll('/', '_').replaceAll('=', '');
}

/** Undefined where the text is not that, or does not hold exactly `size` bytes. */
export function decodeBase64Url(text: string, size: number): Uint8Array | undefined {
  if (!/^[A-Za-z0-9_-]*$/.test(text) || text.length !== Math.ceil((size * 4) / 3)) return undefined;
  const padding = '='.repeat((4 - (text.length % 4)) % 4);
  return decodeBase64(text.replaceAll('-', '+').replaceAll('_', '/') + padding);
}
