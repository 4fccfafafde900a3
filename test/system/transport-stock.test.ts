// A stock WireGuard client on a network without UDP: any MASQUE client carries its datagrams to the edge's HTTPS port.
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Child } from '../../shared/node/lab/child.ts';
import { Lab, labAddresses } from '../../shared/node/lab/topology.ts';
import { describeWith } from '../support/requires.ts';

const edgeProgram = fileURLToPath(new URL('../../node_modules/.bin/culvert-edge', import.meta.url));
const masqueProgram = fileURLToPath(new URL('./support/masque-program.ts', import.meta.url));
const suffix = process.pid % 10_000;
const device = `cvtm${suffix}`;
const readyMs = 30_000;

const started: Child[] = [];
let lab: Lab;
let folder: string;

describeWith(
  { root: true, namespaces: true, tools: ['wg', 'wireguard-go', 'nft', 'curl', 'ping'] },
  'a stock WireGuard client behind a MASQUE client',
  () => {
    beforeAll(async () => {
      lab = await Lab.up({ label: 'cvt-masque' });
      folder = join(lab.folder, 'edge');
      mkdirSync(folder, { mode: 0o700 });
      await edge(
        'init',
        '--endpoint',
        labAddresses.edge,
        '--name',
        'home',
        '--udp',
        '51820',
        '--https',
        '8443',
      );
      const path = join(folder, 'edge.yaml');
      const yaml = readFileSync(path, 'utf8')
        .replace(/^network: \{[^}]*\}.*$/m, 'network: { v4: 10.83.0.0/16, v6: "fd7c:1:2:3::/64" }')
        .replace('backend: auto', 'backend: kernel');
      writeFileSync(path, `${yaml}interface: cvtn${suffix}\n`);
      const run = await start(lab.edge, 'edge', [edgeProgram, 'run', '--data', folder]);
      await run.waitFor(/^ready$/m, readyMs);
    }, 120_000);

    afterAll(async () => {
      await Promise.all(started.map((child) => child.end()));
      await lab?.down();
    });

    test('moves its handshake and its packets, and the edge says what carries them', async () => {
      await bringUp(await edge('device', 'add', 'phone', '--generate'), await masque('edge.culvert', 51820));

      expect(await fetched('http://10.83.0.1/trace')).toMatch(/^device=phone\n[^]*^transport=tls$/m);
      expect((await fetched('http://10.83.0.1/speed?bytes=3000000')).length).toBe(3_000_000);
    }, 120_000);

    test('reaches nothing else by it', async () => {
      const elsewhere = await lab.client.run(
        process.execPath,
        [masqueProgram, labAddresses.edge, '8443', labAddresses.inet, '53'],
        { allowFailure: true },
      );

      expect(elsewhere.stderr).toContain('status 403');
    }, 60_000);
  },
);

async function edge(...words: string[]): Promise<string> {
  const { stdout } = await lab.edge.run(edgeProgram, [...words, '--data', folder]);
  return stdout;
}

async function start(host: Lab['edge'], name: string, words: readonly string[]): Promise<Child> {
  const child = await host.start(name, words);
  started.push(child);
  return child;
}

/** Returns the port on loopback that leads to the edge's. */
async function masque(host: string, port: number): Promise<string> {
  const words = [process.execPath, masqueProgram, labAddresses.edge, '8443', host, String(port)];
  const child = await start(lab.client, 'masque', words);
  await child.waitFor(/^port \d+$/m, readyMs);
  return /^port (\d+)$/m.exec(child.stdout)?.[1] ?? '';
}

/** With the stock programs; the file's endpoint is replaced, so that nothing can go over UDP. */
async function bringUp(conf: string, port: string): Promise<void> {
  const { client } = lab;
  const addresses = (/^Address = (.*)$/m.exec(conf)?.[1] ?? '').split(', ');
  await start(client, 'wireguard-go', ['wireguard-go', '-f', device]);
  await until(async () => (await client.run('wg', ['show', device], { allowFailure: true })).exitCode === 0);
  const bare = conf
    .replaceAll(/^(?:Address|DNS|MTU) = .*\n/gm, '')
    .replace(/^Endpoint = .*$/m, `Endpoint = 127.0.0.1:${port}`);
  await client.run('wg', ['setconf', device, '/dev/stdin'], { stdin: bare });
  for (const address of addresses) await client.run('ip', ['address', 'add', address, 'dev', device]);
  await client.run('ip', ['link', 'set', device, 'mtu', '1420', 'up']);
  await client.run('ip', ['route', 'add', '10.83.0.0/16', 'dev', device]);
}

async function fetched(url: string): Promise<string> {
  const words = ['-s', '--max-time', '20', url];
  return (await lab.client.run('curl', words, { allowFailure: true })).stdout;
}

async function until(holds: () => Promise<boolean>): Promise<void> {
  const end = Date.now() + readyMs;
  while (!(await holds())) {
    if (Date.now() > end) throw new Error('it did not come about');
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}
