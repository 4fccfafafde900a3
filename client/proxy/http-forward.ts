/**
 * Plain HTTP through the proxy: one request in absolute form to its origin, and the answer back. Bodies
 * are streamed both ways and framed anew; nothing is stored, nothing is added.
 * Deviation: of the interim answers only 100 is passed on, and trailers are not; no browser asks for them here.
 */

import type { ClientRequest, IncomingMessage, ServerResponse } from 'node:http';
import { breakOff, pump } from '../../shared/node/flows/splice.ts';
import type { DialError } from './dialer.ts';
import { asDialError, failureWords } from './failures.ts';
import { type Answer, answerBody, answerHeaders, endToEnd, framingOf, outboundHeaders } from './http-head.ts';
import type { HttpSession } from './http-session.ts';
import type { HttpTarget } from './target.ts';

/** Methods that may be sent twice where the first one's connection had gone stale (RFC 9110 §9.2.2). */
const repeatable = /^(?:GET|HEAD|OPTIONS)$/;

export interface Exchange {
  readonly session: HttpSession;
  readonly target: HttpTarget;
  readonly inbound: IncomingMessage;
  readonly response: ServerResponse;
}

/** Carries out the exchange. Every end of it is an end of `response`, or of the client's connection. */
export function forward(exchange: Exchange): void {
  const { inbound, response } = exchange;
  if (framingOf(inbound.rawHeaders) === 'unknown') {
    return answer(response, { status: 501, sentence: 'That transfer coding cannot be carried.' });
  }
  attempt(exchange);
}

/** Answers in our own words, and ends the connection where a body may still be on its way. */
export function answer(response: ServerResponse, own: Answer): void {
  if (isBodyPending(response.req)) response.shouldKeepAlive = false;
  response.writeHead(own.status, answerHeaders(own));
  response.end(answerBody(own));
}

/** What a client reads of a failed dial. */
export function failureAnswer(failure: DialError): Answer {
  const words = failureWords[failure.failure];
  const headers = { 'Proxy-Status': `culvert; error=${words.proxyStatus}` };
  return { status: words.http, sentence: failure.message, headers };
}

function attempt(exchange: Exchange): void {
  const { session, target, inbound, response } = exchange;
  const method = inbound.method ?? 'GET';
  const headers = outboundHeaders(inbound.rawHeaders, target, method);
  let outbound: ClientRequest;
  try {
    outbound = session.requestOrigin({ target, method, headers });
  } catch (error) {
    return answer(response, rejection(error));
  }
  outbound.on('continue', () => response.writeContinue());
  outbound.once('response', (origin) => relayResponse(exchange, origin));
  outbound.once('error', (error) => {
    const mayRepeat = framingOf(inbound.rawHeaders) === 'none' && repeatable.test(method);
    if (outbound.reusedSocket && mayRepeat && !response.headersSent && !response.destroyed) attempt(exchange);
    else handleFailure(exchange, error);
  });
  response.once('close', () => {
    if (!response.writableFinished) outbound.destroy();
  });
  sendBody(exchange, outbound);
}

function sendBody(exchange: Exchange, outbound: ClientRequest): void {
  const { session, inbound } = exchange;
  if (framingOf(inbound.rawHeaders) === 'none') {
    inbound.resume();
    outbound.end();
    return;
  }
  // The head must not wait for the body: the client may wait for a 100 before it sends one.
  outbound.flushHeaders();
  pump(inbound, outbound, (bytes) => session.connection.countUp(bytes));
}

function relayResponse(exchange: Exchange, origin: IncomingMessage): void {
  const { session, inbound, response } = exchange;
  if (response.destroyed) return void origin.destroy();
  if (framingOf(origin.rawHeaders) === 'unknown') {
    origin.destroy();
    return answer(response, { status: 502, sentence: 'The origin used an unknown transfer coding.' });
  }
  // What is left of the request's body must not be taken for a next request.
  if (isBodyPending(inbound)) response.shouldKeepAlive = false;
  try {
    response.sendDate = false;
    response.writeHead(origin.statusCode ?? 502, origin.statusMessage ?? '', endToEnd(origin.rawHeaders));
  } catch (error) {
    origin.destroy();
    return handleFailure(exchange, error);
  }
  // Sent before the body: a stream of events may be silent for long.
  response.flushHeaders();
  origin.once('error', () => breakOff(session.connection.stream));
  origin.once('close', () => {
    if (!origin.complete) breakOff(session.connection.stream);
  });
  pump(origin, response, (bytes) => session.connection.countDown(bytes));
}

/** A request without a body is not complete either at the moment when its head is. */
function isBodyPending(inbound: IncomingMessage): boolean {
  return !inbound.complete && framingOf(inbound.rawHeaders) !== 'none';
}

/** Says it while there is room for words, else breaks the connection: half an answer must not look whole. */
function handleFailure(exchange: Exchange, error: unknown): void {
  const { session, response } = exchange;
  if (response.destroyed) return;
  if (response.headersSent) breakOff(session.connection.stream);
  else answer(response, rejection(error));
}

/** What a client reads of whatever went wrong on the way to its origin. */
export function rejection(error: unknown): Answer {
  const code = error instanceof Error && 'code' in error ? String(error.code) : '';
  if (code.startsWith('HPE_')) return { status: 502, sentence: 'The origin did not answer in HTTP.' };
  if (code === 'ERR_UNESCAPED_CHARACTERS' || code === 'ERR_INVALID_CHAR') {
    return { status: 400, sentence: 'The request has characters that do not belong there.' };
  }
  if (code === 'ECONNRESET' || code === 'EPIPE') {
    return { status: 502, sentence: 'The origin ended the connection without an answer.' };
  }
  return failureAnswer(asDialError(error));
}
