import { createSocket, type Socket as UdpSocket } from 'node:dgram';
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { ProxyServer } from '../../../../client/proxy/server.ts';
import { encodeDatagramHeader, parseDatagram } from '../../../../client/proxy/socks5-wire.ts';
import { silentLog } from '../../../../shared/node/silent-log.ts';
import { DirectDialer } from '../../../support/direct-dialer.ts';
import { StubDialer } from '../../../support/proxy-world.ts';

const hosts = ['127.0.0.1', '::1'];
const maxTurns = 5000;

describe.each(hosts)('an association at %s', (host) => {
  let proxy: ProxyServer;
  let dialer: StubDialer;
  let open: UdpSocket[] = [];
  let control: Socket;

  beforeEach(async () => {
    dialer = new StubDialer();
    proxy = await serve(dialer);
  });
  afterEach(async () => {
    for (const socket of open) socket.close();
    open = [];
    control?.destroy();
    await proxy.close();
  });

  async function serve(by: StubDialer | DirectDialer): Promise<ProxyServer> {
    const server = new ProxyServer({ dialer: by, log: silentLog, limits: { maxAssociations: 1 } });
    server.setGate({ kind: 'open' });
    await server.listen(0);
    return server;
  }

  async function program(): Promise<UdpSocket> {
    const socket = createSocket(host.includes(':') ? 'udp6' : 'udp4');
    socket.bind(0, host);
    await once(socket, 'listening');
    open.push(socket);
    return socket;
  }

  /** Asks for an association; resolves with the whole reply. */
  async function associate(server: ProxyServer, fromPort = 0): Promise<Buffer> {
    control = connect({ port: server.port, host, allowHalfOpen: true });
    control.on('error', () => {});
    control.write(Uint8Array.from([5, 1, 0]));
    await once(control, 'data');
    control.write(Uint8Array.from([5, 3, 0, 1, 0, 0, 0, 0, fromPort >>> 8, fromPort & 0xff]));
    return (await once(control, 'data'))[0] as Buffer;
  }

  const portIn = (reply: Buffer): number => reply.readUInt16BE(reply.length - 2);
  const datagram = (payload: string, to = '192.0.2.1'): Buffer =>
    Buffer.concat([encodeDatagramHeader(to, 53), Buffer.from(payload)]);

  async function until(holds: () => boolean): Promise<void> {
    for (let turn = 0; turn < maxTurns && !holds(); turn++) await nextTurn();
    expect(holds()).toBe(true);
  }

  test('carries datagrams to an echo and back, to several places', async () => {
    await proxy.close();
    proxy = await serve(new DirectDialer({ 'echo_1.test': host }));
    const [echo, me] = [await program(), await program()];
    echo.on('message', (bytes, from) => echo.send(bytes, from.port, from.address));
    const reply = await associate(proxy);
    const name = Buffer.from('echo_1.test');
    const port = Uint8Array.of(echo.address().port >>> 8, echo.address().port & 0xff);

    for (const to of [
      encodeDatagramHeader(host, echo.address().port),
      Buffer.concat([Uint8Array.of(0, 0, 0, 3, name.length), name, port]),
    ]) {
      me.send(Buffer.concat([to, Buffer.from('hello')]), portIn(reply), host);
      const [answer] = (await once(me, 'message')) as [Buffer];
      expect(parseDatagram(answer)).toEqual({
        kind: 'whole',
        host,
        port: echo.address().port,
        payload: Buffer.from('hello'),
      });
    }
    expect(proxy.counters).toMatchObject({ bytesUp: 10, bytesDown: 10, udp: { up: 2, down: 2 } });
  });

  test('is at the address that the client came to', async () => {
    const reply = await associate(proxy);

    expect(reply[1]).toBe(0);
    expect(reply[3]).toBe(host.includes(':') ? 4 : 1);
    expect(reply.subarray(4, -2).at(-1)).toBe(1);
    expect(portIn(reply)).not.toBe(proxy.port);
  });

  test('drops and counts fragments and nonsense', async () => {
    const me = await program();
    const port = portIn(await associate(proxy));
    const fragment = datagram('part');
    fragment[2] = 1;

    me.send(fragment, port, host);
    me.send('no', port, host);
    me.send(datagram('whole'), port, host);

    await until(() => dialer.flows[0]!.sent.length === 1);
    expect(dialer.flows[0]!.sent[0]).toMatchObject({
      host: '192.0.2.1',
      port: 53,
      bytes: Buffer.from('whole'),
    });
    expect(proxy.counters.udp).toMatchObject({ up: 1, fragments: 1, malformed: 1 });
  });

  test('belongs to the port that used it first', async () => {
    const [me, stranger] = [await program(), await program()];
    const port = portIn(await associate(proxy));
    me.send(datagram('mine'), port, host);
    await until(() => proxy.counters.udp.up === 1);

    stranger.send(datagram('not mine'), port, host);
    await until(() => proxy.counters.udp.strangers === 1);
    dialer.flows[0]!.answer({ host: '192.0.2.1', port: 53, bytes: Buffer.from('answer') });

    const [answer] = (await once(me, 'message')) as [Buffer];
    expect(parseDatagram(answer)).toMatchObject({ payload: Buffer.from('answer') });
    expect(dialer.flows[0]!.sent).toHaveLength(1);
  });

  test('belongs to the port that the client named', async () => {
    const [me, stranger] = [await program(), await program()];
    const port = portIn(await associate(proxy, me.address().port));

    stranger.send(datagram('not mine'), port, host);
    await until(() => proxy.counters.udp.strangers === 1);
    me.send(datagram('mine'), port, host);

    await until(() => proxy.counters.udp.up === 1);
  });

  // There is but one ::1.
  if (host === '127.0.0.1')
    test('belongs to the address of its connection', async () => {
      const stranger = createSocket('udp4');
      stranger.bind(0, '127.0.0.2');
      await once(stranger, 'listening');
      open.push(stranger);
      const port = portIn(await associate(proxy));

      stranger.send(datagram('not mine'), port, host);

      await until(() => proxy.counters.udp.strangers === 1);
      expect(dialer.flows[0]!.sent).toEqual([]);
    });

  test.each([
    ['ends', (socket: Socket) => socket.end()],
    ['breaks', (socket: Socket) => socket.resetAndDestroy()],
  ])('dies when its connection %s', async (_title, finish) => {
    await associate(proxy);
    expect(proxy.counters.associations).toBe(1);

    finish(control);

    await until(() => dialer.flows[0]!.closed);
    expect(proxy.counters).toMatchObject({ associations: 0, connections: 0 });
  });

  test('is cut when the gate closes', async () => {
    await associate(proxy);

    proxy.setGate({ kind: 'closed', reason: 'no' });

    await until(() => dialer.flows[0]!.closed && control.destroyed);
  });

  test('is refused where there are too many, and where no flow can be had', async () => {
    await associate(proxy);
    const first = control;
    expect((await associate(proxy))[1]).toBe(1);
    first.destroy();
    await until(() => proxy.counters.associations === 0);
    dialer.failure = 'tunnel-down';

    expect((await associate(proxy))[1]).toBe(3);
  });
});
