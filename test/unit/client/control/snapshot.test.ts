// Status as people and programs see it, for every state: it fits its schema and says what matters.
import { TypeCompiler } from '@sinclair/typebox/compiler';
import { describe, expect, test } from 'vitest';
import { parseDuration } from '../../../../client/cli/duration.ts';
import { formatBytes, renderLogLine, renderProxy, renderStatus } from '../../../../client/cli/render.ts';
import type { ConnectionState } from '../../../../client/connection/state.ts';
import { LogRing } from '../../../../client/control/log-ring.ts';
import { type SnapshotParts, snapshot } from '../../../../client/control/snapshot.ts';
import { monoMs } from '../../../../shared/core/base/time.ts';
import { healthItem } from '../../../../shared/core/control/health.ts';
import { statusShape } from '../../../../shared/core/control/status.ts';
import { wordsFor } from '../../../../shared/core/control/texts.ts';
import { emptyStatus } from '../../../../shared/core/uapi/device-change.ts';
import { parseWgConfig } from '../../../../shared/core/uapi/wg-config.ts';

const key = `${'A'.repeat(42)}E=`;
const checker = TypeCompiler.Compile(statusShape);
const endpoints = [{ peer: 0, address: '192.0.2.1', port: 51820 }];
const problem = { code: 'command-failed', text: 'it failed', remedy: 'try' } as const;

function profile(allowed: string): SnapshotParts['edge'] {
  const text = `[Interface]\nPrivateKey = ${key}\nAddress = 10.9.0.2/24, fd09::2/64\n[Peer]\nPublicKey = ${key}\nEndpoint = edge.example.com:51820\nAllowedIPs = ${allowed}\n`;
  const parsed = parseWgConfig(text);
  if (parsed.kind !== 'config') throw new Error('the fixture is wrong');
  return { name: 'home', config: parsed.config };
}

function parts(state: ConnectionState, change: Partial<SnapshotParts> = {}): SnapshotParts {
  return {
    state,
    mode: 'tunnel',
    since: '2026-11-20T12:00:00.000Z',
    verifiedAt: '2026-11-20T12:00:01.000Z',
    edge: profile('0.0.0.0/0, ::/0'),
    device: undefined,
    interfaceName: 'culvert0',
    proxy: undefined,
    dns: { health: [] },
    version: '0.1.0',
    ...change,
  };
}

const connecting = {
  kind: 'connecting',
  reach: 'device',
  edge: 'home',
  phase: 'handshaking',
  phaseSince: monoMs(0),
  endpoints,
  closed: true,
  failures: 0,
  handshaked: false,
  confirmed: false,
} as const;

const states: readonly ConnectionState[] = [
  { kind: 'off' },
  { kind: 'off', problem },
  connecting,
  { ...connecting, trouble: 'no-reply' },
  { kind: 'connected', reach: 'device', edge: 'home', endpoints, provenAt: monoMs(0) },
  { kind: 'waiting', reach: 'device', edge: 'home', retryAt: monoMs(0), failures: 1, problem },
  { kind: 'blocked', reach: 'device', edge: 'home', failures: 1, problem, unprotected: true },
  { kind: 'disconnecting', reach: 'device' },
  { kind: 'enrolling' },
  { kind: 'dns', reach: 'dns', ready: true },
  { kind: 'dns', reach: 'dns', ready: false },
  { kind: 'portal', reach: 'device', edge: 'home', way: { servers: [], addresses: [] } },
];

describe('the status', () => {
  test.each(states.map((state) => [state.kind, state] as const))(
    'of %s fits its schema and has words',
    (_kind, state) => {
      const status = snapshot(parts(state));

      expect([...checker.Errors(JSON.parse(JSON.stringify(status)))]).toEqual([]);
      expect(renderStatus(status).split('\n')[0]).not.toBe('');
    },
  );

  test('of a connected device reads like this', () => {
    const peer = {
      publicKey: new Uint8Array(32),
      presharedKey: new Uint8Array(32),
      endpoint: { address: '192.0.2.1', port: 51820 },
      lastHandshakeMs: 0,
      rxBytes: 1_234_567,
      txBytes: 890,
      persistentKeepalive: 0,
      allowedIps: [],
    };
    const state = {
      kind: 'connected',
      reach: 'device',
      edge: 'home',
      endpoints,
      provenAt: monoMs(0),
    } as const;

    const status = snapshot(parts(state, { device: { ...emptyStatus(), peers: [peer] } }));

    expect(status).toMatchObject({
      state: 'connected',
      edge: { name: 'home', endpoint: '192.0.2.1:51820', transport: 'udp' },
      addresses: ['10.9.0.2', 'fd09::2'],
      traffic: { rxBytes: 1_234_567, txBytes: 890 },
      interface: 'culvert0',
      verified: { at: '2026-11-20T12:00:01.000Z' },
    });
    expect(renderStatus(status)).toMatchSnapshot();
  });

  test('says dns once names are answered and port 53 is closed, and connecting until then', () => {
    const starting = snapshot(parts({ kind: 'dns', reach: 'dns', ready: false }, { mode: 'doh' }));
    const ready = snapshot(parts({ kind: 'dns', reach: 'dns', ready: true }, { mode: 'doh' }));

    expect([starting.state, ready.state]).toEqual(['connecting', 'dns']);
    expect(renderStatus(starting)).toContain('names are looked up as before');
  });

  test('leaves out what does not apply', () => {
    const status = snapshot(parts({ kind: 'off' }, { edge: undefined, verifiedAt: undefined }));

    expect(Object.keys(status)).toEqual([
      'state',
      'mode',
      'since',
      'addresses',
      'traffic',
      'health',
      'version',
    ]);
  });

  test('never claims more than is true: DNS left alone, and tunnels of a part', () => {
    const state = {
      kind: 'connected',
      reach: 'device',
      edge: 'home',
      endpoints,
      provenAt: monoMs(0),
    } as const;

    const dns = { health: [healthItem('dns-not-managed')] };
    const whole = snapshot(parts(state, { dns }));
    const only = snapshot(parts(state, { mode: 'tunnel_only' }));
    const split = snapshot(parts(state, { edge: profile('10.0.0.0/8') }));

    expect(whole.health.map((item) => item.code)).toEqual(['dns-not-managed']);
    expect(only.health).toEqual([]);
    expect(split.health.map((item) => item.code)).toContain('split-tunnel');
    expect(renderStatus(split)).toContain('Part of your internet is private');
  });

  test('in mode proxy names the port instead of an interface, and never calls the internet private', () => {
    const proof = { rttMs: 11.8, visibleAddress: '198.51.100.7' };
    const state = {
      kind: 'connected',
      reach: 'proxy',
      edge: 'home',
      endpoints,
      provenAt: monoMs(0),
      proof,
    } as const;
    const proxy = { address: '127.0.0.1:40000', resolvers: ['1.1.1.1'] };

    const status = snapshot(parts(state, { mode: 'proxy', proxy, device: emptyStatus() }));
    const split = snapshot(parts(state, { mode: 'proxy', proxy, edge: profile('10.0.0.0/8') }));

    expect(status).toMatchObject({
      proxy,
      verified: { rttMs: 11.8, visibleAddress: '198.51.100.7' },
      health: [],
    });
    expect(status).not.toHaveProperty('interface');
    expect([...checker.Errors(JSON.parse(JSON.stringify(status)))]).toEqual([]);
    expect(renderStatus(status)).toContain('Programs that use the proxy are private');
    expect(split.health.map((item) => item.code)).toEqual(['split-proxy']);
    expect(renderProxy(status)).toContain('socks5h://127.0.0.1:40000');
  });

  test.each(states)('in mode proxy never says that everything is paused or private: $kind', (state) => {
    const { heading } = wordsFor(snapshot(parts(state, { mode: 'proxy' })));

    expect(heading).not.toMatch(/Internet paused|Your internet is private/);
  });

  test('names first that blocking itself failed', () => {
    const status = snapshot(
      parts({ kind: 'blocked', reach: 'device', failures: 0, problem, unprotected: true }),
    );

    expect(status.health.map((item) => item.code).slice(0, 2)).toEqual(['cannot-block', 'command-failed']);
  });
});

describe('text for people', () => {
  test.each([
    ['20s', 20_000],
    ['500ms', 500],
    ['1.5m', 90_000],
    ['3', 3_000],
    ['1h', 3_600_000],
    ['', undefined],
    ['soon', undefined],
    ['-1s', undefined],
    ['25h', undefined],
  ])('the duration %j is %s ms', (text, expected) => {
    expect(parseDuration(text)).toBe(expected);
  });

  test('bytes have a unit', () => {
    expect([0, 999, 1000, 1_234_567, 5e15].map(formatBytes)).toEqual([
      '0 B',
      '999 B',
      '1.0 kB',
      '1.2 MB',
      '5000.0 TB',
    ]);
  });

  test('a line of the log is readable, and what is no JSON stays as it is', () => {
    const line = '{"level":"info","time":"t","part":"daemon","from":"off","msg":"state changed"}';

    expect([renderLogLine(line), renderLogLine('oops')]).toEqual(['t info state changed from=off', 'oops']);
  });
});

describe('the ring of log lines', () => {
  test('gives what is new, and keeps a bounded number', () => {
    const ring = new LogRing(undefined);
    for (let i = 1; i <= 5000; i++) ring.write(`${i}\n`);

    const all = ring.read(0);

    expect(all.last).toBe(5000);
    expect(all.lines).toHaveLength(1000);
    expect(all.lines.at(-1)).toBe('5000');
    expect(ring.read(4998).lines).toEqual(['4999', '5000']);
    expect(ring.read(5000).lines).toEqual([]);
  });
});
