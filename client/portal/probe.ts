/**
 * Asks the network, outside the tunnel, whether it wants a sign-in: plain pages by the network's own DNS, and the edge's
 * own certificate. Follows nothing, believes nothing, keeps nothing; verdict.ts judges. One round has an end.
 */

import type { Socket } from 'node:net';
import { connectEdgeTls } from './edge-tls.ts';
import type { PortalProbe } from './endpoints.ts';
import { connectMarked, type NumericPlace } from './marked-socket.ts';
import { isHostText } from './places.ts';
import { judgeReply, maxReplyBytes, type ProbeAnswer } from './reply.ts';

export interface EdgeProbe {
  readonly host: string;
  readonly port: number;
  /** SHA-256 of its public key. */
  readonly pin: Uint8Array;
}

export interface PortalRound {
  readonly probes: readonly PortalProbe[];
  /** Absent where this machine is enrolled with no edge. */
  readonly edge?: EdgeProbe;
}

export interface ProbeParts {
  /** By the network's own name servers. */
  readonly lookUp: (host: string, signal: AbortSignal) => Promise<readonly string[]>;
  /** Of the questions' sockets; 0: none. */
  readonly mark: number;
}

/** Of a whole round. */
const roundMs = 2500;
/** Once the pages are known the edge may take so much longer. */
const edgeGraceMs = 400;
/** Addresses that one page is asked at. */
const maxTries = 2;
/** A page that drips is judged by what came until then. */
const dripMs = 1200;

/** One answer for each page, and one of the edge where there is one. Never rejects. */
export async function askRound(
  { probes, edge }: PortalRound,
  parts: ProbeParts,
  signal: AbortSignal,
): Promise<readonly ProbeAnswer[]> {
  const ended = new AbortController();
  const limit = AbortSignal.any([signal, ended.signal, AbortSignal.timeout(roundMs)]);
  const pages = Promise.all(probes.map((probe) => askPage(probe, parts, limit)));
  const own = edge === undefined ? undefined : askEdge(edge, parts, limit);
  try {
    if (own === undefined) return await pages;
    // The edge's word alone decides; without it the pages do, a moment later.
    const judged = pages.then(async (answers) => [...answers, await within(own, edgeGraceMs)]);
    const sure = own.then((answer) => (answer.kind === 'edge' ? [answer] : judged));
    return await Promise.race([sure, judged]);
  } finally {
    ended.abort();
  }
}

/** One page, at the first address that answers. Never rejects. */
export async function askPage(
  probe: PortalProbe,
  parts: ProbeParts,
  signal: AbortSignal,
): Promise<ProbeAnswer> {
  const addresses = await parts.lookUp(probe.host, signal).catch(() => []);
  if (addresses.length === 0) return { kind: 'unresolved' };
  let answer: ProbeAnswer = { kind: 'silent' };
  for (const address of addresses.slice(0, maxTries)) {
    if (signal.aborted) break;
    answer = await askAddress(probe, { address, port: probe.port }, parts.mark, signal);
    if (answer.kind !== 'silent') break;
  }
  return answer;
}

async function askAddress(
  probe: PortalProbe,
  place: NumericPlace,
  mark: number,
  signal: AbortSignal,
): Promise<ProbeAnswer> {
  const socket = connectMarked(place, mark);
  const name = isHostText(probe.host) ? probe.host : place.address;
  const host = name.includes(':') ? `[${name}]` : name;
  const lines = [
    `GET ${probe.path} HTTP/1.1`,
    `Host: ${host}${probe.port === 80 ? '' : `:${probe.port}`}`,
    'Connection: close',
    'Cache-Control: no-cache',
    'Accept: */*',
  ];
  const text = await exchange(socket, `${lines.join('\r\n')}\r\n\r\n`, signal);
  return judgeReply(text, probe.expect, probe.host);
}

/** What came back until the other side ended, enough was read, or the time was over. */
function exchange(socket: Socket, request: string, signal: AbortSignal): Promise<string> {
  return new Promise((resolve) => {
    let text = '';
    let drip: NodeJS.Timeout | undefined;
    const end = (): void => {
      clearTimeout(drip);
      signal.removeEventListener('abort', end);
      socket.destroy();
      resolve(text);
    };
    signal.addEventListener('abort', end, { once: true });
    socket.on('error', end);
    socket.on('close', end);
    socket.on('end', end);
    socket.setEncoding('latin1');
    socket.on('data', (chunk: string) => {
      text += chunk;
      drip ??= setTimeout(end, dripMs);
      if (text.length >= maxReplyBytes || isWhole(text)) end();
    });
    socket.once('connect', () => socket.write(request));
    if (signal.aborted) end();
  });
}

/** A 204 or a redirect needs no body; nor does a page that said how long it is. */
function isWhole(text: string): boolean {
  const end = /\r?\n\r?\n/.exec(text);
  if (end === null) return false;
  if (/^HTTP\/1\.[01] 30\d/.test(text)) return true;
  const length = /\r?\ncontent-length:[ \t]*(\d{1,6})/i.exec(text.slice(0, end.index + 2))?.[1];
  if (length === undefined) return false;
  return text.length >= end.index + end[0].length + Number(length);
}

/** Whether who answers at the edge's HTTPS port is the edge. Never rejects. */
export async function askEdge(edge: EdgeProbe, parts: ProbeParts, signal: AbortSignal): Promise<ProbeAnswer> {
  const addresses = await parts.lookUp(edge.host, signal).catch(() => []);
  if (addresses.length === 0) return { kind: 'unresolved' };
  let answer: ProbeAnswer = { kind: 'silent' };
  for (const address of addresses.slice(0, maxTries)) {
    if (signal.aborted) break;
    const socket = connectMarked({ address, port: edge.port }, parts.mark);
    const met = await connectEdgeTls(socket, edge, signal);
    if ('socket' in met) {
      met.socket.destroy();
      return { kind: 'edge' };
    }
    answer = met;
    if (answer.kind !== 'silent') break;
  }
  return answer;
}

async function within(answer: Promise<ProbeAnswer>, ms: number): Promise<ProbeAnswer> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<ProbeAnswer>((resolve) => {
    timer = setTimeout(() => resolve({ kind: 'silent' }), ms);
  });
  try {
    return await Promise.race([answer, late]);
  } finally {
    clearTimeout(timer);
  }
}
