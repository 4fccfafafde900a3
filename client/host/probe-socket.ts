/**
 * Sends the packets that prove a tunnel, from one socket that stays open as long as the tunnel: an answer that found no
 * socket would make this system send an error back into the tunnel, which nobody answers, so that the tunnel would be
 * doubted and probed again, for ever. What is answered is read by nobody.
 */

import { createSocket, type Socket } from 'node:dgram';
import type { ProbeTarget } from '../driver/probe-target.ts';

interface Open {
  readonly from: string;
  readonly socket: Promise<Socket>;
}

export class ProbeSocket {
  #open: Open | undefined;

  /** Rejects with the system's error; the next call begins anew. */
  async send(target: ProbeTarget): Promise<void> {
    const open = this.#open?.from === target.from ? this.#open : this.#renew(target.from);
    try {
      await sendFrom(await open.socket, target);
    } catch (error) {
      if (this.#open === open) this.close();
      throw error;
    }
  }

  /** Idempotent. */
  close(): void {
    const open = this.#open;
    this.#open = undefined;
    open?.socket.then(
      (socket) => socket.close(),
      () => undefined, // It closed itself.
    );
  }

  #renew(from: string): Open {
    this.close();
    this.#open = { from, socket: openSocket(from) };
    return this.#open;
  }
}

function openSocket(from: string): Promise<Socket> {
  const socket = createSocket(from.includes(':') ? 'udp6' : 'udp4');
  // Read, so that nothing piles up.
  socket.on('message', () => undefined);
  return new Promise((resolve, reject) => {
    // After the binding it changes nothing here: a send says itself that it failed.
    socket.on('error', (error) => {
      reject(error);
    });
    socket.bind(0, from, () => {
      socket.unref();
      resolve(socket);
    });
  });
}

function sendFrom(socket: Socket, target: ProbeTarget): Promise<void> {
  return new Promise((resolve, reject) => {
    socket.send(target.payload, target.port, target.address, (error) =>
      error === null ? resolve() : reject(error),
    );
  });
}
