// A Dialer that dials loopback by Node's own sockets: the reference of the contract, and the far end of tests.
// Names come from a table, so that no test ever asks a resolver.
import { createSocket, type Socket as UdpSocket } from 'node:dgram';
import { connect, type Socket } from 'node:net';
import {
  DialError,
  type Dialer,
  type DialFailure,
  type DialRequest,
  type UdpFlow,
  type UdpMessage,
} from '../../client/proxy/dialer.ts';

const failures: Readonly<Record<string, DialFailure>> = {
  ECONNREFUSED: 'refused',
  ETIMEDOUT: 'timeout',
  EACCES: 'denied',
  EPERM: 'denied',
};

export class DirectDialer implements Dialer {
  readonly #names: Readonly<Record<string, string>>;
  /** Every request, in order. */
  readonly dialled: { host: string; port: number }[] = [];

  /** `names`: name → numeric address. */
  constructor(names: Readonly<Record<string, string>> = {}) {
    this.#names = names;
  }

  dialTcp(request: DialRequest): Promise<Socket> {
    const { host, port, signal } = request;
    this.dialled.push({ host, port });
    return new Promise((resolve, reject) => {
      if (signal.aborted) return reject(signal.reason);
      const address = this.#resolve(host);
      if (address === undefined) return reject(new DialError('name-not-found', `No host is called ${host}.`));
      const socket = connect({ host: address, port, allowHalfOpen: true, noDelay: true });
      const onAbort = (): void => {
        socket.destroy();
        reject(signal.reason);
      };
      const onError = (error: NodeJS.ErrnoException): void => {
        signal.removeEventListener('abort', onAbort);
        const failure = failures[error.code ?? ''] ?? 'unreachable';
        reject(new DialError(failure, 'The destination cannot be reached.', error));
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

  openUdp(): UdpFlow {
    return new DirectFlow((host) => this.#resolve(host));
  }

  #resolve(host: string): string | undefined {
    return /^[\d.]+$/.test(host) || host.includes(':') ? host : this.#names[host];
  }
}

class DirectFlow implements UdpFlow {
  readonly #resolve: (host: string) => string | undefined;
  readonly #sockets = new Map<'udp4' | 'udp6', UdpSocket>();
  #listener: ((message: UdpMessage) => void) | undefined;
  #closed = false;

  constructor(resolve: (host: string) => string | undefined) {
    this.#resolve = resolve;
  }

  send(host: string, port: number, bytes: Uint8Array): void {
    const address = this.#resolve(host);
    if (this.#closed || address === undefined) return;
    // The system takes it later, the bytes are ours only now.
    this.#socketFor(address.includes(':') ? 'udp6' : 'udp4').send(
      Buffer.from(bytes),
      port,
      address,
      () => {},
    );
  }

  onMessage(listener: (message: UdpMessage) => void): void {
    this.#listener = listener;
  }

  close(): void {
    this.#closed = true;
    for (const socket of this.#sockets.values()) socket.close();
    this.#sockets.clear();
  }

  #socketFor(family: 'udp4' | 'udp6'): UdpSocket {
    const known = this.#sockets.get(family);
    if (known !== undefined) return known;
    const socket = createSocket(family);
    socket.on('error', () => {});
    socket.on('message', (bytes, from) => {
      if (!this.#closed) this.#listener?.({ host: from.address, port: from.port, bytes });
    });
    this.#sockets.set(family, socket);
    return socket;
  }
}
