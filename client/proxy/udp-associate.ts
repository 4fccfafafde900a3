/**
 * UDP ASSOCIATE (RFC 1928 §7): a UDP port on loopback for one program, for as long as its TCP
 * connection lives. Only the address of that connection may use it, and only one of its ports.
 * Deviation: fragments are dropped, which the RFC allows; nobody sends them.
 */

import { createSocket, type RemoteInfo, type Socket } from 'node:dgram';
import { isLoopback } from './access.ts';
import type { ClientConnection } from './connection.ts';
import type { ProxyContext } from './context.ts';
import type { UdpFlow, UdpMessage } from './dialer.ts';
import { asDialError, failureWords } from './failures.ts';
import { maxUdpQueueBytes } from './limits.ts';
import {
  encodeDatagramHeader,
  encodeReply,
  parseDatagram,
  reply,
  type Socks5Request,
} from './socks5-wire.ts';

export async function serveAssociation(
  connection: ClientConnection,
  request: Socks5Request,
  context: ProxyContext,
): Promise<void> {
  const { counters, limits, dialer, log } = context;
  if (connection.stream.destroyed || connection.stream.readableEnded) return connection.leave();
  if (counters.associations >= limits.maxAssociations) {
    return connection.leave(encodeReply(reply.generalFailure));
  }
  let flow: UdpFlow;
  try {
    const gate = context.gate();
    if (gate.kind === 'closed') return connection.leave(encodeReply(failureWords['tunnel-down'].socks5));
    flow = dialer.openUdp();
  } catch (error) {
    const { failure } = asDialError(error);
    counters.failed[failure]++;
    return connection.leave(encodeReply(failureWords[failure].socks5));
  }
  counters.associations++;
  const association = new Association(connection, flow, context, expectedPort(request));
  connection.stream.once('close', () => {
    association.close();
    counters.associations--;
  });
  connection.hold();
  try {
    const port = await association.open();
    if (connection.stream.destroyed) return association.close();
    connection.stream.write(encodeReply(reply.succeeded, connection.addresses.local, port));
    // Nothing more is said on this connection: what comes is thrown away, its end ends everything.
    connection.stream.once('end', () => connection.stream.destroy()).resume();
  } catch (error) {
    log.warn('no port for a UDP association', { reason: String(error) });
    connection.leave(encodeReply(reply.generalFailure));
  }
}

/** The port that the client says it will send from, 0 where it does not know yet. */
function expectedPort(request: Socks5Request): number {
  const { host, port } = request;
  const isHere = host === '0.0.0.0' || host === '::' || (host !== undefined && isLoopback(host));
  return isHere ? port : 0;
}

class Association {
  readonly #connection: ClientConnection;
  readonly #flow: UdpFlow;
  readonly #context: ProxyContext;
  readonly #socket: Socket;
  /** Of the client. The first datagram settles it where the request left it open. */
  #clientPort: number;
  #closed = false;

  constructor(connection: ClientConnection, flow: UdpFlow, context: ProxyContext, clientPort: number) {
    this.#connection = connection;
    this.#flow = flow;
    this.#context = context;
    this.#clientPort = clientPort;
    this.#socket = createSocket(connection.addresses.local.includes(':') ? 'udp6' : 'udp4');
  }

  /** The port to send to. Rejects where the system gives none. */
  open(): Promise<number> {
    const socket = this.#socket;
    return new Promise((resolve, reject) => {
      socket.once('error', reject);
      socket.bind({ address: this.#connection.addresses.local, port: 0, exclusive: true }, () => {
        socket.off('error', reject);
        // Loopback reports that the client's port is closed; its TCP connection decides, not this.
        socket.on('error', () => {});
        socket.on('message', (bytes, from) => this.#handleClient(bytes, from));
        this.#flow.onMessage((message) => this.#handleAnswer(message));
        resolve(socket.address().port);
      });
    });
  }

  /** Idempotent. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#flow.close();
    this.#socket.close();
  }

  #handleClient(bytes: Uint8Array, from: RemoteInfo): void {
    const { udp } = this.#context.counters;
    const isClient =
      from.address === this.#connection.addresses.peer &&
      (this.#clientPort === 0 || this.#clientPort === from.port);
    if (!isClient) {
      udp.strangers++;
      return;
    }
    const datagram = parseDatagram(bytes);
    if (datagram.kind === 'fragment') udp.fragments++;
    else if (datagram.kind === 'malformed') udp.malformed++;
    else {
      this.#clientPort = from.port;
      udp.up++;
      this.#connection.countUp(datagram.payload.length);
      this.#flow.send(datagram.host, datagram.port, datagram.payload);
    }
  }

  #handleAnswer(message: UdpMessage): void {
    // Before its first datagram there is nobody to answer to.
    if (this.#closed || this.#clientPort === 0) return;
    const { udp } = this.#context.counters;
    if (this.#socket.getSendQueueSize() > maxUdpQueueBytes) {
      udp.overflow++;
      return;
    }
    udp.down++;
    this.#connection.countDown(message.bytes.length);
    // One buffer: the message is only borrowed, and the system takes it later.
    const packet = Buffer.concat([encodeDatagramHeader(message.host, message.port), message.bytes]);
    this.#socket.send(packet, this.#clientPort, this.#connection.addresses.peer, () => {});
  }
}
