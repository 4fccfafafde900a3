// The way out of a rootless edge, on real sockets of loopback and with dialers that a test holds back.
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { afterEach, describe, expect, test } from 'vitest';
import { PathChooser } from '../../../../edge/egress/choose-flow.ts';
import { type EgressPath, PathError } from '../../../../edge/egress/path.ts';
import { PathReports } from '../../../../edge/egress/report.ts';
import { PathSelector } from '../../../../edge/egress/select.ts';
import type { EgressRules } from '../../../../edge/egress/settings.ts';
import { connectSystem } from '../../../../edge/egress/system-tcp.ts';
import { SystemUdp } from '../../../../edge/egress/system-udp.ts';
import { FlowRefused, WayOut, type WayOutOptions, type Ways } from '../../../../edge/egress/way-out.ts';
import { parseAddress, parsePrefix } from '../../../../shared/core/base/ip.ts';
import { monoMs } from '../../../../shared/core/base/time.ts';
import type { FlowEnd } from '../../../../shared/core/netstack/events.ts';

const laptop = '10.83.0.2';
const phone = '10.83.0.3';
const closers: (() => void)[] = [];

afterEach(() => {
  for (const close of closers.splice(0)) close();
});

function rules(fields: Partial<EgressRules> = {}): EgressRules {
  return {
    edgeName: 'home',
    network: [prefix('10.83.0.0/16')],
    closePrivate: true,
    connectionsPerSecond: 0,
    allow: [{ cidr: prefix('127.0.0.0/8'), device: undefined }],
    pairs: [],
    devices: [
      { name: 'laptop', key: 'L', prefixes: [prefix(`${laptop}/32`), prefix('10.83.9.0/24')] },
      { name: 'phone', key: 'P', prefixes: [prefix(`${phone}/32`)] },
    ],
    rules: [],
    ...fields,
  };
}

interface WayFields extends Partial<Omit<WayOutOptions, 'ways'>> {
  readonly tcp?: typeof connectSystem;
}

function wayOut({ tcp = connectSystem, ...fields }: WayFields = {}): WayOut {
  const ways: Ways = {
    dialTcp: ({ destination }, signal) => tcp(destination, signal),
    openUdp: ({ destination }) => SystemUdp.connect(destination),
    openEcho: () => Promise.reject(new Error('not asked here')),
  };
  const made = new WayOut({
    rules: rules(),
    isOwnAddress: () => false,
    connectionsPerDevice: 3,
    now: () => monoMs(0),
    maxFlows: 100,
    ways,
    ...fields,
  });
  closers.push(() => made.close());
  return made;
}

function dial(way: WayOut, to: FlowEnd, from = laptop, stop = new AbortController()): Promise<Duplex> {
  const giveUp = (reason: Error): void => stop.abort(reason);
  return way.dialTcp({ source: end(from, 5000), destination: to, signal: stop.signal, giveUp });
}

async function refusalOf(dialled: Promise<unknown>): Promise<string> {
  const outcome = await dialled.catch((error: unknown) => error);
  return outcome instanceof FlowRefused ? outcome.refusal : `no refusal: ${String(outcome)}`;
}

describe('a connection', () => {
  test('carries bytes both ways and ends each direction alone', async () => {
    const to = await listen(
      createServer({ allowHalfOpen: true }, (socket) => {
        socket.resume().on('end', () => socket.end('after the end'));
      }),
    );
    const way = wayOut();

    const socket = await dial(way, to);
    socket.end('x');
    const heard = await once(socket, 'data');
    await once(socket, 'close');

    expect(String(heard[0])).toBe('after the end');
    expect(way.flows).toBe(0);
  });

  test('to a port where nobody listens is refused as that host does', async () => {
    const server = createServer();
    const to = await listen(server);
    server.close();
    await once(server, 'close');
    const way = wayOut();

    expect(await refusalOf(dial(way, to))).toBe('reset');
    expect(way.refused.failed).toBe(1);
    expect(way.flows).toBe(0);
  });

  test.each<[string, string]>([
    ['ECONNREFUSED', 'reset'],
    ['EHOSTUNREACH', 'unreachable'],
    ['ENETUNREACH', 'unreachable'],
    ['ETIMEDOUT', 'drop'],
    ['EMFILE', 'drop'],
  ])('that fails by %s is answered with %s', async (code, refusal) => {
    const way = wayOut({ tcp: () => Promise.reject(Object.assign(new Error(code), { code })) });

    expect(await refusalOf(dial(way, end('203.0.113.1', 80)))).toBe(refusal);
  });

  test('to a closed place is refused without a socket', async () => {
    let dialled = 0;
    const way = wayOut({ tcp: () => Promise.reject(new Error(String(dialled++))) });

    expect(await refusalOf(dial(way, end('192.168.1.1', 80)))).toBe('unreachable');
    expect([dialled, way.refused.private]).toEqual([0, 1]);
  });

  test('of nobody that we know gets no answer at all', async () => {
    const way = wayOut();

    expect(await refusalOf(dial(way, end('203.0.113.1', 80), '10.83.0.77'))).toBe('drop');
    expect(way.refused.stranger).toBe(1);
  });

  test('that its asker gives up is dialled no further', async () => {
    const stop = new AbortController();
    const signals: AbortSignal[] = [];
    const way = wayOut({ tcp: waiting(signals) });
    const dialled = dial(way, end('203.0.113.1', 80), laptop, stop);

    stop.abort(new Error('gone'));

    await expect(dialled).rejects.toThrow('gone');
    expect([signals[0]?.aborted, way.flows, way.refused.failed]).toEqual([true, 0, 0]);
  });
});

describe('a device', () => {
  test('has its share whatever its addresses, and others have theirs', async () => {
    const way = wayOut({ tcp: waiting([]) });
    const to = end('203.0.113.1', 80);
    const held = [laptop, '10.83.9.1', '10.83.9.2'].map((from) => dial(way, to, from).catch(() => undefined));

    expect(await refusalOf(dial(way, to))).toBe('reset');
    held.push(dial(way, to, phone).catch(() => undefined));

    expect([way.flows, way.refused.share]).toEqual([4, 1]);
    way.close();
    await Promise.all(held);
    expect(way.flows).toBe(0);
  });
});

test('all devices together have what the process may open', async () => {
  const way = wayOut({ tcp: waiting([]), maxFlows: 1 });
  const held = dial(way, end('203.0.113.1', 80)).catch(() => undefined);

  expect(await refusalOf(dial(way, end('203.0.113.1', 80), phone))).toBe('reset');

  way.close();
  await held;
});

describe('new rules', () => {
  test('end connections to what is closed now, and leave the others', async () => {
    const far: Socket[] = [];
    const to = await listen(
      createServer((socket) => void far.push(socket.resume().on('error', () => undefined))),
    );
    const way = wayOut();
    const [ofLaptop, ofPhone] = [await dial(way, to), await dial(way, to, phone)];
    ofLaptop.on('error', () => undefined);

    way.reload(rules({ allow: [{ cidr: prefix('127.0.0.0/8'), device: 'phone' }] }));
    await once(ofLaptop, 'close');

    expect([ofLaptop.destroyed, ofPhone.destroyed, way.flows]).toEqual([true, false, 1]);
    expect(await refusalOf(dial(way, to))).toBe('unreachable');
  });

  test('stop what is being dialled', async () => {
    const way = wayOut({ tcp: waiting([]) });
    const dialled = dial(way, end('203.0.113.1', 80));

    way.reload(rules({ devices: [] }));

    expect(await refusalOf(dialled)).toBe('reset');
  });

  test('tell which addresses have another device now', () => {
    const way = wayOut();

    const isOther = way.reload(
      rules({
        devices: [
          { name: 'renamed', key: 'L', prefixes: [prefix(`${laptop}/32`)] },
          { name: 'phone', key: 'another', prefixes: [prefix(`${phone}/32`)] },
        ],
      }),
    );

    const changed = [laptop, phone, '10.83.9.1', '10.83.0.50'].map((text) => isOther(end(text, 0).address));
    expect(changed).toEqual([false, true, true, false]);
    expect(way.deviceAt(end(laptop, 0).address)?.name).toBe('renamed');
  });
});

describe('datagrams', () => {
  test('go there and back, and from nobody else', async () => {
    const server = createSocket('udp4', (bytes, from) =>
      server.send(`re: ${bytes.toString()}`, from.port, from.address),
    );
    server.bind(0, '127.0.0.1');
    await once(server, 'listening');
    closers.push(() => server.close());
    const way = wayOut();

    const flow = await way.openUdp({
      source: end(laptop, 5000),
      destination: end('127.0.0.1', server.address().port),
    });
    const answer = new Promise<string>((resolve) =>
      flow.onMessage((bytes) => resolve(Buffer.from(bytes).toString())),
    );
    const sent = Buffer.from('hello');
    flow.send(sent);
    sent.fill(0);

    expect(await answer).toBe('re: hello');
    expect(way.flows).toBe(1);
    flow.close();
    flow.close();
    expect(way.flows).toBe(0);
  });

  test('to a port where nobody listens end their flow', async () => {
    const server = createSocket('udp4').bind(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address();
    server.close();
    await once(server, 'close');
    const way = wayOut();

    const flow = await way.openUdp({ source: end(laptop, 5000), destination: end('127.0.0.1', port) });
    const over = new Promise<void>((resolve) => flow.onClose(resolve));
    flow.send(Buffer.from('x'));

    await over;
    expect(way.flows).toBe(0);
  });

  test('to a closed place are refused', async () => {
    const way = wayOut();

    const asked = way.openUdp({ source: end(laptop, 5000), destination: end('169.254.169.254', 53) });

    expect(await refusalOf(asked)).toBe('unreachable');
  });
});

/** A dialer that waits for its signal. */
function waiting(signals: AbortSignal[]): typeof connectSystem {
  return (_to, signal) => {
    signals.push(signal);
    return new Promise((_resolve, reject) => {
      signal.addEventListener('abort', () => reject(signal.reason as Error));
    });
  };
}

async function listen(server: Server): Promise<FlowEnd> {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  closers.push(() => server.close());
  return end('127.0.0.1', (server.address() as AddressInfo).port);
}

function end(text: string, port: number): FlowEnd {
  const address = parseAddress(text);
  if (address === undefined) throw new Error(`${text} is no address`);
  return { address, port };
}

function prefix(text: string): EgressRules['network'][number] {
  const parsed = parsePrefix(text);
  if (parsed === undefined) throw new Error(`${text} is no prefix`);
  return parsed;
}

describe('with rules for paths', () => {
  const rule = (match: EgressRules['rules'][number]['match'], use: string): EgressRules['rules'][number] => ({
    match,
    use,
  });

  function chosen(list: EgressRules['rules']): { readonly way: WayOut; readonly dialled: string[] } {
    const dialled: string[] = [];
    const fake = (id: string, type: 'direct' | 'block' = 'direct'): EgressPath => ({
      id,
      type,
      carries: () => type !== 'block',
      trouble: () => undefined,
      dialTcp: () => {
        dialled.push(id);
        return Promise.reject(new PathError('destination', 'refused', 'Nobody.'));
      },
      openUdp: () => Promise.reject(new PathError('destination', 'refused', 'Nobody.')),
      close: () => undefined,
    });
    const paths = [fake('direct'), fake('corp'), fake('none', 'block')];
    const reports = new PathReports(paths.map(({ id }) => id));
    const chooser = new PathChooser({
      paths,
      reports,
      selector: new PathSelector({ paths, rules: list, reports }),
      blocks: new Map([['none', 'reject']]),
      timing: { now: () => monoMs(1), after: () => () => undefined },
    });
    const way = new WayOut({
      rules: rules({ allow: [], rules: list }),
      isOwnAddress: () => false,
      connectionsPerDevice: 3,
      now: () => monoMs(0),
      maxFlows: 100,
      ways: chooser,
    });
    return { way, dialled };
  }

  test('a rule that names a closed range opens it, for its path and its device alone', async () => {
    const { way, dialled } = chosen([rule({ cidr: prefix('10.0.0.0/8'), device: 'laptop' }, 'corp')]);

    expect(await refusalOf(dial(way, end('10.1.2.3', 80)))).toBe('reset');
    expect(await refusalOf(dial(way, end('10.1.2.3', 80), phone))).toBe('unreachable');
    expect(await refusalOf(dial(way, end('192.168.1.1', 80)))).toBe('unreachable');
    expect(await refusalOf(dial(way, end('169.254.169.254', 80)))).toBe('unreachable');

    expect(dialled).toEqual(['corp']);
    expect(way.refused).toMatchObject({ private: 2, metadata: 1, failed: 1 });
  });

  test('a rule that blocks refuses without a socket, also by datagram', async () => {
    const { way, dialled } = chosen([rule({ port: 80 }, 'none')]);
    const to = end('203.0.113.1', 80);

    expect(await refusalOf(dial(way, to))).toBe('unreachable');
    expect(await refusalOf(way.openUdp({ source: end(laptop, 5000), destination: to }))).toBe('unreachable');
    expect([dialled, way.refused.rule, way.flows]).toEqual([[], 2, 0]);
  });

  test('a refusal is asked for once more by another path, and told as it is', async () => {
    const { way, dialled } = chosen([]);

    expect(await refusalOf(dial(way, end('203.0.113.1', 80)))).toBe('reset');

    expect(dialled).toEqual(['direct', 'corp']);
  });
});
