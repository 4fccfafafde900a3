/** Which protocol a client speaks, by its first byte. Pure. */

import { bad, more, type Parsed } from './message.ts';

export type Protocol = 'socks5' | 'socks4' | 'http';

/** Takes no byte away: the protocol's own parser wants them all. */
export function sniff(bytes: Uint8Array): Parsed<Protocol> {
  const first = bytes[0];
  if (first === undefined) return more;
  if (first === 0x05) return { kind: 'complete', value: 'socks5', size: 0 };
  if (first === 0x04) return { kind: 'complete', value: 'socks4', size: 0 };
  // A method begins with a letter; an empty line before it is to be forgiven (RFC 9112 §2.2).
  const isLetter = (first >= 0x41 && first <= 0x5a) || (first >= 0x61 && first <= 0x7a);
  if (isLetter || first === 0x0d || first === 0x0a) return { kind: 'complete', value: 'http', size: 0 };
  return bad;
}
