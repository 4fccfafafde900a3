// Names in the modes of the whole device, against a culvert-edge without privileges: they are looked up inside the tunnel,
// nothing of DNS leaves beside it, and an edge that is known by its name can be found again.
import { type ChildProcess, spawn } from 'node:child_process';
import { chownSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from 'vitest';
import { describeWith } from '../support/requires.ts';
import { DnsWorld, end, type Laptop, networkFile, networkServer, sh } from './support/dns-world.ts';

const needs = {
  namespaces: true,
  tools: ['ip', 'nft', 'wg', 'nsenter', 'setpriv', 'openssl', 'dig', 'getent', 'curl'],
};
const edgeProgram = fileURLToPath(new URL('../../edge/main.ts', import.meta.url));
const viaDoh = '198.51.100.1';
const viaDot = '198.51.100.2';
const viaPlain = '198.51.100.3';
/** Of the network around, and named by a rule alone. */
const otherServer = '203.0.113.53';
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
  let fresh = 0;

  beforeAll(async () => {
    await world.open();
    conf = await startEdge();
  });

  afterEach(async () => {
    if (machine.run('nft', 'list', 'table', 'inet', 'culvert').code === 0) machine.restore();
    // The network outlives its laptops, and a test takes its cable out.
    machine.sh(`ip link set up0 up; ip route replace default via ${networkServer} dev up0`);
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

  test('asks a name whose rule says so of a server behind the tunnel', async () => {
    await boot('tunnel+doh');
    machine.ok('dns', 'fallback', 'add', 'inside.example', gateway, '--via', 'tunnel');
    machine.connect();
    await vi.waitFor(() => expect(machine.health()).toEqual([]), patience);
    await world.take();

    // The edge's own resolver asks by TLS, ours by HTTPS.
    await vi.waitFor(() => expect(machine.lookUp('files.inside.example.')).toBe(viaDot), patience);
    await vi.waitFor(() => expect(machine.lookUp('www.example.')).toBe(viaDoh), patience);

    expect((await world.take()).filter(({ way }) => way === 'plain')).toEqual([]);
  });

  describe.for([
    ['tunnel+doh', viaDoh],
    ['tunnel+dot', viaDot],
    ['tunnel', viaDot],
  ] as const)('%s, with names that the user gave to the network', ([mode, elsewhere]) => {
    // Last dots: what fails is otherwise asked again below the search domain of the network.
    test('asks their servers outside the tunnel, nobody else does, and no other name goes there', async () => {
      await boot(mode);
      for (const name of ['around.example', 'big.example', 'alias.example']) {
        machine.ok('dns', 'fallback', 'add', name, otherServer);
      }
      machine.ok('dns', 'fallback', 'add', 'office.example');
      machine.connect();
      await vi.waitFor(() => expect(machine.health()).toEqual([]), patience);
      await world.take();

      await vi.waitFor(() => expect(machine.lookUp('printer.around.example.')).toBe(viaPlain), patience);
      await vi.waitFor(() => expect(machine.lookUp('files.office.example.')).toBe(viaPlain), patience);
      await vi.waitFor(() => expect(machine.lookUp('www.example.')).toBe(elsewhere), patience);
      const long = await answered('+short', '+subnet=203.0.113.0/24', 'TXT', 'big.example');
      const alias = await answered('+noall', '+answer', 'A', 'alias.example');
      machine.lookUp('printer.');
      machine.lookUp('around.example.org.');
      const plain = (await world.take()).filter(({ way }) => way === 'plain');

      // Cut over UDP, whole over TCP; an alias is told as it came, and not followed.
      expect(long.trim().split('\n')).toHaveLength(30);
      expect(alias).toContain('tracker.example.');
      expect([...new Set(plain.map(({ name, at }) => `${name} at ${at}`))].toSorted()).toEqual([
        `alias.example at ${otherServer}`,
        `big.example at ${otherServer}`,
        `files.office.example at ${networkServer}`,
        `printer.around.example at ${otherServer}`,
      ]);
      expect(plain.flatMap(({ edns }) => edns)).toEqual([]);

      const before = world.packets();
      machine.dig(`@${otherServer}`, 'printer.around.example');
      machine.dig('+tcp', `@${networkServer}`, 'files.office.example');
      machine.run('curl', '--interface', 'if!up0', '--max-time', '2', `http://${otherServer}:53/`);
      expect((await world.take()).filter(({ way }) => way === 'plain')).toEqual([]);
      expect(world.packets().port53).toBe(before.port53);
    });

    test('says so, and closes the way when the rule goes, and when the state is another', async () => {
      await boot(mode);
      machine.ok('dns', 'fallback', 'add', 'around.example', otherServer);
      machine.connect();
      await vi.waitFor(() => expect(machine.lookUp('one.around.example.')).toBe(viaPlain), patience);
      const { dns } = machine.status();
      const said = machine.ok('status');
      const name = machine.ok('route', 'explain', 'one.around.example');
      const server = machine.ok('route', 'explain', otherServer);
      const opened = waysOut();

      expect(dns.besideTunnel).toEqual([{ name: 'around.example', servers: [otherServer] }]);
      expect(said).toContain(`asked of ${otherServer}, outside the tunnel`);
      expect(name).toContain(
        `${otherServer}, outside the tunnel, since you gave around.example to the network`,
      );
      expect(server).toContain(
        'Only culvert itself asks it outside the tunnel, on port 53, for around.example.',
      );
      expect(opened).toEqual([
        `meta mark 0x00008383 ip daddr ${otherServer} udp dport 53 accept`,
        `meta mark 0x00008383 ip daddr ${otherServer} tcp dport 53 accept`,
      ]);

      machine.ok('dns', 'fallback', 'remove', 'around.example');
      await vi.waitFor(() => expect(machine.lookUp('two.around.example.')).toBe(elsewhere), patience);
      expect(waysOut()).toEqual([]);

      machine.ok('dns', 'fallback', 'add', 'around.example', otherServer);
      await vi.waitFor(() => expect(machine.lookUp('three.around.example.')).toBe(viaPlain), patience);
      machine.sh('ip link set up0 down');
      await vi.waitFor(() => expect(machine.status()['state']).not.toBe('connected'), patience);
      await vi.waitFor(() => expect(waysOut()).toEqual([]), patience);
      machine.sh(`ip link set up0 up; ip route replace default via ${networkServer} dev up0`);
      await vi.waitFor(() => expect(machine.lookUp('four.around.example.')).toBe(viaPlain), patience);
    });
  });

  /** What the firewall lets out to the server of a rule. */
  function waysOut(): readonly string[] {
    const listing = machine.sh('nft list table inet culvert');
    return listing
      .split('\n')
      .map((line) => line.trim())
      .filter((line) => line.includes(otherServer));
  }

  /** What `dig` prints once our stub has answered it. */
  async function answered(...words: string[]): Promise<string> {
    let text = '';
    await vi.waitFor(() => {
      text = machine.dig('@127.0.83.53', ...words);
      expect(text).toMatch(/^[^;\s]/m);
    }, patience);
    return text;
  }

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
      // The edge keeps what it was asked before.
      const name = `www${++fresh}.example`;
      await world.take();
      const found = machine.lookUp(name);
      const own = machine.lookUp('edge.culvert');
      const asked = await world.take();
      const beside = world.packets();
      const text = machine.resolvConf();
      machine.ok('disconnect');
      await vi.waitFor(() => expect(machine.status()['state']).toBe('off'), patience);

      expect(found).toBe(address);
      expect(own).toBe(gateway);
      expect(asked.filter(({ way }) => way === 'plain')).toEqual([]);
      expect(asked.map(({ name }) => name)).toContain(name);
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
