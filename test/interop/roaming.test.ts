// Ends that move while a stream runs through the tunnel, and the keepalives that hold a path open.
import { expect, test } from 'vitest';
import { describeWith } from '../support/requires.ts';
import { countDatagrams } from './support/counting.ts';
import { eventually, type Host, Lab, sleep } from './support/hosts.ts';
import { type Kind, oursIsCulvert, pairings, type Wg } from './support/implementations.ts';
import { inner, lastHandshake, outer, type Pair, tunnelPair } from './support/pair.ts';
import { exchange, startStreamServer } from './support/programs.ts';

const needs = { namespaces: true, tools: ['ip', 'wg', 'wireguard-go', 'nft', 'ping'] };
/** 16 KiB every 20 ms: about six seconds. */
const streamBytes = 300 * 16 * 1024;
const pace = 20;
/** UDP header and a transport message without content. */
const keepaliveLength = 40;

describeWith(needs, 'roaming', () => {
  test.each(pairings)('a stream survives every end moving: %s begins, %s answers', async (...kinds) => {
    const lab = new Lab();
    try {
      const pair = await tunnelPair(lab, { kinds });
      await startStreamServer(pair.b.host);
      const result = exchange(pair.a.host, inner.b, streamBytes, { paceMs: pace });
      await sleep(500);

      await pair.a.set('listen-port', '52001');
      expect(await knows(pair, 'b', `${outer.a}:52001`)).toBe(true);
      await pair.b.set('listen-port', '52002');
      expect(await knows(pair, 'a', `${outer.b}:52002`)).toBe(true);
      if (canChangeAddress(pair.a)) {
        await moveAddress(pair.a.host, outer.a, '192.0.2.11');
        expect(await knows(pair, 'b', '192.0.2.11:52001')).toBe(true);
      }
      if (canChangeAddress(pair.b)) {
        await moveAddress(pair.b.host, outer.b, '192.0.2.22');
        expect(await knows(pair, 'a', '192.0.2.22:52002')).toBe(true);
      }

      expect(await result).toBe('ok');
    } finally {
      await lab.close();
    }
  });

  test.each<Kind>(['ours', 'reference'])(
    '%s sends persistent keepalives, and only while told to',
    async (kind) => {
      const lab = new Lab();
      try {
        const pair = await tunnelPair(lab, { kinds: [kind, kind === 'ours' ? 'reference' : 'ours'] });
        const count = await countDatagrams(pair.a.host, 'output', `udp length ${keepaliveLength}`);

        await pair.a.set('peer', pair.keys.b.public, 'persistent-keepalive', '1');
        expect(await eventually(async () => (await lastHandshake(pair.a)) > 0, 3000)).toBe(true);
        const before = await count();
        await sleep(3500);
        const during = (await count()) - before;
        await pair.a.set('peer', pair.keys.b.public, 'persistent-keepalive', 'off');
        const afterwards = await count();
        await sleep(2200);

        expect(during).toBeGreaterThanOrEqual(3);
        expect(during).toBeLessThanOrEqual(4);
        expect(await count()).toBe(afterwards);
      } finally {
        await lab.close();
      }
    },
  );
});

/** wireguard-go keeps sending from the address it used before and fails, as long as the route stays the same. */
function canChangeAddress(wg: Wg): boolean {
  return wg.kind === 'ours' && oursIsCulvert;
}

async function knows(pair: Pair, end: 'a' | 'b', endpoint: string): Promise<boolean> {
  return await eventually(async () => (await pair[end].show('endpoints')).includes(`\t${endpoint}\n`), 5000);
}

async function moveAddress(host: Host, from: string, to: string): Promise<void> {
  await host.script(`
    ip addr del ${from}/24 dev eth0
    ip addr add ${to}/24 dev eth0
  `);
}
