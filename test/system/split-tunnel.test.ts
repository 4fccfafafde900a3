// What goes around the tunnel, on a whole machine in namespaces: addresses, programs, the network next door; and what
// culvert says about it. Every change is made while connected.
import { spawn, spawnSync } from 'node:child_process';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { describeWith } from '../support/requires.ts';
import {
  behind,
  DeviceWorld,
  deviceNeeds,
  elsewhere,
  elsewhere6,
  printer,
  router,
  seenInside,
  seenNextDoor,
  seenOutside,
} from './support/device-world.ts';

const world = new DeviceWorld('t');

function list(): Record<string, any> {
  return JSON.parse(world.succeed(world.culvert('tunnel', 'list', '--json'))) as Record<string, any>;
}

function explain(host: string): Record<string, any> {
  const told = JSON.parse(world.succeed(world.culvert('route', 'explain', host, '--json'))) as {
    ways: any[];
  };
  return told.ways[0] as Record<string, any>;
}

/** Of the tunnel: a new one would be a broken connection for everybody. */
function handshake(): string {
  return world.succeed(world.inClient('wg', 'show', world.tunnel, 'latest-handshakes'));
}

describeWith(
  { ...deviceNeeds, tools: [...(deviceNeeds.tools ?? []), 'dnsmasq'] },
  'the split tunnel of a device',
  () => {
    let untouched = '';

    beforeAll(async () => {
      await world.open();
      world.startNames({ 'bank.example': elsewhere, 'shop.example': behind });
      untouched = world.hostState();
    }, 60_000);

    afterEach(() => {
      if (!world.isAlive()) {
        world.restore();
        world.startDaemon();
      }
      world.culvert('disconnect');
      for (const rule of list()['rules'] as { kind: string; target: string }[]) {
        world.culvert('tunnel', rule.kind, 'remove', rule.target);
      }
      world.culvert('lan', 'block');
    });

    afterAll(() => world.close(), 60_000);

    test('sends excluded addresses around the tunnel and back into it, without a new tunnel', () => {
      world.succeed(world.culvert('connect', '--wait', '--timeout', '60s'));
      const before = handshake();

      const all = [world.ask(elsewhere), world.ask(behind)];
      world.succeed(world.culvert('tunnel', 'ip', 'add', '203.0.113.0/24'));
      world.succeed(world.culvert('tunnel', 'ip', 'add', '2001:db8:5::/48'));
      const excluded = [world.ask(elsewhere), world.ask(elsewhere6), world.ask(behind)];
      const ways = [explain(elsewhere), explain(behind)];
      const health = world.healthCodes();
      world.succeed(world.culvert('tunnel', 'ip', 'remove', '203.0.113.0/24'));
      const removed = [world.ask(elsewhere), world.ask(elsewhere6)];

      expect(all).toEqual([seenInside, seenInside]);
      expect(excluded).toEqual([seenOutside, '2001:db8:1::2', seenInside]);
      expect(ways).toMatchObject([
        { path: 'outside', rule: 'exclude ip 203.0.113.0/24', interface: 'up0' },
        { path: 'tunnel', rule: 'AllowedIPs 0.0.0.0/0', interface: world.tunnel },
      ]);
      expect(health).toContain('split-rules');
      expect(removed).toEqual([seenInside, '2001:db8:1::2']);
      expect(handshake()).toBe(before);
      world.succeed(world.culvert('disconnect'));
      expect(world.hostState()).toBe(untouched);
    });

    test('closes what is excluded, too, whenever the tunnel is not up', async () => {
      world.succeed(world.culvert('tunnel', 'ip', 'add', '203.0.113.0/24'));
      world.succeed(world.culvert('connect', '--wait', '--timeout', '60s'));
      expect(world.ask(elsewhere)).toBe(seenOutside);

      await world.end('SIGTERM');

      expect(world.ask(elsewhere)).toBeUndefined();
      expect(world.restore().out).toContain('removed table inet culvert');
      expect(world.hostState()).toBe(untouched);
    });

    test('sends only what is included through the tunnel', () => {
      world.succeed(world.culvert('connect', '--wait', '--timeout', '60s'));

      world.succeed(world.culvert('tunnel', 'ip', 'add', '198.51.100.0/24', '--mode', 'include'));

      expect([world.ask(behind), world.ask(elsewhere), world.ask('10.9.0.1')]).toEqual([
        seenInside,
        seenOutside,
        seenInside,
      ]);
      expect(list()).toMatchObject({ includeOnly: true });
      expect(world.healthCodes()).toContain('split-include');
      expect(explain(elsewhere)).toMatchObject({ path: 'outside', rule: 'not included' });
      world.succeed(world.culvert('disconnect'));
      expect(world.hostState()).toBe(untouched);
    });

    test('refuses to exclude everything, and what is no address', () => {
      const all = world.culvert('tunnel', 'ip', 'add', '0.0.0.0/0', '--json');
      const rubbish = world.culvert('tunnel', 'ip', 'add', 'rubbish', '--json');
      const unknown = world.culvert('tunnel', 'host', 'remove', 'a.example', '--json');

      const nobody = world.culvert('route', 'explain', 'nowhere.invalid', '--json');

      expect([all, rubbish, unknown, nobody].map(({ code }) => code)).toEqual([1, 1, 1, 1]);
      expect(JSON.parse(nobody.err)).toMatchObject({ code: 'unknown-host' });
      expect(JSON.parse(all.err)).toMatchObject({ code: 'bad-rule' });
      expect(JSON.parse(rubbish.err)).toMatchObject({ code: 'bad-rule' });
      expect(JSON.parse(unknown.err)).toMatchObject({ code: 'unknown-rule' });
    });

    test('opens the private network next door for a while, and closes it by itself', async () => {
      world.succeed(world.culvert('connect', '--wait', '--timeout', '60s'));
      const closed = [world.ask(printer), explain(printer)['path']];

      const view = JSON.parse(world.succeed(world.culvert('lan', 'allow', '25s', '--json'))) as Record<
        string,
        any
      >;
      const open = [world.ask(printer), explain(printer)['path']];
      const others = world.ask(router);
      const health = world.healthCodes();

      expect(closed).toEqual([undefined, 'refused']);
      expect(view).toMatchObject({ open: true, networks: [{ interface: 'up0', prefix: '192.168.77.0/24' }] });
      expect(open).toEqual([seenNextDoor, 'outside']);
      expect(health).toContain('lan-open');
      // The same link, but no private network.
      expect(others).toBe(seenInside);
      await expect.poll(() => world.ask(printer, 1), { timeout: 60_000 }).toBeUndefined();
      expect(JSON.parse(world.succeed(world.culvert('lan', 'status', '--json')))).toMatchObject({
        open: false,
      });
      world.succeed(world.culvert('disconnect'));
      expect(world.hostState()).toBe(untouched);
    });

    test('keeps an open network open through a crash, and closed after its time', async () => {
      world.succeed(world.culvert('lan', 'allow'));
      world.succeed(world.culvert('connect', '--wait', '--timeout', '60s'));
      await world.end('SIGKILL');
      const killed = [world.ask(printer), world.ask(elsewhere)];
      world.startDaemon();
      await expect.poll(() => world.status()['state'], { timeout: 20_000 }).toBe('connected');

      const again = world.ask(printer);
      world.succeed(world.culvert('lan', 'block'));

      expect(killed).toEqual([seenNextDoor, undefined]);
      expect(again).toBe(seenNextDoor);
      expect(world.ask(printer)).toBeUndefined();
    });

    test('sends the addresses of an excluded name around the tunnel before the program has the answer', async () => {
      world.succeed(world.culvert('mode', 'tunnel+doh'));
      world.succeed(world.culvert('dns', 'fallback', 'add', 'example', '10.9.0.1', '--via', 'tunnel'));
      world.succeed(world.culvert('connect', '--wait', '--timeout', '60s'));
      const curl = (name: string): string =>
        world.inClient('curl', '-s', '-m', '5', `http://${name}:8080/`).out;
      try {
        const before = curl('www.bank.example');
        world.succeed(world.culvert('tunnel', 'host', 'add', '*.bank.example'));

        const seen = [curl('www.bank.example'), curl('shop.example'), world.ask(behind)];
        const rules = list()['rules'];
        const told = explain('www.bank.example');
        world.succeed(world.culvert('tunnel', 'host', 'remove', '*.bank.example'));
        const after = curl('www.bank.example');

        expect(before).toBe(seenInside);
        expect(seen).toEqual([seenOutside, seenInside, seenInside]);
        expect(rules).toEqual([
          { mode: 'exclude', kind: 'host', target: '*.bank.example', addresses: [elsewhere] },
        ]);
        expect(told).toMatchObject({
          address: elsewhere,
          path: 'outside',
          rule: 'exclude host *.bank.example',
        });
        expect(after).toBe(seenInside);
      } finally {
        world.culvert('disconnect');
        world.culvert('dns', 'fallback', 'remove', 'example');
        world.succeed(world.culvert('mode', 'tunnel_only'));
      }
      expect(world.hostState()).toBe(untouched);
    });

    test('sends names and addresses around the tunnel in mode proxy, as programs say them', () => {
      world.succeed(world.culvert('mode', 'proxy'));
      world.succeed(world.culvert('proxy', 'port', '0'));
      world.succeed(world.culvert('connect', '--wait', '--timeout', '60s'));
      const { address } = world.status()['proxy'] as { address: string };
      const curl = (host: string): string =>
        world.inClient('curl', '-s', '-m', '5', '-x', `socks5h://${address}`, `http://${host}:8080/`).out;
      try {
        const before = [curl('www.bank.example'), curl('shop.example'), curl(behind)];
        world.succeed(world.culvert('tunnel', 'host', 'add', '*.bank.example'));
        world.succeed(world.culvert('tunnel', 'ip', 'add', '198.51.100.0/24'));

        const after = [curl('www.bank.example'), curl('shop.example'), curl(behind)];

        expect(before).toEqual([seenInside, seenInside, seenInside]);
        expect(after).toEqual([seenOutside, seenInside, seenOutside]);
        expect([
          explain('www.bank.example')['path'],
          explain('shop.example')['path'],
          explain(behind)['path'],
        ]).toEqual(['outside', 'tunnel', 'outside']);
      } finally {
        world.culvert('disconnect');
        world.succeed(world.culvert('mode', 'tunnel_only'));
      }
    });

    test('sends a running program around the tunnel, or says that this kernel cannot', async () => {
      world.succeed(world.culvert('connect', '--wait', '--timeout', '60s'));
      const shell = spawn('ip', ['netns', 'exec', world.client, 'sh'], { stdio: ['pipe', 'pipe', 'ignore'] });
      const say = async (line: string): Promise<string> => {
        shell.stdin.write(`${line}; echo .\n`);
        return new Promise((resolve) => {
          let told = '';
          const take = (text: Buffer): void => {
            told += String(text);
            if (!told.endsWith('.\n')) return;
            shell.stdout.off('data', take);
            resolve(told.slice(0, -2).trim());
          };
          shell.stdout.on('data', take);
        });
      };
      try {
        await say('echo ready');

        const added = world.culvert('tunnel', 'program', 'add', String(shell.pid), '--json');

        if (added.code !== 0) {
          expect(JSON.parse(added.err)).toMatchObject({ code: 'no-program-groups' });
          return;
        }
        const ask = `curl -s -m 5 http://${elsewhere}:8080/`;
        const outside = await say(ask);
        const others = world.ask(elsewhere);
        world.succeed(world.culvert('tunnel', 'program', 'remove', String(shell.pid)));
        const inside = await say(ask);
        expect([outside, others, inside]).toEqual([seenOutside, seenInside, seenInside]);
      } finally {
        if (shell.pid !== undefined) spawnSync('kill', ['-9', String(shell.pid)]);
      }
    });
  },
);
