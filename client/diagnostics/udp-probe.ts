/**
 * Asks an edge for a handshake on a socket of its own, outside the tunnel, and throws the session away: does this port
 * answer, and how fast? The edge takes the socket for a move of this device until the tunnel sends again.
 */

import { createSocket, type Socket } from 'node:dgram';
import { CookieJar } from '../../shared/core/admission/cookie-jar.ts';
import type { Entropy } from '../../shared/core/base/ports.ts';
import type { MonoMs } from '../../shared/core/base/time.ts';
import { beginInitiation } from '../../shared/core/noise/initiator.ts';
import { Disguise } from '../../shared/core/wire/disguise.ts';
import type { DisguiseRules } from '../../shared/core/wire/disguise-rules.ts';
import { initiationSize } from '../../shared/core/wire/initiation.ts';
import { classify, messageType } from '../../shared/core/wire/message.ts';
import { nextTimestamp } from '../../shared/core/wire/tai64n.ts';
import type { Clock } from '../../shared/node/clock.ts';
import { nativeDhSuite } from '../../shared/node/crypto/native-dh.ts';
import { setSocketMark } from '../../shared/node/udp/socket-options.ts';
import type { UdpAnswer } from './net-facts.ts';

export interface UdpProbeKeys {
  readonly privateKey: Uint8Array;
  /** Of the edge. */
  readonly publicKey: Uint8Array;
  readonly presharedKey: Uint8Array;
  /** Absent: messages are as WireGuard's are. */
  readonly disguise?: DisguiseRules | undefined;
}

export interface UdpProbeParts {
  readonly keys: UdpProbeKeys;
  readonly address: string;
  /** Firewall mark; 0: none. */
  readonly mark: number;
  readonly clock: Clock;
  readonly entropy: Entropy;
}

export interface UdpProbeAnswer {
  readonly answer: UdpAnswer;
  readonly ms?: number;
}

const suite = nativeDhSuite;
const patienceMs = 1500;

/** One socket for all ports of one edge, so that the edge can tell whether its mapping stays. Close it. */
export class UdpProbe {
  readonly #parts: UdpProbeParts;
  readonly #socket: Socket;
  readonly #jar: CookieJar;
  readonly #disguise: Disguise | undefined;
  #stamp: Uint8Array | undefined;
  #index = 1;
  #onMessage: (bytes: Uint8Array) => void = () => undefined;
  #onRefused: () => void = () => undefined;

  private constructor(parts: UdpProbeParts, socket: Socket) {
    this.#parts = parts;
    this.#socket = socket;
    this.#jar = new CookieJar(suite, parts.keys.publicKey);
    const { disguise } = parts.keys;
    this.#disguise = disguise === undefined ? undefined : new Disguise(disguise, parts.entropy);
    socket.on('message', (bytes) => this.#onMessage(new Uint8Array(bytes)));
    socket.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'ECONNREFUSED') this.#onRefused();
    });
  }

  static async open(parts: UdpProbeParts): Promise<UdpProbe> {
    // The system gives a port of its own choice back at every change of the far side; one that was named stays.
    const first = await bound(parts.address, 0);
    const { port } = first.address();
    await new Promise<void>((resolve) => first.close(() => resolve()));
    const socket = await bound(parts.address, port);
    if (parts.mark !== 0) setSocketMark(socket, parts.mark);
    return new UdpProbe(parts, socket);
  }

  get localPort(): number {
    return this.#socket.address().port;
  }

  close(): void {
    this.#socket.close();
  }

  /** Never rejects. */
  async ask(port: number, timeoutMs: number = patienceMs): Promise<UdpProbeAnswer> {
    const { clock, keys, entropy, address } = this.#parts;
    const local = { secretKey: keys.privateKey, publicKey: suite.publicKey(keys.privateKey) };
    const staticShared = suite.dh(keys.privateKey, keys.publicKey);
    if (staticShared === undefined) return { answer: 'silent' };
    this.#stamp = nextTimestamp(this.#stamp, clock.unix());
    const bytes = new Uint8Array(initiationSize);
    const localIndex = this.#index++;
    const begun = beginInitiation(
      {
        suite,
        entropy,
        local,
        remoteStatic: keys.publicKey,
        staticShared,
        timestamp: this.#stamp,
        localIndex,
      },
      bytes,
      0,
    );
    if (begun === 'bad-handshake') return { answer: 'silent' };
    this.#disguise?.mark(bytes, 0, messageType.initiation);
    this.#jar.sign(bytes, clock.now());
    const began = clock.now();
    const datagram = this.#disguise?.datagram(bytes, messageType.initiation) ?? bytes;
    const answer = await this.#exchange(datagram, { port, address }, timeoutMs, (heard) => {
      const type = this.#typeOf(heard);
      const reply = typeof type === 'string' ? heard : (this.#disguise?.message(heard, type) ?? heard);
      switch (type) {
        case messageType.response: {
          const done = begun.finish(keys.presharedKey, reply, 0);
          if (typeof done === 'string') return undefined;
          done.sendKey.fill(0);
          done.receiveKey.fill(0);
          return 'handshake';
        }
        case messageType.cookieReply:
          return this.#jar.receive(reply, 0, clock.now()) === 'ok' ? 'cookie' : undefined;
        default:
          return undefined;
      }
    });
    return answer === 'silent' || answer === 'refused' ? { answer } : { answer, ms: msSince(began, clock) };
  }

  #typeOf(datagram: Uint8Array): ReturnType<typeof classify> | ReturnType<Disguise['typeOf']> {
    const { length } = datagram;
    return this.#disguise === undefined
      ? classify(datagram, 0, length)
      : this.#disguise.typeOf(datagram, 0, length);
  }

  /** A datagram of that size that nobody answers, and that the edge counts: of a handshake, and too long for one. */
  sendUseless(port: number, size: number): void {
    const bytes = new Uint8Array(size);
    if (this.#disguise === undefined) bytes[0] = messageType.initiation;
    else {
      const { initiation } = messageType;
      const at = this.#disguise.prefixOf(initiation);
      this.#disguise.mark(bytes, at, initiation);
      this.#disguise.cover(bytes, at, initiation);
    }
    this.#socket.send(bytes, port, this.#parts.address, () => undefined);
  }

  #exchange(
    bytes: Uint8Array,
    { port, address }: { readonly port: number; readonly address: string },
    timeoutMs: number,
    judge: (reply: Uint8Array) => UdpAnswer | undefined,
  ): Promise<UdpAnswer> {
    return new Promise((resolve) => {
      const end = (answer: UdpAnswer): void => {
        clearTimeout(timer);
        this.#onMessage = () => undefined;
        this.#onRefused = () => undefined;
        disconnect(this.#socket);
        resolve(answer);
      };
      const timer = setTimeout(() => end('silent'), timeoutMs);
      this.#onMessage = (reply) => {
        const answer = judge(reply);
        if (answer !== undefined) end(answer);
      };
      this.#onRefused = () => end('refused');
      // Only a connected socket is told that nobody listens there.
      this.#socket.connect(port, address, (error?: Error) => {
        if (error !== undefined && error !== null) end('silent');
        else this.#socket.send(bytes);
      });
    });
  }
}

async function bound(address: string, port: number): Promise<Socket> {
  const socket = createSocket(address.includes(':') ? 'udp6' : 'udp4');
  await new Promise<void>((resolve, reject) => {
    socket.once('error', reject);
    socket.bind(port, () => {
      socket.removeListener('error', reject);
      resolve();
    });
  });
  return socket;
}

function disconnect(socket: Socket): void {
  try {
    socket.disconnect();
  } catch {
    // It never was connected.
  }
}

function msSince(began: MonoMs, clock: Clock): number {
  return Math.round((clock.now() - began) * 10) / 10;
}
