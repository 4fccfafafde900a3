// The watch for networks with a sign-in, on a clock that the test moves: when it asks, what it tells the connection.
import { beforeEach, describe, expect, test } from 'vitest';
import { renderPortal } from '../../../../client/cli/commands/portal.ts';
import type { ConnectionEvent } from '../../../../client/connection/event.ts';
import type { ConnectionState } from '../../../../client/connection/state.ts';
import { PortalDesk } from '../../../../client/portal/portal-desk.ts';
import type { ProbeAnswer } from '../../../../client/portal/reply.ts';
import { judgePortal } from '../../../../client/portal/verdict.ts';
import { lookAt, troubleMs } from '../../../../client/portal/when.ts';
import {
  defaultPortalSettings,
  type PortalSettings,
  portalRules,
  withIgnored,
} from '../../../../client/settings/portal-settings.ts';
import { monoMs, unixMs } from '../../../../shared/core/base/time.ts';
import type { CulvertError } from '../../../../shared/core/control/codes.ts';
import { beginningState, connectedState } from '../../../support/connection-states.ts';

const connecting: ConnectionState = { ...beginningState, phase: 'handshaking', closed: true };
const connected: ConnectionState = connectedState;
const signIn: ProbeAnswer = { kind: 'sign-in', places: [{ host: 'login.example', port: 8443 }] };

const none = (): undefined => undefined;
const silentLog = { trace: none, debug: none, info: none, warn: none, error: none };

class World {
  now = 0;
  state: ConnectionState = connecting;
  settings: PortalSettings = defaultPortalSettings;
  answers: readonly ProbeAnswer[] = [{ kind: 'silent' }];
  network: string | undefined = '0123456789abcdef';
  readonly sent: ConnectionEvent[] = [];
  asked = 0;
  #due: { readonly at: number; readonly work: () => void } | undefined;
  readonly desk: PortalDesk = new PortalDesk({
    state: () => this.state,
    send: (event) => {
      this.sent.push(event);
      if (event.kind === 'portal-found') {
        this.enter({
          kind: 'portal',
          reach: 'device',
          edge: 'home',
          way: event.way,
          opensUntil: monoMs(this.now + 300_000),
        });
      }
      if (event.kind === 'portal-passed') this.enter(connecting);
    },
    settings: {
      current: this.settings,
      change: (patch) => Object.assign(this.settings, patch),
    },
    ask: async () => {
      this.asked += 1;
      return this.answers;
    },
    lookUp: async (host) =>
      host === 'login.example' ? ['192.0.2.80'] : /^\d/.test(host) ? [host] : ['192.0.2.1'],
    servers: () => ['192.0.2.53'],
    edgeOf: () => undefined,
    network: async () => this.network,
    clock: { kind: 'process', now: () => monoMs(this.now), unix: () => unixMs(1_000_000 + this.now) },
    log: silentLog,
    schedule: (work, delayMs) => {
      const due = { at: this.now + delayMs, work };
      this.#due = due;
      return () => {
        if (this.#due === due) this.#due = undefined;
      };
    },
  });

  constructor() {
    this.settings = Object.assign(this.settings, defaultPortalSettings);
  }

  enter(state: ConnectionState): void {
    this.state = state;
    this.desk.handleChange();
  }

  async pass(ms: number): Promise<void> {
    const end = this.now + ms;
    for (let due = this.#due; due !== undefined && due.at <= end; due = this.#due) {
      this.now = due.at;
      this.#due = undefined;
      due.work();
      // Everything that is asked answers at once.
      for (let i = 0; i < 20; i++) await Promise.resolve();
    }
    this.now = end;
  }
}

describe('the watch for networks with a sign-in', () => {
  let world: World;

  beforeEach(() => {
    world = new World();
    Object.assign(world.settings, { 'portal.detection': true, 'portal.probes': '', 'portal.ignored': '' });
  });

  test('asks nothing while all is well, and a moment after connecting stalls', async () => {
    world.enter(connected);
    await world.pass(3_600_000);
    expect(world.asked).toBe(0);

    world.enter(connecting);
    await world.pass(troubleMs - 1);
    expect(world.asked).toBe(0);
    await world.pass(1);

    expect(world.asked).toBe(1);
  });

  test('asks more and more seldom where nothing is found', async () => {
    world.enter(connecting);

    await world.pass(2000 + 3000 + 10_000 + 30_000 + 60_000 + 60_000);

    expect(world.asked).toBe(6);
  });

  test('asks soon after the network became another one', async () => {
    world.enter(connecting);
    world.desk.handleMove();

    await world.pass(300);

    expect(world.asked).toBe(1);
  });

  test('tells the connection the way to the sign-in: the offered page and what the network named, and nothing else', async () => {
    world.answers = [signIn, signIn];
    world.enter(connecting);

    await world.pass(2000);

    expect(world.sent).toEqual([
      {
        kind: 'portal-found',
        way: {
          servers: ['192.0.2.53'],
          addresses: [
            { address: '192.0.2.1', port: 80 },
            { address: '192.0.2.1', port: 443 },
            { address: '192.0.2.80', port: 80 },
            { address: '192.0.2.80', port: 443 },
            { address: '192.0.2.80', port: 8443 },
          ],
        },
      },
    ]);
    expect(world.desk.status).toEqual({
      url: 'http://captive.apple.com/hotspot-detect.html',
      opensUntil: new Date(1_000_000 + troubleMs + 300_000).toISOString(),
    });
    expect(world.desk.health().map(({ code }) => code)).toEqual(['portal']);
    expect(renderPortal(world.desk.report())).toContain('captive.apple.com');
  });

  test('asks every second while somebody signs in, and says when it is done', async () => {
    world.answers = [signIn, signIn];
    world.enter(connecting);
    await world.pass(2000);
    await world.pass(10_000);
    const asked = world.asked;

    world.answers = [{ kind: 'honest' }];
    await world.pass(1000);

    expect(asked).toBe(11);
    expect(world.sent.map(({ kind }) => kind)).toEqual(['portal-found', 'portal-passed']);
    expect(world.desk.status).toBeUndefined();
  });

  test('keeps the way of the first step open for the second', async () => {
    world.answers = [signIn];
    world.enter(connecting);
    await world.pass(2000);
    world.answers = [{ kind: 'sign-in', places: [{ host: '192.0.2.99', port: 80 }] }];

    await world.pass(1000);

    const ways = world.sent.flatMap((event) => (event.kind === 'portal-found' ? [event.way.addresses] : []));
    expect(ways).toHaveLength(2);
    expect(ways[1]).toEqual(expect.arrayContaining([...(ways[0] ?? [])]));
    expect(ways[1]?.length).toBeGreaterThan(ways[0]?.length ?? 0);
  });

  test('believes the user that a network has no sign-in, there and only there', async () => {
    world.answers = [signIn];
    world.enter(connecting);
    await world.pass(2000);

    const report = await world.desk.ignore();
    world.enter(connecting);
    await world.pass(120_000);

    expect(report.ignored).toBe(true);
    expect(world.sent.map(({ kind }) => kind)).toEqual(['portal-found', 'portal-passed']);

    world.network = 'fedcba9876543210';
    world.desk.handleMove();
    await world.pass(2000);
    expect(world.sent.at(-1)?.kind).toBe('portal-found');
  });

  test('asks nobody where the user wants that', async () => {
    Object.assign(world.settings, { 'portal.detection': false });
    world.enter(connecting);
    world.desk.handleMove();

    await world.pass(120_000);

    expect(world.asked).toBe(0);
    expect(renderPortal(world.desk.report())).toContain('portal.detection');
  });

  test('forgets the sign-in when the user turns protection off', async () => {
    world.answers = [signIn];
    world.enter(connecting);
    await world.pass(2000);

    world.enter({ kind: 'off' });
    await world.pass(60_000);

    expect(world.desk.status).toBeUndefined();
    expect(world.asked).toBe(1);
  });

  test('drops the answers of a network that was left meanwhile', async () => {
    let answer: (answers: readonly ProbeAnswer[]) => void = () => undefined;
    world.enter(connecting);
    const slow = new Promise<readonly ProbeAnswer[]>((resolve) => {
      answer = resolve;
    });
    Object.defineProperty(world, 'answers', { get: () => slow });
    await world.pass(2000);

    world.desk.handleMove();
    answer([signIn, signIn]);
    for (let i = 0; i < 20; i++) await Promise.resolve();

    expect(world.sent).toEqual([]);
  });

  test('offers nothing to open where no sign-in is known', () => {
    expect(() => world.desk.open()).toThrow(
      expect.objectContaining({ code: 'no-portal' }) as unknown as CulvertError,
    );
  });

  test('says who stands in the place of the edge', async () => {
    world.answers = [{ kind: 'silent' }, { kind: 'impostor', issuer: 'Inspection CA' }];
    world.enter(connecting);

    await world.pass(2000);

    expect(world.desk.health()).toMatchObject([{ code: 'tls-intercepted' }]);
    expect(world.desk.health()[0]?.text).toContain('Inspection CA');
    expect(world.sent).toEqual([]);
  });

  test('accuses nobody of it in the next connect, before it was looked at again', async () => {
    world.answers = [{ kind: 'silent' }, { kind: 'impostor', issuer: 'Inspection CA' }];
    world.enter(connecting);
    await world.pass(2000);

    world.enter({ kind: 'off' });
    world.enter(connecting);

    expect(world.desk.health()).toEqual([]);
  });

  test('of private names alone: tells which names are the network’s, while it wants a sign-in', async () => {
    world.answers = [signIn];
    world.enter({ kind: 'dns', reach: 'dns', ready: true });
    world.desk.handleMove();

    await world.pass(300);

    expect(world.sent).toEqual([{ kind: 'dns-changed' }]);
    expect(world.desk.names).toEqual(['captive.apple.com', 'login.example']);
    world.answers = [{ kind: 'honest' }];
    await world.pass(1000);
    expect(world.sent.at(-1)).toEqual({ kind: 'network-news' });
    expect(world.desk.names).toEqual([]);
  });
});

test('a closed way is looked at less often', () => {
  const way = { servers: [], addresses: [] };
  const looking = { lastAt: monoMs(0), fruitless: 9, portalSince: monoMs(0) };
  const portal = { kind: 'portal', reach: 'device', edge: 'home', way } as const;

  expect(lookAt({ ...portal, opensUntil: monoMs(9) }, looking, monoMs(1))).toBe(1000);
  expect(lookAt(portal, looking, monoMs(1))).toBe(5000);
});

test('the settings take pages and ids, and nothing else', () => {
  const [, probes] = portalRules['portal.probes'];
  const [, ignored] = portalRules['portal.ignored'];

  expect(probes(' http://a.example/x , http://b.example/#ok')).toBe(
    'http://a.example/x,http://b.example/#ok',
  );
  expect(probes('https://a.example/')).toBeUndefined();
  expect(probes(Array.from({ length: 5 }, () => 'http://a.example/').join(','))).toBeUndefined();
  expect(ignored('0123456789abcdef')).toBe('0123456789abcdef');
  expect(ignored('home wifi')).toBeUndefined();
  let current = defaultPortalSettings;
  for (let i = 0; i < 60; i++) {
    const id = i.toString(16).padStart(16, '0');
    current = { ...current, 'portal.ignored': withIgnored(current, id) };
  }
  expect(current['portal.ignored'].split(',')).toHaveLength(50);
  expect(judgePortal([])).toEqual({ kind: 'no-internet' });
});
