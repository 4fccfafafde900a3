// An edge as an ordinary user (egress.backend: auto finds no privileges) and a client of the same kind, over
// loopback: what leaves, what does not, and what a reload cuts. The far servers stand on this machine's own address,
// which is closed to devices until it is opened by name.
import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { chownSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { type AddressInfo, createServer, type Server } from 'node:net';
import { networkInterfaces, tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { askStatus } from '../../edge/admin/client.ts';
import type { EdgeStatus } from '../../edge/admin/status.ts';
import { parseAddress } from '../../shared/core/base/ip.ts';
import type { FlowBackend } from '../../shared/node/flows/contract.ts';
import { startFlowThread } from '../../shared/node/flows/flow-thread-link.ts';
import { Child } from '../../shared/node/lab/child.ts';
import { silentLog } from '../../shared/node/silent-log.ts';
import type { ClientAnswer } from './support/flow-client-program.ts';

const edgeProgram = new URL('../../node_modules/.bin/culvert-edge', import.meta.url).pathname;
const clientEntry = new URL('./support/flow-client-program.ts', import.meta.url);
const readyMs = 15_000;
const nobody = 65_534;
const isRoot = process.getuid?.() === 0;
/** DNS: no such name, and REFUSED. */
const nameError = 3;
const refused = 5;
const gateway = '10.83.0.1';
const gateway6 = 'fd7c:1:2:3::1';
const ownAddress = Object.values(networkInterfaces())
  .flatMap((all) => all ?? [])
  .find((one) => one.family === 'IPv4' && !one.internal)?.address;

interface Keys {
  readonly privateKey: Uint8Array;
  readonly publicKey: Uint8Array;
}

let folder: string;
let port: number;
const laptop = newKeys();
const phone = newKeys();
const clients: FlowBackend[] = [];
const servers: { close(): unknown }[] = [];
let edge: Child | undefined;

beforeAll(async () => {
  folder = join(mkdtempSync(join(tmpdir(), 'cvt-rootless-')), 'edge');
  mkdirSync(folder, { mode: 0o700 });
  port = await freeUdpPort();
});

afterEach(async () => {
  await Promise.all(clients.splice(0).map((client) => client.stop()));
  for (const server of servers.splice(0)) server.close();
  await edge?.end();
  edge = undefined;
});

afterAll(() => rmSync(join(folder, '..'), { recursive: true, force: true }));

describe('the gateway of an edge without privileges', () => {
  test('answers with its pages, and nothing else there', async () => {
    await startEdge('');
    const client = await startClient(laptop, '10.83.0.2');

    const trace = await get(client, gateway, '/trace', 'edge.culvert');
    expect(trace).toMatch(/^HTTP\/1\.1 200 OK\r\n/);
    expect(trace).toMatch(
      /device=laptop\nedge=home\npath=direct\ntransport=udp\nip=10\.83\.0\.2\nts=\d+\.\d{3}\n/,
    );
    const check = await get(
      client,
      gateway,
      '/generate_204',
      'edge.culvert',
      'X-Culvert-Challenge: abc123\r\n',
    );
    expect(check).toMatch(/^HTTP\/1\.1 204 No Content\r\n/);
    expect(check).toMatch(/x-culvert-response: response abc123\r\n/i);
    expect(await get(client, gateway, '/etc/passwd', gateway)).toMatch(/^HTTP\/1\.1 404 /);
    expect(await askTcp(client, gateway, 81, 'x')).toMatchObject({ failure: 'refused' });
  });

  test('knows its own name, asks nobody where there is no upstream, and speaks DNS on connections too', async () => {
    await startEdge('dns: { upstreams: [] }\n');
    const client = await startClient(laptop, '10.83.0.2');

    // Flags: an answer, with authority; one record; its address.
    const own = await askUdp(client, gateway, 53, question('edge', 'culvert'));
    expect(own.received.slice(0, 2)).toBe('\x12\x34');
    expect(own.received).toContain('\x0a\x53\x00\x01');
    const missing = await askUdp(client, gateway, 53, question('laptop', 'culvert'));
    expect(rcodeOf(missing.received)).toBe(nameError);
    const outside = await askUdp(client, gateway, 53, question('a', 'example'));
    expect(rcodeOf(outside.received)).toBe(refused);

    const framed = (text: string): string => `\0${String.fromCharCode(text.length)}${text}`;
    const two = framed(question('edge', 'culvert')) + framed(question('a', 'example'));
    const answers = (await askTcp(client, gateway, 53, two)).received;
    expect(answers.split('\x12\x34')).toHaveLength(3);
  });

  test('answers over IPv6 too', async () => {
    await startEdge('');
    const client = await startClient(laptop, 'fd7c:1:2:3::2');

    expect(await get(client, gateway6, '/trace', 'edge.culvert')).toContain('\nip=fd7c:1:2:3::2\n');
  });
});

describe.skipIf(ownAddress === undefined)('the way out of an edge without privileges', () => {
  const own = ownAddress ?? '';
  const opened = `egress: { allow: [{ cidr: ${own}, device: laptop }] }\n`;

  test('carries connections with half-closing, and datagrams, to where a device may go', async () => {
    await startEdge(opened);
    const client = await startClient(laptop, '10.83.0.2');
    const tcp = await serveLate();
    const udp = await serveUdpEcho();

    // The server speaks only after it has heard the end: each direction ends alone.
    const sent = randomBytes(300_000).toString('latin1');
    const answer = await askTcp(client, own, tcp, sent);
    expect(answer.failure).toBeUndefined();
    expect(answer.received === `heard ${sent}`).toBe(true);
    expect(await askUdp(client, own, udp, 'hello')).toEqual({ received: 'hello', failure: undefined });
    expect(await askTcp(client, own, await closedPort(), 'x')).toMatchObject({ failure: 'refused' });
    expect(await askUdp(client, own, await closedUdpPort(), 'x')).toMatchObject({ failure: 'unreachable' });

    const status = await statusOf();
    expect(status).toMatchObject({ interface: null, egress: { backend: 'userspace' } });
    expect(status.egress.flows).toMatchObject({ refused: { failed: 1 } });
  });

  test('refuses at once what is closed, and tells nobody else’s opening', async () => {
    await startEdge(opened);
    const client = await startClient(phone, '10.83.0.3');
    const tcp = await serveLate();

    expect(await askTcp(client, own, tcp, 'x')).toMatchObject({ failure: 'unreachable' });
    expect(await askTcp(client, '169.254.169.254', 80, 'x')).toMatchObject({ failure: 'unreachable' });
    expect(await askTcp(client, '10.1.2.3', 80, 'x')).toMatchObject({ failure: 'unreachable' });
    expect(await askTcp(client, '10.83.0.2', 80, 'x')).toMatchObject({ failure: 'unreachable' });
    expect(await askTcp(client, '203.0.113.9', 25, 'x')).toMatchObject({ failure: 'unreachable' });
    expect(await askUdp(client, own, await serveUdpEcho(), 'x')).toMatchObject({ failure: 'unreachable' });
    expect((await statusOf()).egress.flows?.refused).toEqual({
      own: 2,
      metadata: 1,
      private: 1,
      device: 1,
      mail: 1,
    });
  });

  test('cuts at a reload what is closed now, and whoever is gone', async () => {
    await startEdge(opened);
    const client = await startClient(laptop, '10.83.0.2');
    const tcp = await serveEcho();

    const held = await holdTcp(client, own, tcp);
    await reload('');
    expect(await held.end).toMatchObject({ failure: 'ECONNRESET' });
    expect(await askTcp(client, own, tcp, 'x')).toMatchObject({ failure: 'unreachable' });

    await reload(opened);
    const again = await holdTcp(client, own, tcp);
    await reload('', [['phone', phone, '10.83.0.3']]);
    expect((await statusOf()).devices.map((device) => device.name)).toEqual(['phone']);
    expect((await statusOf()).egress.flows?.connections).toBe(0);
    // Nothing reaches the client any more, not even the reset: it ends with its tunnel.
    await client.stop();
    await again.end.catch(() => undefined);
  });
});

describe('an edge without privileges', () => {
  test('does not start on a port that it may not have, and says why', async () => {
    writeConfig('', undefined, 443);

    const child = await Child.start('edge', edgeWords());

    expect(await child.exit).toBe(1);
    expect(child.stderr).toMatch(/UDP port 443.*CAP_NET_BIND_SERVICE[\s\S]*\[no-permission\]/);
  });

  test('does not start with the backend of the kernel, and says what to write instead', async () => {
    writeConfig('egress: { backend: kernel }\n');

    const child = await Child.start('edge', edgeWords());

    expect(await child.exit).toBe(1);
    expect(child.stderr).toMatch(/CAP_NET_ADMIN[\s\S]*egress\.backend: userspace[\s\S]*\[not-root\]/);
  });
});

type Peer = readonly [name: string, keys: Keys, addresses: string];

const bothPeers: readonly Peer[] = [
  ['laptop', laptop, '10.83.0.2, "fd7c:1:2:3::2"'],
  ['phone', phone, '10.83.0.3'],
];

function writeConfig(more: string, peers: readonly Peer[] = bothPeers, onPort = port): void {
  const lines = peers.map(
    ([name, { publicKey }, ips]) =>
      `  - { name: ${name}, publicKey: "${Buffer.from(publicKey).toString('base64')}", allowedIps: [${ips}] }\n`,
  );
  const path = join(folder, 'edge.yaml');
  writeFileSync(
    path,
    `name: home
listen: { udp: [${onPort}] }
network: { v4: 10.83.0.0/16, v6: "fd7c:1:2:3::/64" }
${more}peers:
${lines.join('')}`,
  );
  if (!isRoot) return;
  for (const one of [join(folder, '..'), folder, path]) chownSync(one, nobody, nobody);
}

/** As an ordinary user, also where the tests run as root. */
function edgeWords(): readonly string[] {
  const words = [edgeProgram, 'run', '--data', folder];
  if (!isRoot) return words;
  const id = String(nobody);
  const drop = ['--reuid', id, '--regid', id, '--clear-groups', '--inh-caps=-all', '--bounding-set=-all'];
  return ['setpriv', ...drop, '--', ...words];
}

async function startEdge(more: string): Promise<void> {
  writeConfig(more);
  edge = await Child.start('edge', edgeWords());
  await edge.waitFor(/^ready$/m, readyMs);
  expect(edge.stderr).not.toMatch(/"level":"(warn|error)"/);
}

async function reload(more: string, peers?: readonly Peer[]): Promise<void> {
  writeConfig(more, peers);
  const count = (): number => (edge?.stderr ?? '').split('configuration reloaded').length;
  const before = count();
  edge?.signal('SIGHUP');
  await expect.poll(count, { timeout: readyMs }).toBe(before + 1);
}

function statusOf(): Promise<EdgeStatus> {
  return askStatus(join(folder, 'control.sock'));
}

async function startClient(keys: Keys, address: string): Promise<FlowBackend> {
  const own = parseAddress(address);
  if (own === undefined) throw new Error(`${address} is no address`);
  const client = await startFlowThread({
    entry: clientEntry,
    log: silentLog,
    mtu: 1420,
    addresses: [own],
    acceptAny: false,
    settings: undefined,
  });
  clients.push(client);
  const { publicKey } = await statusOf();
  await client.configure({
    privateKey: keys.privateKey,
    listenPort: 0,
    peers: [
      {
        publicKey: Uint8Array.from(Buffer.from(publicKey, 'base64')),
        endpoint: { address: '127.0.0.1', port },
        allowedIps: ['0.0.0.0/0', '::/0'],
      },
    ],
  });
  return client;
}

function ask(
  client: FlowBackend,
  name: string,
  to: readonly [string, number],
  send: string,
): Promise<ClientAnswer> {
  const [address, toPort] = to;
  return client.call(name, { address: parseAddress(address), port: toPort, send }) as Promise<ClientAnswer>;
}

function askTcp(client: FlowBackend, address: string, toPort: number, send: string): Promise<ClientAnswer> {
  return ask(client, 'tcp', [address, toPort], send);
}

function askUdp(client: FlowBackend, address: string, toPort: number, send: string): Promise<ClientAnswer> {
  return ask(client, 'udp', [address, toPort], send);
}

/** Resolves when the connection has carried something both ways. */
async function holdTcp(
  client: FlowBackend,
  address: string,
  toPort: number,
): Promise<{ readonly end: Promise<ClientAnswer> }> {
  const held = new Promise<void>((resolve) => client.onNotice(() => resolve()));
  const end = ask(client, 'hold', [address, toPort], 'x');
  await held;
  return { end };
}

async function get(
  client: FlowBackend,
  address: string,
  path: string,
  host: string,
  more = '',
): Promise<string> {
  const request = `GET ${path} HTTP/1.1\r\nHost: ${host}\r\n${more}Connection: close\r\n\r\n`;
  return (await askTcp(client, address, 80, request)).received;
}

/** Answers with what it heard, after the asker's end. */
function serveLate(): Promise<number> {
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    const chunks: Buffer[] = [];
    socket.on('data', (chunk) => chunks.push(chunk));
    socket.on('end', () => socket.end(Buffer.concat([Buffer.from('heard '), ...chunks])));
    socket.on('error', () => undefined);
  });
  return listen(server);
}

function serveEcho(): Promise<number> {
  return listen(
    createServer((socket) => {
      socket.pipe(socket);
      socket.on('error', () => undefined);
    }),
  );
}

async function listen(server: Server): Promise<number> {
  servers.push(server);
  server.listen(0, ownAddress);
  await once(server, 'listening');
  return (server.address() as AddressInfo).port;
}

async function closedPort(): Promise<number> {
  const server = createServer().listen(0, ownAddress);
  await once(server, 'listening');
  const { port: free } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return free;
}

async function serveUdpEcho(): Promise<number> {
  const socket = createSocket('udp4', (bytes, from) => socket.send(bytes, from.port, from.address));
  servers.push(socket);
  socket.bind(0, ownAddress);
  await once(socket, 'listening');
  return socket.address().port;
}

async function closedUdpPort(): Promise<number> {
  const socket = createSocket('udp4').bind(0, ownAddress);
  await once(socket, 'listening');
  const { port: free } = socket.address();
  socket.close();
  await once(socket, 'close');
  return free;
}

async function freeUdpPort(): Promise<number> {
  const socket = createSocket('udp6').bind(0);
  await once(socket, 'listening');
  const { port: free } = socket.address();
  socket.close();
  return free;
}

/** A question for an IPv4 address, with the id 0x1234 and a wish for recursion. */
function question(...labels: readonly string[]): string {
  const name = labels.map((label) => String.fromCharCode(label.length) + label).join('');
  return `\x12\x34\x01\x00\0\x01\0\0\0\0\0\0${name}\0\0\x01\0\x01`;
}

function rcodeOf(answer: string): number {
  return answer.charCodeAt(3) & 15;
}

function newKeys(): Keys {
  const pair = generateKeyPairSync('x25519');
  return {
    privateKey: Uint8Array.from(pair.privateKey.export({ type: 'pkcs8', format: 'der' }).subarray(-32)),
    publicKey: Uint8Array.from(pair.publicKey.export({ type: 'spki', format: 'der' }).subarray(-32)),
  };
}
