// What the dialer adds to the contract (test/contract/dialer.ts): where it does not go, and which family goes first.
import { afterEach, describe, expect, test } from 'vitest';
import { DialError } from '../../../../client/proxy/dialer.ts';
import { checkEdge } from '../../../../client/proxy/edge-check.ts';
import { maxChannels } from '../../../../client/proxy/tunnel-flow.ts';
import { address6B, addressB } from '../../../support/net-pair.ts';
import { seededEntropy } from '../../../support/seeded.ts';
import { type TunnelWorld, type TunnelWorldOptions, tunnelWorld } from '../../../support/tunnel-world.ts';

let world: TunnelWorld | undefined;
afterEach(() => world?.close());

function open(options: TunnelWorldOptions = {}): TunnelWorld {
  world = tunnelWorld(options);
  return world;
}

const dial = (tunnel: TunnelWorld, host: string, port = 80): Promise<unknown> =>
  tunnel.dialer
    .dialTcp({ host, port, signal: new AbortController().signal })
    .catch((error: unknown) => error);

/** Answers one HTTP request on port 80 of the far stack. */
function serveWeb(tunnel: TunnelWorld, reply: (head: string) => string): void {
  tunnel.pair.b.listenTcp(80, (incoming) => {
    const stream = incoming.accept();
    let head = '';
    stream?.on('error', () => undefined);
    stream?.on('data', (chunk: Buffer) => {
      head += chunk.toString('latin1');
      if (head.includes('\r\n\r\n')) stream.end(reply(head));
    });
  });
}

describe('the dialer of the tunnel', () => {
  test.each([
    ['127.0.0.1', 'denied'],
    ['::1', 'denied'],
    ['::ffff:127.0.0.1', 'denied'],
    ['0.0.0.0', 'denied'],
    ['::', 'denied'],
    ['10.0.0.1', 'denied'],
    ['192.0.2.1', 'unreachable'],
  ])('does not even try %s: %s', async (host, failure) => {
    const tunnel = open({ reachable: ['10.0.0.0/8', 'fd00::/8', '127.0.0.0/8', '::/64', '0.0.0.0/32'] });
    const { sent } = tunnel.pair.net;

    expect(await dial(tunnel, host)).toMatchObject({ name: 'DialError', failure });
    expect(tunnel.pair.net.sent).toBe(sent);
  });

  test('does not go where a name leads back to this machine', async () => {
    const tunnel = open({ names: { 'rebound.test': [Uint8Array.of(127, 0, 0, 1)] } });

    expect(await dial(tunnel, 'rebound.test')).toMatchObject({ failure: 'denied' });
  });

  test('takes IPv6 first, and IPv4 first after IPv6 was refused where IPv4 was not', async () => {
    const tunnel = open({ names: { 'both.test': [addressB, address6B] } });
    const seen: number[] = [];
    tunnel.pair.b.listenTcp(80, (incoming) => {
      seen.push(incoming.destination.address.length);
      if (incoming.destination.address.length === 16) incoming.refuse('reset');
      else incoming.accept();
    });

    await dial(tunnel, 'both.test');
    await dial(tunnel, 'both.test');

    expect(seen).toEqual([16, 4, 4]);
  });

  test('sends all datagrams of one flow from one port, and keeps a bounded number of channels', async () => {
    const tunnel = open();
    const ports = new Set<number>();
    let arrived = 0;
    for (let port = 5000; port < 5000 + 3; port++) {
      tunnel.pair.b.listenUdp(port, (channel) => {
        ports.add(channel.remote.port);
        arrived++;
      });
    }
    const flow = tunnel.dialer.openUdp();

    for (let port = 5000; port < 5000 + 3; port++) flow.send('10.0.0.2', port, Uint8Array.of(1));
    await expect.poll(() => arrived).toBe(3);
    for (let port = 6000; port < 6000 + 2 * maxChannels; port++) {
      tunnel.pair.b.listenUdp(port, () => undefined);
      flow.send('10.0.0.2', port, Uint8Array.of(1));
      await Promise.resolve();
      await Promise.resolve();
    }
    await expect.poll(() => tunnel.pair.net.a.usage.udpFlows).toBe(maxChannels);
    flow.close();

    expect(ports.size).toBe(1);
    await expect.poll(() => tunnel.pair.net.a.usage.udpFlows).toBe(0);
  });
});

describe('the check for an edge of ours', () => {
  const check = (tunnel: TunnelWorld): ReturnType<typeof checkEdge> =>
    checkEdge({ dialer: tunnel.dialer, entropy: seededEntropy(3), now: () => tunnel.pair.net.time });
  const names = { 'edge.culvert': [addressB] };

  test('takes the right answer to its challenge, measures it, and reads by which address places outside see us', async () => {
    const tunnel = open({ names, path: { delayMs: 20 } });
    serveWeb(tunnel, (head) => {
      if (head.startsWith('GET /trace '))
        return `HTTP/1.1 200 OK\r\n\r\ndevice=laptop\nip=10.83.0.2\nts=1\nexit=198.51.100.7\n`;
      const challenge = /^x-culvert-challenge: (\S+)/im.exec(head)?.[1];
      return `HTTP/1.1 204 No Content\r\nX-Culvert-Response: response ${challenge}\r\n\r\n`;
    });

    const verdict = await check(tunnel);

    expect(verdict).toMatchObject({ kind: 'edge', visibleAddress: '198.51.100.7' });
    expect(verdict.kind === 'edge' ? verdict.rttMs : 0).toBeGreaterThanOrEqual(40);
    expect(tunnel.asked).toContain('edge.culvert 1');
  });

  test.each([
    ['no challenge', 'HTTP/1.1 204 No Content\r\n\r\n'],
    ['another challenge', 'HTTP/1.1 204 No Content\r\nX-Culvert-Response: response x\r\n\r\n'],
    ['a page of somebody else', 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi'],
    ['no HTTP', 'SSH-2.0-server\r\n\r\n'],
  ])('takes %s for a stock server', async (_title, reply) => {
    const tunnel = open({ names });
    serveWeb(tunnel, () => reply);

    expect(await check(tunnel)).toEqual({ kind: 'stock' });
  });

  test.each([
    ['knows no such name', {}],
    ['is not listened to', { names }],
  ])('takes a server that %s for a stock one', async (_title, options) => {
    expect(await check(open(options))).toEqual({ kind: 'stock' });
  });
});

test('a failed dial has one of the words that the proxy knows', async () => {
  const tunnel = open();

  const failure = await dial(tunnel, '10.0.0.2', 81);

  expect(failure).toBeInstanceOf(DialError);
  expect(failure).toMatchObject({ failure: 'refused' });
});
