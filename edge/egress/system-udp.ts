/**
 * Datagrams to and from one numeric address by a connected socket of the system: what comes from anybody else the
 * kernel throws away. Never asks a resolver, decides nothing.
 */

import { createSocket, type Socket } from 'node:dgram';
import { formatAddress } from '../../shared/core/base/ip.ts';
import type { FlowEnd } from '../../shared/core/netstack/events.ts';

/** Why it is over: the destination refuses (ICMP), or we closed it. */
export type DatagramEnd = 'unreachable' | 'closed';

export class SystemUdp {
  readonly #socket: Socket;
  #isOpen = true;
  #onMessage: (bytes: Uint8Array) => void = () => undefined;
  #onClose: (end: DatagramEnd) => void = () => undefined;
  #onRelease: () => void = () => undefined;

  /** Rejects with the system's error (`code`). */
  static connect(to: FlowEnd): Promise<SystemUdp> {
    return new Promise((resolve, reject) => {
      const family = to.address.length === 4 ? 4 : 6;
      const socket = createSocket({
        type: family === 4 ? 'udp4' : 'udp6',
        // Addresses are numeric: what is asked is the answer.
        lookup: (host, _options, callback) => callback(null, host, family),
      });
      const onError = (cause: Error): void => {
        socket.close();
        reject(cause);
      };
      socket.once('error', onError);
      socket.connect(to.port, formatAddress(to.address), () => {
        socket.off('error', onError);
        resolve(new SystemUdp(socket));
      });
    });
  }

  private constructor(socket: Socket) {
    this.#socket = socket;
    socket.on('message', (bytes) => this.#onMessage(bytes));
    socket.on('error', (cause: NodeJS.ErrnoException) => this.#failed(cause.code));
  }

  /** Bytes are the caller's again at once. What cannot be sent is lost, as datagrams may be. */
  send(bytes: Uint8Array): void {
    if (!this.#isOpen) return;
    // The system may take it later; by then the bytes are somebody else's.
    this.#socket.send(Uint8Array.from(bytes), (cause) => {
      if (cause !== null) this.#failed((cause as NodeJS.ErrnoException).code);
    });
  }

  /** One listener; bytes are the listener's. */
  onMessage(listener: (bytes: Uint8Array) => void): void {
    this.#onMessage = listener;
  }

  /** One listener, called once. */
  onClose(listener: (end: DatagramEnd) => void): void {
    this.#onClose = listener;
  }

  /** Called once when the socket is gone: for whoever counts them. */
  onRelease(listener: () => void): void {
    this.#onRelease = listener;
  }

  /** Idempotent. */
  close(): void {
    this.#end('closed');
  }

  #failed(code: string | undefined): void {
    if (code === 'ECONNREFUSED' || code === 'EHOSTUNREACH' || code === 'ENETUNREACH')
      this.#end('unreachable');
    // Anything else (too large, no buffers) was about one datagram.
  }

  #end(end: DatagramEnd): void {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    this.#socket.close();
    this.#onRelease();
    this.#onClose(end);
  }
}
