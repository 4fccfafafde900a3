// Names in the modes of the whole device, against a culvert-edge without privileges: they are looked up inside the tunnel,
// nothing of DNS leaves beside it, and an edge that is known by its name can be found again.
import { type ChildProcess, spawn } from 'node:child_process';
import { chownSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, afterEach, beforeAll, expect, test, vi } from 'vitest';
import { describeWith } from '../support/requires.ts';
import { DnsWorld, end, type Laptop, networkFile, networkServer, sh } from './support/dns-world.ts';

const needs = {
  namespaces: true,
  tools: ['ip', 'nft', 'wg', 'nsenter', 'setpriv', 'openssl', 'dig', 'getent'],
};
const edgeProgram = fileURLToPath(new URL('../../edge/main.ts', import.meta.url));
const viaDoh = '198.51.100.1';
const viaDot = '198.51.100.2';
const viaPlain = '198.51.100.3';
const gateway = '10.83.0.1';
const nobody = 65_534;
/** They are the edge's own addresses here, and such are closed unless they are named. */
const publicAddresses = ['1.1.1.1', '1.0.0.1', '1.1.1.3', '1.0.0.3'];
const patience = { timeout: 20_000, interval: 300 };

describeWith(needs, 'names behind a tunnel', () => {
  const world = new DnsWorld(process.pid % 100_000);
  let machine: Laptop;
  let edge: ChildProcess | undefined;
  let conf = '';

  beforeAll(async () => {
    await world.open();
    conf = await startEdge();
  });

  afterEach(async () => {
    if (machine.run('nft', 'list', 'table', 'inet', 'culvert').code === 0) machine.restore();
    await machine.shutDown();
  });

  afterAll(async () => {
    if (edge?.pid !== undefined) await end(edge.pid, 'SIGTERM');
    await world.close();
  });

  /** Returns the laptop's file. The edge itself asks the world over TLS, so an answer tells who asked. */
  async function startEdge(): Promise<string> {
    const folder = join(world.folder, 'edge');
    mkdirSync(folder, { mode: 0o700 });
    const key = sh('wg', ['genkey']).trim();
    const publicKey = sh('wg', ['pubkey'], key).trim();
    const yaml = join(folder, 'edge.yaml');
    writeFileSync(
      yaml,
      `name: home
listen: { udp: [51820] }
network: { v4: 10.83.0.0/16, v6: "fd7c:1:2:3::/64" }
egress: { allow: [${publicAddresses.map((cidr) => `{ cidr: ${cidr}, device: laptop }`).join(', ')}] }
peers:
  - { name: laptop, publicKey: "${publicKey}", allowedIps: [10.83.0.2, "fd7c:1:2:3::2"] }
`,
    );
    for (const one of [folder, yaml]) chownSync(one, nobody, nobody);
    const drop = [
      `--reuid=${nobody}`,
      `--regid=${nobody}`,
      '--clear-groups',
      '--inh-caps=-all',
      '--bounding-set=-all',
    ];
    const words = ['setpriv', ...drop, '--', process.execPath, edgeProgram, 'run', '--data', folder];
    const env = { ...process.env, NODE_EXTRA_CA_CERTS: world.caFile };
    edge = spawn('ip', ['netns', 'exec', world.network, ...words], {
      stdio: ['ignore', 'pipe', 'pipe'],
      env,
    });
    let said = '';
    for (const stream of [edge.stdout, edge.stderr])
      stream?.on('data', (text: Buffer) => (said += text.toString()));
    await vi.waitFor(() => expect(said).toMatch(/^ready$/m), patience);
    const status = JSON.parse(
      sh('setpriv', [...drop, '--', process.execPath, edgeProgram, 'status', '--json', '--data', folder]),
    ) as { publicKey: string };
    return `[Interface]
PrivateKey = ${key}
Address = 10.83.0.2/32, fd7c:1:2:3::2/128
DNS = ${gateway}
[Peer]
PublicKey = ${status.publicKey}
Endpoint = edge.example:51820
AllowedIPs = 0.0.0.0/0, ::/0
`;
  }

  async function boot(mode: string): Promise<void> {
    machine = await world.boot();
    const file = join(machine.folder, 'home.conf');
    writeFileSync(file, conf, { mode: 0o600 });
    machine.startDaemon();
    machine.ok('settings', 'set', 'dns.caFile', world.caFile);
    machine.ok('mode', mode);
    machine.ok('import', file);
  }

  test('asks a name whose rule says so of a server behind the tunnel, and one of the closed network of nobody', async () => {
    await boot('tunnel+doh');
    machine.ok('dns', 'fallback', 'add', 'inside.example', gateway, '--via', 'tunnel');
    machine.ok('dns', 'fallback', 'add', 'around.example', networkServer);
    machine.connect();
    await vi.waitFor(() => expect(machine.health()).toEqual([]), patience);
    await world.take();

    const found = ['files.inside.example', 'www.example'].map((name) => machine.lookUp(name));
    const around = machine.ok('dns', 'test', 'printer.around.example');
    const asked = await world.take();

    // The edge's own resolver asks by TLS, ours by HTTPS.
    expect(found).toEqual([viaDot, viaDoh]);
    expect(around).toContain('SERVFAIL');
    expect(asked.filter(({ way }) => way === 'plain')).toEqual([]);
    expect(asked.map(({ name }) => name)).not.toContain('printer.around.example');
  });

  test.for([
    ['tunnel+doh', viaDoh],
    ['tunnel+dot', viaDot],
    ['tunnel', viaDot],
  ] as const)(
    '%s: every name goes through the tunnel, the edge tells its own, and all is given back',
    async ([mode, address]) => {
      await boot(mode);
      const before = machine.resolvConfState();

      machine.connect();
      await vi.waitFor(() => expect(machine.health()).toEqual([]), patience);
      const outside = world.packets();
      await world.take();
      const found = machine.lookUp('www.example');
      const own = machine.lookUp('edge.culvert');
      const asked = await world.take();
      const beside = world.packets();
      const text = machine.resolvConf();
      machine.ok('disconnect');
      await vi.waitFor(() => expect(machine.status()['state']).toBe('off'), patience);

      expect(found).toBe(address);
      expect(own).toBe(gateway);
      expect(asked.filter(({ way }) => way === 'plain')).toEqual([]);
      expect(asked.map(({ name }) => name)).toContain('www.example');
      expect(beside).toEqual(outside);
      expect(text).toContain(`nameserver ${mode === 'tunnel' ? gateway : '127.0.83.53'}\n`);
      expect(machine.resolvConfState()).toBe(before);
      expect(machine.lookUp('www.example')).toBe(viaPlain);
    },
  );

  test('tunnel_only leaves the DNS of the system alone', async () => {
    await boot('tunnel_only');

    machine.connect();

    expect(machine.resolvConf()).toBe(networkFile);
    expect(machine.dig('@127.0.83.53', '+short', 'www.example')).not.toContain('198.51.100');
  });

  test('finds an edge by its name again: reconnect, a new mode, a new daemon', async () => {
    await boot('tunnel+doh');
    machine.connect();
    await vi.waitFor(() => expect(machine.lookUp('one.example')).toBe(viaDoh), patience);

    machine.ok('reconnect', '--wait');
    await vi.waitFor(() => expect(machine.lookUp('two.example')).toBe(viaDoh), patience);
    machine.ok('mode', 'tunnel');
    await vi.waitFor(() => expect(machine.lookUp('three.example')).toBe(viaDot), patience);
    machine.ok('mode', 'tunnel+doh');
    await vi.waitFor(() => expect(machine.lookUp('four.example')).toBe(viaDoh), patience);
    await machine.kill('SIGKILL');
    machine.startDaemon();
    await vi.waitFor(() => expect(machine.status()['state']).toBe('connected'), patience);

    await vi.waitFor(() => expect(machine.lookUp('five.example')).toBe(viaDoh), patience);
  });

  test('stays closed for names too when it is killed, and restore opens and gives back', async () => {
    await boot('tunnel+doh');
    const before = machine.resolvConfState();
    machine.connect();
    await vi.waitFor(() => expect(machine.lookUp('one.example')).toBe(viaDoh), patience);
    const outside = world.packets();

    await machine.kill('SIGKILL');
    const closed = [machine.lookUp('two.example'), machine.dig('@192.0.2.1', '+short', 'three.example')];
    const beside = world.packets();
    const restored = machine.restore();

    expect(closed[0]).toBe('');
    expect(closed[1]).not.toContain(viaPlain);
    expect(beside).toEqual(outside);
    expect(restored.out).toContain('DNS: put /etc/resolv.conf back as it was');
    expect(machine.resolvConfState()).toBe(before);
    expect(machine.lookUp('four.example')).toBe(viaPlain);
  });

  test('another filter holds inside the tunnel at once', async () => {
    await boot('tunnel+doh');
    machine.connect();
    await vi.waitFor(() => expect(machine.lookUp('adult.example')).toBe(viaDoh), patience);

    machine.ok('dns', 'families', 'full');

    await vi.waitFor(() => expect(machine.lookUp('adult.example')).toBe('0.0.0.0'), patience);
  });
});
