/**
 * Is an edge there, and how far? One real WireGuard initiation (§5.4.2) from a socket of its own, and its response, which
 * only the owner of the edge's key can make. Nothing follows it: the edge drops the half session by itself.
 */

import { createSocket } from 'node:dgram';
import { checkMac1, macKey, writeMac1 } from '../../shared/core/admission/macs.ts';
import type { Endpoint } from '../../shared/core/base/endpoint.ts';
import type { Entropy } from '../../shared/core/base/ports.ts';
import type { UnixMs } from '../../shared/core/base/time.ts';
import { beginInitiation, type InitiatorHandshake } from '../../shared/core/noise/initiator.ts';
import { Disguise } from '../../shared/core/wire/disguise.ts';
import type { DisguiseRules } from '../../shared/core/wire/disguise-rules.ts';
import { initiationSize } from '../../shared/core/wire/initiation.ts';
import { classify, messageType } from '../../shared/core/wire/message.ts';
import { timestampOf } from '../../shared/core/wire/tai64n.ts';
import { nativeDhSuite } from '../../shared/node/crypto/native-dh.ts';
import { setSocketMark } from '../../shared/node/udp/socket-options.ts';
import { firstOf } from './first-of.ts';

export interface ProbePlan {
  readonly place: Endpoint;
  /** Of this device there. */
  readonly privateKey: Uint8Array;
  readonly edgeKey: Uint8Array;
  /** All zeros where there is none. */
  readonly presharedKey: Uint8Array;
  /** Absent: messages are as WireGuard's are. */
  readonly disguise?: DisguiseRules | undefined;
  /** Firewall mark; 0: none. */
  readonly mark: number;
  readonly timeoutMs: number;
}

export interface ProbeParts {
  readonly entropy: Entropy;
  readonly unixNow: () => UnixMs;
  /** Milliseconds, of a clock that never goes back. */
  readonly now: () => number;
}

/** A datagram may be lost: the question is asked once more after this, where its time allows it. */
const againMs = 300;

/** As `probeEdge`, so that one lost packet makes no edge silent. */
export async function probeEdgeTwice(plan: ProbePlan, parts: ProbeParts): Promise<number | undefined> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, againMs).unref();
  });
  const left = plan.timeoutMs - againMs;
  const asked = [
    probeEdge(plan, parts),
    late.then(() => (left > 0 ? probeEdge({ ...plan, timeoutMs: left }, parts) : undefined)),
  ];
  const found = await firstOf(asked);
  clearTimeout(timer);
  return found;
}

/** Milliseconds from initiation to response; undefined where there was none in time. Never rejects. */
export function probeEdge(plan: ProbePlan, parts: ProbeParts): Promise<number | undefined> {
  const message = new Uint8Array(initiationSize);
  const disguise = plan.disguise === undefined ? undefined : new Disguise(plan.disguise, parts.entropy);
  const begun = begin(plan, parts, message, disguise);
  if (begun === undefined) return Promise.resolve(undefined);
  const { handshake, ownMacKey } = begun;
  const { place, presharedKey, mark, timeoutMs } = plan;
  const socket = createSocket(place.address.includes(':') ? 'udp6' : 'udp4');
  return new Promise((resolve) => {
    let sentAt = 0;
    let isOver = false;
    const end = (rttMs: number | undefined): void => {
      if (isOver) return;
      isOver = true;
      clearTimeout(timer);
      if (rttMs === undefined) handshake.wipe();
      socket.close();
      resolve(rttMs);
    };
    const timer = setTimeout(() => end(undefined), timeoutMs);
    socket.on('error', () => end(undefined));
    socket.on('message', (bytes) => {
      const answer = responseIn(Uint8Array.from(bytes), disguise);
      if (answer === undefined || !checkMac1(nativeDhSuite, ownMacKey, answer)) return;
      const keys = handshake.finish(presharedKey, answer, 0);
      if (typeof keys === 'string') return;
      for (const key of [keys.sendKey, keys.receiveKey]) key.fill(0);
      end(parts.now() - sentAt);
    });
    socket.bind(0, () => {
      if (mark !== 0) setSocketMark(socket, mark);
      for (const noise of disguise?.junk() ?? []) socket.send(noise, place.port, place.address);
      const datagram = disguise?.datagram(message, messageType.initiation) ?? message;
      sentAt = parts.now();
      socket.send(datagram, place.port, place.address, (error) => {
        if (error !== null) end(undefined);
      });
    });
  });
}

/** The response that a datagram is, without its disguise; undefined where it is none. */
function responseIn(datagram: Uint8Array, disguise: Disguise | undefined): Uint8Array | undefined {
  const { length } = datagram;
  const type = disguise === undefined ? classify(datagram, 0, length) : disguise.typeOf(datagram, 0, length);
  if (type !== messageType.response) return undefined;
  return disguise?.message(datagram, type) ?? datagram;
}

interface Begun {
  readonly handshake: InitiatorHandshake;
  readonly ownMacKey: Uint8Array;
}

/** Writes the initiation. Undefined where the edge's key is none. */
function begin(
  plan: ProbePlan,
  { entropy, unixNow }: ProbeParts,
  message: Uint8Array,
  disguise: Disguise | undefined,
): Begun | undefined {
  const suite = nativeDhSuite;
  const { privateKey, edgeKey } = plan;
  const publicKey = suite.publicKey(privateKey);
  const staticShared = suite.dh(privateKey, edgeKey);
  if (staticShared === undefined) return undefined;
  const index = new Uint8Array(4);
  entropy.fill(index);
  const handshake = beginInitiation(
    {
      suite,
      entropy,
      local: { secretKey: privateKey, publicKey },
      remoteStatic: edgeKey,
      staticShared,
      timestamp: timestampOf(unixNow()),
      localIndex: new DataView(index.buffer).getUint32(0),
    },
    message,
    0,
  );
  staticShared.fill(0);
  if (handshake === 'bad-handshake') return undefined;
  disguise?.mark(message, 0, messageType.initiation);
  writeMac1(suite, macKey(suite, edgeKey), message);
  return { handshake, ownMacKey: macKey(suite, publicKey) };
}
