// Connections that say their name only when somebody listens: a device's stack, the edge's, the choice among paths.
import type { Duplex } from 'node:stream';
import { afterEach, describe, expect, test, vi } from 'vitest';
import { PathChooser } from '../../../../edge/egress/choose-flow.ts';
import { HostNames } from '../../../../edge/egress/host-name.ts';
import { type EgressPath, PathError } from '../../../../edge/egress/path.ts';
import { PathReports } from '../../../../edge/egress/report.ts';
import type { EgressRule } from '../../../../edge/egress/rules.ts';
import { PathSelector } from '../../../../edge/egress/select.ts';
import { WayOut } from '../../../../edge/egress/way-out.ts';
import { parsePrefix } from '../../../../shared/core/base/ip.ts';
import { monoMs, unixMs } from '../../../../shared/core/base/time.ts';
import { Forwarder } from '../../../../shared/node/flows/forwarder.ts';
import { allOf, FlowPair, once } from '../../../support/flow-pair.ts';
import { streamPair } from '../../../support/stream-pair.ts';

const site = Uint8Array.of(198, 51, 100, 7);
const request = 'GET / HTTP/1.1\r\nHost: www.bank.example\r\n\r\n';
const bank: EgressRule = { match: { host: '*.bank.example' }, use: 'fra' };
const closers: (() => void)[] = [];

afterEach(() => {
  for (const close of closers.splice(0)) close();
  vi.useRealTimers();
});

interface Fields {
  readonly rules?: readonly EgressRule[];
  /** Dials fail. */
  readonly isDead?: boolean;
}

function world({ rules = [bank, { match: {}, use: 'direct' }], isDead = false }: Fields = {}) {
  const pair = new FlowPair({ acceptAny: true });
  const dialled: string[] = [];
  const far: Duplex[] = [];
  const names = new HostNames();
  const path = (id: string, type: EgressPath['type'] = 'direct'): EgressPath => ({
    id,
    type,
    carries: () => type !== 'block',
    trouble: () => undefined,
    dialTcp: async () => {
      dialled.push(id);
      if (isDead) throw new PathError('destination', 'refused', 'Nobody.');
      const [ours, theirs] = streamPair();
      theirs.on('error', () => undefined);
      far.push(theirs);
      return ours;
    },
    openUdp: () => Promise.reject(new PathError('destination', 'refused', 'Nobody.')),
    close: () => undefined,
  });
  const paths = [path('direct'), path('fra'), path('none', 'block')];
  const reports = new PathReports(paths.map(({ id }) => id));
  const now = () => monoMs(pair.net.now);
  const ways = new PathChooser({
    paths,
    reports,
    selector: new PathSelector({ paths, rules, reports }),
    blocks: new Map([['none', 'reject']]),
    timing: { now, after: () => () => undefined },
  });
  const way = new WayOut({
    rules: {
      edgeName: 'home',
      network: [],
      closePrivate: true,
      connectionsPerSecond: 0,
      allow: [],
      pairs: [],
      devices: [{ name: 'laptop', key: 'L', prefixes: [parsePrefix('0.0.0.0/0')!] }],
      rules,
    },
    isOwnAddress: () => false,
    connectionsPerDevice: 10,
    maxFlows: 10,
    now,
    ways,
    nameOf: (device, address) => names.find(device, address, now()),
    onNamed: (device, address, known) => names.noteSaid(device, address, known, now()),
  });
  const clock = { kind: 'process' as const, now, unix: () => unixMs(0) };
  const forwarder = new Forwarder({ stack: pair.b, dialer: way, clock });
  closers.push(() => forwarder.close());
  const connect = (port = 80): Promise<Duplex> =>
    pair.outcome(pair.a.connectTcp({ destination: site, port }));
  const know = (name: string): void =>
    names.note({ device: 'laptop', name, address: site, ttlSeconds: 60 }, now());
  return { pair, dialled, far, names, way, forwarder, connect, know, now };
}

describe('a connection whose name a rule could need', () => {
  test('is heard first, then takes the path of its name, and loses not a byte', async () => {
    const { pair, dialled, far, names, connect, forwarder, now } = world();

    const stream = await connect();
    expect(dialled).toEqual([]);
    stream.end(request);
    await pair.until(() => far.length === 1);
    const heard = allOf(far[0] as Duplex);
    const answer = allOf(stream);
    await pair.until(() => (far[0] as Duplex).readableEnded);
    far[0]?.end('hello');

    expect(dialled).toEqual(['fra']);
    expect(String(await heard)).toBe(request);
    expect(String(await pair.outcome(answer))).toBe('hello');
    expect(forwarder.counts).toMatchObject({ tcp: 1, bytesOut: request.length, bytesIn: 5 });
    expect(names.explain('laptop', site, now())).toMatchObject({ name: 'www.bank.example', source: 'http' });
  });

  test('of several looked-up names takes the one that it says', async () => {
    const { pair, dialled, connect, know } = world();
    know('www.bank.example');
    know('shop.example');

    (await connect()).write(request);
    await pair.until(() => dialled.length === 1);

    expect(dialled).toEqual(['fra']);
  });

  test('that says nothing goes on without a name, after a while', async () => {
    const { pair, dialled, connect } = world();
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });

    await connect();
    expect(dialled).toEqual([]);
    vi.advanceTimersByTime(2000);
    await pair.until(() => dialled.length === 1);

    expect(dialled).toEqual(['direct']);
  });

  test('is reset where its destination refuses, or a rule blocks its name', async () => {
    const dead = world({ isDead: true });
    const blocked = world({ rules: [{ match: { host: 'www.bank.example' }, use: 'none' }] });

    for (const { pair, connect } of [dead, blocked]) {
      const stream = await connect();
      const error = once(stream, 'error');
      stream.write(request);
      expect(await pair.outcome(error)).toMatchObject({ code: 'ECONNRESET' });
    }

    expect(dead.dialled).toEqual(['fra']);
    expect(blocked.dialled).toEqual([]);
    expect([dead.way.flows, dead.forwarder.counts.dialling, blocked.way.refused.rule]).toEqual([0, 0, 1]);
  });

  test('whose asker leaves before a word is dialled nowhere that matters', async () => {
    const { pair, connect, forwarder, way } = world();

    (await connect()).destroy();
    await pair.until(() => forwarder.counts.dialling === 0);

    expect([forwarder.counts.openTcp, way.flows]).toEqual([0, 0]);
  });
});

describe('a connection is dialled before it is accepted', () => {
  test.each([
    ['where the name is known already', 443, [bank], 'www.bank.example', 'fra'],
    ['where no rule is for hosts', 443, [{ match: { port: 443 }, use: 'fra' }], undefined, 'fra'],
    ['where a rule before them decides', 80, [{ match: { port: 80 }, use: 'fra' }, bank], undefined, 'fra'],
    ['where the server speaks first', 22, [bank, { match: {}, use: 'direct' }], undefined, 'direct'],
  ] as const)('%s', async (_, port, rules, name, path) => {
    const { dialled, connect, know } = world({ rules });
    if (name !== undefined) know(name);

    await connect(port);

    expect(dialled).toEqual([path]);
  });
});
