/** A datagram socket of the system, connected to one end, as a flow. Whoever made the socket chose where it leaves. */

import type { Socket } from 'node:dgram';
import { formatAddress } from '../../shared/core/base/ip.ts';
import type { FlowEnd } from '../../shared/core/netstack/events.ts';
import type { FarUdp } from '../../shared/node/flows/contract.ts';

/** The destination, or a router, says that nobody is there. */
const fatal: ReadonlySet<string> = new Set(['ECONNREFUSED', 'EHOSTUNREACH', 'ENETUNREACH', 'ENETDOWN']);

/** Rejects with the system's error; the socket is the caller's to close then, and the flow's afterwards. */
export function connectedUdp(socket: Socket, to: FlowEnd): Promise<FarUdp> {
  return new Promise((resolve, reject) => {
    socket.once('error', reject);
    socket.connect(to.port, formatAddress(to.address), () => {
      socket.off('error', reject);
      resolve(new ConnectedUdp(socket));
    });
  });
}

class ConnectedUdp implements FarUdp {
  readonly #socket: Socket;
  #isOpen = true;
  #onMessage: (bytes: Uint8Array) => void = () => undefined;
  #onClose: () => void = () => undefined;

  constructor(socket: Socket) {
    this.#socket = socket;
    socket.on('message', (bytes) => this.#onMessage(bytes));
    socket.on('error', (cause: NodeJS.ErrnoException) => this.#handleError(cause));
  }

  send(bytes: Uint8Array): void {
    if (!this.#isOpen) return;
    // The system may take it later; by then the bytes are somebody else's.
    this.#socket.send(Uint8Array.from(bytes), (cause) => {
      if (cause !== null) this.#handleError(cause);
    });
  }

  onMessage(listener: (bytes: Uint8Array) => void): void {
    this.#onMessage = listener;
  }

  onClose(listener: () => void): void {
    this.#onClose = listener;
  }

  close(): void {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    this.#socket.close();
  }

  /** Anything else was about one datagram. */
  #handleError(cause: NodeJS.ErrnoException): void {
    if (!this.#isOpen || !fatal.has(cause.code ?? '')) return;
    this.close();
    this.#onClose();
  }
}
