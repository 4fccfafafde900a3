/** One HTTPS request to a certificate authority: bounded in size and time, its errors as sentences. */

import type { IncomingHttpHeaders } from 'node:http';
import { request as sendRequest } from 'node:https';
import { CulvertError } from '../../shared/core/control/codes.ts';

export interface AuthorityRequest {
  readonly url: string;
  readonly method: 'GET' | 'HEAD' | 'POST';
  /** A signed message. */
  readonly body?: string;
  /** PEM: whom to trust instead of the roots of this program. */
  readonly roots?: string | undefined;
  readonly agent: string;
}

export interface AuthorityReply {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly text: string;
}

const patienceMs = 20_000;
const maxReplyBytes = 256 * 1024;

/** Throws 'acme-failed' where nothing came back. */
export function askAuthority(asked: AuthorityRequest): Promise<AuthorityReply> {
  const { url, method, body, roots, agent } = asked;
  return new Promise((resolve, reject) => {
    const fail = (cause: Error): void => reject(unreachable(url, cause));
    if (!URL.canParse(url) || new URL(url).protocol !== 'https:') {
      fail(new Error('that is no HTTPS address'));
      return;
    }
    const request = sendRequest(url, {
      method,
      agent: false,
      signal: AbortSignal.timeout(patienceMs),
      ...(roots === undefined ? {} : { ca: roots }),
      headers: {
        'user-agent': agent,
        ...(body === undefined
          ? {}
          : { 'content-type': 'application/jose+json', 'content-length': Buffer.byteLength(body) }),
      },
    });
    request.once('error', fail);
    request.once('response', (response) => {
      const chunks: Buffer[] = [];
      let size = 0;
      response.on('data', (chunk: Buffer) => {
        size += chunk.length;
        if (size > maxReplyBytes) request.destroy(new Error('its answer is too large'));
        else chunks.push(chunk);
      });
      response.once('error', fail);
      response.once('end', () =>
        resolve({
          status: response.statusCode ?? 0,
          headers: response.headers,
          text: Buffer.concat(chunks).toString('utf8'),
        }),
      );
    });
    request.end(body);
  });
}

function unreachable(url: string, cause: Error): CulvertError {
  const host = URL.canParse(url) ? new URL(url).host : url.slice(0, 100);
  const why = cause.name === 'TimeoutError' ? 'no answer in time' : cause.message;
  return new CulvertError('acme-failed', {
    text: `The certificate authority at ${host} cannot be asked: ${why}.`,
    remedy: 'Check the network of this machine, and certificate.acme.directory in edge.yaml.',
    cause,
  });
}
