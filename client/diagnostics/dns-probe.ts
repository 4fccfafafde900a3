/**
 * Asks a server that does not exist, by plain DNS outside the tunnel: whoever answers stands in the place of others. The
 * name means nothing and the address is one that nobody has (RFC 2544).
 */

import { createSocket } from 'node:dgram';
import { encodeHex, readU16BE } from '../../shared/core/base/bytes.ts';
import type { Entropy } from '../../shared/core/base/ports.ts';
import { answersQuestion } from '../../shared/core/dns/edns.ts';
import { readMessage } from '../../shared/core/dns/reader.ts';
import { recordType } from '../../shared/core/dns/types.ts';
import { writeQuery } from '../../shared/core/dns/writer.ts';
import { setSocketMark } from '../../shared/node/udp/socket-options.ts';

/** For measurements between two machines of one owner: no network leads there. */
export const noResolver = '198.18.0.113';

export interface DnsProbeParts {
  readonly entropy: Entropy;
  /** Firewall mark; 0: none. */
  readonly mark: number;
  /** Tests give others. */
  readonly server?: string;
  readonly port?: number;
}

const patienceMs = 1200;
const againMs = 400;
const dnsPort = 53;

/** Undefined where the question could not be sent. Never rejects. */
export function isDnsIntercepted(parts: DnsProbeParts): Promise<boolean | undefined> {
  const { entropy, mark, server = noResolver, port = dnsPort } = parts;
  const random = new Uint8Array(10);
  entropy.fill(random);
  const name = `${encodeHex(random.subarray(2))}.example.com`;
  const bytes = writeQuery({ id: readU16BE(random, 0), name, type: recordType.a });
  const asked = bytes === undefined ? undefined : readMessage(bytes);
  if (bytes === undefined || asked === undefined) return Promise.resolve(undefined);
  const socket = createSocket('udp4');
  return new Promise((resolve) => {
    let isSent = false;
    const end = (found: boolean | undefined): void => {
      clearTimeout(timer);
      clearInterval(again);
      socket.removeAllListeners();
      socket.on('error', () => undefined);
      socket.close();
      resolve(found);
    };
    const send = (): void =>
      socket.send(bytes, port, server, (error) => {
        if (error === null) isSent = true;
      });
    const timer = setTimeout(() => end(isSent ? false : undefined), patienceMs);
    const again = setInterval(send, againMs);
    socket.on('error', () => end(undefined));
    socket.on('message', (message) => {
      const answer = readMessage(new Uint8Array(message));
      if (answer !== undefined && answersQuestion(asked, answer) && readU16BE(answer.bytes, 0) === asked.id) {
        end(true);
      }
    });
    socket.bind(0, () => {
      if (mark !== 0) setSocketMark(socket, mark);
      send();
    });
  });
}
