/** LoopbackPort on node:dgram: correct on any system, and slow. */

import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { forceSocketBuffers } from '../udp/socket-options.ts';
import type { LoopbackPort } from './loopback-port.ts';

/** As large as the tunnel's own; the system grants less where its limit is lower. */
const bufferBytes = 4 * 1024 * 1024;
/** Bytes that Node may hold back for a socket that is full. Datagrams beyond are dropped. */
const maxSendQueueBytes = 1024 * 1024;
const loopback = '127.0.0.1';

export class LoopbackDgram implements LoopbackPort {
  readonly address: string;
  readonly port: number;
  onDatagram: LoopbackPort['onDatagram'];
  readonly #socket: Socket;
  #isClosed = false;

  static async open(toPort: number, from: string): Promise<LoopbackDgram> {
    const socket = await bindAt(from).catch((error: unknown) => {
      if (from === loopback) throw error;
      return bindAt(loopback);
    });
    try {
      socket.connect(toPort, loopback);
      await once(socket, 'connect');
      if (!forceSocketBuffers(socket, bufferBytes)) enlarge(socket);
      return new LoopbackDgram(socket);
    } catch (error) {
      socket.close();
      throw error;
    }
  }

  private constructor(socket: Socket) {
    const { address, port } = socket.address();
    this.address = address;
    this.port = port;
    this.#socket = socket;
    socket.on('message', (bytes) => this.onDatagram?.(bytes, 0, bytes.length));
    // The other side's port may be closed for a moment: such errors are lost datagrams.
    socket.on('error', () => undefined);
  }

  send(bytes: Uint8Array, start: number, end: number): boolean {
    if (this.#isClosed || this.#socket.getSendQueueSize() > maxSendQueueBytes) return false;
    // Node may send it later.
    this.#socket.send(bytes.slice(start, end), ignoreOutcome);
    return true;
  }

  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#socket.close();
  }
}

async function bindAt(address: string): Promise<Socket> {
  const socket = createSocket('udp4');
  try {
    socket.bind({ address, port: 0, exclusive: true });
    await once(socket, 'listening');
    return socket;
  } catch (error) {
    socket.close();
    throw error;
  }
}

function enlarge(socket: Socket): void {
  try {
    socket.setRecvBufferSize(bufferBytes);
    socket.setSendBufferSize(bufferBytes);
  } catch {
    // Some systems refuse what is beyond their limit: the default then stays.
  }
}

/** A datagram that fails is lost, as datagrams are; with a callback Node raises no error event. */
function ignoreOutcome(): void {}
