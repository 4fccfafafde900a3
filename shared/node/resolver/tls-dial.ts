/**
 * Opens TLS to an upstream: pinned address, strict check of name or address in the certificate, sessions taken
 * up again. Never asks a resolver, and sends nothing before the certificate is checked.
 */

import { connect, isIP, type Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import {
  checkServerIdentity,
  createSecureContext,
  type SecureContext,
  type TLSSocket,
  connect as tlsConnect,
} from 'node:tls';
import { UpstreamError, type UpstreamParts, type UpstreamTarget } from './upstream.ts';

/** TCP of the system, for Dial. */
export function systemDial(address: string, port: number): Socket {
  return connect({ host: address, port, noDelay: true, keepAlive: true });
}

export class TlsDialer {
  readonly #target: UpstreamTarget;
  readonly #parts: UpstreamParts;
  readonly #protocol: string;
  readonly #context: SecureContext;
  #session: Buffer | undefined;

  constructor(target: UpstreamTarget, parts: UpstreamParts, protocol: string) {
    this.#target = target;
    this.#parts = parts;
    this.#protocol = protocol;
    this.#context = contextFor(parts.trusted);
  }

  /** A socket that is connecting. Not before 'secureConnect' is it the right server. */
  open(): TLSSocket {
    const { address, port, identity } = this.#target;
    const raw: Duplex = this.#parts.dial(address, port);
    const socket = tlsConnect({
      socket: raw,
      secureContext: this.#context,
      ALPNProtocols: [this.#protocol],
      minVersion: 'TLSv1.2',
      ...(isIP(identity) === 0 ? { servername: identity } : {}),
      // The default would check the name that was sent, and none is sent for an address.
      checkServerIdentity: (_host, certificate) => checkServerIdentity(identity, certificate),
      ...(this.#session === undefined ? {} : { session: this.#session }),
    });
    // A broken raw connection must end in an event of the TLS socket, never in an error nobody hears.
    raw.once('error', (error) => socket.destroy(error));
    raw.once('close', () => socket.destroy());
    socket.on('session', (session) => {
      this.#session = session;
    });
    return socket;
  }

  /** A server that refuses us may dislike the session: the next connection starts from nothing. */
  forgetSession(): void {
    this.#session = undefined;
  }
}

/** Parsing a hundred roots takes milliseconds, so equal sets share one context. */
const contexts = new WeakMap<readonly string[], SecureContext>();

function contextFor(trusted: readonly string[]): SecureContext {
  const known = contexts.get(trusted);
  if (known !== undefined) return known;
  const context = createSecureContext({ ca: [...trusted] });
  contexts.set(trusted, context);
  return context;
}

/** Why a connection did not come about, for people. */
export function connectFailure(name: string, error: unknown): UpstreamError {
  if (error instanceof UpstreamError) return error;
  const code = error instanceof Error && 'code' in error ? String(error.code) : '';
  const isCertificate = /CERT|ISSUER|SELF_SIGNED|ALTNAME|UNABLE_TO/.test(code);
  if (isCertificate) {
    return new UpstreamError(
      'certificate',
      `The certificate of ${name} is not to be trusted (${code}).`,
      error,
    );
  }
  return new UpstreamError(
    'unreachable',
    `No connection to ${name}${code === '' ? '' : ` (${code})`}.`,
    error,
  );
}
