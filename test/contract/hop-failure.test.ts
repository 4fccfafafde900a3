// Every type of hop dies while flows run: those on other paths stay, new ones of auto move without an error, and whoever
// asked for the dead one by name is refused. Real proxies and tunnels on loopback.
import { once } from 'node:events';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { afterEach, describe, expect, test } from 'vitest';
import { ProxyServer } from '../../client/proxy/server.ts';
import { type FlowRequest, PathChooser } from '../../edge/egress/choose-flow.ts';
import { systemTiming } from '../../edge/egress/egress-paths.ts';
import type { EgressPath } from '../../edge/egress/path.ts';
import { DirectPath } from '../../edge/egress/path-direct.ts';
import { HttpPath } from '../../edge/egress/path-http.ts';
import { Socks5Path } from '../../edge/egress/path-socks5.ts';
import { SourcePath } from '../../edge/egress/path-source.ts';
import { WireguardPath } from '../../edge/egress/path-wireguard.ts';
import { PathReports } from '../../edge/egress/report.ts';
import { PathSelector } from '../../edge/egress/select.ts';
import { formatAddress, parseAddress, parsePrefix } from '../../shared/core/base/ip.ts';
import { monoMs } from '../../shared/core/base/time.ts';
import { portableSuite } from '../../shared/core/crypto/portable.ts';
import type { FlowEnd } from '../../shared/core/netstack/events.ts';
import { systemClock } from '../../shared/node/clock.ts';
import { Forwarder } from '../../shared/node/flows/forwarder.ts';
import { StackTunnel } from '../../shared/node/flows/stack-tunnel.ts';
import { silentLog } from '../../shared/node/silent-log.ts';
import { DirectDialer } from '../support/direct-dialer.ts';

const loopback = Uint8Array.of(127, 0, 0, 1);
const toLoopback = (end: FlowEnd): FlowEnd => ({ ...end, address: loopback });
const now = () => monoMs(performance.now());
const closers: (() => unknown)[] = [];

afterEach(async () => {
  for (const close of closers.splice(0).toReversed()) await close();
});

interface Hop {
  readonly path: EgressPath;
  /** Where loopback is seen through it. */
  readonly seenAs: Uint8Array;
  die(): unknown;
}

async function proxyHop(Path: typeof Socks5Path | typeof HttpPath): Promise<Hop> {
  const proxy = new ProxyServer({ dialer: new DirectDialer({}), log: silentLog });
  proxy.setGate({ kind: 'open' });
  await proxy.listen(0);
  const server = { address: loopback, port: proxy.port };
  const path = new Path('hop', { server, login: undefined, tellNames: false });
  closers.push(() => proxy.close());
  return { path, seenAs: loopback, die: () => proxy.close() };
}

/** The address goes away from this machine: here by being none of its own from the start of the failure on. */
async function sourceHop(): Promise<Hop> {
  const alive = new SourcePath('hop', { address: '127.0.0.5', interfaceName: undefined });
  const gone = new SourcePath('hop', { address: '203.0.113.77', interfaceName: undefined });
  let used = alive;
  const path: EgressPath = {
    id: 'hop',
    type: 'source',
    carries: (protocol, family) => used.carries(protocol, family),
    trouble: () => used.trouble(),
    dialTcp: (target, signal) => used.dialTcp(target, signal),
    openUdp: (target) => used.openUdp(target),
    close: () => undefined,
  };
  return {
    path,
    seenAs: loopback,
    die: () => {
      used = gone;
    },
  };
}

function tunnel(addresses: readonly string[], acceptAny: boolean): StackTunnel {
  const made = new StackTunnel({
    udp: 'dgram',
    log: silentLog,
    mtu: 1420,
    addresses: addresses.map((text) => parseAddress(text)!),
    acceptAny,
    onEvent: () => undefined,
  });
  closers.push(() => made.end());
  return made;
}

/** `silent`: ports behind it that never answer. */
async function wireguardHop(silent: ReadonlySet<number> = new Set()): Promise<Hop> {
  const [mine, theirs] = [new Uint8Array(32).fill(7), new Uint8Array(32).fill(9)];
  const server = tunnel(['10.99.0.1'], true);
  const direct = new DirectPath('far');
  const forwarder = new Forwarder({
    stack: server.host,
    clock: { kind: 'process', now, unix: () => 0 as never },
    dialer: {
      dialTcp: ({ destination, signal }) =>
        silent.has(destination.port)
          ? new Promise((_resolve, reject) => signal.addEventListener('abort', () => reject(signal.reason)))
          : direct.dialTcp({ end: toLoopback(destination) }, signal),
      openUdp: ({ destination }) => direct.openUdp({ end: toLoopback(destination) }),
    },
  });
  closers.push(() => forwarder.close());
  const peers = [{ publicKey: portableSuite.publicKey(mine), allowedIps: ['10.99.0.2/32'] }];
  await server.configure({ privateKey: theirs, listenPort: 0, peers });
  const peer = {
    publicKey: portableSuite.publicKey(theirs),
    presharedKey: undefined,
    host: formatAddress(loopback),
    port: server.status().listenPort,
    persistentKeepalive: 0,
    allowedIps: [parsePrefix('0.0.0.0/0')!],
    allowedTexts: ['0.0.0.0/0'],
  };
  const path = new WireguardPath('hop', {
    config: { privateKey: mine, addresses: [parseAddress('10.99.0.2')!], mtu: 1420, peers: [peer] },
    openTunnel: ({ addresses }) =>
      tunnel(
        addresses.map((one) => formatAddress(one)),
        false,
      ),
    lookUp: (host) => Promise.resolve(host),
    timing: systemTiming(systemClock()),
  });
  await path.ready;
  const nobody = { end: { address: Uint8Array.of(198, 18, 0, 1), port: 7 } };
  // The first flow would wait for the handshake.
  await path.dialTcp(nobody, AbortSignal.timeout(5000)).catch(() => undefined);
  return { path, seenAs: Uint8Array.of(198, 18, 0, 1), die: () => server.end() };
}

/** Echoes; the port of a server on loopback. */
async function serve(): Promise<number> {
  const open = new Set<Socket>();
  const server = createServer((socket) => {
    open.add(socket);
    socket.on('error', () => undefined).pipe(socket);
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  closers.push(() => {
    for (const socket of open) socket.destroy();
    server.close();
  });
  return (server.address() as AddressInfo).port;
}

async function echoed(stream: Duplex, text: string): Promise<string> {
  stream.write(text);
  const [bytes] = (await once(stream, 'data')) as [Buffer];
  return String(bytes);
}

/** The hop is the best by far, and something else is there. */
async function world(hop: Hop) {
  const direct = new DirectPath('other');
  const other: EgressPath = {
    id: 'other',
    type: 'direct',
    carries: () => true,
    trouble: () => undefined,
    dialTcp: ({ end }, signal) => direct.dialTcp({ end: toLoopback(end) }, signal),
    openUdp: ({ end }) => direct.openUdp({ end: toLoopback(end) }),
    close: () => undefined,
  };
  const paths = [hop.path, other];
  const reports = new PathReports(['hop', 'other']);
  for (let i = 0; i < 8; i++) {
    reports.noteProbe('hop', 5, now());
    reports.noteProbe('other', 300, now());
  }
  const selector = new PathSelector({ paths, rules: [], reports });
  selector.setDevices(
    new Map([
      ['pinned', { pin: 'hop' }],
      ['elsewhere', { pin: 'other' }],
    ]),
  );
  const after = (ms: number, run: () => void): (() => void) => {
    const timer = setTimeout(run, ms);
    return () => clearTimeout(timer);
  };
  const chooser = new PathChooser({ paths, blocks: new Map(), selector, reports, timing: { now, after } });
  const port = await serve();
  closers.push(() => hop.path.close());
  const request = (device: string): FlowRequest => ({
    device,
    source: { address: Uint8Array.of(10, 83, 0, 2), port: 5000 },
    destination: { address: hop.seenAs, port },
    name: undefined,
  });
  const open = async (device: string, ms = 8000): Promise<Duplex> => {
    const stream = await chooser.dialTcp(request(device), AbortSignal.timeout(ms));
    stream.on('error', () => undefined);
    closers.push(() => stream.destroy());
    return stream;
  };
  const opened = (): readonly number[] => ['hop', 'other'].map((id) => chooser.pins.load(id).opened);
  return { open, opened };
}

describe.each([
  ['socks5', () => proxyHop(Socks5Path)],
  ['http', () => proxyHop(HttpPath)],
  ['source', sourceHop],
  ['wireguard', wireguardHop],
] as const)('a hop of type %s that dies', (_type, make) => {
  test('costs no new flow of auto, no flow elsewhere, and refuses those that must use it', async () => {
    const hop = await make();
    const { open, opened } = await world(hop);
    const before = await open('laptop');
    const elsewhere = await open('elsewhere');
    expect(await echoed(before, 'by the hop')).toBe('by the hop');
    expect(opened()).toEqual([1, 1]);

    await hop.die();

    for (let i = 0; i < 3; i++) expect(await echoed(await open('laptop'), `flow ${i}`)).toBe(`flow ${i}`);
    expect(opened()).toEqual([1, 4]);
    expect(await echoed(elsewhere, 'still here')).toBe('still here');
    await expect(open('pinned', 2000)).rejects.toBeInstanceOf(Error);
    expect(opened()).toEqual([1, 4]);
  }, 30_000);
});

describe('a hop of type wireguard whose other side falls silent', () => {
  test('refuses whoever must go that way in a few seconds, says why, and nobody else waits', async () => {
    const hop = await wireguardHop();
    const { open } = await world(hop);
    await open('pinned');
    hop.die();

    const from = now();
    await expect(open('pinned', 18_000)).rejects.toMatchObject({ of: 'path', kind: 'timeout' });

    expect(now() - from).toBeLessThan(12_000);
    expect(hop.path.trouble()).toMatch(/^the other side of its tunnel has not answered for \d+ s$/);
    await expect(open('laptop')).resolves.toBeDefined();
  }, 30_000);

  test('is not blamed for a place behind it that does not answer', async () => {
    const hop = await wireguardHop(new Set([9]));

    const end = { address: hop.seenAs, port: 9 };
    const dialled = hop.path.dialTcp({ end }, AbortSignal.timeout(4000));

    await expect(dialled).rejects.toMatchObject({ name: 'TimeoutError' });
    expect(hop.path.trouble()).toBeUndefined();
    hop.path.close();
  }, 30_000);
});
