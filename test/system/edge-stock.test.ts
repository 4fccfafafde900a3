// Devices of the store behind the kernel's backend: a stock client by its file, openings by its name, the device API
// by its tunnel, `wg set` kept off, its quota, and silence within a second of its removal.
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { DeviceDetail } from '../../shared/core/registration/admin-api.ts';
import type { Child } from '../../shared/node/lab/child.ts';
import { Lab, labAddresses } from '../../shared/node/lab/topology.ts';
import { describeWith } from '../support/requires.ts';

const edgeProgram = new URL('../../node_modules/.bin/culvert-edge', import.meta.url).pathname;
const clientProgram = new URL('../../node_modules/.bin/culvert', import.meta.url).pathname;
const suffix = process.pid % 10_000;
const edgeInterface = `cvtk${suffix}`;
const device = `cvts${suffix}`;
const readyMs = 15_000;
/** Answers with a line every 20 ms. */
const source = `require('http').createServer((q, s) => setInterval(() => s.write('more\\n'), 20))
  .listen(8080, '::', () => console.log('listening'))`;

const started: Child[] = [];
let lab: Lab;
let folder: string;

describeWith(
  { root: true, namespaces: true, tools: ['wg', 'wireguard-go', 'nft', 'curl', 'ping'] },
  'a stock client in the store of an edge with the kernel backend',
  () => {
    beforeAll(async () => {
      lab = await Lab.up({ label: 'cvt-stock' });
      folder = join(lab.folder, 'edge');
      mkdirSync(folder, { mode: 0o700 });
      await lab.inet.run('ip', ['address', 'add', '10.9.9.9/32', 'dev', 'lo']);
      await lab.edge.run('ip', ['route', 'add', '10.9.9.9/32', 'via', labAddresses.inet]);
      await edge('init', '--endpoint', labAddresses.edge, '--name', 'home');
      const path = join(folder, 'edge.yaml');
      const yaml = readFileSync(path, 'utf8')
        .replace(/^network: \{[^}]*\}.*$/m, 'network: { v4: 10.83.0.0/16, v6: "fd7c:1:2:3::/64" }')
        .replace(/^ {2}allow: \[\].*$/m, '  allow: [{ cidr: 10.9.9.9/32, device: phone }]')
        .replace('backend: auto', 'backend: kernel');
      writeFileSync(path, `${yaml}interface: ${edgeInterface}\n`);
      const run = await start(lab.edge, 'edge', [edgeProgram, 'run', '--data', folder]);
      await run.waitFor(/^ready$/m, readyMs);
      await (await start(lab.inet, 'source', [process.execPath, '-e', source])).waitFor(/listening/, readyMs);
    });

    afterAll(async () => {
      await Promise.all(started.map((child) => child.end()));
      await lab?.down();
    });

    test('connects with the file that `device add --generate` prints', async () => {
      const conf = await edge('device', 'add', 'phone', '--generate');
      await bringUp(conf);

      expect(await fetched('http://10.83.0.1/trace')).toMatch(/^device=phone\nedge=home\n/);
      const own = JSON.parse(await fetched('http://10.83.0.1/v1/devices/me')) as { name: string };
      expect(own.name).toBe('phone');
    });

    test('reaches what is opened for its name, and nothing else that is closed', async () => {
      await until(() => begins('http://10.9.9.9:8080/'));
      await edge('device', 'rename', 'phone', 'tablet');
      await until(async () => !(await begins('http://10.9.9.9:8080/')));
      await edge('device', 'rename', 'tablet', 'phone');
      await until(() => begins('http://10.9.9.9:8080/'));
      expect(await begins(`http://${labAddresses.upstream}:8443/`)).toBe(false);
      expect(await begins(`http://${labAddresses.edge}:9586/`)).toBe(false);
    });

    test('belongs to the store: `wg set` may not touch it or its addresses', async () => {
      const { publicKey, addresses } = await shown();
      const stranger = Buffer.alloc(32, 7).toString('base64');
      const set = (...words: string[]): Promise<{ exitCode: number; stderr: string }> =>
        lab.edge.run('wg', ['set', edgeInterface, 'peer', ...words], { allowFailure: true });
      for (const refused of [
        await set(publicKey, 'remove'),
        await set(stranger, 'allowed-ips', `${addresses[0]}/32`),
      ]) {
        expect(refused.exitCode).not.toBe(0);
        expect(refused.stderr).toContain('Operation not permitted');
      }
    });

    test('is cut within a second of its removal, while it moves data', async () => {
      const url = `http://${labAddresses.inet}:8080/`;
      const visitor = await start(lab.client, 'visitor', ['curl', '-sN', '--max-time', '30', url]);
      await visitor.waitFor(/more\nmore\n/, readyMs);

      await edge('device', 'remove', 'phone');
      await new Promise((resolve) => setTimeout(resolve, 1000));
      const then = visitor.stdout.length;
      await new Promise((resolve) => setTimeout(resolve, 1000));

      expect(visitor.stdout.length).toBe(then);
      expect(await fetched('http://10.83.0.1/trace')).toBe('');
      const peers = await lab.edge.run('wg', ['show', edgeInterface, 'peers']);
      expect(peers.stdout.trim()).toBe('');
    });

    test('comes again as another, and is out when its quota is used up', async () => {
      const conf = await edge('device', 'add', 'guest', '--generate');
      await edge('device', 'quota', 'guest', '1MB');
      await bringUp(conf);
      expect(await fetched('http://10.83.0.1/trace')).toContain('device=guest\n');

      await fetched('http://10.83.0.1/speed?bytes=3000000');

      await until(async () => !(await shown('guest')).enabled);
      expect(await fetched('http://10.83.0.1/trace')).toBe('');
      const { rxBytes, txBytes } = await shown('guest');
      expect(rxBytes + txBytes).toBeLessThanOrEqual(1_000_000);
      expect(rxBytes + txBytes).toBeGreaterThan(990_000);
    });

    test('takes our own client for the whole machine, which still reaches the API from inside', async () => {
      await lab.client.run('ip', ['link', 'del', device], { allowFailure: true });
      const place = join(lab.folder, 'client');
      // The daemon sees this in the place of the machine's own file, which it must never touch.
      const names = `/etc/netns/${lab.client.namespace}`;
      mkdirSync(names, { recursive: true });
      writeFileSync(`${names}/resolv.conf`, '');
      const socket = join(place, 'control.sock');
      const daemon = ['daemon', '--foreground', '--state-dir', place, '--socket', socket];
      const program = await start(lab.client, 'daemon', [clientProgram, ...daemon]);
      const culvert = async (...words: string[]): Promise<string> =>
        (await lab.client.run(clientProgram, [...words, '--socket', socket], { allowFailure: true })).stdout;
      await until(async () => (await culvert('status')) !== '');
      const { link } = JSON.parse(await edge('invite', '--name', 'desk', '--json')) as { link: string };
      await culvert('mode', 'tunnel');
      await culvert('enroll', link);
      expect(await culvert('connect', '--wait', '--json')).toContain('"state":"connected"');

      expect(await fetched('http://10.83.0.1/trace')).toContain('device=desk\n');
      expect(await culvert('registration', 'show')).toMatch(/^desk at home\n/);
      expect(await culvert('registration', 'rotate-keys')).toContain('new keys');
      await culvert('connect', '--wait');
      expect(await fetched('http://10.83.0.1/trace')).toContain('device=desk\n');

      await culvert('disconnect');
      expect(await culvert('registration', 'delete')).toContain('left the edge');
      await program.end('SIGTERM');
      rmSync(names, { recursive: true, force: true });
    });
  },
);

async function edge(...words: string[]): Promise<string> {
  const { stdout } = await lab.edge.run(edgeProgram, [...words, '--data', folder]);
  return stdout;
}

async function shown(name = 'phone'): Promise<DeviceDetail> {
  return JSON.parse(await edge('device', 'show', name, '--json')) as DeviceDetail;
}

async function start(host: Lab['edge'], name: string, words: readonly string[]): Promise<Child> {
  const child = await host.start(name, words);
  started.push(child);
  return child;
}

/** As wg-quick would, with the stock programs. */
async function bringUp(conf: string): Promise<void> {
  const { client } = lab;
  const addresses = (/^Address = (.*)$/m.exec(conf)?.[1] ?? '').split(', ');
  await client.run('ip', ['link', 'del', device], { allowFailure: true });
  await start(client, 'wireguard-go', ['wireguard-go', '-f', device]);
  await until(async () => (await client.run('wg', ['show', device], { allowFailure: true })).exitCode === 0);
  const bare = conf.replaceAll(/^(?:Address|DNS|MTU) = .*\n/gm, '');
  await client.run('wg', ['setconf', device, '/dev/stdin'], { stdin: bare });
  for (const address of addresses) await client.run('ip', ['address', 'add', address, 'dev', device]);
  await client.run('ip', ['link', 'set', device, 'mtu', '1420', 'up']);
  await client.run('ip', ['route', 'add', 'default', 'dev', device]);
}

async function fetched(url: string): Promise<string> {
  const words = ['-s', '--max-time', '3', url];
  return (await lab.client.run('curl', words, { allowFailure: true })).stdout;
}

/** Whether anything comes. */
async function begins(url: string): Promise<boolean> {
  const words = ['-sN', '--interface', device, '--max-time', '1', url];
  return (await lab.client.run('curl', words, { allowFailure: true })).stdout !== '';
}

async function until(holds: () => Promise<boolean>): Promise<void> {
  const end = Date.now() + readyMs;
  while (!(await holds())) {
    if (Date.now() > end) throw new Error('it did not come about');
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}
