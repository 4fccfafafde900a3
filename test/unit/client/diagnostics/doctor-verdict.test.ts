// What both ends found → one fault: the table is the specification.
import { describe, expect, test } from 'vitest';
import { type FaultCode, faults, judgeFault } from '../../../../client/diagnostics/doctor-verdict.ts';
import type { ApiFacts, EdgeFactsHere, NetFacts } from '../../../../client/diagnostics/net-facts.ts';
import { netLines } from '../../../../client/diagnostics/netcheck-lines.ts';
import type { DeviceDiagnosis } from '../../../../shared/core/registration/diagnosis-api.ts';

const seen: DeviceDiagnosis = {
  now: '2026-11-20T12:00:00.000Z',
  publicKey: 'own',
  edgeKey: 'edge',
  spent: false,
  udpPorts: [51820],
  tunnel: { rxBytes: 1000, txBytes: 1000, moves: 0 },
  refused: { 'stale-timestamp': 3, 'bad-mac1': 2, 'unknown-peer': 1, 'bad-handshake': 0 },
  othersHeard: false,
};
const api: ApiFacts = {
  answer: 'answered',
  ms: 12,
  clockAheadMs: 100,
  before: seen,
  after: seen,
  ownKey: 'own',
  edgeKey: 'edge',
};
const edge: EdgeFactsHere = {
  name: 'home',
  address: '192.0.2.1',
  udp: [{ port: 51820, answer: 'handshake', ms: 10 }],
  lossPercent: 0,
  mapping: 'stable',
  largeArrives: true,
  api,
};
const well: NetFacts = {
  network: true,
  ipv4: true,
  ipv6: false,
  pages: { kind: 'online', sure: true },
  dnsIntercepted: false,
  tunnel: { state: 'connected', transport: 'udp', rttMs: 11, mtuBroken: false },
  edge,
};
const off: NetFacts = { ...well, tunnel: { state: 'off', mtuBroken: false } };
const silent = { udp: [{ port: 51820, answer: 'silent' }] } as const;

function withEdge(change: Partial<EdgeFactsHere>, facts: NetFacts = off): NetFacts {
  return { ...facts, edge: { ...edge, ...change } };
}

/** UDP is silent, the API answers, and this is what the edge saw meanwhile. */
function unheard(change: Partial<DeviceDiagnosis>, more: Partial<ApiFacts> = {}): NetFacts {
  return withEdge({ ...silent, api: { ...api, after: { ...seen, ...change }, ...more } });
}

const noApi: ApiFacts = { answer: 'silent', ownKey: 'own', edgeKey: 'edge' };
const refused = (problem: NonNullable<ApiFacts['problem']>): NetFacts =>
  withEdge({ ...silent, api: { ...noApi, answer: 'refused', problem } });

const rows: readonly (readonly [string, NetFacts, FaultCode])[] = [
  ['all is well', well, 'healthy'],
  ['all is well, and protection is off', off, 'healthy'],
  ['no network', { ...well, network: false }, 'no-network'],
  ['a sign-in is wanted', { ...off, pages: { kind: 'portal', places: [] } }, 'portal'],
  [
    'the network slows UDP down',
    { ...well, tunnel: { ...well.tunnel, transport: 'tls', udpFault: 'slow' } },
    'udp-throttled',
  ],
  [
    'the tunnel works, and the clock is wrong by years',
    withEdge({ api: { ...api, clockAheadMs: -5 * 365 * 86_400_000 } }, well),
    'clock-off',
  ],
  ['the clock is two minutes ahead', withEdge({ api: { ...api, clockAheadMs: 120_000 } }, well), 'healthy'],
  ['datagrams are lost on the way', withEdge({ uplinkLossPercent: 3 }, well), 'packets-lost'],
  ['a datagram of many is lost', withEdge({ uplinkLossPercent: 0.5 }, well), 'healthy'],
  ['the way takes small packets alone', withEdge({ pathMtu: 1280 }, well), 'narrow-path'],
  ['the way is a telephone line', withEdge({ pathMtu: 1492 }, well), 'healthy'],
  [
    'the name leads to the network itself',
    { ...withEdge({ ...silent, byName: true, isProven: false, api: noApi }), dnsIntercepted: true },
    'dns-tampered',
  ],
  [
    'the edge is gone where it was, in a network that lies about names',
    {
      ...withEdge({ ...silent, byName: true, isProven: true, api: noApi }),
      dnsIntercepted: true,
    },
    'edge-down',
  ],
  [
    'UDP is blocked, and the tunnel that TLS carries goes on',
    {
      ...unheard({ othersHeard: true, tunnel: { rxBytes: 9000, txBytes: 9000, moves: 0 } }),
      tunnel: well.tunnel,
    },
    'udp-blocked',
  ],
  [
    'what TLS carries goes on, and the replies over UDP are lost',
    {
      ...unheard({ othersHeard: true, tunnel: { rxBytes: 9000, txBytes: 9000, moves: 1 } }),
      tunnel: well.tunnel,
    },
    'replies-lost',
  ],
  [
    'a socket of ours comes from one place, then from another',
    withEdge({ mappingHolds: false }, well),
    'port-rewritten',
  ],
  [
    'culvert stopped by itself',
    { ...well, tunnel: { state: 'blocked', mtuBroken: false } },
    'protection-stopped',
  ],
  [
    'culvert stopped, and the way is at fault, too',
    { ...withEdge({ ...silent, api: noApi }), tunnel: { state: 'blocked', mtuBroken: false } },
    'edge-down',
  ],
  ['nothing is enrolled', { network: true, ipv4: true, ipv6: true, tunnel: off.tunnel }, 'no-edge'],
  [
    'nothing is enrolled, nothing answers',
    { network: true, ipv4: true, ipv6: true, tunnel: off.tunnel, pages: { kind: 'no-internet' } },
    'no-internet',
  ],
  [
    'nothing comes back from anywhere',
    { ...withEdge({ ...silent, api: noApi }), pages: { kind: 'no-internet' } },
    'no-internet',
  ],
  [
    'the name of the edge is unknown',
    { ...off, edge: { name: 'home', udp: [], api: noApi } },
    'edge-name-unknown',
  ],
  ['the device was removed', refused('unauthorized'), 'key-revoked'],
  ['the device is disabled', refused('device-disabled'), 'device-disabled'],
  ['the device has expired', refused('device-expired'), 'device-expired'],
  ['the quota is used up', unheard({ spent: true }), 'quota-used'],
  [
    'somebody stands in the place of the edge',
    withEdge({ ...silent, api: { ...noApi, answer: 'impostor' } }),
    'tls-intercepted',
  ],
  ['the edge has another key', unheard({ edgeKey: 'other' }), 'wrong-edge-key'],
  [
    'the edge counts what is meant for another key',
    unheard({ refused: { ...seen.refused, 'bad-mac1': 3 } }),
    'wrong-edge-key',
  ],
  ['the edge knows another key of this device', unheard({ publicKey: 'other' }), 'wrong-device-key'],
  [
    'the edge does not know the key that comes',
    unheard({ refused: { ...seen.refused, 'unknown-peer': 2 } }),
    'wrong-device-key',
  ],
  [
    'the edge takes handshakes for old ones',
    unheard({ refused: { ...seen.refused, 'stale-timestamp': 4 } }),
    'clock-off',
  ],
  [
    'replies do not come back',
    unheard({ tunnel: { rxBytes: 1148, txBytes: 1092, moves: 0 } }),
    'replies-lost',
  ],
  ['UDP does not get there, that of others does', unheard({ othersHeard: true }), 'udp-blocked'],
  ['UDP does not get there, nor that of others', unheard({}), 'edge-firewall'],
  [
    'nothing listens on the port',
    withEdge({ udp: [{ port: 51820, answer: 'refused' }] }),
    'edge-port-closed',
  ],
  [
    'nothing listens at all',
    withEdge({ udp: [{ port: 51820, answer: 'refused' }], api: noApi }),
    'edge-port-closed',
  ],
  ['the edge answers nothing, the Internet does', withEdge({ ...silent, api: noApi }), 'edge-down'],
  [
    'the edge answers nothing, and nobody was asked for pages',
    { network: true, ipv4: true, ipv6: true, tunnel: off.tunnel, edge: { ...edge, ...silent, api: noApi } },
    'edge-silent',
  ],
  [
    'an imported edge is silent',
    { ...withEdge({ ...silent }), edge: { name: 'x', address: '192.0.2.1', ...silent } },
    'edge-down',
  ],
  [
    'over TLS while UDP does not get there',
    { ...unheard({ othersHeard: true }), tunnel: { ...well.tunnel, transport: 'tls' } },
    'udp-blocked',
  ],
  ['large packets vanish', withEdge({ largeArrives: false }), 'large-packets-vanish'],
  [
    'not even small packets pass',
    { ...well, tunnel: { ...well.tunnel, mtuBroken: true } },
    'large-packets-vanish',
  ],
  ['the port is rewritten again and again', withEdge({ moves: 4 }), 'port-rewritten'],
  ['DNS is tampered with', { ...well, dnsIntercepted: true }, 'dns-tampered'],
  [
    'one port of two is blocked',
    withEdge({
      udp: [
        { port: 51820, answer: 'silent' },
        { port: 443, answer: 'handshake', ms: 9 },
      ],
    }),
    'udp-port-blocked',
  ],
  ['the edge is busy and asks to wait', withEdge({ udp: [{ port: 51820, answer: 'cookie' }] }), 'healthy'],
];

describe('the doctor', () => {
  test.each(rows)('%s', (_title, facts, expected) => {
    expect(judgeFault(facts)).toBe(expected);
  });

  test('meets every fault that it can name', () => {
    const met = new Set(rows.map(([, , fault]) => fault));

    expect([...met].toSorted()).toEqual(Object.keys(faults).toSorted());
  });

  test('has one sentence and one fix for each', () => {
    for (const [text, remedy] of Object.values(faults)) {
      expect(text).toMatch(/^[A-Z].*\.$/);
      expect(remedy.length).toBeGreaterThan(10);
    }
  });
});

describe('the lines of netcheck', () => {
  test.each(rows)('say something of it where %s', (_title, facts) => {
    const lines = netLines(facts);

    expect(lines.length).toBeGreaterThanOrEqual(4);
    for (const { subject, text } of lines) {
      expect(subject).not.toBe('');
      expect(text).toMatch(/[A-Z]/);
    }
  });

  test('mark what is wrong', () => {
    const lines = netLines(unheard({}, { clockAheadMs: -240_000 }));

    expect(lines).toContainEqual({ subject: 'UDP 51820', verdict: 'bad', text: 'Nothing comes back.' });
    expect(lines).toContainEqual({
      subject: 'clock',
      verdict: 'warning',
      text: 'It is 240 s behind that of the edge.',
    });
  });
});
