// What a change of the settings does to a connection that is on. The driver only notes what it is sent.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { ConnectionEvent } from '../../../../client/connection/event.ts';
import type { ConnectionState, Reach } from '../../../../client/connection/state.ts';
import { LogRing } from '../../../../client/control/log-ring.ts';
import { Methods, type MethodsOptions } from '../../../../client/control/methods.ts';
import { EdgeStore } from '../../../../client/settings/edges.ts';
import { SettingsStore } from '../../../../client/settings/store.ts';
import { monoMs, unixMs } from '../../../../shared/core/base/time.ts';
import { CulvertError } from '../../../../shared/core/control/codes.ts';
import type { Mode } from '../../../../shared/core/control/status.ts';

const key = `${'A'.repeat(42)}E=`;
const conf = `[Interface]\nPrivateKey = ${key}\nAddress = 10.9.0.2/24\n[Peer]\nPublicKey = ${key}\nEndpoint = 192.0.2.1:1\nAllowedIPs = 0.0.0.0/0\n`;

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'culvert-methods-'));
});
afterEach(() => rmSync(folder, { recursive: true }));

const connected = (reach: Reach): ConnectionState => ({
  kind: 'connected',
  reach,
  edge: 'home',
  endpoints: [],
  provenAt: monoMs(0),
});

function makeWorld(mode: Mode, state: ConnectionState, checkMachine: (mode: Mode) => void = () => undefined) {
  const sent: ConnectionEvent[] = [];
  const settings = new SettingsStore(join(folder, 'settings.json'));
  settings.change({ mode });
  const edges = new EdgeStore(join(folder, 'edges'));
  edges.add('home', conf, '2026-01-01T00:00:00.000Z');
  const silent = { status: () => Promise.resolve(undefined) };
  const options = {
    driver: { state, since: unixMs(0), send: (event: ConnectionEvent) => sent.push(event) },
    tunnel: silent,
    proxy: { ...silent, place: { address: '127.0.0.1:40000', resolvers: [] } },
    dns: { view: { health: [] } },
    split: { handlers: () => ({}), health: () => [] },
    ways: { handlers: () => ({}), additions: {} },
    rest: { view: {}, handleConnect: async () => undefined, handleDisconnect: () => undefined },
    diagnose: () => ({
      netcheck: () => ({ lines: [], facts: {} }),
      doctor: async () => ({ lines: [], facts: {}, fault: 'healthy', text: '', remedy: '' }),
    }),
    portal: { report: () => ({ detection: true, ignored: false }), status: undefined, health: () => [] },
    hostHealth: () => [],
    edgeHealth: () => [],
    onSettings: () => undefined,
    settings,
    edges,
    logs: new LogRing(undefined),
    clock: { kind: 'process', now: () => monoMs(0), unix: () => unixMs(0) },
    version: '0.1.0',
    checkMachine,
  } as unknown as MethodsOptions;
  return { sent, settings, handlers: new Methods(options).handlers() };
}

describe('a change of the settings while connected', () => {
  test.each([
    ['the proxy instead of the device', 'tunnel', 'device', { mode: 'proxy' }, 'proxy'],
    ['the device instead of the proxy', 'proxy', 'proxy', { mode: 'warp' }, 'device'],
    ['the default mode', 'proxy', 'proxy', { mode: null }, 'device'],
    ['another port', 'proxy', 'proxy', { 'proxy.port': 40_001 }, 'proxy'],
    ['TLS alone, of the device', 'tunnel', 'device', { transport: 'tls' }, 'device'],
    ['TLS alone, of the proxy', 'proxy', 'proxy', { transport: 'tls' }, 'proxy'],
    ['a password', 'proxy', 'proxy', { 'proxy.username': 'a', 'proxy.password': 'b' }, 'proxy'],
  ] as const)('makes a new tunnel for %s', async (_title, mode, reach, patch, wanted) => {
    const { sent, handlers } = makeWorld(mode, connected(reach));

    await handlers.changeSettings?.(patch);

    expect(sent).toEqual([{ kind: 'reconnect', edge: 'home', reach: wanted }]);
  });

  test.each([
    ['a port that nobody listens on', 'tunnel', 'device', { 'proxy.port': 40_001 }],
    ['half a password', 'proxy', 'proxy', { 'proxy.username': 'a' }],
    ['what has nothing to do with it', 'proxy', 'proxy', { autoConnect: false }],
  ] as const)('leaves the tunnel alone for %s', async (_title, mode, reach, patch) => {
    const { sent, handlers } = makeWorld(mode, connected(reach));

    await handlers.changeSettings?.(patch);

    expect(sent).toEqual([]);
  });

  test.each([
    ['another way of DNS', 'tunnel', 'device', { mode: 'tunnel_only' }],
    ['a filter', 'tunnel+doh', 'device', { 'dns.families': 'malware' }],
  ] as const)('only asks for DNS anew for %s', async (_title, mode, reach, patch) => {
    const { sent, handlers } = makeWorld(mode, connected(reach));

    await handlers.changeSettings?.(patch);

    expect(sent).toEqual([{ kind: 'dns-changed' }]);
  });

  test('private names alone need no edge', async () => {
    const { sent, handlers } = makeWorld('doh', { kind: 'off' });

    await handlers.connect?.({});

    expect(sent).toEqual([{ kind: 'connect', edge: '', reach: 'dns' }]);
  });

  test('does not give up a mode that works for one that cannot work here', () => {
    const refuse = (): never => {
      throw new CulvertError('not-root');
    };
    const { sent, settings, handlers } = makeWorld('proxy', connected('proxy'), refuse);

    expect(() => handlers.changeSettings?.({ mode: 'tunnel' })).toThrow(
      expect.objectContaining({ code: 'not-root' }),
    );
    expect(settings.current.mode).toBe('proxy');
    expect(sent).toEqual([]);
  });

  test('is only kept while everything is off', async () => {
    const { sent, settings, handlers } = makeWorld('tunnel', { kind: 'off' });

    await handlers.changeSettings?.({ mode: 'proxy', 'proxy.port': 1080 });

    expect(sent).toEqual([]);
    expect(settings.current).toMatchObject({ mode: 'proxy', 'proxy.port': 1080 });
  });
});

test.each([
  ['tunnel', 'device'],
  ['proxy', 'proxy'],
] as const)(
  'connecting in mode %s asks the machine for that mode and reaches the %s',
  async (mode, reach) => {
    const asked: Mode[] = [];
    const { sent, handlers } = makeWorld(mode, { kind: 'off' }, (one) => void asked.push(one));

    await handlers.connect?.({});

    expect(asked).toEqual([mode]);
    expect(sent).toEqual([{ kind: 'connect', edge: 'home', reach }]);
  },
);
