// The filter of names that a device has chosen, end to end: in mode doh the client asks the filtering resolver itself, in
// mode tunnel its edge does so for it, and for nobody else. What a filter says goes on to the asker, with its reason.
import { type ChildProcess, spawn } from 'node:child_process';
import { chownSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, afterEach, beforeAll, expect, test, vi } from 'vitest';
import { describeWith } from '../support/requires.ts';
import { DnsWorld, end, type Laptop, networkServer, sh } from './support/dns-world.ts';

const needs = {
  namespaces: true,
  tools: ['ip', 'nft', 'nsenter', 'setpriv', 'openssl', 'dig', 'getent'],
};
const edgeProgram = fileURLToPath(new URL('../../edge/main.ts', import.meta.url));
const viaDoh = '198.51.100.1';
const viaDot = '198.51.100.2';
const stub = '127.0.83.53';
const blocked = '0.0.0.0';
const reason = 'EDE: 16 (Censored)';
const nobody = 65_534;
const patience = { timeout: 30_000, interval: 300 };

describeWith(needs, 'the filter that a device has chosen', () => {
  const world = new DnsWorld(process.pid % 100_000);
  let folder = '';
  let tries = 0;
  const asNobody = [
    'setpriv',
    `--reuid=${nobody}`,
    `--regid=${nobody}`,
    '--clear-groups',
    '--bounding-set=-all',
  ];
  let machine: Laptop;
  let edge: ChildProcess | undefined;

  beforeAll(() => world.open());

  afterEach(async () => {
    if (machine.run('nft', 'list', 'table', 'inet', 'culvert').code === 0) machine.restore();
    await machine.shutDown();
    await world.take();
  });

  afterAll(async () => {
    if (edge?.pid !== undefined) await end(edge.pid, 'SIGTERM');
    await world.close();
  });

  function edgeCommand(...words: string[]): string {
    const inside = ['netns', 'exec', world.network, ...asNobody, '--', process.execPath, edgeProgram];
    return sh('ip', [...inside, ...words, '--data', folder]);
  }

  async function startEdge(): Promise<void> {
    if (edge?.pid !== undefined) await end(edge.pid, 'SIGTERM');
    folder = join(world.folder, `edge-${++tries}`);
    mkdirSync(folder, { mode: 0o700 });
    chownSync(folder, nobody, nobody);
    edgeCommand('init', '--endpoint', networkServer, '--name', 'home', '--udp', '51820', '--https', '8443');
    const words = ['netns', 'exec', world.network, ...asNobody, '--', process.execPath, edgeProgram];
    edge = spawn('ip', [...words, 'run', '--data', folder], {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, NODE_EXTRA_CA_CERTS: world.caFile },
    });
    let said = '';
    for (const stream of [edge.stdout, edge.stderr])
      stream?.on('data', (text: Buffer) => (said += text.toString()));
    await vi.waitFor(() => expect(said).toMatch(/^ready$/m), patience);
  }

  /** The address, and which resolvers of the world were asked for it until it came. */
  async function ask(server: string, name: string, expected?: string): Promise<string> {
    await world.take();
    let address = '';
    await vi.waitFor(() => {
      address = machine.dig(`@${server}`, '+short', name).trim();
      expect(address).toMatch(/^[\d.]+$/);
      expect(address).toBe(expected ?? address);
    }, patience);
    const asked = (await world.take()).filter((one) => one.name === name && one.type === 1);
    return [address, ...new Set(asked.map(({ way, at }) => `${way} ${at}`))].join(' ');
  }

  test('in mode doh: the filtering resolver is asked, its reason passed on, and a change holds at once', async () => {
    machine = await world.boot();
    machine.protect('doh');

    const open = await ask(stub, 'adult.example');
    machine.ok('dns', 'families', 'full');
    const full = await ask(stub, 'adult.example');
    const again = await ask(stub, 'adult.example');
    const told = machine.dig(`@${stub}`, 'adult.example');
    const other = await ask(stub, 'fine.example');
    machine.ok('dns', 'families', 'off');
    const off = await ask(stub, 'adult.example');

    expect(open).toBe(`${viaDoh} doh 1.1.1.1`);
    expect(full).toBe(`${blocked} doh 1.1.1.3`);
    // From the cache, with the reason.
    expect(again).toBe(blocked);
    expect(told).toContain(reason);
    expect(other).toBe(`${viaDoh} doh 1.1.1.3`);
    expect(off).toBe(`${viaDoh} doh 1.1.1.1`);
  });

  test('in mode tunnel: the edge asks it for this device, its reason passed on, and a change holds at once', async () => {
    await startEdge();
    const { link } = JSON.parse(edgeCommand('invite', '--name', 'laptop', '--json')) as { link: string };
    machine = await world.boot();
    machine.startDaemon();
    machine.ok('mode', 'tunnel');
    machine.ok('enroll', link);
    machine.connect();
    const gateway = /^nameserver (\S+)$/m.exec(machine.resolvConf() ?? '')?.[1] ?? 'none';

    const open = await ask(gateway, 'adult.example', viaDot);
    const openAgain = await ask(gateway, 'adult.example');
    machine.ok('dns', 'families', 'full');
    // What the edge kept of before would be given for five minutes.
    const full = await ask(gateway, 'adult.example', blocked);
    const told = await vi.waitFor(() => {
      const text = machine.dig(`@${gateway}`, 'adult.example');
      expect(text).toContain('ANSWER SECTION');
      return text;
    }, patience);
    const malwareToo = await ask(gateway, 'malware.example');
    machine.ok('dns', 'families', 'off');
    const off = await ask(gateway, 'adult.example', viaDot);
    const devices = JSON.parse(edgeCommand('device', 'list', '--json')) as readonly { families?: string }[];

    expect(open).toBe(`${viaDot} dot 1.1.1.1`);
    expect(openAgain).toBe(viaDot);
    expect(full).toBe(`${blocked} dot 1.1.1.3`);
    expect(told).toContain(reason);
    expect(malwareToo).toBe(`${blocked} dot 1.1.1.3`);
    // Kept from before: the caches of two filters do not mix.
    expect(off).toBe(viaDot);
    expect(devices[0]?.families).toBeUndefined();
  });
});
