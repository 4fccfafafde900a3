// What stock `wg` does to a running device: many peers, moved prefixes, ports in use, marks, and the files of setconf,
// syncconf and showconf.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { describeWith } from '../support/requires.ts';
import { countDatagrams } from './support/counting.ts';
import { Lab, type Output } from './support/hosts.ts';
import { type Kind, oursIsCulvert, startWg, type Wg } from './support/implementations.ts';
import {
  cabledHosts,
  inner,
  newKey,
  newSharedSecret,
  outer,
  ping,
  port,
  secretFile,
  tunnelPair,
} from './support/pair.ts';

const needs = { namespaces: true, tools: ['ip', 'wg', 'wireguard-go', 'nft', 'ping'] };
const manyPeers = 500;

describeWith(needs, 'configuration by wg', () => {
  describe.each<Kind>(['ours', 'reference'])('of %s', (kind) => {
    let lab: Lab;
    let wg: Wg;
    const keys = Array.from({ length: manyPeers }, newKey);

    beforeAll(async () => {
      lab = new Lab();
      wg = await startWg((await cabledHosts(lab))[0], kind);
    });
    afterAll(async () => {
      await lab.close();
    });

    function peerOf(number: number): string {
      return keys[number]?.public ?? '';
    }
    function prefixOf(number: number): string {
      return `10.80.${number >> 8}.${number & 255}/32`;
    }
    async function dump(): Promise<string[][]> {
      const text = await wg.show('dump');
      return text
        .trim()
        .split('\n')
        .slice(1)
        .map((line) => line.split('\t'));
    }
    /** Runs `wg` with a configuration file. */
    async function withFile(verb: string, text: string): Promise<Output> {
      const path = join(lab.folder, 'wg.conf');
      writeFileSync(path, text);
      return await wg.host.try(['wg', verb, wg.name, path]);
    }

    test(`takes ${manyPeers} peers in one "wg set"`, async () => {
      const words = keys.flatMap((key, number) => ['peer', key.public, 'allowed-ips', prefixOf(number)]);

      await wg.set('private-key', secretFile(lab, newKey().secret), ...words);

      const lines = await dump();
      expect(lines).toHaveLength(manyPeers);
      expect(new Map(lines.map((line) => [line[0], line[3]])).get(peerOf(300))).toBe(prefixOf(300));
    });

    test('moves a prefix to the peer that asks last', async () => {
      await wg.set('peer', peerOf(1), 'allowed-ips', `${prefixOf(1)},${prefixOf(2)}`);

      const ips = new Map((await dump()).map((line) => [line[0], line[3]]));
      expect(ips.get(peerOf(1))?.split(',').toSorted()).toEqual([prefixOf(1), prefixOf(2)]);
      expect(ips.get(peerOf(2))).toBe('(none)');
    });

    test('removes single peers, also unknown ones', async () => {
      await wg.set('peer', peerOf(3), 'remove', 'peer', newKey().public, 'remove');

      const names = (await dump()).map((line) => line[0]);
      expect(names).toHaveLength(manyPeers - 1);
      expect(names).not.toContain(peerOf(3));
    });

    test('is replaced wholly by setconf and partly by syncconf', async () => {
      const secret = newKey().secret;
      const shared = newSharedSecret();
      const first = `[Interface]\nPrivateKey = ${secret}\nListenPort = 52100\n`;
      const peer = (number: number, more = ''): string =>
        `[Peer]\nPublicKey = ${peerOf(number)}\nAllowedIPs = ${prefixOf(number)}\n${more}`;
      const extra = `PresharedKey = ${shared}\nPersistentKeepalive = 25\nEndpoint = [${outer.b6}]:7777\n`;

      expect(await withFile('setconf', first + peer(1) + peer(2))).toMatchObject({ code: 0 });
      expect((await dump()).map((line) => line[0]).toSorted()).toEqual([peerOf(1), peerOf(2)].toSorted());
      expect(await withFile('syncconf', first + peer(2, extra) + peer(4))).toMatchObject({ code: 0 });
      expect(await withFile('addconf', peer(5))).toMatchObject({ code: 0 });

      const lines = new Map((await dump()).map((line) => [line[0], line.slice(1)]));
      expect([...lines.keys()].toSorted()).toEqual([peerOf(2), peerOf(4), peerOf(5)].toSorted());
      const [psk, endpoint, ips, handshake, received, , keepalive] = lines.get(peerOf(2)) ?? [];
      const wanted = [shared, `[${outer.b6}]:7777`, prefixOf(2), '0', '0', '25'];
      expect([psk, endpoint, ips, handshake, received, keepalive]).toEqual(wanted);
      const shown = await wg.host.run('wg', 'showconf', wg.name);
      expect(shown).toContain(`PrivateKey = ${secret}\n`);
      expect(shown).toContain('ListenPort = 52100\n');
      expect(await withFile('setconf', shown)).toMatchObject({ code: 0 });
      expect((await wg.host.run('wg', 'showconf', wg.name)).split('\n').toSorted()).toEqual(
        shown.split('\n').toSorted(),
      );
    });

    test('changes its port, and says so when the port is taken', async () => {
      await wg.host.run('ip', 'link', 'set', wg.name, 'up');
      await wg.set('listen-port', '52200');
      const other = await startWg(wg.host, 'reference');
      await other.set('private-key', secretFile(lab, newKey().secret), 'listen-port', '52201');
      await wg.host.run('ip', 'link', 'set', other.name, 'up');

      const conflict = await wg.host.try(['wg', 'set', wg.name, 'listen-port', '52201']);

      expect(conflict.code).not.toBe(0);
      expect(conflict.err).toContain('Address already in use');
      if (kind === 'ours' && oursIsCulvert) expect(await wg.show('listen-port')).toBe('52200\n');
      await other.stop();
      await wg.set('listen-port', '52201');
      expect(await wg.show('listen-port')).toBe('52201\n');
    });

    test('picks a port by itself when told 0', async () => {
      await wg.set('listen-port', '0');

      expect(Number(await wg.show('listen-port'))).toBeGreaterThan(1023);
    });

    test('shows what it was told and refuses nonsense', async () => {
      await wg.set('fwmark', '0x1234');
      expect(await wg.show('fwmark')).toBe('0x1234\n');
      await wg.set('fwmark', 'off');
      expect(await wg.show('fwmark')).toBe('off\n');
      expect((await wg.host.try(['wg', 'set', wg.name, 'peer', 'bad', 'remove'])).code).not.toBe(0);
      expect((await wg.host.try(['wg', 'show', 'interfaces'])).out).toContain(wg.name);
    });
  });

  test.each<Kind>(['ours', 'reference'])('%s marks its datagrams', async (kind) => {
    const lab = new Lab();
    try {
      const pair = await tunnelPair(lab, { kinds: [kind, 'reference'] });
      const marked = await countDatagrams(pair.a.host, 'output', `udp dport ${port} meta mark 0x1234`);
      const unmarked = await countDatagrams(pair.a.host, 'output', `udp dport ${port} meta mark 0`);

      await pair.a.set('fwmark', '0x1234');
      expect((await ping(pair.a.host, inner.b, 5)).received).toBe(5);
      const whileMarked = [await marked(), await unmarked()] as const;
      await pair.a.set('fwmark', '0');
      expect((await ping(pair.a.host, inner.b, 5)).received).toBe(5);

      expect(whileMarked[0]).toBeGreaterThanOrEqual(6);
      expect(whileMarked[1]).toBe(0);
      expect(await marked()).toBe(whileMarked[0]);
      expect(await unmarked()).toBeGreaterThanOrEqual(5);
    } finally {
      await lab.close();
    }
  });

  test.each<Kind>(['ours', 'reference'])(
    '%s takes and drops peers under traffic of another',
    async (kind) => {
      const lab = new Lab();
      try {
        const pair = await tunnelPair(lab, { kinds: ['reference', kind] });
        await ping(pair.a.host, inner.b, 1);
        const running = ping(pair.a.host, inner.b, 60);
        const words = Array.from({ length: manyPeers }, newKey).map((key) => ['peer', key.public] as const);

        for (let turn = 0; turn < 3; turn++) {
          await pair.b.set(...words.flat());
          await pair.b.set(...words.flatMap((word) => [...word, 'remove']));
        }

        expect((await running).received).toBe(60);
        expect((await pair.b.show('peers')).trim()).toBe(pair.keys.a.public);
      } finally {
        await lab.close();
      }
    },
  );
});
