/**
 * SOCKS4 and 4a: one request, one reply of eight bytes. CONNECT only. There is no standard but the
 * protocol's two memos; 4a sends a name behind the address 0.0.0.x.
 */

import { readU16BE } from '../../shared/core/base/bytes.ts';
import { formatAddress } from '../../shared/core/base/ip.ts';
import type { ClientConnection } from './connection.ts';
import type { ProxyContext } from './context.ts';
import { bad, more, type Parsed } from './message.ts';
import { parseHost } from './target.ts';

const version = 4;
const commandConnect = 1;
const granted = 0x5a;
const rejected = 0x5b;
/** Of user names, which nobody checks, and of names. */
const maxTextBytes = 255;
const textsAt = 8;

export interface Socks4Request {
  readonly command: number;
  /** Undefined: a text that cannot be a host. */
  readonly host: string | undefined;
  readonly port: number;
}

export function parseSocks4(bytes: Uint8Array): Parsed<Socks4Request> {
  const [first, command] = bytes;
  if (first !== undefined && first !== version) return bad;
  if (command === undefined || bytes.length < textsAt) return more;
  const port = readU16BE(bytes, 2);
  const userEnd = endOfText(bytes, textsAt);
  if (typeof userEnd !== 'number') return userEnd;
  const address = bytes.subarray(4, 8);
  const hasName = address[0] === 0 && address[1] === 0 && address[2] === 0 && address[3] !== 0;
  if (!hasName) {
    return { kind: 'complete', value: { command, host: formatAddress(address), port }, size: userEnd + 1 };
  }
  const nameEnd = endOfText(bytes, userEnd + 1);
  if (typeof nameEnd !== 'number') return nameEnd;
  const host = parseHost(Buffer.from(bytes.subarray(userEnd + 1, nameEnd)).toString('latin1'));
  return { kind: 'complete', value: { command, host, port }, size: nameEnd + 1 };
}

export async function serveSocks4(connection: ClientConnection, context: ProxyContext): Promise<void> {
  context.counters.accepted.socks4++;
  const read = await connection.read(parseSocks4);
  if (read.kind === 'gone') return connection.leave();
  if (read.kind === 'bad') return connection.leaveMalformed(encodeReply(rejected));
  connection.expectNothing();
  const { command, host, port } = read.value;
  if (context.credentials !== undefined) {
    // This protocol has no place for a password.
    context.counters.unauthorized++;
    return connection.leave(encodeReply(rejected));
  }
  if (command !== commandConnect || host === undefined || port === 0) {
    return connection.leave(encodeReply(rejected));
  }
  try {
    const upstream = await connection.dial({ host, port });
    connection.stream.write(encodeReply(granted));
    connection.join(upstream);
  } catch {
    // One word for every reason, and dial() has counted which it was.
    connection.leave(encodeReply(rejected));
  }
}

function encodeReply(code: number): Uint8Array {
  return Uint8Array.of(0, code, 0, 0, 0, 0, 0, 0);
}

/** Where the zero is that ends the text at `from`. */
function endOfText(bytes: Uint8Array, from: number): number | Parsed<never> {
  const end = bytes.indexOf(0, from);
  if (end < 0) return bytes.length - from > maxTextBytes ? bad : more;
  return end - from > maxTextBytes ? bad : end;
}
