/**
 * The tunnel's datagrams inside a TLS connection to the edge (RFC 9298 over HTTP/1.1): for the tunnel a place on this
 * machine's loopback, beyond it the edge's HTTPS port. The edge is known by its pin: names and dates in certificates do
 * not matter, so a wrong clock does not either. HTTP/1.1 because after its upgrade nothing stands between us and TLS,
 * whereas HTTP/2 would add its own windows and frames.
 */

import { once } from 'node:events';
import type { IncomingMessage } from 'node:http';
import { connect as connectTcp, type Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import type { Endpoint } from '../../shared/core/base/endpoint.ts';
import type { Log } from '../../shared/core/base/ports.ts';
import { CulvertError } from '../../shared/core/control/codes.ts';
import {
  capsuleHeader,
  capsuleHeaderValue,
  connectUdpToken,
  udpRequestPath,
} from '../../shared/core/masque/request.ts';
import { request as sendRequest } from '../../shared/node/http.ts';
import { DatagramStream } from '../../shared/node/masque/datagram-stream.ts';
import { type LoopbackPort, openLoopbackPort } from '../../shared/node/masque/loopback-port.ts';
import { setConnectionMark } from '../../shared/node/udp/socket-options.ts';
import { connectPinned, type EdgePlace } from '../enroll/pinned-connection.ts';

export interface RelayPlan {
  /** Where the edge serves HTTPS, numeric, in the order in which they are tried. */
  readonly places: readonly Endpoint[];
  readonly pin: Uint8Array;
  /** UDP port of the edge that its tunnel serves this device on. */
  readonly edgePort: number;
  /** UDP port of our own tunnel. */
  readonly tunnelPort: number;
  /** Firewall mark of the connection; 0: none. */
  readonly mark: number;
}

/** Between two places that are tried. */
const staggerMs = 250;
const attemptMs = 8000;
/** WireGuard's keepalives come more often; silence beyond it is a tunnel that is gone. */
const idleMs = 240_000;
const edgeName = 'edge.culvert';
const loopback = '127.0.0.1';
/** First byte of a handshake initiation. */
const initiationType = 1;

export class TlsRelay {
  /** Where the tunnel finds it. */
  readonly place: Endpoint;
  /** Where the edge is behind it. */
  readonly edge: Endpoint;
  readonly #datagrams: DatagramStream;
  #holdsInitiations = false;
  #isOpen = true;

  /** Rejects with 'edge-unreachable', 'edge-impostor', or 'edge-refused' where it carries no datagrams. */
  static async open(plan: RelayPlan, signal: AbortSignal, onEnd: () => void, log: Log): Promise<TlsRelay> {
    const { stream, head, place } = await firstThatOpens(plan, signal);
    try {
      const port = await openLoopbackPort(plan.tunnelPort, log);
      return new TlsRelay({ stream, head, place, port }, onEnd, log);
    } catch (error) {
      stream.destroy();
      throw error;
    }
  }

  private constructor(opened: Opened & { readonly port: LoopbackPort }, onEnd: () => void, log: Log) {
    const { stream, head, place, port } = opened;
    this.edge = place;
    this.place = { address: loopback, port: port.port };
    this.#datagrams = new DatagramStream({
      stream,
      head,
      port,
      idleMs,
      admit: (first) => !this.#holdsInitiations || first !== initiationType,
      onEnd: (why) => {
        const wasOpen = this.#isOpen;
        this.#isOpen = false;
        log.debug('the connection that carried the tunnel ended', { why });
        if (wasOpen) onEnd();
      },
    });
  }

  get isOpen(): boolean {
    return this.#isOpen;
  }

  /** While it holds them, no handshake of ours goes this way: another way is being asked. */
  holdInitiations(holds: boolean): void {
    this.#holdsInitiations = holds;
  }

  /** `onEnd` is not called. Idempotent. */
  close(): void {
    this.#isOpen = false;
    this.#datagrams.end();
  }
}

interface Opened {
  readonly stream: Duplex;
  readonly head: Uint8Array;
  readonly place: Endpoint;
}

/** The places one after the other, each a moment behind the one before; who is first ends the others. */
async function firstThatOpens(plan: RelayPlan, signal: AbortSignal): Promise<Opened> {
  const others = new AbortController();
  const either = AbortSignal.any([signal, others.signal]);
  let isWon = false;
  const attempts = plan.places.map(async (place, i) => {
    await pause(i * staggerMs, either);
    const opened = await openAt(place, plan, either);
    if (isWon || either.aborted) {
      opened.stream.destroy();
      throw new CulvertError('edge-unreachable');
    }
    isWon = true;
    return opened;
  });
  try {
    return await Promise.any(attempts);
  } catch (error) {
    const first: unknown = error instanceof AggregateError ? error.errors[0] : error;
    throw first instanceof Error ? first : new CulvertError('edge-unreachable');
  } finally {
    others.abort();
  }
}

async function openAt(place: Endpoint, plan: RelayPlan, signal: AbortSignal): Promise<Opened> {
  const { address: host, port } = place;
  const secure = await connectPinned({
    host,
    port,
    pin: plan.pin,
    timeoutMs: attemptMs,
    open: (target) => openMarked(target, plan.mark),
  });
  const abort = (): void => void secure.destroy();
  signal.addEventListener('abort', abort, { once: true });
  if (signal.aborted) secure.destroy();
  try {
    return { ...(await upgrade(secure, { host, port: plan.edgePort })), place };
  } catch (error) {
    secure.destroy();
    throw error;
  } finally {
    signal.removeEventListener('abort', abort);
  }
}

async function upgrade(
  secure: Socket,
  { host, port }: EdgePlace,
): Promise<{ readonly stream: Duplex; readonly head: Uint8Array }> {
  secure.on('error', () => secure.destroy());
  const request = sendRequest({
    createConnection: () => secure,
    host,
    path: udpRequestPath({ host: edgeName, port }),
    headers: {
      connection: 'Upgrade',
      upgrade: connectUdpToken,
      [capsuleHeader]: capsuleHeaderValue,
    },
    signal: AbortSignal.timeout(attemptMs),
  });
  const refused = once(request, 'response').then(([response]: IncomingMessage[]) => {
    response?.resume();
    throw new CulvertError('edge-refused', {
      text: `The edge carries no tunnel in TLS (status ${response?.statusCode ?? 0}).`,
      remedy: 'Use a newer culvert-edge.',
    });
  });
  const upgraded = once(request, 'upgrade') as Promise<[IncomingMessage, Socket, Buffer]>;
  request.end();
  // Both reject where the connection fails; the one that is not waited for must not stay unheard.
  refused.catch(() => undefined);
  const [, stream, head] = await Promise.race([upgraded, refused]);
  return { stream, head };
}

/** Throws where the mark cannot be had: without it the connection would go into the tunnel that it shall carry. */
export function openMarked({ host, port }: EdgePlace, mark: number): Socket {
  const socket = connectTcp({ host, port, noDelay: true });
  if (mark !== 0 && !setConnectionMark(socket, mark, host)) {
    socket.destroy();
    throw new CulvertError('ffi-unavailable');
  }
  return socket;
}

function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const end = (): void => {
      clearTimeout(timer);
      reject(new CulvertError('edge-unreachable'));
    };
    const timer = setTimeout(() => {
      signal.removeEventListener('abort', end);
      resolve();
    }, ms);
    if (signal.aborted) end();
    else signal.addEventListener('abort', end, { once: true });
  });
}
