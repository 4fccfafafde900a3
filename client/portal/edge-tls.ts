/**
 * TLS to the edge's HTTPS port over a connection that is given: is it the edge, by its key, and if not, who says that it
 * is? Nothing is sent to anybody else.
 */

import { createHash, timingSafeEqual } from 'node:crypto';
import { isIP, type Socket } from 'node:net';
import { connect as connectTls, type TLSSocket } from 'node:tls';
import type { EdgeProbe } from './probe.ts';
import type { ProbeAnswer } from './reply.ts';

/** The connection, which is the caller's then; or what was met instead, and the connection is ended. */
export type EdgeMet =
  | { readonly socket: TLSSocket }
  | Extract<ProbeAnswer, { kind: 'silent' | 'garbage' | 'impostor' }>;

const longestName = 80;

/** Never rejects. */
export function connectEdgeTls(tcp: Socket, edge: EdgeProbe, signal: AbortSignal): Promise<EdgeMet> {
  return new Promise((resolve) => {
    let isConnected = false;
    let tls: TLSSocket | undefined;
    const end = (met: EdgeMet): void => {
      signal.removeEventListener('abort', onAbort);
      if (!('socket' in met)) {
        tls?.destroy();
        tcp.destroy();
      }
      resolve(met);
    };
    const onAbort = (): void => end({ kind: 'silent' });
    signal.addEventListener('abort', onAbort, { once: true });
    const onError = (error?: NodeJS.ErrnoException): void =>
      // Whoever took the connection and speaks no TLS is not silent.
      end({ kind: isConnected && error?.code?.startsWith('ERR_SSL') === true ? 'garbage' : 'silent' });
    tcp.on('error', onError);
    tcp.once('close', () => onError());
    tcp.once('connect', () => {
      isConnected = true;
      tls = connectTls({
        socket: tcp,
        // Whether it is the right one is decided below, by its key.
        rejectUnauthorized: false,
        minVersion: 'TLSv1.2',
        ...(isIP(edge.host) === 0 ? { servername: edge.host } : {}),
      });
      tls.on('error', onError);
      tls.once('secureConnect', () => {
        if (tls === undefined) return;
        end(isPinned(tls, edge.pin) ? { socket: tls } : { kind: 'impostor', ...issuerOf(tls) });
      });
    });
    if (signal.aborted) onAbort();
  });
}

function isPinned(socket: TLSSocket, pin: Uint8Array): boolean {
  const key = socket.getPeerX509Certificate()?.publicKey.export({ type: 'spki', format: 'der' });
  if (key === undefined) return false;
  const hash = createHash('sha256').update(key).digest();
  return hash.length === pin.length && timingSafeEqual(hash, pin);
}

/** In a few words, and nothing that a terminal would take for a command. */
function issuerOf(socket: TLSSocket): { readonly issuer?: string } {
  const lines = socket.getPeerX509Certificate()?.issuer.split('\n') ?? [];
  const named = ['CN=', 'O=', 'OU='].flatMap((part) => lines.find((line) => line.startsWith(part)) ?? []);
  const text = named[0]
    ?.replace(/^[A-Z]+=/, '')
    .replaceAll(/\p{C}/gu, ' ')
    .slice(0, longestName);
  return text === undefined || text === '' ? {} : { issuer: text };
}
