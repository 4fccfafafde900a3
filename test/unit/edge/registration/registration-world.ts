/** A registration API on a real HTTPS port of the loopback, with a clock that stands until it is moved. */

import { mkdtempSync, rmSync } from 'node:fs';
import { type IncomingHttpHeaders, request as sendHttp } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect, type TLSSocket } from 'node:tls';
import { afterEach } from 'vitest';
import type { PeerStore } from '../../../../edge/peers/store.ts';
import { openSqliteStore } from '../../../../edge/peers/store-sqlite.ts';
import { type EdgeCertificate, readOrCreateCertificate } from '../../../../edge/registration/certificate.ts';
import type { EdgeFacts } from '../../../../edge/registration/edge-facts.ts';
import { type HttpsListener, listenHttps } from '../../../../edge/registration/https-listener.ts';
import {
  createRegistrationApi,
  type RegistrationApi,
  type RegistrationParts,
} from '../../../../edge/registration/server.ts';
import { encodeBase64 } from '../../../../shared/core/base/bytes.ts';
import type { Log } from '../../../../shared/core/base/ports.ts';
import { monoMs, type UnixMs, unixMs } from '../../../../shared/core/base/time.ts';
import { encodeBase64Url } from '../../../../shared/core/registration/base64url.ts';
import { provePossession } from '../../../../shared/core/registration/possession.ts';
import { isProblemCode, type Problem, problemType } from '../../../../shared/core/registration/problem.ts';
import { nativeDhSuite } from '../../../../shared/node/crypto/native-dh.ts';
import { generatePrivateKey, publicKeyOf } from '../../../../shared/node/wgtools/keys.ts';
import { poolOf, start } from '../../../contract/peer-store-arrangement.ts';
import { seededEntropy } from '../../../support/seeded.ts';

export interface Reply {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly text: string;
  readonly json: any;
}

export interface Sent {
  readonly bearer?: string;
  readonly body?: unknown;
  /** Instead of `body`: as it is. */
  readonly raw?: string;
  readonly headers?: Readonly<Record<string, string>>;
}

export class RegistrationWorld {
  readonly folder: string = mkdtempSync(join(tmpdir(), 'culvert-registration-'));
  readonly store: PeerStore = openSqliteStore(':memory:');
  readonly identity: { readonly privateKey: Uint8Array; readonly publicKey: Uint8Array };
  readonly certificate: EdgeCertificate;
  readonly errors: string[] = [];
  facts: EdgeFacts;
  now: UnixMs = start;
  writes = 0;
  #api: RegistrationApi | undefined;
  #https: HttpsListener | undefined;
  readonly #sockets = new Set<TLSSocket>();

  static async open(changes: Partial<RegistrationParts> = {}): Promise<RegistrationWorld> {
    const world = new RegistrationWorld();
    await world.#listen(changes);
    return world;
  }

  private constructor() {
    const privateKey = generatePrivateKey();
    this.identity = { privateKey, publicKey: publicKeyOf(privateKey) };
    this.certificate = readOrCreateCertificate({
      keyFile: join(this.folder, 'api.key'),
      certificateFile: join(this.folder, 'api.crt'),
      names: ['127.0.0.1'],
      now: start,
      entropy: seededEntropy(8),
    });
    this.facts = {
      name: 'home',
      host: '127.0.0.1',
      udpPorts: [51820, 443],
      httpsPorts: [],
      pin: this.certificate.pin,
      pools: [poolOf('10.83.0.0/16'), poolOf('fd7c:1f2e:9a40::/64')],
      dns: ['10.83.0.1'],
      routes: [poolOf('0.0.0.0/0').prefix, poolOf('::/0').prefix],
      mtu: 1420,
      hostRules: [{ host: '*.bank.example', use: 'direct' }],
      paths: [
        { id: 'direct', type: 'direct', state: 'up' },
        { id: 'fra', type: 'wireguard', state: 'unknown' },
      ],
    };
  }

  get api(): RegistrationApi {
    if (this.#api === undefined) throw new Error('closed');
    return this.#api;
  }

  get port(): number {
    return this.#https?.ports[0] ?? 0;
  }

  async #listen(changes: Partial<RegistrationParts>): Promise<void> {
    const entropy = seededEntropy(9);
    const log: Log = {
      debug() {},
      info() {},
      warn() {},
      error: (text, fields) => void this.errors.push(`${text} ${JSON.stringify(fields)}`),
    };
    this.#api = await createRegistrationApi({
      store: this.store,
      suite: nativeDhSuite,
      identity: this.identity,
      facts: () => this.facts,
      entropy,
      unixNow: () => this.now,
      monoNow: () => monoMs(this.now - start),
      onWrite: async () => void this.writes++,
      log,
      version: '0.0.0',
      limits: { source: { perSecond: 1000, burst: 100_000 }, failures: { perSecond: 1000, burst: 100_000 } },
      ...changes,
    });
    this.#https = await listenHttps({
      handler: this.#api.handler,
      certificate: this.certificate,
      ports: [0],
      host: '127.0.0.1',
      log,
    });
    this.facts = { ...this.facts, httpsPorts: this.#https.ports };
  }

  pass(ms: number): void {
    this.now = unixMs(this.now + ms);
  }

  async close(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    await this.#https?.close();
    await this.#api?.close();
    this.store.close();
    rmSync(this.folder, { recursive: true });
  }

  connect(): Promise<TLSSocket> {
    return new Promise((resolve, reject) => {
      const socket = connect({ host: '127.0.0.1', port: this.port, rejectUnauthorized: false });
      this.#sockets.add(socket);
      socket.once('close', () => this.#sockets.delete(socket));
      socket.once('secureConnect', () => resolve(socket));
      socket.once('error', reject);
    });
  }

  async send(method: string, path: string, sent: Sent = {}): Promise<Reply> {
    const socket = await this.connect();
    const payload = sent.raw ?? (sent.body === undefined ? undefined : JSON.stringify(sent.body));
    return new Promise((resolve, reject) => {
      const request = sendHttp({
        createConnection: () => socket,
        method,
        path,
        headers: {
          ...(sent.bearer === undefined ? {} : { authorization: `Bearer ${sent.bearer}` }),
          ...(payload === undefined
            ? {}
            : { 'content-type': 'application/json', 'content-length': Buffer.byteLength(payload) }),
          ...sent.headers,
        },
      });
      request.once('error', reject);
      request.once('response', (response) => {
        let text = '';
        response.setEncoding('utf8');
        response.on('data', (chunk: string) => {
          text += chunk;
        });
        response.on('end', () => {
          socket.destroy();
          const isJson = text !== '' && /json/.test(response.headers['content-type'] ?? '');
          const json: unknown = isJson ? JSON.parse(text) : undefined;
          resolve({ status: response.statusCode ?? 0, headers: response.headers, text, json });
        });
      });
      request.end(payload);
    });
  }

  /** Writes bytes as they are and gives back all that comes. */
  async sendRaw(bytes: string | Buffer): Promise<string> {
    const socket = await this.connect();
    let text = '';
    socket.setEncoding('latin1');
    socket.on('data', (chunk: string) => {
      text += chunk;
    });
    socket.on('error', () => {});
    socket.end(bytes);
    await new Promise((resolve) => socket.once('close', resolve));
    return text;
  }

  invite(name?: string): Promise<string> {
    return this.api.administration
      .invite(name === undefined ? {} : { name }, 'operator')
      .then(({ link }) => new URL(link).searchParams.get('t')!);
  }

  async challenge(): Promise<string> {
    return (await this.send('GET', '/v1/challenge')).json.challenge;
  }

  prove(
    secret: Uint8Array,
    challenge: string,
    purpose: 'enrol' | 'rotate',
    fields: string[],
  ): Record<string, string> {
    const deviceKey = publicKeyOf(secret);
    const request = { purpose, challenge, deviceKey, edgeKey: this.identity.publicKey, fields };
    const proof = provePossession(nativeDhSuite, secret, this.identity.publicKey, request)!;
    return { publicKey: encodeBase64(deviceKey), challenge, proof: encodeBase64Url(proof) };
  }

  /** The body of an enrolment that is right. */
  async enrolBody(
    secret: Uint8Array = generatePrivateKey(),
    token?: string,
  ): Promise<Record<string, string>> {
    const used = token ?? (await this.invite());
    return {
      token: used,
      name: 'laptop',
      ...this.prove(secret, await this.challenge(), 'enrol', [used, 'laptop', '']),
    };
  }

  async enrolled(token?: string): Promise<{ id: string; bearer: string; secret: Uint8Array }> {
    const secret = generatePrivateKey();
    const reply = await this.send('POST', '/v1/devices', { body: await this.enrolBody(secret, token) });
    return { id: reply.json.device.id, bearer: reply.json.bearer, secret };
  }

  adminKey(role: 'auditor' | 'operator' | 'owner'): Promise<string> {
    return this.api.administration.addAdminKey({ name: role, role }, 'operator').then(({ key }) => key);
  }
}

/** Undefined where it is a whole problem that says its own status; else what is wrong. */
export function faultOfProblem(reply: Reply): string | undefined {
  const problem = reply.json as Problem | undefined;
  if (reply.headers['content-type'] !== problemType)
    return `type ${reply.headers['content-type']}: ${reply.text}`;
  if (problem === undefined || !isProblemCode(problem.code)) return `no code: ${reply.text}`;
  if (problem.status !== reply.status) return `status ${reply.status}: ${reply.text}`;
  return problem.title === '' || problem.remedy === '' ? 'no words' : undefined;
}

/** Makes worlds for the tests of a file, and closes them after each. Call once, outside tests. */
export function registrationWorlds(): (changes?: Partial<RegistrationParts>) => Promise<RegistrationWorld> {
  const worlds: RegistrationWorld[] = [];
  afterEach(async () => {
    for (const world of worlds.splice(0)) await world.close();
  });
  return async (changes = {}) => {
    const world = await RegistrationWorld.open(changes);
    worlds.push(world);
    return world;
  };
}
