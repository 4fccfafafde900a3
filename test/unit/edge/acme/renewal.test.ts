/** Certificates of an authority: had, served without a restart, renewed, and what happens where it fails. */

import { X509Certificate } from 'node:crypto';
import { existsSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect } from 'node:tls';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { askAuthority } from '../../../../edge/acme/authority-request.ts';
import { AcmeRenewal } from '../../../../edge/acme/renewal.ts';
import type { AcmeConfig } from '../../../../edge/config-acme.ts';
import {
  type EdgeCertificate,
  pinOf,
  readOrCreateCertificate,
} from '../../../../edge/registration/certificate.ts';
import { type HttpsListener, listenHttps } from '../../../../edge/registration/https-listener.ts';
import { unixMs } from '../../../../shared/core/base/time.ts';
import { silentLog } from '../../../../shared/node/silent-log.ts';
import { FakeAuthority } from '../../../support/fake-authority.ts';
import { seededEntropy } from '../../../support/seeded.ts';

const name = 'edge.example.com';
const dayMs = 86_400_000;
let authority: FakeAuthority;
let folder: string;
let own: EdgeCertificate;
let https: HttpsListener;
let renewal: AcmeRenewal;
/** Certificates of the authority bear the time of the machine: the clock stands there. */
let now: number;

beforeEach(async () => {
  authority = await FakeAuthority.open();
  folder = mkdtempSync(join(tmpdir(), 'culvert-acme-'));
  now = Date.now();
  own = readOrCreateCertificate({
    keyFile: join(folder, 'api.key'),
    certificateFile: join(folder, 'api.crt'),
    names: [name],
    now: unixMs(now),
    entropy: seededEntropy(1),
  });
  https = await listenHttps({
    handler: (_request, response) => response.end('here'),
    certificate: own,
    proofFor: (asked) => renewal.proofs.contextFor(asked),
    ports: [0],
    host: '127.0.0.1',
    log: silentLog,
  });
  authority.tlsPort = https.ports[0]!;
});
afterEach(async () => {
  renewal.close();
  await https.close();
  await authority.close();
  rmSync(folder, { recursive: true });
});

function begin(changes: Partial<AcmeConfig> = {}): void {
  renewal = new AcmeRenewal({
    config: {
      domains: [name],
      email: 'owner@example.com',
      directory: authority.directory,
      rootsFile: authority.rootsFile,
      proof: 'tls-alpn-01',
      httpPort: 80,
      ...changes,
    },
    dataFolder: folder,
    own,
    httpsPorts: () => [443],
    use: (certificate) => https.useCertificate(certificate),
    unixNow: () => unixMs(now),
    entropy: seededEntropy(2),
    log: silentLog,
    version: '0.0.0',
    every: () => () => undefined,
    wait: () => new Promise((resolve) => setImmediate(resolve)),
  });
}

/** What somebody who connects sees. */
function served(): Promise<X509Certificate> {
  return new Promise((resolve, reject) => {
    const place = { host: '127.0.0.1', port: https.ports[0]!, servername: name };
    const socket = connect({ ...place, ALPNProtocols: ['http/1.1'], rejectUnauthorized: false }, () => {
      resolve(socket.getPeerX509Certificate()!);
      socket.destroy();
    });
    socket.once('error', reject);
  });
}

describe('a certificate of an authority', () => {
  test('is had by a proof on the HTTPS port and served from then on, and the pin stays true', async () => {
    begin();
    expect((await served()).issuer).toContain('culvert edge');

    await renewal.look();

    const seen = await served();
    expect([authority.seen, authority.contacts]).toEqual([['tls-alpn-01'], ['mailto:owner@example.com']]);
    expect(seen.issuer).toBe('CN=culvert test');
    expect(seen.checkHost(name)).toBe(name);
    expect(Buffer.from(pinOf(seen.publicKey))).toEqual(Buffer.from(own.pin));
    expect(renewal.status).toMatchObject({ state: 'valid', failures: 0, domains: [name] });
    expect(statSync(join(folder, 'acme-account.key')).mode & 0o777).toBe(0o600);
  });

  test('is had by a page on another port, which is closed again', async () => {
    authority.httpPort = 20_000 + (process.pid % 20_000);
    begin({ proof: 'http-01', httpPort: authority.httpPort });

    await renewal.look();

    expect([authority.seen, renewal.status.state]).toEqual([['http-01'], 'valid']);
    await expect(fetch(`http://127.0.0.1:${authority.httpPort}/`)).rejects.toThrow();
  });

  test('shows the proof to nobody but who asks by its protocol', async () => {
    begin();
    const hide = await renewal.proofs.show({ kind: 'tls-alpn-01', name, token: 't', authorization: 't.x' });

    expect((await served()).serialNumber).toBe(new X509Certificate(own.certificate).serialNumber);
    await hide();
    expect(renewal.proofs.contextFor(name)).toBeUndefined();
  });

  test('is used again after a restart, and renewed at two thirds of its life with the same key', async () => {
    begin();
    await renewal.look();
    const first = renewal.certificate;

    begin();
    await renewal.look();
    expect(renewal.certificate.certificate).toBe(first.certificate);
    now += 59 * dayMs;
    await renewal.look();
    expect(authority.orders).toBe(1);
    now += 2 * dayMs;
    await renewal.look();

    expect(authority.orders).toBe(2);
    expect(renewal.certificate.certificate).not.toBe(first.certificate);
    expect(renewal.certificate.pinText).toBe(own.pinText);
    expect(existsSync(join(folder, 'acme.crt.new'))).toBe(false);
  });

  test('is asked for again where the names are others', async () => {
    begin();
    await renewal.look();

    begin({ domains: [name, 'other.example.com'] });
    expect(renewal.certificate).toBe(own);
    await renewal.look();

    expect(new X509Certificate(renewal.certificate.certificate).checkHost('other.example.com')).toBeDefined();
    expect(authority.seen).toHaveLength(3);
  });

  test('takes a fresh nonce where the authority asks for one', async () => {
    authority.badNonces = 2;
    begin();

    await renewal.look();

    expect(renewal.status.state).toBe('valid');
  });
});

describe('where no certificate can be had', () => {
  test('the own one serves, the reason is told in the words of the authority, and it is tried again later', async () => {
    authority.refuseWith = 'policy forbids\u001b[31m that name';
    begin();

    await renewal.look();
    const first = renewal.status;
    now += 4 * 60_000;
    await renewal.look();
    expect(authority.orders).toBe(1);
    now += 2 * 60_000;
    authority.refuseWith = undefined;
    await renewal.look();

    expect(first).toMatchObject({ state: 'failing', failures: 1 });
    expect(first.problem?.text).toBe('The certificate authority refused: policy forbids [31m that name');
    expect(first.problem?.remedy).not.toBe('');
    expect((await served()).issuer).toBe('CN=culvert test');
    expect(renewal.status).toMatchObject({ state: 'valid', failures: 1 });
  });

  test('a proof that is not found says so, and is taken away', async () => {
    authority.tlsPort = 1;
    begin();

    await renewal.look();

    expect(renewal.status.problem?.text).toBe('The certificate authority refused: no TLS there');
    expect(renewal.proofs.contextFor(name)).toBeUndefined();
    expect((await served()).issuer).toContain('culvert edge');
  });

  test('an authority that cannot be reached, is a stranger or talks nonsense ends nothing', async () => {
    for (const changes of [
      { directory: 'https://127.0.0.1:1/' },
      { rootsFile: undefined },
      { directory: `${authority.directory}/none` },
    ]) {
      begin(changes);
      now += dayMs;
      await renewal.look();
      expect(renewal.status).toMatchObject({ state: 'failing', failures: 1 });
      expect(renewal.certificate).toBe(own);
    }
  });

  test('is an error with a code and a remedy, also for an address that is none', async () => {
    for (const url of ['https://127.0.0.1:1/', 'http://127.0.0.1:1/', 'nonsense']) {
      const asked = askAuthority({ url, method: 'GET', agent: 'test' });
      await expect(asked).rejects.toMatchObject({
        code: 'acme-failed',
        remedy: expect.stringMatching(/directory/),
      });
    }
  });

  test('restarts do not make it ask sooner, and wait a quarter of an hour at most', async () => {
    authority.refuseWith = 'no';
    begin();
    for (let i = 0; i < 6; i++) {
      now = Date.parse(renewal.status.nextTry);
      await renewal.look();
    }
    const { orders } = authority;

    begin();
    await renewal.look();
    expect(authority.orders).toBe(orders);
    now += 15 * 60_000;
    await renewal.look();

    expect(authority.orders).toBe(orders + 1);
  });

  test('a damaged certificate on the disk is replaced', async () => {
    writeFileSync(join(folder, 'acme.crt'), 'letters');
    begin();
    expect(renewal.certificate).toBe(own);

    await renewal.look();

    expect(renewal.status.state).toBe('valid');
  });
});
