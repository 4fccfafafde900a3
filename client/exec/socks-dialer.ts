/**
 * Dialer through the local proxy of the daemon, by SOCKS5: TCP by CONNECT, UDP by UDP ASSOCIATE. Whatever is
 * wrong with the tunnel, the proxy refuses, and so do we; nothing is ever dialled directly.
 */

import { createSocket, type Socket as DatagramSocket, type RemoteInfo } from 'node:dgram';
import { connect, type Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { parseAddress } from '../../shared/core/base/ip.ts';
import { DialError, type Dialer, type DialRequest, type UdpFlow, type UdpMessage } from '../proxy/dialer.ts';
import { type Parser, readMessage } from '../proxy/message.ts';
import { commandAssociate, commandConnect, methodPassword, parseDatagram } from '../proxy/socks5-wire.ts';
import type { ProxyDoor } from './settings.ts';
import {
  encodeGreeting,
  encodeLogin,
  encodeRelayHeader,
  encodeRequest,
  failureOf,
  parseLoginReply,
  parseMethod,
  parseReply,
  type SocksReply,
} from './socks-wire.ts';

/** Datagrams that wait while their association is being made. */
const maxWaiting = 64;
/** A proxy that refused is not asked again before. */
const pauseMs = 250;

export class SocksDialer implements Dialer {
  readonly #door: ProxyDoor;

  constructor(door: ProxyDoor) {
    this.#door = door;
  }

  async dialTcp({ host, port, signal }: DialRequest): Promise<Duplex> {
    signal.throwIfAborted();
    const socket = openSocket(this.#door);
    const onAbort = (): void => void socket.destroy();
    signal.addEventListener('abort', onAbort, { once: true });
    try {
      await ask(socket, this.#door, { command: commandConnect, host, port });
      return socket;
    } catch (error) {
      socket.destroy();
      throw signal.aborted ? signal.reason : error;
    } finally {
      signal.removeEventListener('abort', onAbort);
    }
  }

  openUdp(): UdpFlow {
    return new SocksUdpFlow(this.#door);
  }
}

/** One association at a time; a new one where the last was ended by the proxy. */
class SocksUdpFlow implements UdpFlow {
  readonly #door: ProxyDoor;
  #listener: ((message: UdpMessage) => void) | undefined;
  #control: Socket | undefined;
  #socket: DatagramSocket | undefined;
  /** Where the relay listens; undefined while there is none. */
  #relay: { readonly host: string; readonly port: number } | undefined;
  #waiting: Uint8Array[] = [];
  #notBefore = 0;
  #closed = false;

  constructor(door: ProxyDoor) {
    this.#door = door;
  }

  send(host: string, port: number, bytes: Uint8Array): void {
    if (this.#closed) return;
    // One buffer, ours: the bytes are only lent.
    const packet = Buffer.concat([encodeRelayHeader(host, port), bytes]);
    if (this.#relay !== undefined) this.#socket?.send(packet, this.#relay.port, this.#relay.host, () => {});
    else if (this.#control !== undefined || performance.now() >= this.#notBefore) this.#hold(packet);
  }

  onMessage(listener: (message: UdpMessage) => void): void {
    this.#listener = listener;
  }

  close(): void {
    this.#closed = true;
    this.#end();
  }

  #hold(packet: Uint8Array): void {
    if (this.#waiting.length < maxWaiting) this.#waiting.push(packet);
    if (this.#control !== undefined) return;
    const control = openSocket(this.#door);
    this.#control = control;
    this.#associate(control).catch(() => {
      if (this.#control === control) this.#end();
    });
  }

  async #associate(control: Socket): Promise<void> {
    const { host } = this.#door;
    const socket = createSocket(host.includes(':') ? 'udp6' : 'udp4');
    this.#socket = socket;
    socket.on('error', () => {}); // The control connection decides.
    socket.on('message', (bytes, from) => this.#receive(bytes, from));
    const port = await bind(socket, host);
    const reply = await ask(control, this.#door, { command: commandAssociate, host, port });
    if (this.#control !== control) return;
    control.resume().once('close', () => {
      if (this.#control === control) this.#end();
    });
    this.#relay = { host, port: reply.port };
    for (const packet of this.#waiting) socket.send(packet, reply.port, host, () => {});
    this.#waiting = [];
  }

  #receive(bytes: Uint8Array, from: RemoteInfo): void {
    if (this.#closed || from.port !== this.#relay?.port || from.address !== this.#relay.host) return;
    const datagram = parseDatagram(bytes);
    if (datagram.kind !== 'whole') return;
    this.#listener?.({ host: datagram.host, port: datagram.port, bytes: datagram.payload });
  }

  #end(): void {
    this.#control?.destroy();
    this.#socket?.close();
    this.#control = undefined;
    this.#socket = undefined;
    this.#relay = undefined;
    this.#waiting = [];
    this.#notBefore = performance.now() + pauseMs;
  }
}

function openSocket({ host, port }: ProxyDoor): Socket {
  const socket = connect({ host, port, allowHalfOpen: true, noDelay: true });
  // An error also ends whoever reads; by itself it must not end the process.
  return socket.on('error', () => {});
}

interface SocksRequest {
  readonly command: number;
  readonly host: string;
  readonly port: number;
}

/** The whole conversation; rejects with DialError. Bytes behind the reply stay in the stream. */
async function ask(socket: Socket, door: ProxyDoor, request: SocksRequest): Promise<SocksReply> {
  const { username, password = '' } = door;
  socket.write(encodeGreeting(username !== undefined));
  const method = await read(socket, parseMethod);
  if (method === methodPassword && username !== undefined) {
    socket.write(encodeLogin(username, password));
    if ((await read(socket, parseLoginReply)) !== 0) throw refusedLogin();
  } else if (method !== 0) throw refusedLogin();
  const { command, host, port } = request;
  socket.write(encodeRequest(command, host, port));
  const reply = await read(socket, parseReply);
  if (reply.code === 0) return reply;
  const failure = failureOf(reply.code, parseAddress(host) === undefined);
  throw new DialError(failure, `The proxy answered: ${failure}.`);
}

async function read<T>(socket: Socket, parse: Parser<T>): Promise<T> {
  const message = await readMessage(socket, parse);
  if (message.kind === 'complete') return message.value;
  throw new DialError('tunnel-down', 'The proxy of the daemon does not answer.');
}

function refusedLogin(): DialError {
  return new DialError('denied', 'The proxy of the daemon wants another login.');
}

function bind(socket: DatagramSocket, host: string): Promise<number> {
  return new Promise((resolve, reject) => {
    socket.once('error', reject);
    socket.bind({ address: host, port: 0, exclusive: true }, () => {
      socket.off('error', reject);
      resolve(socket.address().port);
    });
  });
}
