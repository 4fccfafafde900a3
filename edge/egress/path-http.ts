/** The path of type http: an upstream proxy that opens connections by CONNECT (RFC 9110 §9.3.6). No datagrams. */

import type { Duplex } from 'node:stream';
import { formatAddress } from '../../shared/core/base/ip.ts';
import type { FlowEnd } from '../../shared/core/netstack/events.ts';
import { type EgressPath, type FailureKind, type FlowProtocol, PathError, type PathTarget } from './path.ts';
import { type Parsed, readMessage, throughUpstream } from './upstream-dial.ts';

export interface Login {
  readonly username: string;
  readonly password: string;
}

export interface UpstreamOptions {
  readonly server: FlowEnd;
  readonly login: Login | undefined;
  /** Whether the upstream is told names instead of addresses where they are known. */
  readonly tellNames: boolean;
}

const badGateway = 502;
const gatewayTimeout = 504;
const denied: ReadonlySet<number> = new Set([403, 404, 405, 410, 451]);

export class HttpPath implements EgressPath {
  readonly type = 'http';
  readonly id: string;
  readonly #options: UpstreamOptions;

  constructor(id: string, options: UpstreamOptions) {
    this.id = id;
    this.#options = options;
  }

  carries(protocol: FlowProtocol): boolean {
    return protocol === 'tcp';
  }

  trouble(): string | undefined {
    return undefined;
  }

  dialTcp(target: PathTarget, signal: AbortSignal): Promise<Duplex> {
    const { server, login, tellNames } = this.#options;
    return throughUpstream(server, signal, async (socket) => {
      socket.write(connectRequest(target, login, tellNames));
      checkStatus(await readMessage(socket, parseHead));
    });
  }

  openUdp(): Promise<never> {
    return Promise.reject(new PathError('path', 'unreachable', 'An HTTP proxy carries no datagrams.'));
  }

  close(): void {
    // Nothing of its own.
  }
}

function connectRequest({ end, name }: PathTarget, login: Login | undefined, tellNames: boolean): string {
  const address = formatAddress(end.address);
  const numeric = end.address.length === 16 ? `[${address}]` : address;
  const authority = `${tellNames && name !== undefined ? name : numeric}:${end.port}`;
  const secret =
    login === undefined ? undefined : Buffer.from(`${login.username}:${login.password}`).toString('base64');
  const lines = [
    `CONNECT ${authority} HTTP/1.1`,
    `Host: ${authority}`,
    ...(secret === undefined ? [] : [`Proxy-Authorization: Basic ${secret}`]),
  ];
  return `${lines.join('\r\n')}\r\n\r\n`;
}

/** The status of an answer; after 2xx the tunnel's bytes follow its head at once (RFC 9110 §9.3.6). */
function parseHead(bytes: Uint8Array): Parsed<number> {
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('latin1');
  const end = text.indexOf('\r\n\r\n');
  if (end < 0) return 'HTTP/1.'.startsWith(text.slice(0, 7)) ? 'more' : 'bad';
  const status = /^HTTP\/1\.[01] (\d{3})(?: |\r)/.exec(text)?.[1];
  return status === undefined ? 'bad' : { value: Number(status), size: end + 4 };
}

function checkStatus(status: number): void {
  if (status >= 200 && status < 300) return;
  if (status === badGateway) throw ofDestination('unreachable', 'The upstream cannot reach the destination.');
  if (status === gatewayTimeout) throw ofDestination('timeout', 'The destination does not answer.');
  if (denied.has(status)) throw ofDestination('unreachable', 'The upstream does not go there.');
  const why = status === 407 ? 'The upstream wants another login.' : `The upstream answers ${status}.`;
  throw new PathError('path', 'unreachable', why);
}

function ofDestination(kind: FailureKind, sentence: string): PathError {
  return new PathError('destination', kind, sentence);
}
