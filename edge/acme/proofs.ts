/**
 * Shows an authority that this edge has a name: by a certificate on the HTTPS port that only the protocol acme-tls/1
 * gets (RFC 8737), or by a page on port 80, which is open only as long as that takes (RFC 8555 §8.3).
 */

import type { KeyObject } from 'node:crypto';
import { createSecureContext, type SecureContext } from 'node:tls';
import type { Entropy } from '../../shared/core/base/ports.ts';
import type { UnixMs } from '../../shared/core/base/time.ts';
import { CulvertError } from '../../shared/core/control/codes.ts';
import { createServer } from '../../shared/node/http.ts';
import type { Proof } from './authority.ts';
import { proofCertificate } from './signing-request.ts';

/** The protocol's name in the handshake. */
export const proofProtocol = 'acme-tls/1';

export interface ProofParts {
  /** Of the edge's certificate. */
  readonly key: KeyObject;
  readonly httpPort: number;
  readonly unixNow: () => UnixMs;
  readonly entropy: Entropy;
}

const pagePrefix = '/.well-known/acme-challenge/';
const maxConnections = 32;
const requestTimeoutMs = 5000;

export class Proofs {
  readonly #parts: ProofParts;
  readonly #contexts = new Map<string, SecureContext>();

  constructor(parts: ProofParts) {
    this.#parts = parts;
  }

  /** For whoever speaks acme-tls/1 and asks for that name; undefined where nothing is being proven. */
  contextFor(name: string): SecureContext | undefined {
    return this.#contexts.get(name.toLowerCase());
  }

  /** Returns what takes it away. Throws 'acme-failed' where the port of pages cannot be had. */
  show(proof: Proof): Promise<() => Promise<void>> {
    return proof.kind === 'tls-alpn-01' ? this.#showByTls(proof) : this.#showByPage(proof);
  }

  #showByTls({ name, authorization }: Proof): Promise<() => Promise<void>> {
    const { key, unixNow, entropy } = this.#parts;
    const cert = proofCertificate(key, { name, authorization, now: unixNow(), entropy });
    const pem = key.export({ type: 'pkcs8', format: 'pem' });
    this.#contexts.set(name.toLowerCase(), createSecureContext({ key: pem, cert }));
    return Promise.resolve(() => {
      this.#contexts.delete(name.toLowerCase());
      return Promise.resolve();
    });
  }

  #showByPage({ token, authorization }: Proof): Promise<() => Promise<void>> {
    const { httpPort } = this.#parts;
    const server = createServer({ requestTimeout: requestTimeoutMs }, (request, response) => {
      request.resume();
      const isIt = request.method === 'GET' && request.url === pagePrefix + token;
      response.writeHead(isIt ? 200 : 404, { 'content-type': 'text/plain', connection: 'close' });
      response.end(isIt ? authorization : '');
    });
    server.maxConnections = maxConnections;
    return new Promise((resolve, reject) => {
      server.once('error', (cause: NodeJS.ErrnoException) =>
        reject(
          new CulvertError('acme-failed', {
            text: `Port ${httpPort}, which http-01 needs, cannot be opened: ${cause.code}.`,
            remedy: 'Free it, give the edge CAP_NET_BIND_SERVICE, or serve port 443 in listen.https instead.',
            cause,
          }),
        ),
      );
      server.listen(httpPort, () =>
        resolve(
          () =>
            new Promise((done) => {
              server.close(() => done());
              server.closeAllConnections();
            }),
        ),
      );
    });
  }
}
