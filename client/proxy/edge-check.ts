/**
 * Is the far end of the tunnel an edge of ours, and does it answer? Asks the resolver inside for `edge.culvert`, and
 * that address for `/generate_204` with a challenge (product.md §4, §6). A stock server fails this, which is no fault:
 * then only the tunnel's own proof counts. Asks nobody else.
 */

import type { IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import { encodeHex } from '../../shared/core/base/bytes.ts';
import { formatAddress, parseAddress } from '../../shared/core/base/ip.ts';
import type { Entropy } from '../../shared/core/base/ports.ts';
import { type MonoMs, secondMs } from '../../shared/core/base/time.ts';
import { request } from '../../shared/node/http.ts';
import type { Dialer } from './dialer.ts';

export interface EdgeCheckOptions {
  readonly dialer: Pick<Dialer, 'dialTcp'>;
  readonly entropy: Entropy;
  readonly now: () => MonoMs;
}

export type EdgeVerdict =
  | { readonly kind: 'edge'; readonly rttMs: number; readonly visibleAddress?: string }
  /** No edge of ours answers there. */
  | { readonly kind: 'stock' };

export const edgeName = 'edge.culvert';
const webPort = 80;
/** For the whole check: two tries of a name, a connection, an answer. */
const checkMs = 6 * secondMs;
/** The visible address is a courtesy. */
const traceMs = 2 * secondMs;
const maxTraceBytes = 4096;
const challengeSize = 16;

/** Never rejects. */
export async function checkEdge(options: EdgeCheckOptions): Promise<EdgeVerdict> {
  const { entropy, now } = options;
  const bytes = new Uint8Array(challengeSize);
  entropy.fill(bytes);
  const challenge = encodeHex(bytes);
  try {
    const signal = AbortSignal.timeout(checkMs);
    const asked = await ask(options, '/generate_204', { 'X-Culvert-Challenge': challenge }, signal);
    asked.response.resume();
    const { statusCode, headers } = asked.response;
    if (statusCode !== 204 || headers['x-culvert-response'] !== `response ${challenge}`)
      return { kind: 'stock' };
    const rttMs = Math.round(10 * (now() - asked.sentAt)) / 10;
    const visibleAddress = await visibleAddressOf(options);
    return visibleAddress === undefined ? { kind: 'edge', rttMs } : { kind: 'edge', rttMs, visibleAddress };
  } catch {
    return { kind: 'stock' }; // No such name, nobody listens, or something else answers there.
  }
}

interface Asked {
  readonly response: IncomingMessage;
  readonly sentAt: MonoMs;
}

/** One request on a connection of its own. The response's stream ends with the signal. */
async function ask(
  options: EdgeCheckOptions,
  path: string,
  headers: Readonly<Record<string, string>>,
  signal: AbortSignal,
): Promise<Asked> {
  const stream: Duplex = await options.dialer.dialTcp({ host: edgeName, port: webPort, signal });
  stream.on('error', () => {}); // The request says the same.
  return new Promise((resolve, reject) => {
    const outgoing = request({
      createConnection: () => stream,
      headers: { ...headers, Host: edgeName, Connection: 'close' },
      path,
      signal,
    });
    const sentAt = options.now();
    outgoing.once('response', (response) => {
      response.on('error', () => {}); // Whoever reads it notices the missing end.
      response.once('close', () => stream.destroy());
      resolve({ response, sentAt });
    });
    outgoing.once('error', (error) => {
      stream.destroy();
      reject(error);
    });
    outgoing.end();
  });
}

/** Line `exit` of /trace, where there is one that is an address: the edge may not know it. */
async function visibleAddressOf(options: EdgeCheckOptions): Promise<string | undefined> {
  try {
    const { response } = await ask(options, '/trace', {}, AbortSignal.timeout(traceMs));
    if (response.statusCode !== 200) {
      response.destroy();
      return undefined;
    }
    let text = '';
    for await (const chunk of response.setEncoding('utf8')) {
      text += String(chunk);
      if (text.length > maxTraceBytes) return undefined;
    }
    const written = /^exit=(\S+)$/m.exec(text)?.[1];
    const address = written === undefined ? undefined : parseAddress(written);
    return address === undefined ? undefined : formatAddress(address);
  } catch {
    return undefined; // The proof stands without it.
  }
}
