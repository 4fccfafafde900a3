// Where the proving packet goes: inside AllowedIPs, never to a public address.
import { expect, test } from 'vitest';
import { probeTarget } from '../../../../client/driver/probe-target.ts';
import { parseWgConfig } from '../../../../shared/core/uapi/wg-config.ts';

const key = `${'A'.repeat(42)}E=`;

const rows = [
  ['the first address of our network', '10.9.0.2/24', '', '0.0.0.0/0, ::/0', '10.9.0.1:9'],
  ['the second where we are the first', '10.9.0.1/24', '', '0.0.0.0/0', '10.9.0.2:9'],
  ['a private resolver of the file', '10.9.0.2/24', 'DNS = 10.64.0.1', '0.0.0.0/0', '10.64.0.1:53'],
  ['never a public resolver', '10.9.0.2/24', 'DNS = 1.1.1.1', '0.0.0.0/0', '10.9.0.1:9'],
  ['no resolver outside AllowedIPs', '10.9.0.2/24', 'DNS = 10.64.0.1', '10.9.0.0/24', '10.9.0.1:9'],
  ['the first allowed address where ours is elsewhere', '10.9.0.2/32', '', '10.77.0.0/16', '10.77.0.1:9'],
  ['IPv6 where there is no IPv4', 'fd09::2/64', '', '::/0', 'fd09::1:9'],
  ['nothing where nothing is allowed', '10.9.0.2/32', '', '', undefined],
] as const;

test.each(rows)('takes %s', (_title, address, dns, allowed, expected) => {
  const text = `[Interface]\nPrivateKey = ${key}\nAddress = ${address}\n${dns}\n[Peer]\nPublicKey = ${key}\nAllowedIPs = ${allowed}\n`;
  const parsed = parseWgConfig(text);
  if (parsed.kind !== 'config') throw new Error(JSON.stringify(parsed.faults));

  const target = probeTarget({ name: 'home', config: parsed.config });

  expect(target && `${target.address}:${target.port}`).toBe(expected);
});
