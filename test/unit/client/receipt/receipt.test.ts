// The receipt of a connection: what is measured of a real gateway on loopback, what is said, and how seldom.
import { once } from 'node:events';
import { type AddressInfo, createServer as createTcpServer, type Server, type Socket } from 'node:net';
import { afterEach, describe, expect, test } from 'vitest';
import { type MeasurePorts, maxReceiptBytes, measureReceipt } from '../../../../client/receipt/measure.ts';
import { ReceiptDesk } from '../../../../client/receipt/receipt-desk.ts';
import { receiptText } from '../../../../client/receipt/receipt-text.ts';
import { dialSystem } from '../../../../client/receipt/ways-in.ts';
import { Gateway } from '../../../../edge/gateway/gateway.ts';
import { monoMs, unixMs } from '../../../../shared/core/base/time.ts';
import { silentLog } from '../../../../shared/node/silent-log.ts';

const servers: Server[] = [];
afterEach(() => {
  for (const server of servers.splice(0)) server.close();
});

async function listen(onSocket: (socket: Socket) => void): Promise<number> {
  const server = createTcpServer(onSocket).listen(0, '127.0.0.1');
  servers.push(server);
  await once(server, 'listening');
  return (server.address() as AddressInfo).port;
}

/** An edge's gateway, on ports that the system chose. */
async function ports(): Promise<{ readonly ports: MeasurePorts; readonly sent: () => number }> {
  let read = 0;
  let time = 0;
  const gateway = new Gateway({
    edgeName: () => 'home',
    deviceOf: () => undefined,
    answerer: { answer: (query) => Promise.resolve(query.slice()), close: () => Promise.resolve() },
    maxDatagram: 1200,
    unixNow: () => unixMs(0),
    log: silentLog,
  });
  const web = await listen((socket) => {
    socket.once('close', () => {
      read += socket.bytesWritten;
    });
    gateway.serveHttp(socket, '127.0.0.1');
  });
  const names = await listen((socket) => gateway.serveDns(socket, '127.0.0.1'));
  return {
    sent: () => read,
    ports: {
      dialTunnel: (port, signal) =>
        dialSystem({ host: '127.0.0.1', port: port === 80 ? web : names }, signal),
      dialDirect: (signal) => dialSystem({ host: '127.0.0.1', port: names }, signal),
      now: () => monoMs((time += 5)),
    },
  };
}

describe('measuring', () => {
  test('tells times of both ways and a rate, and moves no more than its budget', async () => {
    const edge = await ports();

    const measured = await measureReceipt(edge.ports);

    expect(measured).toEqual({
      tunnel: { connectMs: 5, lookupMs: 5, goodputMbps: expect.any(Number) },
      direct: { connectMs: 5 },
    });
    expect(measured.tunnel?.goodputMbps).toBeGreaterThan(100);
    expect(edge.sent()).toBeLessThan(maxReceiptBytes * 1.01);
  });

  test('opens nothing outside where nothing may go there', async () => {
    const { ports: all } = await ports();

    const measured = await measureReceipt({ ...all, dialDirect: undefined });

    expect(measured.direct).toBeUndefined();
  });

  test('fails where nobody answers inside the tunnel', async () => {
    const refused = (): Promise<never> => Promise.reject(new Error('refused'));

    await expect(
      measureReceipt({ dialTunnel: refused, dialDirect: undefined, now: () => monoMs(0) }),
    ).rejects.toThrow('refused');
  });
});

test('its sentence says what was measured and nothing else', () => {
  expect(receiptText({ tunnel: { connectMs: 21 } })).toBe(
    'Through the tunnel the edge answers in 21 ms (outside it nothing was measured: all traffic is in the tunnel).',
  );
  expect(receiptText({ tunnel: { connectMs: 21 }, direct: { handshakeMs: 22 } })).toContain(
    '(its last handshake outside took 22 ms)',
  );
  expect(
    receiptText({
      tunnel: { connectMs: 21, lookupMs: 22.5, goodputMbps: 94.23 },
      direct: { connectMs: 20, handshakeMs: 22 },
      path: { id: 'fra', rttMs: 14 },
    }),
  ).toBe(
    'Through the tunnel the edge answers in 21 ms (outside it in 20 ms), its resolver in 22.5 ms, its path fra adds 14 ms, a short download comes with 94.2 Mbit/s.',
  );
});

describe('the desk', () => {
  function desk(fields: { readonly isStock?: boolean; readonly isSilent?: boolean } = {}) {
    const state = { edge: undefined as string | undefined, now: 0, measured: 0 };
    const timers: (() => void)[] = [];
    const made = new ReceiptDesk({
      connectedTo: () => state.edge,
      portsFor: () =>
        fields.isStock === true
          ? undefined
          : { dialTunnel: () => new Promise(() => undefined), dialDirect: undefined },
      handshakeMs: () => Promise.resolve(9),
      pathNow: () => ({ id: 'direct', chosen: 'auto', rttMs: 3 }),
      now: () => monoMs(state.now),
      unixNow: () => unixMs(0),
      after: (_ms, run) => {
        timers.push(run);
        return () => void timers.splice(timers.indexOf(run), 1);
      },
      measure: () => {
        state.measured++;
        return fields.isSilent === true
          ? Promise.reject(new Error('silent'))
          : Promise.resolve({ tunnel: { connectMs: 8 } });
      },
    });
    const connect = async (edge: string | undefined): Promise<void> => {
      state.edge = edge;
      made.handleChange();
      for (const run of timers.splice(0)) run();
      await new Promise((resolve) => setImmediate(resolve));
    };
    return { made, state, connect };
  }

  test('measures after a connect, and seldom again', async () => {
    const { made, state, connect } = desk();
    expect(made.view).toBeUndefined();

    await connect('home');
    await connect(undefined);
    await connect('home');
    expect(state.measured).toBe(1);
    expect(made.view).toMatchObject({
      measured: true,
      tunnel: { connectMs: 8 },
      direct: { handshakeMs: 9 },
      path: { id: 'direct', rttMs: 3 },
    });
    await connect(undefined);
    state.now = 11 * 60_000;
    await connect('home');

    expect(state.measured).toBe(2);
  });

  test.each([
    ['before it', {}, /not measured yet/, false],
    ['of an edge that was imported', { isStock: true }, /only an edge of culvert/, true],
    ['of an edge that does not answer', { isSilent: true }, /could not be measured/, true],
  ] as const)('says so where nothing was measured: %s', async (_, fields, text, isLater) => {
    const { made, state, connect } = desk(fields);
    if (isLater) await connect('home');
    else state.edge = 'home';

    expect(made.view?.measured).toBe(false);
    expect(made.view?.text).toMatch(text);
  });
});
