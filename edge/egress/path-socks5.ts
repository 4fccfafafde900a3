/** The path of type socks5: an upstream proxy by SOCKS5 (RFC 1928), with a password (RFC 1929) and datagrams (§7). */

import { createSocket } from 'node:dgram';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import type { FlowEnd } from '../../shared/core/netstack/events.ts';
import type { FarUdp } from '../../shared/node/flows/contract.ts';
import { connectedUdp } from './connected-udp.ts';
import { type EgressPath, type FlowProtocol, PathError, type PathTarget } from './path.ts';
import { directError } from './path-errors.ts';
import type { Login, UpstreamOptions } from './path-http.ts';
import {
  associateCommand,
  checkReply,
  connectCommand,
  encodeGreeting,
  encodeHeader,
  encodeLogin,
  encodeRequest,
  parseLoginReply,
  parseMethod,
  parseReply,
  payloadFrom,
} from './socks5-messages.ts';
import { readMessage, throughUpstream } from './upstream-dial.ts';

/** How long an association may take to stand. */
const associateMs = 10_000;

export class Socks5Path implements EgressPath {
  readonly type = 'socks5';
  readonly id: string;
  readonly #options: UpstreamOptions;

  constructor(id: string, options: UpstreamOptions) {
    this.id = id;
    this.#options = options;
  }

  carries(protocol: FlowProtocol): boolean {
    return protocol !== 'icmp';
  }

  trouble(): string | undefined {
    return undefined;
  }

  dialTcp(target: PathTarget, signal: AbortSignal): Promise<Duplex> {
    const { server, login, tellNames } = this.#options;
    return throughUpstream(server, signal, async (socket) => {
      await greet(socket, login);
      socket.write(encodeRequest(connectCommand, target.end, tellNames ? target.name : undefined));
      checkReply((await readMessage(socket, parseReply)).code);
    });
  }

  async openUdp({ end }: PathTarget): Promise<FarUdp> {
    const { server, login } = this.#options;
    let relay: FlowEnd = server;
    const control = await throughUpstream(server, AbortSignal.timeout(associateMs), async (socket) => {
      await greet(socket, login);
      // The port that we send from is not known yet, which §6 allows.
      socket.write(
        encodeRequest(associateCommand, { address: new Uint8Array(server.address.length), port: 0 }),
      );
      const reply = await readMessage(socket, parseReply);
      checkReply(reply.code);
      if (reply.bound === undefined || reply.bound.port === 0) {
        throw new PathError('path', 'unreachable', 'The upstream gives no port for datagrams.');
      }
      // Many servers tell no address, or one that only they know: the one that answers is right.
      relay = reply.bound.address.every((byte) => byte === 0)
        ? { address: server.address, port: reply.bound.port }
        : reply.bound;
    });
    try {
      return new Association(control, await openRelay(relay), end);
    } catch (cause) {
      control.destroy();
      throw directError(cause);
    }
  }

  close(): void {
    // Nothing of its own.
  }
}

async function greet(socket: Socket, login: Login | undefined): Promise<void> {
  socket.write(encodeGreeting(login !== undefined));
  const method = await readMessage(socket, parseMethod);
  if (method === 'none') return;
  if (method === 'unacceptable' || login === undefined) {
    throw new PathError('path', 'unreachable', 'The upstream wants another login.');
  }
  socket.write(encodeLogin(login.username, login.password));
  if (!(await readMessage(socket, parseLoginReply))) {
    throw new PathError('path', 'unreachable', 'The upstream refuses the login.');
  }
}

function openRelay(relay: FlowEnd): Promise<FarUdp> {
  const family = relay.address.length === 4 ? 4 : 6;
  const socket = createSocket({
    type: family === 4 ? 'udp4' : 'udp6',
    // Addresses are numeric: what is asked is the answer.
    lookup: (host, _options, callback) => callback(null, host, family),
  });
  return connectedUdp(socket, relay).catch((cause: unknown) => {
    socket.close();
    throw cause;
  });
}

/** Datagrams to one destination; lives as long as its connection to the proxy. */
class Association implements FarUdp {
  readonly #control: Socket;
  readonly #relay: FarUdp;
  readonly #header: Uint8Array;
  #isOpen = true;
  #onClose: () => void = () => undefined;

  constructor(control: Socket, relay: FarUdp, end: FlowEnd) {
    this.#control = control;
    this.#relay = relay;
    this.#header = encodeHeader(end);
    // Nothing more is said on this connection; its end ends everything.
    control.on('error', () => undefined).resume();
    control.once('close', () => this.#handleEnd());
    control.once('end', () => this.#handleEnd());
    relay.onClose(() => this.#handleEnd());
  }

  send(bytes: Uint8Array): void {
    if (this.#isOpen) this.#relay.send(Buffer.concat([this.#header, bytes]));
  }

  onMessage(listener: (bytes: Uint8Array) => void): void {
    this.#relay.onMessage((bytes) => {
      const payload = payloadFrom(bytes, this.#header);
      if (payload !== undefined && this.#isOpen) listener(payload);
    });
  }

  onClose(listener: () => void): void {
    this.#onClose = listener;
    if (this.#control.destroyed && this.#isOpen) this.#handleEnd();
  }

  close(): void {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    this.#relay.close();
    this.#control.destroy();
  }

  #handleEnd(): void {
    if (!this.#isOpen) return;
    this.close();
    this.#onClose();
  }
}
