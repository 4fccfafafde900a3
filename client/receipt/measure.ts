/**
 * What the tunnel to an edge of ours costs in time: a connection to the edge inside the tunnel, a question to its
 * resolver, a short download from itself; and a connection to its API outside, where the mode leaves that open. Asks the
 * edge alone, and moves little: maxReceiptBytes. Opens connections by the functions that it is given.
 */

import { once } from 'node:events';
import type { IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import type { MonoMs } from '../../shared/core/base/time.ts';
import type { Receipt } from '../../shared/core/control/path-status.ts';
import { recordType } from '../../shared/core/dns/types.ts';
import { writeQuery } from '../../shared/core/dns/writer.ts';
import { request } from '../../shared/node/http.ts';

export interface MeasurePorts {
  /** Through the tunnel, to the edge's own address there. The stream is the caller's. */
  readonly dialTunnel: (port: number, signal: AbortSignal) => Promise<Duplex>;
  /** Outside the tunnel, to the edge's API; undefined where nothing may go there. */
  readonly dialDirect: ((signal: AbortSignal) => Promise<Duplex>) | undefined;
  readonly now: () => MonoMs;
}

export type Measured = Pick<Receipt, 'tunnel' | 'direct'>;

/** First a small piece, then a larger one where the small one came at once. */
const pieces = [128 * 1024, 896 * 1024] as const;
/** Payload of one measurement in all. */
export const maxReceiptBytes: number = pieces[0] + pieces[1];
/** A small piece that takes longer has told enough. */
const quickMs = 400;
const tries = 3;
const webPort = 80;
const dnsPort = 53;
const stepMs = 5000;
const maxAnswer = 4096;

/** Rejects where the edge does not answer inside the tunnel. */
export async function measureReceipt(ports: MeasurePorts): Promise<Measured> {
  const { dialTunnel, dialDirect, now } = ports;
  const connectMs = await connectTime((signal) => dialTunnel(webPort, signal), now);
  const lookupMs = await optional(lookupTime(ports));
  const goodputMbps = await optional(goodput(ports));
  const directMs = dialDirect === undefined ? undefined : await optional(connectTime(dialDirect, now));
  return {
    tunnel: {
      connectMs: rounded(connectMs),
      ...(lookupMs === undefined ? {} : { lookupMs: rounded(lookupMs) }),
      ...(goodputMbps === undefined ? {} : { goodputMbps: rounded(goodputMbps) }),
    },
    ...(directMs === undefined ? {} : { direct: { connectMs: rounded(directMs) } }),
  };
}

/** The best of a few, since only waiting makes it longer. */
async function connectTime(
  dial: (signal: AbortSignal) => Promise<Duplex>,
  now: () => MonoMs,
): Promise<number> {
  let best = Number.POSITIVE_INFINITY;
  for (let i = 0; i < tries; i++) {
    const startedAt = now();
    const stream = await dial(AbortSignal.timeout(stepMs));
    best = Math.min(best, now() - startedAt);
    stream.on('error', () => undefined).destroy();
  }
  return best;
}

/** By TCP, which every way into the tunnel carries; without the connection. */
async function lookupTime({ dialTunnel, now }: MeasurePorts): Promise<number> {
  const signal = AbortSignal.timeout(stepMs);
  const stream = await dialTunnel(dnsPort, signal);
  stream.on('error', () => undefined);
  try {
    const query = writeQuery({ id: 0x8353, name: 'edge.culvert', type: recordType.a });
    if (query === undefined) throw new Error('that is no name');
    const startedAt = now();
    stream.write(Buffer.concat([Uint8Array.of(query.length >> 8, query.length & 255), query]));
    await once(stream, 'data', { signal });
    return now() - startedAt;
  } finally {
    stream.destroy();
  }
}

/** Megabits a second of what arrived. */
async function goodput(ports: MeasurePorts): Promise<number> {
  let best = 0;
  for (const bytes of pieces) {
    const ms = await downloadTime(bytes, ports);
    best = Math.max(best, (bytes * 8) / 1000 / Math.max(1, ms));
    if (ms > quickMs) break;
  }
  return best;
}

async function downloadTime(bytes: number, { dialTunnel, now }: MeasurePorts): Promise<number> {
  const signal = AbortSignal.timeout(stepMs);
  const stream = await dialTunnel(webPort, signal);
  stream.on('error', () => undefined);
  try {
    const headers = { Host: 'edge.culvert', Connection: 'close' };
    const outgoing = request({
      createConnection: () => stream,
      path: `/speed?bytes=${bytes}`,
      headers,
      signal,
    });
    outgoing.end();
    const startedAt = now();
    const [response] = (await once(outgoing, 'response', { signal })) as [IncomingMessage];
    if (response.statusCode !== 200) throw new Error('the edge does not measure');
    let left = bytes;
    for await (const piece of response as AsyncIterable<Buffer>) {
      left -= piece.length;
      if (left < -maxAnswer) throw new Error('the edge sends more than was asked for');
    }
    if (left > 0) throw new Error('the download was cut');
    return now() - startedAt;
  } finally {
    stream.destroy();
  }
}

/** What did not work is not told. */
async function optional(measuring: Promise<number>): Promise<number | undefined> {
  try {
    return await measuring;
  } catch {
    return undefined;
  }
}

function rounded(value: number): number {
  return Math.round(value * 10) / 10;
}
