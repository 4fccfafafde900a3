/**
 * Questions of `doctor` that only a running edge can answer: whether a packet that this machine sends to one of its UDP
 * ports comes to it, and whether it is the one that answers on an HTTPS port. Leaves nothing behind: the packets come
 * from a key that nobody knows, and are counted as such.
 */

import { createHash } from 'node:crypto';
import { createSocket } from 'node:dgram';
import { request } from 'node:https';
import { isIPv6 } from 'node:net';
import type { TLSSocket } from 'node:tls';
import { macKey, writeMac1 } from '../../shared/core/admission/macs.ts';
import { wipe } from '../../shared/core/base/bytes.ts';
import { unixMs } from '../../shared/core/base/time.ts';
import { beginInitiation } from '../../shared/core/noise/initiator.ts';
import { formatPin } from '../../shared/core/registration/invite.ts';
import { Disguise } from '../../shared/core/wire/disguise.ts';
import { type DisguiseFields, readDisguise } from '../../shared/core/wire/disguise-fields.ts';
import { initiationSize } from '../../shared/core/wire/initiation.ts';
import { messageType } from '../../shared/core/wire/message.ts';
import { timestampOf } from '../../shared/core/wire/tai64n.ts';
import { nativeDhSuite } from '../../shared/node/crypto/native-dh.ts';
import { systemEntropy } from '../../shared/node/entropy.ts';
import { generatePrivateKey, publicKeyOf } from '../../shared/node/wgtools/keys.ts';
import { openApiPath } from '../registration/openapi.ts';

export interface UdpQuestion {
  /** Of this machine. */
  readonly host: string;
  readonly port: number;
  /** Of the edge, 32 bytes. */
  readonly edgeKey: Uint8Array;
  /** How the edge wants messages to be disguised; undefined: not at all. */
  readonly fields?: DisguiseFields | undefined;
  /** What the running edge has dropped since its start, by reason. */
  readonly drops: () => Promise<Readonly<Record<string, number>>>;
}

/** Where a packet of an unknown key ends; under load before its key is looked at. */
const endings = ['unknown-peer', 'bad-mac2-under-load', 'rate-limited'] as const;
const packets = 3;
const looks = 25;
const betweenLooksMs = 100;
const patienceMs = 5000;
/** Of an answer; ours has a few kilobytes. */
const maxAnswerBytes = 1_000_000;

/** True where packets with the edge's own mac, which nobody else can tell, reach it. Never rejects. */
export async function udpReaches(question: UdpQuestion): Promise<boolean> {
  const { host, port, edgeKey, drops, fields } = question;
  const disguise = disguiseOf(fields);
  const socket = createSocket(isIPv6(host) ? 'udp6' : 'udp4');
  // A port that nobody has may be told as an error; the counters say it as well.
  socket.on('error', () => {});
  try {
    const before = count(await drops());
    for (let i = 0; i < packets; i++) socket.send(strangersInitiation(edgeKey, disguise), port, host);
    for (let i = 0; i < looks; i++) {
      if (count(await drops()) >= before + packets) return true;
      await new Promise((resolve) => setTimeout(resolve, betweenLooksMs));
    }
    return false;
  } catch {
    return false;
  } finally {
    socket.close();
  }
}

function disguiseOf(fields: DisguiseFields | undefined): Disguise | undefined {
  const reading = fields === undefined ? undefined : readDisguise(fields);
  return reading?.kind === 'rules' ? new Disguise(reading.rules, systemEntropy()) : undefined;
}

function count(drops: Readonly<Record<string, number>>): number {
  return endings.reduce((sum, reason) => sum + (drops[reason] ?? 0), 0);
}

/** A handshake of a key that was made for it and is forgotten. */
function strangersInitiation(edgeKey: Uint8Array, disguise: Disguise | undefined): Uint8Array {
  const suite = nativeDhSuite;
  const secretKey = generatePrivateKey();
  const message = new Uint8Array(initiationSize);
  const staticShared = suite.dh(secretKey, edgeKey);
  if (staticShared === undefined) return message;
  const begun = beginInitiation(
    {
      suite,
      entropy: systemEntropy(),
      local: { secretKey, publicKey: publicKeyOf(secretKey) },
      remoteStatic: edgeKey,
      staticShared,
      timestamp: timestampOf(unixMs(Date.now())),
      localIndex: 1,
    },
    message,
    0,
  );
  disguise?.mark(message, 0, messageType.initiation);
  writeMac1(suite, macKey(suite, edgeKey), message);
  if (begun !== 'bad-handshake') begun.wipe();
  suite.forget?.(secretKey);
  wipe(secretKey);
  wipe(staticShared);
  return disguise?.datagram(message, messageType.initiation) ?? message;
}

export type HttpsAnswer = 'ours' | 'other' | 'silent';

/** Who answers on the port: this edge by the key that devices expect, and with its API. Never rejects. */
export function httpsAnswer(host: string, port: number, pin: string): Promise<HttpsAnswer> {
  return new Promise((resolve) => {
    // Who it is tells its key, as devices see it.
    const options = { host, port, path: openApiPath, rejectUnauthorized: false, agent: false as const };
    const asked = request({ ...options, timeout: patienceMs }, (response) => {
      const key = pinTextOf(response.socket as TLSSocket);
      let size = 0;
      response.on('data', (chunk: Buffer) => {
        size += chunk.length;
        if (size > maxAnswerBytes) asked.destroy();
      });
      response.on('end', () => resolve(key === pin && response.statusCode === 200 ? 'ours' : 'other'));
    });
    asked.on('timeout', () => asked.destroy());
    asked.on('close', () => resolve('silent'));
    asked.on('error', () => resolve('silent'));
    asked.end();
  });
}

function pinTextOf(socket: TLSSocket): string | undefined {
  const key = socket.getPeerX509Certificate()?.publicKey.export({ type: 'spki', format: 'der' });
  if (key === undefined) return undefined;
  return formatPin(Uint8Array.from(createHash('sha256').update(key).digest()));
}
