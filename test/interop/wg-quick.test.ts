// Stock wg-quick with our program as its userspace implementation: up with default routes through the tunnel, down
// again, and the host is as before.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { describeWith } from '../support/requires.ts';
import { eventually, type Host, Lab, pidsIn } from './support/hosts.ts';
import { type Kind, newInterfaceName, programOf, startWg } from './support/implementations.ts';
import { bringUp, cabledHosts, inner, newKey, outer, port, reaches, secretFile } from './support/pair.ts';

const needs = { namespaces: true, tools: ['ip', 'wg', 'wg-quick', 'wireguard-go', 'nft', 'ping'] };
/** An address that only exists behind the far end. */
const far = { v4: '203.0.113.9', v6: '2001:db8:f::9' } as const;

describeWith(needs, 'wg-quick', () => {
  test.each<Kind>(['ours', 'reference'])(
    'brings %s up with default routes and down without a trace',
    async (kind) => {
      const lab = new Lab();
      try {
        const [hostA, hostB] = await cabledHosts(lab);
        const keys = { a: newKey(), b: newKey() };
        const server = await startWg(hostB, 'reference');
        await server.set(
          `private-key ${secretFile(lab, keys.b.secret)} listen-port ${port}`,
          `peer ${keys.a.public} allowed-ips ${inner.a}/32,${inner.a6}/128`,
        );
        await bringUp(server, 'b');
        await hostB.script(`
        ip addr add ${far.v4}/32 dev lo
        ip addr add ${far.v6}/128 dev lo
      `);
        const name = newInterfaceName();
        const file = join(lab.folder, `${name}.conf`);
        writeFileSync(file, configFile(keys.a.secret, keys.b.public), { mode: 0o600 });
        const env = { WG_QUICK_USERSPACE_IMPLEMENTATION: programOf(kind) };
        const before = await stateOf(hostA);

        const up = await hostA.try(['wg-quick', 'up', file], { env });
        const reached = [
          await reaches(hostA, far.v4),
          await reaches(hostA, far.v6),
          await reaches(hostA, inner.b),
        ];
        const during = await stateOf(hostA);
        const down = await hostA.try(['wg-quick', 'down', file], { env });

        expect(up, up.err).toMatchObject({ code: 0 });
        expect(reached).toEqual([true, true, true]);
        expect(during).not.toBe(before);
        expect(during).toContain('suppress_prefixlength 0');
        expect(down, down.err).toMatchObject({ code: 0 });
        expect(await stateOf(hostA)).toBe(before);
        expect(await eventually(() => pidsIn(hostA.namespace).length === 0)).toBe(true);
      } finally {
        await lab.close();
      }
    },
  );
});

function configFile(secret: string, peer: string): string {
  return `[Interface]
PrivateKey = ${secret}
Address = ${inner.a}/32, ${inner.a6}/128
MTU = 1400

[Peer]
PublicKey = ${peer}
Endpoint = ${outer.b}:${port}
AllowedIPs = 0.0.0.0/0, ::/0
PersistentKeepalive = 25
`;
}

/** Rules, routes, links and nft of the host as text. */
async function stateOf(host: Host): Promise<string> {
  const parts: string[] = [];
  for (const words of [
    ['ip', 'rule'],
    ['ip', '-6', 'rule'],
    ['ip', 'route', 'show', 'table', 'all'],
    ['ip', '-6', 'route', 'show', 'table', 'all'],
    ['ip', '-br', 'link'],
    ['nft', 'list', 'ruleset'],
  ]) {
    parts.push(words.join(' '), await host.run(...words));
  }
  return parts.join('\n');
}
