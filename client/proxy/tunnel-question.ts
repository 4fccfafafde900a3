/**
 * One question to the resolvers inside the tunnel: by UDP, again after 1 s and given up after 2 s more, the next
 * resolver each time; by TCP where the answer is cut. What is not an answer to this question is not looked at.
 */

import type { Duplex } from 'node:stream';
import { readU16BE, writeU16BE } from '../../shared/core/base/bytes.ts';
import type { Entropy } from '../../shared/core/base/ports.ts';
import { secondMs } from '../../shared/core/base/time.ts';
import { type DnsMessage, readMessage } from '../../shared/core/dns/reader.ts';
import { rcode, recordClass, safeUdpSize } from '../../shared/core/dns/types.ts';
import { writeQuery } from '../../shared/core/dns/writer.ts';
import type { StackHost, UdpChannel } from '../../shared/node/flows/contract.ts';

export interface QuestionOptions {
  readonly stack: Pick<StackHost, 'connectTcp' | 'openUdp'>;
  readonly entropy: Entropy;
  readonly resolvers: readonly Uint8Array[];
  readonly name: string;
  readonly type: number;
}

export type ResolverAnswer =
  /** `resolver` is the index of the one that answered. */
  | { readonly kind: 'answer'; readonly message: DnsMessage; readonly resolver: number }
  /** The text is no name of the DNS. */
  | { readonly kind: 'no-name' }
  /** Nobody answered in time. */
  | { readonly kind: 'silent' }
  /** The tunnel or its stack has no way to any of them. */
  | { readonly kind: 'unreachable' };

const dnsPort = 53;
/** How long each try waits for its answer before the next one begins. */
const triesMs: readonly number[] = [secondMs, 2 * secondMs];
const tcpMs = 3 * secondMs;

/** What one try ended with: an answer, or nothing by it. */
type TryEnd = DnsMessage | 'silent' | 'unreachable';

/** Never rejects. */
export async function askResolver(options: QuestionOptions): Promise<ResolverAnswer> {
  const { stack, entropy, resolvers, name, type } = options;
  const query = writeQuery({ id: randomId(entropy), name, type, edns: { udpSize: safeUdpSize } });
  if (query === undefined) return { kind: 'no-name' };
  let last: ResolverAnswer = { kind: 'unreachable' };
  // One resolver is asked twice, several once each, but for the first that did not answer.
  const tries = Math.max(triesMs.length, resolvers.length);
  for (let i = 0; i < tries; i++) {
    const resolver = i % resolvers.length;
    const destination = resolvers[resolver];
    if (destination === undefined) break;
    const waitMs = triesMs[Math.min(i, triesMs.length - 1)] ?? secondMs;
    let end = await overUdp(stack.openUdp({ destination, port: dnsPort }), query, waitMs);
    if (typeof end === 'object' && end.isTruncated) end = await overTcp(stack, destination, query);
    if (typeof end === 'object') {
      last = { kind: 'answer', message: end, resolver };
      if (isFinal(end)) return last;
    } else if (last.kind !== 'answer') last = { kind: end };
  }
  return last;
}

/** Whether another resolver could not know better. */
function isFinal(message: DnsMessage): boolean {
  return message.rcode === rcode.noError || message.rcode === rcode.nxDomain;
}

function overUdp(channel: UdpChannel | undefined, query: Uint8Array, waitMs: number): Promise<TryEnd> {
  if (channel === undefined) return Promise.resolve('unreachable');
  return new Promise((resolve) => {
    const settle = (end: TryEnd): void => {
      clearTimeout(timer);
      channel.close();
      resolve(end);
    };
    const timer = setTimeout(settle, waitMs, 'silent');
    channel.onClose((end) => settle(end === 'unreachable' ? 'unreachable' : 'silent'));
    channel.onMessage((bytes) => {
      const message = answerTo(query, Uint8Array.from(bytes));
      if (message !== undefined) settle(message);
    });
    if (!channel.send(query)) settle('unreachable');
  });
}

async function overTcp(
  stack: QuestionOptions['stack'],
  destination: Uint8Array,
  query: Uint8Array,
): Promise<TryEnd> {
  const signal = AbortSignal.timeout(tcpMs);
  let stream: Duplex | undefined;
  try {
    stream = await stack.connectTcp({ destination, port: dnsPort }, signal);
    const framed = new Uint8Array(2 + query.length);
    writeU16BE(framed, 0, query.length);
    framed.set(query, 2);
    stream.write(framed);
    const bytes = await readFramed(stream, signal);
    return (bytes === undefined ? undefined : answerTo(query, bytes)) ?? 'silent';
  } catch {
    return signal.aborted ? 'silent' : 'unreachable'; // The sentence is the caller's.
  } finally {
    stream?.destroy();
  }
}

/** One message behind its length of two bytes; undefined where the stream ends before. */
function readFramed(stream: Duplex, signal: AbortSignal): Promise<Uint8Array | undefined> {
  return new Promise((resolve) => {
    let received: Buffer = Buffer.alloc(0);
    const settle = (bytes?: Uint8Array): void => resolve(bytes);
    signal.addEventListener('abort', () => settle(), { once: true });
    stream.on('error', () => settle());
    stream.on('end', () => settle());
    stream.on('data', (chunk: Buffer) => {
      received = Buffer.concat([received, chunk]);
      const size = received.length < 2 ? Number.POSITIVE_INFINITY : readU16BE(received, 0);
      if (received.length >= size + 2) settle(Uint8Array.from(received.subarray(2, size + 2)));
    });
  });
}

/** The message, where it answers the query: same id, same question (RFC 5452 §9.1). */
function answerTo(query: Uint8Array, bytes: Uint8Array): DnsMessage | undefined {
  const message = readMessage(bytes);
  const asked = readMessage(query);
  if (message === undefined || asked === undefined || !message.isResponse) return undefined;
  if (message.id !== asked.id || message.question?.class !== recordClass.in) return undefined;
  return message.questionKey() === asked.questionKey() ? message : undefined;
}

function randomId(entropy: Entropy): number {
  const bytes = new Uint8Array(2);
  entropy.fill(bytes);
  return readU16BE(bytes, 0);
}
