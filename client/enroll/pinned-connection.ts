/**
 * A TLS connection to an edge that is known by its public key. The pin is compared before a byte of ours is
 * sent; names and dates in the certificate do not matter, nor who signed it.
 */

import { createHash, timingSafeEqual } from 'node:crypto';
import { connect as connectTcp, isIP, type Socket } from 'node:net';
import { connect as connectTls, type TLSSocket } from 'node:tls';
import { CulvertError } from '../../shared/core/control/codes.ts';

export interface EdgePlace {
  /** Name or numeric address, without brackets. */
  readonly host: string;
  readonly port: number;
}

/** Opens the TCP connection below; given where it must leave the machine in a special way. */
export type OpenSocket = (place: EdgePlace) => Socket;

/** Called with a name or address, and the numeric address at which the edge has shown its key. */
export type OnProven = (host: string, address: string) => void;

export interface PinnedOptions extends EdgePlace {
  /** SHA-256 of the edge's public key (SPKI), 32 bytes. */
  readonly pin: Uint8Array;
  readonly timeoutMs: number;
  readonly open?: OpenSocket;
  readonly onProven?: OnProven;
}

/** For one address of several, on a slow line or a busy machine; Node would take a quarter of a second. */
const attemptMs = 1500;

/** Throws 'edge-unreachable' or 'edge-impostor'. */
export async function connectPinned(options: PinnedOptions): Promise<TLSSocket> {
  const { host, port } = options;
  const tcp =
    options.open?.({ host, port }) ??
    connectTcp({ host, port, autoSelectFamily: true, autoSelectFamilyAttemptTimeout: attemptMs });
  // Of a name with several addresses the handle may still change until then, and TLS would hold the wrong one.
  if (tcp.connecting) await untilConnected(tcp, options);
  return new Promise((resolve, reject) => {
    const socket = connectTls({
      socket: tcp,
      // Whether it is the right one is decided below, by its key.
      rejectUnauthorized: false,
      minVersion: 'TLSv1.3',
      ...(isIP(host) === 0 ? { servername: host } : {}),
    });
    const fail = (error: CulvertError): void => {
      socket.destroy();
      tcp.destroy();
      reject(error);
    };
    const timer = setTimeout(() => fail(unreachableEdge(options, 'no answer in time')), options.timeoutMs);
    socket.once('secureConnect', () => {
      clearTimeout(timer);
      if (!isPinned(socket, options.pin)) {
        fail(new CulvertError('edge-impostor'));
        return;
      }
      if (tcp.remoteAddress !== undefined) options.onProven?.(host, tcp.remoteAddress);
      resolve(socket);
    });
    const onError = (cause: Error): void => {
      clearTimeout(timer);
      fail(unreachableEdge(options, cause.message, cause));
    };
    socket.once('error', onError);
    tcp.once('error', onError);
    socket.once('close', () => onError(new Error('the connection was closed')));
  });
}

function untilConnected(tcp: Socket, options: PinnedOptions): Promise<void> {
  return new Promise((resolve, reject) => {
    const fail = (why: string, cause?: Error): void => {
      clearTimeout(timer);
      tcp.destroy();
      reject(unreachableEdge(options, why, cause));
    };
    const timer = setTimeout(() => fail('no answer in time'), options.timeoutMs);
    const onError = (cause: Error): void => fail(wordsOf(cause), cause);
    tcp.once('error', onError);
    tcp.once('connect', () => {
      clearTimeout(timer);
      tcp.off('error', onError);
      resolve();
    });
  });
}

/** Where several addresses were tried, the words are with each of them. */
function wordsOf(cause: Error): string {
  if (!(cause instanceof AggregateError)) return cause.message;
  return cause.errors.map((one) => (one instanceof Error ? one.message : String(one))).join('; ');
}

export function unreachableEdge(place: EdgePlace, why: string, cause?: unknown): CulvertError {
  const host = place.host.includes(':') ? `[${place.host}]` : place.host;
  return new CulvertError('edge-unreachable', {
    text: `The API of the edge at ${host}:${place.port} does not answer: ${why}.`,
    cause,
  });
}

function isPinned(socket: TLSSocket, pin: Uint8Array): boolean {
  const key = socket.getPeerX509Certificate()?.publicKey.export({ type: 'spki', format: 'der' });
  if (key === undefined) return false;
  const hash = createHash('sha256').update(key).digest();
  return hash.length === pin.length && timingSafeEqual(hash, pin);
}
