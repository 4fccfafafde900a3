import { expect, test } from 'vitest';
import type { Effect } from '../../../../client/connection/effect.ts';
import { policyFor } from '../../../../client/driver/effects.ts';
import type { DriverPorts } from '../../../../client/driver/ports.ts';
import { parseWgConfig } from '../../../../shared/core/uapi/wg-config.ts';

const key = Buffer.alloc(32, 7).toString('base64');
const parsed = parseWgConfig(
  `[Interface]\nPrivateKey = ${key}\nAddress = 10.9.0.2/32\n[Peer]\nPublicKey = ${key}\nAllowedIPs = 0.0.0.0/0\n`,
);
const config = parsed.kind === 'faults' ? undefined : parsed.config;
const udp = [
  { address: '192.0.2.1', port: 51820 },
  { address: '192.0.2.1', port: 443 },
];
const tcp = [{ address: '192.0.2.1', port: 8443 }];
const effect = {
  kind: 'set-firewall',
  policy: 'connected',
  edge: 'home',
  endpoints: [{ peer: 0, address: '127.0.0.1', port: 40_001 }],
  resolving: false,
} as const satisfies Effect;

function ports(openings: DriverPorts['openings']): DriverPorts {
  const parts = {
    settings: () => ({ interfaceName: 'culvert0' }),
    resolver: { nameServers: () => [] },
    edges: { profile: (name: string) => ({ name, config }) },
    ...(openings === undefined ? {} : { openings }),
  };
  return parts as unknown as DriverPorts;
}

test('the firewall lets the ways of an enrolled edge out, and not the place of TLS on our own loopback', () => {
  const policy = policyFor(
    effect,
    ports(() => ({ udp, tcp })),
  );

  expect(policy.endpoints).toEqual(udp);
  expect(policy.tlsEndpoints).toEqual(tcp);
});

test('names each place once', () => {
  const inUse = { ...effect, endpoints: [{ peer: 0, address: '192.0.2.1', port: 51820 }] };
  const policy = policyFor(
    inUse,
    ports(() => ({ udp, tcp: [] })),
  );

  expect(policy.endpoints.map(({ port }) => port)).toEqual([51820, 443]);
  expect(policy).not.toHaveProperty('tlsEndpoints');
});

test('of an imported edge only what the state names', () => {
  expect(policyFor(effect, ports(undefined)).endpoints).toEqual(effect.endpoints);
});
