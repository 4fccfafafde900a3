/** What an edge says about itself, to programs and to people. */

import { describe, expect, test } from 'vitest';
import { edgeStatus } from '../../../edge/admin/status.ts';
import { errorText } from '../../../edge/cli/cli.ts';
import { bytesText, durationText, startText, statusText } from '../../../edge/cli/render.ts';
import { type EdgeConfig, parseEdgeConfig } from '../../../edge/config.ts';
import {
  checkPrivileges,
  type HostAnswers,
  hasCapability,
  kernelMissing,
} from '../../../edge/host/privileges.ts';
import { guardPlan, linkPlans, needRestart, portOf, workerOf } from '../../../edge/plan.ts';
import { noDrops } from '../../../shared/core/base/drop.ts';
import { parsePrefix } from '../../../shared/core/base/ip.ts';
import { unixMs } from '../../../shared/core/base/time.ts';
import { CulvertError } from '../../../shared/core/control/codes.ts';
import type { PeerStatus } from '../../../shared/core/tunnel/config.ts';

const keyOf = (fill: number): Uint8Array => new Uint8Array(32).fill(fill);
const text = (fill: number): string => Buffer.from(keyOf(fill)).toString('base64');

function config(more = ''): EdgeConfig {
  const yaml = `name: home
endpoint: 2001:db8::5
network: { v4: 10.83.0.0/16, v6: "fd7c::/64" }
peers:
  - { name: laptop, publicKey: ${text(1)}, allowedIps: [10.83.0.2, "fd7c::2"] }
${more}`;
  return parseEdgeConfig(yaml, {
    fileName: 'edge.yaml',
    folder: '/',
    dataFolder: '/',
    readSecretKey: () => undefined,
    readSecretText: () => '',
  }).config;
}

function peer(fill: number, fields: Partial<PeerStatus>): PeerStatus {
  return {
    publicKey: keyOf(fill),
    presharedKey: keyOf(0xee),
    endpoint: { address: '192.0.2.77', port: 1234 },
    lastHandshakeMs: 0,
    rxBytes: 0,
    txBytes: 0,
    persistentKeepalive: 0,
    allowedIps: [],
    ...fields,
  };
}

const status = edgeStatus({
  config: config(),
  publicKey: keyOf(9),
  version: '1.2.3',
  httpsPorts: [8443],
  certificate: { kind: 'self-signed', expiresAt: null },
  activity: { handshakes: 0, listeners: 0, requests: {} },
  pin: 'sha256/pin',
  enrolled: 1,
  deviceOf: () => undefined,
  device: {
    privateKey: keyOf(0xdd),
    publicKey: keyOf(9),
    listenPort: 51820,
    fwmark: 0,
    peers: [
      peer(1, {
        lastHandshakeMs: Date.UTC(2026, 10, 20, 12, 0, 1),
        rxBytes: 1500,
        txBytes: 2_000_000,
        allowedIps: ['10.83.0.2/32', 'fd7c::2/128'],
      }),
      peer(2, { allowedIps: ['10.83.1.0/24'] }),
    ],
    drops: { ...noDrops(), replayed: 3 },
    dataplane: { suite: 'portable', udp: 'dgram', tun: 'memory', mtu: 1420 },
  },
  flows: undefined,
  startedAt: unixMs(1000),
  now: unixMs(3_661_000),
});

describe('the status of an edge', () => {
  test('has the fields that programs rely on', () => {
    expect(status).toMatchObject({
      name: 'home',
      publicKey: text(9),
      endpoint: '[2001:db8::5]:51820',
      listen: { udp: [51820] },
      paths: [{ id: 'direct', type: 'direct' }],
      drops: { replayed: 3 },
      uptimeSeconds: 3660,
    });
    expect(status.devices).toEqual([
      {
        id: '0101010101010101',
        name: 'laptop',
        publicKey: text(1),
        addresses: ['10.83.0.2', 'fd7c::2'],
        udpPort: 51820,
        lastSeen: '2026-11-20T12:00:01.000Z',
        rxBytes: 1500,
        txBytes: 2_000_000,
        path: 'direct',
      },
      expect.objectContaining({ name: '', addresses: ['10.83.1.0/24'], lastSeen: null }),
    ]);
  });

  test('tells the way out, why it is that one, and what it carries where it knows', () => {
    const sources = {
      publicKey: keyOf(9),
      version: '1.2.3',
      device: {
        privateKey: undefined,
        publicKey: undefined,
        listenPort: 51820,
        fwmark: 0,
        peers: [],
        drops: noDrops(),
        dataplane: { suite: 'portable', udp: 'dgram', tun: 'netstack', mtu: 1420 },
      },
      httpsPorts: [],
      pin: '',
      certificate: { kind: 'self-signed' as const, expiresAt: null },
      activity: { handshakes: 0, listeners: 0, requests: {} },
      enrolled: 0,
      deviceOf: () => undefined,
      startedAt: unixMs(0),
      now: unixMs(0),
    };
    const flows = { connections: 3, udpFlows: 2, memoryBytes: 1_500_000, refused: { private: 7, own: 0 } };
    const rootless = edgeStatus({ ...sources, config: config('egress: { backend: userspace }\n'), flows });

    const forwarding = edgeStatus({
      ...sources,
      config: config(),
      flows: undefined,
      guard: { own: 0, mail: 2 },
    });

    expect([forwarding.interface, forwarding.egress]).toEqual([
      'cvedge0',
      { backend: 'kernel', why: 'this program may use it', flows: null, guard: { mail: 2 } },
    ]);
    expect([rootless.interface, rootless.egress]).toEqual([
      null,
      {
        backend: 'userspace',
        why: 'edge.yaml asks for it',
        flows: { ...flows, refused: { private: 7 } },
        guard: null,
      },
    ]);
    expect(statusText(rootless)).toContain('flows         3 TCP, 2 UDP, 1.5 MB of buffers; 7 refused\n');
  });

  test('has no secret and no address of a client', () => {
    const json = JSON.stringify(status);

    for (const hidden of [text(0xdd), text(0xee), '192.0.2.77']) expect(json).not.toContain(hidden);
  });

  test('shows the port of each device where workers have their own', () => {
    const two = { ...status, listen: { udp: [51820, 443], https: [] } };

    expect(statusText(two)).toMatch(/DEVICE +ADDRESSES +UDP PORT +LAST SEEN/);
    expect(statusText(two)).toMatch(/laptop +10\.83\.0\.2, fd7c::2 +51820 +2026/);
  });

  test('reads as a short table', () => {
    expect(statusText(status)).toMatchSnapshot();
  });

  test('at the start says what to do next', () => {
    expect(startText(config(), 'KEY=')).toContain('devices       1');
    expect(startText({ ...config(), peers: [] }, 'KEY=')).toContain('add them to peers in edge.yaml');
  });

  test.each([
    [bytesText(0), '0 B'],
    [bytesText(1500), '1.5 kB'],
    [bytesText(52_000_000), '52 MB'],
    [durationText(59), '59 s'],
    [durationText(3600), '1 h 0 min'],
    [durationText(90_000), '1 d 1 h'],
  ])('writes %s as %s', (written, expected) => {
    expect(written).toBe(expected);
  });
});

describe('plans', () => {
  test('give the edge the first address of each network', () => {
    expect(linkPlans(config()).map((plan) => plan.addresses)).toEqual([['10.83.0.1/16', 'fd7c::1/64']]);
    expect(guardPlan(config()).v6).toEqual({ prefix: 'fd7c::/64', gateway: 'fd7c::1' });
  });

  test('open a destination for the addresses of the named device', () => {
    const opened = config('egress: { allow: [{ cidr: 10.9.0.0/16, device: laptop }, { cidr: 10.8.0.1 }] }\n');

    expect(guardPlan(opened).allow).toEqual([
      { cidr: '10.9.0.0/16', from: ['10.83.0.2/32', 'fd7c::2/128'] },
      { cidr: '10.8.0.1/32', from: undefined },
    ]);
  });

  test('open a device for another by their names, whoever has them now', () => {
    const opened = config('egress: { allow: [{ device: laptop, to: phone }, { to: laptop }] }\n');
    const phone = { name: 'phone', prefixes: [parsePrefix('10.83.4.4')!, parsePrefix('fd7c::4')!] };
    const laptop = ['10.83.0.2/32', 'fd7c::2/128'];
    const toLaptop = laptop.map((cidr) => ({ cidr, from: undefined }));

    expect(guardPlan(opened).allow).toEqual(toLaptop);
    expect(guardPlan(opened, [], [phone]).allow).toEqual([
      { cidr: '10.83.4.4/32', from: laptop },
      { cidr: 'fd7c::4/128', from: laptop },
      ...toLaptop,
    ]);
    expect(guardPlan(opened, [], [{ ...phone, name: 'guest' }]).allow).toEqual(toLaptop);
  });

  test('give every worker an interface, and the addresses to the first', () => {
    const three = config('workers: 3\nlisten: { udp: [51820, 443, 4500] }\n');

    expect(linkPlans(three).map((plan) => [plan.interfaceName, plan.addresses.length])).toEqual([
      ['cvedge0', 2],
      ['cvedge0a', 0],
      ['cvedge0b', 0],
    ]);
    expect(guardPlan(three).interfaceNames).toEqual(['cvedge0', 'cvedge0a', 'cvedge0b']);
  });

  test('give a device to a worker by its key alone, and tell its port', () => {
    const two = config('workers: 2\nlisten: { udp: [51820, 443] }\n');
    const keys = Array.from({ length: 64 }, (_, i) => keyOf(i));

    expect(new Set(keys.map((key) => workerOf(key, 2)))).toEqual(new Set([0, 1]));
    for (const key of keys) {
      expect(workerOf(key, 1)).toBe(0);
      expect(portOf(two, key)).toBe([51820, 443][workerOf(key, 2)]);
      // The top bit of the word that decides makes no negative worker.
      expect(workerOf(keyOf(0xff), 7)).toBeGreaterThanOrEqual(0);
    }
  });

  test('name what a running edge cannot change', () => {
    expect(needRestart(config(), config('mtu: 1300\nlisten: { udp: [7] }\n'))).toEqual(['mtu', 'listen.udp']);
    expect(needRestart(config(), { ...config(), name: 'other', peers: [] })).toEqual([]);
    const paths = 'egress: { paths: [{ id: direct, type: direct }, { id: none, type: block }] }\n';
    expect(needRestart(config(), config(paths))).toEqual([]);
    const more =
      'egress: { backend: userspace }\ndns: { upstreams: [] }\nlimits: { connectionsPerDevice: 5 }\n';
    expect(needRestart(config(), config(more))).toEqual(['egress.backend', 'dns', 'limits']);
  });
});

describe('what an edge needs', () => {
  const fine: HostAnswers = {
    platform: 'linux',
    mayAdministerNetwork: true,
    hasTun: true,
    missingPrograms: [],
  };

  test('is nothing more where all is there', () => {
    expect(() => checkPrivileges(fine)).not.toThrow();
  });

  test.each<[string, Partial<HostAnswers>, string]>([
    ['another system', { platform: 'darwin', mayAdministerNetwork: false }, 'unsupported-platform'],
    ['no right', { mayAdministerNetwork: false, hasTun: false }, 'not-root'],
    ['no TUN', { hasTun: false }, 'no-tun'],
    ['no nft', { missingPrograms: ['nft'] }, 'tool-missing'],
  ])('is told with its code: %s', (_title, answers, code) => {
    expect(() => checkPrivileges({ ...fine, ...answers })).toThrow(expect.objectContaining({ code }));
    // What the one refuses the other has a reason against.
    expect(kernelMissing({ ...fine, ...answers })).toMatch(/^[a-z/]/);
    expect(kernelMissing(fine)).toBeUndefined();
  });

  test('is read from the masks of the process', () => {
    expect(hasCapability('CapInh:\t0\nCapEff:\t0000000000001000\n', 12n)).toBe(true);
    expect(hasCapability('CapPrm:\tffff\nCapEff:\t0000000000000fff\n', 12n)).toBe(false);
    expect(hasCapability('', 12n)).toBe(false);
  });
});

describe('errors', () => {
  test('are one sentence, the remedy and the code', () => {
    const error = new CulvertError('no-tun', { text: 'It is missing.', remedy: 'Bring it.' });

    expect(errorText(error, false)).toBe('culvert-edge: It is missing.\n  Bring it. [no-tun]\n');
    expect(JSON.parse(errorText(error, true))).toEqual({
      code: 'no-tun',
      text: 'It is missing.',
      remedy: 'Bring it.',
    });
  });

  test('that are bugs say so', () => {
    expect(errorText(new Error('oops'), false)).toMatch(/culvert met a bug[\s\S]*oops[\s\S]*\[internal\]/);
  });
});
