// A certificate authority that speaks ACME (RFC 8555) on the loopback. It checks signatures, nonces, addresses and
// requests, and connects back to see a proof; it signs with openssl.
import { execFileSync } from 'node:child_process';
import { createHash, createPublicKey, type JsonWebKey, verify, X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { get, type IncomingMessage, type ServerResponse } from 'node:http';
import { createServer, type Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect } from 'node:tls';
import { createTestCa, type TestCa } from './test-ca.ts';

interface Signed {
  readonly url: string;
  readonly payload: any;
  /** Thumbprint of the account's key. */
  readonly thumbprint: string;
}

interface Order {
  readonly names: readonly string[];
  readonly valid: Set<string>;
  readonly failed: Map<string, string>;
  certificate?: string;
}

export class FakeAuthority {
  /** Where proofs are looked for. */
  tlsPort = 0;
  httpPort = 0;
  days = 90;
  /** The next that many signed requests are refused for their nonce. */
  badNonces = 0;
  /** Refuses orders with these words. */
  refuseWith: string | undefined;
  readonly contacts: string[] = [];
  /** Kinds of proof that were seen. */
  readonly seen: string[] = [];
  orders = 0;
  readonly #folder = mkdtempSync(join(tmpdir(), 'culvert-authority-'));
  readonly #ca: TestCa = createTestCa();
  readonly #server: Server;
  readonly #nonces = new Set<string>();
  readonly #accounts = new Map<string, JsonWebKey>();
  readonly #orders: Order[] = [];
  #count = 0;

  private constructor() {
    this.#server = createServer(this.#ca.issue('IP:127.0.0.1'), (request, response) => {
      this.#answer(request, response).catch((cause: unknown) => {
        this.#reply(response, 400, { type: 'urn:ietf:params:acme:error:malformed', detail: String(cause) });
      });
    });
  }

  static async open(): Promise<FakeAuthority> {
    const authority = new FakeAuthority();
    authority.#server.listen(0, '127.0.0.1');
    await once(authority.#server, 'listening');
    return authority;
  }

  get directory(): string {
    return `${this.#base}/directory`;
  }

  get roots(): string {
    return this.#ca.certificate;
  }

  get rootsFile(): string {
    return this.#ca.file;
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
    this.#ca.remove();
    rmSync(this.#folder, { recursive: true });
  }

  get #base(): string {
    return `https://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const path = request.url ?? '';
    if (path === '/directory') {
      const place = (name: string): string => `${this.#base}/${name}`;
      const meta = { termsOfService: place('terms') };
      const body = { newNonce: place('nonce'), newAccount: place('account'), newOrder: place('order'), meta };
      this.#reply(response, 200, body);
      return;
    }
    if (path === '/nonce') return this.#reply(response, 200, undefined);
    const signed = await this.#verify(request);
    if (signed === undefined) {
      const type = 'urn:ietf:params:acme:error:badNonce';
      return this.#reply(response, 400, { type, detail: 'that nonce is not mine' });
    }
    if (signed.url !== this.#base + path) throw new Error('signed for another address');
    const [, room = '', first = '', second = ''] = path.split('/');
    switch (room) {
      case 'account':
        if (signed.payload?.termsOfServiceAgreed !== true) throw new Error('the terms were not agreed to');
        this.contacts.push(...(signed.payload.contact ?? []));
        response.setHeader('location', `${this.#base}/account/${signed.thumbprint}`);
        return this.#reply(response, 201, { status: 'valid' });
      case 'order':
        return first === ''
          ? this.#newOrder(response, signed)
          : this.#reply(response, 200, this.#show(first));
      case 'authorization':
        return this.#reply(response, 200, this.#authorization(first, second));
      case 'challenge':
        this.#reply(response, 200, { status: 'processing' });
        await this.#look(first, second, path.split('/')[4] ?? '', signed.thumbprint);
        return;
      case 'finalize':
        this.#sign(this.#order(first), signed.payload.csr as string);
        return this.#reply(response, 200, this.#show(first));
      default:
        response.writeHead(200, { 'replay-nonce': this.#nonce() });
        response.end(this.#order(first).certificate);
    }
  }

  #newOrder(response: ServerResponse, { payload }: Signed): void {
    this.orders++;
    if (this.refuseWith !== undefined) {
      const type = 'urn:ietf:params:acme:error:rejectedIdentifier';
      return this.#reply(response, 403, { type, detail: this.refuseWith });
    }
    const names = (payload.identifiers as { value: string }[]).map(({ value }) => value);
    this.#orders.push({ names, valid: new Set(), failed: new Map() });
    const id = String(this.#orders.length - 1);
    response.setHeader('location', `${this.#base}/order/${id}`);
    this.#reply(response, 201, this.#show(id));
  }

  #order(id: string): Order {
    const order = this.#orders[Number(id)];
    if (order === undefined) throw new Error('no such order');
    return order;
  }

  #show(id: string): object {
    const { names, valid, failed, certificate } = this.#order(id);
    const isReady = valid.size === names.length;
    const status =
      certificate !== undefined ? 'valid' : failed.size > 0 ? 'invalid' : isReady ? 'ready' : 'pending';
    return {
      status,
      authorizations: names.map((_, i) => `${this.#base}/authorization/${id}/${i}`),
      finalize: `${this.#base}/finalize/${id}`,
      ...(certificate === undefined ? {} : { certificate: `${this.#base}/certificate/${id}` }),
    };
  }

  #authorization(id: string, index: string): object {
    const { names, valid, failed } = this.#order(id);
    const value = names[Number(index)] ?? '';
    const fault = failed.get(value);
    const status = valid.has(value) ? 'valid' : fault !== undefined ? 'invalid' : 'pending';
    const error = fault === undefined ? {} : { error: { detail: fault } };
    const challenges = ['http-01', 'tls-alpn-01', 'dns-01'].map((type) => ({
      type,
      token: tokenOf(id, index),
      url: `${this.#base}/challenge/${id}/${index}/${type}`,
      ...error,
    }));
    return { status, identifier: { type: 'dns', value }, challenges };
  }

  async #look(id: string, index: string, kind: string, thumbprint: string): Promise<void> {
    const { names, valid, failed } = this.#order(id);
    const name = names[Number(index)] ?? '';
    const wanted = `${tokenOf(id, index)}.${thumbprint}`;
    this.seen.push(kind);
    const fault =
      kind === 'http-01'
        ? await this.#lookAtPage(tokenOf(id, index), wanted)
        : await this.#lookAtTls(name, wanted);
    if (fault === undefined) valid.add(name);
    else failed.set(name, fault);
  }

  #lookAtPage(token: string, wanted: string): Promise<string | undefined> {
    return new Promise((resolve) => {
      const path = `/.well-known/acme-challenge/${token}`;
      const request = get({ host: '127.0.0.1', port: this.httpPort, path, agent: false }, (response) => {
        let text = '';
        response.on('data', (chunk: Buffer) => (text += chunk));
        response.on('end', () => resolve(text === wanted ? undefined : 'the page says something else'));
      });
      request.on('error', () => resolve('the page cannot be read'));
    });
  }

  /** RFC 8737 §3, as an authority checks it. */
  #lookAtTls(servername: string, wanted: string): Promise<string | undefined> {
    return new Promise((resolve) => {
      const place = { host: '127.0.0.1', port: this.tlsPort, servername };
      const socket = connect({ ...place, ALPNProtocols: ['acme-tls/1'], rejectUnauthorized: false });
      socket.on('error', () => resolve('no TLS there'));
      socket.on('secureConnect', () => {
        const der = socket.getPeerX509Certificate()?.raw ?? Buffer.alloc(0);
        const protocol = socket.alpnProtocol;
        socket.destroy();
        const digest = createHash('sha256').update(wanted).digest();
        // acmeIdentifier, critical, an octet string within one.
        const identifier = Buffer.concat([
          Buffer.from('06082b0601050507011f0101ff042204 20'.replace(' ', ''), 'hex'),
          digest,
        ]);
        const names = der.length === 0 ? undefined : new X509Certificate(der).subjectAltName;
        if (protocol !== 'acme-tls/1') resolve('another protocol');
        else if (names !== `DNS:${servername}`) resolve(`another name: ${names}`);
        else resolve(der.includes(identifier) ? undefined : 'another identifier');
      });
    });
  }

  #sign(order: Order, csr: string): void {
    if (order.valid.size !== order.names.length) throw new Error('not ready');
    const [request, signed] = [join(this.#folder, 'csr.der'), join(this.#folder, 'crt.pem')];
    writeFileSync(request, Buffer.from(csr, 'base64url'));
    const words = ['req', '-inform', 'DER', '-in', request, '-noout', '-verify', '-text'];
    const text = execFileSync('openssl', words, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] });
    for (const name of order.names) if (!text.includes(`DNS:${name}`)) throw new Error(`no ${name} in it`);
    const key = this.#ca.file.replace(/ca\.pem$/, 'ca.key');
    const sign = ['x509', '-req', '-inform', 'DER', '-in', request, '-CA', this.#ca.file, '-CAkey', key];
    const more = ['-CAcreateserial', '-days', String(this.days), '-copy_extensions', 'copy', '-out', signed];
    execFileSync('openssl', [...sign, ...more], { stdio: 'ignore' });
    order.certificate = readFileSync(signed, 'utf8') + this.#ca.certificate;
  }

  /** Undefined where the nonce is not one of ours. Throws where the rest is wrong. */
  async #verify(request: IncomingMessage): Promise<Signed | undefined> {
    if (request.headers['content-type'] !== 'application/jose+json') throw new Error('another content type');
    let text = '';
    for await (const chunk of request) text += String(chunk);
    const jws = JSON.parse(text) as { protected: string; payload: string; signature: string };
    const head = JSON.parse(Buffer.from(jws.protected, 'base64url').toString()) as {
      alg: string;
      nonce: string;
      url: string;
      jwk?: JsonWebKey;
      kid?: string;
    };
    const isKnown = this.#nonces.delete(head.nonce);
    if (this.badNonces > 0) {
      this.badNonces--;
      return undefined;
    }
    if (!isKnown) return undefined;
    const jwk = head.jwk ?? this.#accounts.get(head.kid?.replace(/.*\//, '') ?? '');
    if (jwk === undefined || head.alg !== 'ES256') throw new Error('nobody signed it');
    const ok = verify(
      'sha256',
      Buffer.from(`${jws.protected}.${jws.payload}`),
      { key: createPublicKey({ key: jwk, format: 'jwk' }), dsaEncoding: 'ieee-p1363' },
      Buffer.from(jws.signature, 'base64url'),
    );
    if (!ok) throw new Error('the signature is wrong');
    const { crv, kty, x, y } = jwk;
    const thumbprint = createHash('sha256').update(JSON.stringify({ crv, kty, x, y })).digest('base64url');
    this.#accounts.set(thumbprint, jwk);
    const payload =
      jws.payload === '' ? undefined : JSON.parse(Buffer.from(jws.payload, 'base64url').toString());
    return { url: head.url, payload, thumbprint };
  }

  #reply(response: ServerResponse, status: number, body: unknown): void {
    if (response.headersSent) return;
    response.writeHead(status, {
      'replay-nonce': this.#nonce(),
      'content-type': 'application/json',
      'retry-after': '0',
    });
    response.end(body === undefined ? '' : JSON.stringify(body));
  }

  #nonce(): string {
    const nonce = `nonce-${++this.#count}`;
    this.#nonces.add(nonce);
    return nonce;
  }
}

function tokenOf(id: string, index: string): string {
  return `token-${id}-${index}`;
}
