// Every type of path, each with what it needs around it: this product's own proxy as the upstream, and a second tunnel
// of our engine as the other edge.
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { type AddressInfo, createServer } from 'node:net';
import type { Duplex } from 'node:stream';
import { describe, expect, test } from 'vitest';
import { ProxyServer } from '../../client/proxy/server.ts';
import { canBindDevice } from '../../edge/egress/bind-device.ts';
import { systemTiming } from '../../edge/egress/egress-paths.ts';
import { type EgressPath, PathError } from '../../edge/egress/path.ts';
import { DirectPath } from '../../edge/egress/path-direct.ts';
import { HttpPath, type Login } from '../../edge/egress/path-http.ts';
import { Socks5Path } from '../../edge/egress/path-socks5.ts';
import { SourcePath } from '../../edge/egress/path-source.ts';
import { type HopConfig, WireguardPath } from '../../edge/egress/path-wireguard.ts';
import { formatAddress, parseAddress, parsePrefix } from '../../shared/core/base/ip.ts';
import { monoMs } from '../../shared/core/base/time.ts';
import { portableSuite } from '../../shared/core/crypto/portable.ts';
import type { FlowEnd } from '../../shared/core/netstack/events.ts';
import { systemClock } from '../../shared/node/clock.ts';
import { ffiAvailable } from '../../shared/node/ffi/libc.ts';
import { Forwarder } from '../../shared/node/flows/forwarder.ts';
import { StackTunnel } from '../../shared/node/flows/stack-tunnel.ts';
import { silentLog } from '../../shared/node/silent-log.ts';
import { DirectDialer } from '../support/direct-dialer.ts';
import { egressPathContract, type PathBench, readAll } from './egress-path.ts';

const loopback = Uint8Array.of(127, 0, 0, 1);

class Bench implements PathBench {
  readonly path: EgressPath;
  /** The address under which loopback is seen through the path. */
  readonly #seenAs: Uint8Array;
  readonly #closers: (() => unknown)[];

  constructor(path: EgressPath, closers: (() => unknown)[] = [], seenAs: Uint8Array = loopback) {
    this.path = path;
    this.#closers = closers;
    this.#seenAs = seenAs;
  }

  async serveTcp(onStream: (stream: Duplex) => void): Promise<FlowEnd> {
    const accepted = new Set<Duplex>();
    const server = createServer({ allowHalfOpen: true }, (socket) => {
      accepted.add(socket);
      socket.on('error', () => undefined);
      onStream(socket);
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    this.#closers.push(() => {
      for (const socket of accepted) socket.destroy();
      server.close();
    });
    return this.#end((server.address() as AddressInfo).port);
  }

  async serveUdpEcho(): Promise<FlowEnd> {
    const socket = createSocket('udp4', (bytes, from) => socket.send(bytes, from.port, from.address));
    socket.bind(0, '127.0.0.1');
    await once(socket, 'listening');
    this.#closers.push(() => socket.close());
    return this.#end(socket.address().port);
  }

  async closedEnd(): Promise<FlowEnd> {
    const server = createServer().listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo;
    server.close();
    await once(server, 'close');
    return this.#end(port);
  }

  async close(): Promise<void> {
    for (const close of this.#closers) await close();
  }

  #end(port: number): FlowEnd {
    return { address: this.#seenAs, port };
  }
}

async function upstream(login?: Login): Promise<{ readonly end: FlowEnd; readonly proxy: ProxyServer }> {
  const credentials = login === undefined ? {} : { credentials: login };
  const proxy = new ProxyServer({
    dialer: new DirectDialer({ 'known.example': '127.0.0.1' }),
    log: silentLog,
    ...credentials,
  });
  proxy.setGate({ kind: 'open' });
  await proxy.listen(0);
  return { end: { address: loopback, port: proxy.port }, proxy };
}

const login: Login = { username: 'u', password: 'secret: with colon' };

egressPathContract('direct', async () => new Bench(new DirectPath('direct')));
egressPathContract(
  'source, by address',
  async () => new Bench(new SourcePath('s', { address: '127.0.0.5', interfaceName: undefined })),
);
if (canBindDevice()) {
  egressPathContract(
    'source, by interface',
    async () => new Bench(new SourcePath('s', { address: undefined, interfaceName: 'lo' })),
  );
}
for (const [name, Path] of [
  ['socks5', Socks5Path],
  ['http', HttpPath],
] as const) {
  egressPathContract(name, async () => {
    const { end, proxy } = await upstream();
    const path = new Path('p', { server: end, login: undefined, tellNames: false });
    return new Bench(path, [() => proxy.close()]);
  });
  egressPathContract(`${name} with a password`, async () => {
    const { end, proxy } = await upstream(login);
    return new Bench(new Path('p', { server: end, login, tellNames: false }), [() => proxy.close()]);
  });
}
egressPathContract('wireguard, portable sockets', () => makeHop('dgram'));
if (ffiAvailable().ok) egressPathContract('wireguard, native sockets', () => makeHop('linux'));

describe('a source path', () => {
  test('leaves with its address, for connections and datagrams', async () => {
    const bench = new Bench(new SourcePath('s', { address: '127.0.0.5', interfaceName: undefined }));
    const end = await bench.serveTcp((far) => far.end((far as any).remoteAddress));

    const stream = await bench.path.dialTcp({ end }, AbortSignal.timeout(5000));

    expect(String(await readAll(stream))).toBe('127.0.0.5');
    stream.destroy();
    await bench.close();
  });

  test('whose address this machine does not have says so, and fails by its own fault', async () => {
    const path = new SourcePath('s', { address: '203.0.113.77', interfaceName: undefined });

    const failure = await path
      .dialTcp({ end: { address: loopback, port: 9 } }, AbortSignal.timeout(5000))
      .catch((error: unknown) => error);

    expect(failure).toMatchObject({ of: 'path', kind: 'unreachable' });
    expect(path.trouble()).toBe('this machine does not have 203.0.113.77');
    expect(path.carries('tcp', 16)).toBe(false);
  });
});

describe.each([
  ['socks5', Socks5Path],
  ['http', HttpPath],
] as const)('an upstream of type %s', (_name, Path) => {
  test('that is not there is the fault of the path', async () => {
    const bench = new Bench(new DirectPath('d'));
    const server = await bench.closedEnd();
    const path = new Path('p', { server, login: undefined, tellNames: false });

    await expect(path.dialTcp({ end: server }, AbortSignal.timeout(5000))).rejects.toMatchObject({
      of: 'path',
    });
    await expect(path.openUdp({ end: server } as never)).rejects.toMatchObject({ of: 'path' });
  });

  test('that wants another login is the fault of the path, and no secret is in the words', async () => {
    const { end, proxy } = await upstream(login);
    const wrong = { username: 'u', password: 'wrong-secret' };
    const path = new Path('p', { server: end, login: wrong, tellNames: false });

    const failure = await path.dialTcp({ end }, AbortSignal.timeout(5000)).catch((error: unknown) => error);

    expect(failure).toMatchObject({ of: 'path' });
    expect(String(failure)).not.toContain('wrong-secret');
    await proxy.close();
  });

  test('that speaks another protocol, or says nothing and ends, is the fault of the path', async () => {
    for (const words of ['SSH-2.0-x\r\n', '']) {
      const bench = new Bench(new DirectPath('d'));
      const server = await bench.serveTcp((far) => far.end(words));
      const path = new Path('p', { server, login: undefined, tellNames: false });

      await expect(path.dialTcp({ end: server }, AbortSignal.timeout(5000))).rejects.toMatchObject({
        of: 'path',
      });
      await bench.close();
    }
  });

  test('is told a name only where the path says so', async () => {
    const { end: server, proxy } = await upstream();
    const bench = new Bench(new DirectPath('d'), [() => proxy.close()]);
    const { port } = await bench.serveTcp((far) => far.end('by name'));
    // Nobody is at this address: only the name leads there.
    const target = { end: { address: Uint8Array.of(127, 0, 0, 99), port }, name: 'known.example' };

    const told = new Path('p', { server, login: undefined, tellNames: true });
    const stream = await told.dialTcp(target, AbortSignal.timeout(5000));
    expect(String(await readAll(stream))).toBe('by name');
    stream.destroy();

    const untold = new Path('p', { server, login: undefined, tellNames: false });
    await expect(untold.dialTcp(target, AbortSignal.timeout(5000))).rejects.toBeInstanceOf(PathError);
    await bench.close();
  });
});

/** Two tunnels of our engine over loopback: the hop's, and the other edge's, whose forwarder lets flows out. */
async function makeHop(udp: 'linux' | 'dgram'): Promise<PathBench> {
  const [mine, theirs] = [new Uint8Array(32).fill(7), new Uint8Array(32).fill(9)];
  const server = openTunnel(udp, ['10.99.0.1'], true);
  const direct = new DirectPath('far');
  const toLoopback = (end: FlowEnd): FlowEnd => ({ ...end, address: loopback });
  const forwarder = new Forwarder({
    stack: server.host,
    clock: { kind: 'process', now: () => monoMs(performance.now()), unix: () => 0 as never },
    dialer: {
      dialTcp: ({ destination, signal }) => direct.dialTcp({ end: toLoopback(destination) }, signal),
      openUdp: ({ destination }) => direct.openUdp({ end: toLoopback(destination) }),
      openEcho: ({ destination }) => direct.openEcho({ end: toLoopback(destination) }),
    },
  });
  await server.configure({
    privateKey: theirs,
    listenPort: 0,
    peers: [{ publicKey: portableSuite.publicKey(mine), allowedIps: ['10.99.0.2/32'] }],
  });
  const config: HopConfig = {
    privateKey: mine,
    addresses: [parseAddress('10.99.0.2')!],
    mtu: 1420,
    peers: [
      {
        publicKey: portableSuite.publicKey(theirs),
        presharedKey: undefined,
        host: formatAddress(loopback),
        port: server.status().listenPort,
        persistentKeepalive: 0,
        allowedIps: [parsePrefix('0.0.0.0/0')!],
        allowedTexts: ['0.0.0.0/0'],
      },
    ],
  };
  const path = new WireguardPath('hop', {
    config,
    openTunnel: ({ addresses }) =>
      openTunnel(
        udp,
        addresses.map((one) => formatAddress(one)),
        false,
      ),
    lookUp: (host) => Promise.resolve(host),
    timing: systemTiming(systemClock()),
  });
  await path.ready;
  const end = (): void => {
    forwarder.close();
    server.end();
  };
  return new Bench(path, [end], Uint8Array.of(198, 18, 0, 1));
}

function openTunnel(udp: 'linux' | 'dgram', addresses: readonly string[], acceptAny: boolean): StackTunnel {
  return new StackTunnel({
    udp,
    log: silentLog,
    mtu: 1420,
    addresses: addresses.map((text) => parseAddress(text)!),
    acceptAny,
    onEvent: () => undefined,
  });
}
