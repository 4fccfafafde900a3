// A real edge that has its certificate signed by Pebble, the authority that Let's Encrypt tests clients with: by TLS on
// its HTTPS port and by a page, without a restart and with the key that invitations pin.
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { createSocket, type Socket } from 'node:dgram';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect } from 'node:tls';
import { fileURLToPath } from 'node:url';
import { afterAll, afterEach, beforeAll, expect, test, vi } from 'vitest';
import type { EdgeStatus } from '../../edge/admin/status.ts';
import { pinOf } from '../../edge/registration/certificate.ts';
import { describeWith } from '../support/requires.ts';
import { createTestCa, type TestCa } from '../support/test-ca.ts';

const edgeEntry = fileURLToPath(new URL('../../edge/main.ts', import.meta.url));
const name = 'edge.culvert-test.example';
const patience = { timeout: 60_000, interval: 250 };
let folder: string;
let ca: TestCa;
let names: Socket;
let pebble: ChildProcess;
let edge: ChildProcess | undefined;
let ports: number[];

/** Ports that nobody has now. */
async function freePorts(count: number): Promise<number[]> {
  const servers = await Promise.all(
    Array.from({ length: count }, async () => {
      const server = createServer();
      await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
      return server;
    }),
  );
  const found = servers.map((server) => (server.address() as { port: number }).port);
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))));
  return found;
}

/** Says of every name that it is this machine. */
async function serveNames(): Promise<Socket> {
  const socket = createSocket('udp4');
  socket.on('message', (question, from) => {
    const end = question.indexOf(0, 12) + 5;
    const isV4 = question.readUInt16BE(end - 4) === 1;
    const answer = Buffer.concat([
      question.subarray(0, end),
      Buffer.from(isV4 ? 'c00c000100010000000100047f000001' : '', 'hex'),
    ]);
    answer.writeUInt16BE(0x8180, 2);
    answer.writeUInt16BE(isV4 ? 1 : 0, 6);
    answer.writeUInt32BE(0, 8);
    socket.send(answer, from.port, from.address);
  });
  await new Promise<void>((resolve) => socket.bind(0, '127.0.0.1', resolve));
  return socket;
}

async function startPebble(): Promise<void> {
  const [api = 0, management = 0, tlsPort = 0, httpPort = 0] = ports;
  const files = ca.issueFiles('IP:127.0.0.1', 'DNS:localhost');
  const config = {
    pebble: {
      listenAddress: `127.0.0.1:${api}`,
      managementListenAddress: `127.0.0.1:${management}`,
      certificate: files.cert,
      privateKey: files.key,
      httpPort,
      tlsPort,
      ocspResponderURL: '',
      externalAccountBindingRequired: false,
    },
  };
  writeFileSync(join(folder, 'pebble.json'), JSON.stringify(config));
  const words = ['-config', join(folder, 'pebble.json'), '-dnsserver', `127.0.0.1:${names.address().port}`];
  // Some nonces are refused, as every client must be able to take.
  const env = { ...process.env, PEBBLE_VA_NOSLEEP: '1', PEBBLE_WFE_NONCEREJECT: '15' };
  pebble = spawn('pebble', words, { env, stdio: 'ignore' });
  await vi.waitFor(async () => {
    await new Promise<void>((resolve, reject) => {
      const socket = connect({ host: '127.0.0.1', port: api, rejectUnauthorized: false }, () => {
        socket.destroy();
        resolve();
      });
      socket.once('error', reject);
    });
  }, patience);
}

function run(data: string, ...words: string[]): string {
  const { status, stdout, stderr } = spawnSync(process.execPath, [edgeEntry, ...words, '--data', data], {
    encoding: 'utf8',
  });
  if (status !== 0) throw new Error(stderr + stdout);
  return stdout;
}

/** An edge of its own for a test; `acme`: keys beside the names. */
async function startEdge(acme: string): Promise<string> {
  const data = mkdtempSync(join(folder, 'edge-'));
  const [api = 0, , tlsPort = 0] = ports;
  const [udp = 0] = await freePorts(1);
  run(data, 'init', '--endpoint', name, '--udp', String(udp), '--https', String(tlsPort));
  const path = join(data, 'edge.yaml');
  const yaml = readFileSync(path, 'utf8')
    .replace(/metrics: "[^"]*"/, 'metrics: off')
    .replace(/backend: auto/, 'backend: userspace')
    .replace(/^certificate:.*$/m, '');
  const keys = `domains: [${name}], agreeTos: true, rootsFile: ${ca.file}, ${acme}`;
  const directory = `directory: "https://127.0.0.1:${api}/dir"`;
  writeFileSync(path, `${yaml}\ncertificate: { acme: { ${keys}, ${directory} } }\n`);
  const program = spawn(process.execPath, [edgeEntry, 'run', '--data', data], {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  edge = program;
  let out = '';
  program.stdout.on('data', (text: Buffer) => (out += text));
  program.stderr.on('data', (text: Buffer) => (out += text));
  await vi.waitFor(() => expect(out).toMatch(/^ready$/m), patience);
  return data;
}

function statusOf(data: string): EdgeStatus {
  return JSON.parse(run(data, 'status', '--json')) as EdgeStatus;
}

function served(): Promise<{ readonly issuer: string; readonly pin: string }> {
  return new Promise((resolve, reject) => {
    const place = { host: '127.0.0.1', port: ports[2] ?? 0, servername: name, rejectUnauthorized: false };
    const socket = connect(place, () => {
      const certificate = socket.getPeerX509Certificate();
      socket.destroy();
      if (certificate === undefined) return reject(new Error('no certificate'));
      const pin = `sha256/${Buffer.from(pinOf(certificate.publicKey)).toString('base64url')}`;
      resolve({ issuer: certificate.issuer, pin });
    });
    socket.once('error', reject);
  });
}

describeWith({ tools: ['pebble', 'openssl'] }, 'an edge and a certificate authority', () => {
  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), 'culvert-pebble-'));
    ca = createTestCa();
    names = await serveNames();
    ports = await freePorts(4);
    await startPebble();
  });

  afterEach(async () => {
    const program = edge;
    edge = undefined;
    if (program === undefined) return;
    await new Promise((resolve) => {
      program.once('exit', resolve);
      program.kill('SIGTERM');
    });
  });

  afterAll(() => {
    pebble?.kill();
    names?.close();
    ca?.remove();
    rmSync(folder, { recursive: true, force: true });
  });

  test.each([
    ['tls-alpn-01', 'proof: tls-alpn-01'],
    ['http-01', 'proof: http-01, httpPort: PORT'],
  ])('has one by %s while it runs, for the key that its invitations pin', async (_kind, keys) => {
    const data = await startEdge(keys.replace('PORT', String(ports[3])));

    await vi.waitFor(() => {
      const { acme } = statusOf(data).certificate;
      expect([acme?.state, acme?.problem]).toEqual(['valid', undefined]);
    }, patience);

    const { issuer, pin } = await served();
    expect(issuer).toContain('Pebble');
    const { link } = JSON.parse(run(data, 'invite', '--json')) as { link: string };
    expect(decodeURIComponent(link).replaceAll('+', '-')).toContain(pin.slice(0, 20));
    expect(statusOf(data)).toMatchObject({ certificate: { kind: 'acme', acme: { failures: 0 } } });
    expect(statusOf(data).pin.slice(0, 20)).toBe(pin.slice(0, 20));
  });

  test('serves its own where the authority finds no proof, and says why in doctor', async () => {
    // The page stands on a port where the authority does not look.
    const [other = 0] = await freePorts(1);
    const data = await startEdge(`proof: http-01, httpPort: ${other}`);

    await vi.waitFor(() => expect(statusOf(data).certificate.acme?.state).toBe('failing'), patience);

    expect((await served()).issuer).toContain('culvert edge');
    const { stdout } = spawnSync(process.execPath, [edgeEntry, 'doctor', '--json', '--data', data], {
      encoding: 'utf8',
    });
    const findings = JSON.parse(stdout) as {
      subject: string;
      verdict: string;
      text: string;
      remedy?: string;
    }[];
    const found = findings.find(({ subject }) => subject === 'certificate');
    expect(found).toMatchObject({ verdict: 'warning', text: expect.stringContaining('authority') });
    expect(found?.remedy).toMatch(/port/);
  });
});
