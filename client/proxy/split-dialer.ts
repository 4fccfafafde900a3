/**
 * The split tunnel of the proxy: what the user's list names goes around the tunnel, everything else into it. Names are
 * matched as programs say them, before anybody looks them up.
 */

import { createSocket, type Socket as UdpSocket } from 'node:dgram';
import { connect, isIP } from 'node:net';
import type { Duplex } from 'node:stream';
import { parseAddress } from '../../shared/core/base/ip.ts';
import { isIncludeOnly, ruleForAddress, ruleForName, type SplitRule } from '../split/rules.ts';
import {
  DialError,
  type Dialer,
  type DialFailure,
  type DialRequest,
  type UdpFlow,
  type UdpMessage,
} from './dialer.ts';

const failures: Readonly<Record<string, DialFailure>> = {
  ECONNREFUSED: 'refused',
  ETIMEDOUT: 'timeout',
  EACCES: 'denied',
  EPERM: 'denied',
  ENOTFOUND: 'name-not-found',
  EAI_AGAIN: 'name-not-found',
};

/** Whether the list sends this host around the tunnel: the same answer as `culvert route explain` gives. */
export function goesAround(rules: readonly SplitRule[], host: string): boolean {
  if (rules.length === 0) return false;
  const address = isIP(host) === 0 ? undefined : parseAddress(host);
  const rule = address === undefined ? ruleForName(rules, host) : ruleForAddress(rules, address);
  return rule === undefined ? isIncludeOnly(rules) : rule.mode === 'exclude';
}

export class SplitDialer implements Dialer {
  #inside: Dialer;
  #rules: readonly SplitRule[] = [];

  /** `inside`: into the tunnel. */
  constructor(inside: Dialer) {
    this.#inside = inside;
  }

  /** For connections from now on. */
  setInside(inside: Dialer): void {
    this.#inside = inside;
  }

  /** For connections from now on. */
  setRules(rules: readonly SplitRule[]): void {
    this.#rules = rules;
  }

  dialTcp(request: DialRequest): Promise<Duplex> {
    return goesAround(this.#rules, request.host) ? dialOutside(request) : this.#inside.dialTcp(request);
  }

  openUdp(): UdpFlow {
    const inside = this.#inside.openUdp();
    return this.#rules.length === 0 ? inside : new SplitFlow(inside, (host) => goesAround(this.#rules, host));
  }
}

function dialOutside({ host, port, signal }: DialRequest): Promise<Duplex> {
  return new Promise((resolve, reject) => {
    if (signal.aborted) return reject(signal.reason as Error);
    const socket = connect({ host, port, allowHalfOpen: true, noDelay: true });
    const onAbort = (): void => {
      socket.destroy();
      reject(signal.reason as Error);
    };
    const onError = (error: NodeJS.ErrnoException): void => {
      signal.removeEventListener('abort', onAbort);
      const failure = failures[error.code ?? ''] ?? 'unreachable';
      reject(new DialError(failure, 'The destination cannot be reached outside the tunnel.', error));
    };
    signal.addEventListener('abort', onAbort, { once: true });
    socket.once('error', onError);
    socket.once('connect', () => {
      signal.removeEventListener('abort', onAbort);
      socket.off('error', onError);
      resolve(socket);
    });
  });
}

/** One flow with two ends: each datagram goes where the list says. */
class SplitFlow implements UdpFlow {
  readonly #inside: UdpFlow;
  readonly #around: (host: string) => boolean;
  readonly #sockets = new Map<4 | 6, UdpSocket>();
  #listener: ((message: UdpMessage) => void) | undefined;
  #isClosed = false;

  constructor(inside: UdpFlow, around: (host: string) => boolean) {
    this.#inside = inside;
    this.#around = around;
  }

  send(host: string, port: number, bytes: Uint8Array): void {
    if (this.#isClosed) return;
    if (!this.#around(host)) {
      this.#inside.send(host, port, bytes);
      return;
    }
    // The system takes it later; the bytes are ours only now. What cannot be sent is lost, as on any network.
    this.#socketFor(host.includes(':') ? 6 : 4).send(Buffer.from(bytes), port, host, () => undefined);
  }

  onMessage(listener: (message: UdpMessage) => void): void {
    this.#listener = listener;
    this.#inside.onMessage(listener);
  }

  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#inside.close();
    for (const socket of this.#sockets.values()) socket.close();
    this.#sockets.clear();
  }

  #socketFor(family: 4 | 6): UdpSocket {
    const known = this.#sockets.get(family);
    if (known !== undefined) return known;
    const socket = createSocket(family === 4 ? 'udp4' : 'udp6');
    socket.on('error', () => undefined);
    socket.on('message', (bytes, { address, port }) => {
      if (!this.#isClosed) this.#listener?.({ host: address, port, bytes });
    });
    this.#sockets.set(family, socket);
    return socket;
  }
}
