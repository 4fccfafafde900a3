// Mode proxy on a whole machine (a network namespace) as an ordinary user, against a stock WireGuard server with
// kernel NAT: every protocol of the port, what it proves, what it refuses, and that nothing ever goes around the tunnel.
import { execFileSync, type SpawnSyncReturns, spawn, spawnSync } from 'node:child_process';
import { chownSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, afterEach, beforeAll, expect, test, vi } from 'vitest';
import { describeWith } from '../support/requires.ts';

const entry = fileURLToPath(new URL('../../client/main.ts', import.meta.url));
const farProgram = fileURLToPath(new URL('./support/far-program.ts', import.meta.url));
const nearProgram = fileURLToPath(new URL('./support/near-program.ts', import.meta.url));
const id = process.pid % 100_000;
const client = `cp${id}c`;
const server = `cp${id}s`;
const far = `cp${id}f`;
const serverInterface = `cps${id}`;
const folder = mkdtempSync(join(tmpdir(), 'culvert-proxy-'));
/** nobody. */
const user = 65_534;
/** Where the server forwards tunnel traffic from; traffic beside the tunnel keeps the laptop's own address. */
const through = '::ffff:198.51.100.254';
const beside = '::ffff:192.0.2.2';
const needs = { namespaces: true, tools: ['ip', 'nft', 'wg', 'wireguard-go', 'curl', 'setpriv'] };

interface Outcome {
  readonly code: number | null;
  readonly out: string;
  readonly err: string;
}

function sh(program: string, words: readonly string[], input = ''): string {
  return execFileSync(program, words, { encoding: 'utf8', input, stdio: ['pipe', 'pipe', 'pipe'] });
}

function inClient(words: readonly string[], input = ''): Outcome {
  const env = { PATH: process.env['PATH'], HOME: folder };
  const options = { encoding: 'utf8', env, input } as const;
  const result: SpawnSyncReturns<string> = spawnSync('ip', ['netns', 'exec', client, ...words], options);
  return { code: result.status, out: result.stdout, err: result.stderr };
}

/** One daemon and who runs it. */
class Machine {
  readonly state: string;
  readonly socket: string;
  readonly #as: readonly string[];
  #pid = 0;

  constructor(name: string, isRoot: boolean) {
    this.state = join(folder, name);
    this.socket = join(this.state, 'control.sock');
    const ids = [`--reuid=${user}`, `--regid=${user}`, '--clear-groups', '--bounding-set=-all', '--'];
    this.#as = isRoot ? [] : ['setpriv', ...ids];
  }

  get pid(): number {
    return this.#pid;
  }

  run(words: readonly string[], input = ''): Outcome {
    return inClient([...this.#as, process.execPath, entry, ...words, '--socket', this.socket], input);
  }

  ok(...words: string[]): string {
    const { code, out, err } = this.run(words);
    if (code !== 0) throw new Error(`exit ${code}: ${err}${out}`);
    return out;
  }

  start(): void {
    const out = this.ok('daemon', '--state-dir', this.state, '--json');
    this.#pid = (JSON.parse(out) as { pid: number }).pid;
  }

  async end(signal: 'SIGTERM' | 'SIGKILL'): Promise<void> {
    if (this.#pid === 0) return;
    if (isAlive(this.#pid)) process.kill(this.#pid, signal);
    await vi.waitFor(() => expect(isAlive(this.#pid)).toBe(false), { timeout: 15_000 });
    this.#pid = 0;
  }

  status(): Record<string, any> {
    return JSON.parse(this.ok('status', '--json')) as Record<string, any>;
  }

  /** Of the proxy; 0 where there is none. */
  port(): number {
    return Number(String(this.status()['proxy']?.address ?? ':0').split(':')[1]);
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'));
  } catch {
    return false;
  }
}

function curl(...words: string[]): Outcome {
  return inClient(['curl', '-s', '--max-time', '8', ...words]);
}

/** Packets of the laptop that reached the server and are not the tunnel's. */
function leaked(): number {
  const listing = sh('ip', ['netns', 'exec', server, 'nft', 'list', 'chain', 'inet', 'watch', 'in']);
  return Number(/counter packets (\d+) bytes \d+ comment "leak"/.exec(listing)?.[1]);
}

function hostState(): string {
  const asks = [
    ['ip', '-4', 'rule'],
    ['ip', '-6', 'rule'],
    ['ip', '-4', 'route', 'show', 'table', 'all'],
    ['ip', '-o', 'link'],
    ['nft', 'list', 'ruleset'],
  ];
  return asks.map((words) => inClient(words).out).join('\n');
}

const keys = { client: '', clientPublic: '', server: '', serverPublic: '' };

function writeConf(
  name: string,
  change: { dns?: string; allowed?: string; serverKey?: string } = {},
): string {
  const path = join(folder, `${name}.conf`);
  const dns = change.dns ?? 'DNS = 198.51.100.1';
  const text = `[Interface]
PrivateKey = ${keys.client}
Address = 10.9.0.2/24, fd09::2/64
${dns}
[Peer]
PublicKey = ${change.serverKey ?? keys.serverPublic}
Endpoint = 192.0.2.1:51820
AllowedIPs = ${change.allowed ?? '0.0.0.0/0, ::/0'}
`;
  writeFileSync(path, text);
  return path;
}

/** laptop ─ server ─ far: also without a tunnel the laptop reaches everything, so that a leak would work. */
function buildNetwork(): void {
  for (const name of [client, server, far]) {
    sh('ip', ['netns', 'add', name]);
    sh('ip', ['-n', name, 'link', 'set', 'lo', 'up']);
  }
  const link = (name: string, a: string, b: string): void =>
    void sh('ip', ['link', 'add', name, 'netns', a, 'type', 'veth', 'peer', 'name', name, 'netns', b]);
  link('up0', client, server);
  link('far0', server, far);
  const address = (host: string, device: string, ...all: string[]): void => {
    for (const one of all) {
      const noProbe = one.includes(':') ? ['nodad'] : [];
      sh('ip', ['-n', host, 'addr', 'add', one, 'dev', device, ...noProbe]);
    }
    sh('ip', ['-n', host, 'link', 'set', device, 'up']);
  };
  address(client, 'up0', '192.0.2.2/24', '2001:db8:1::2/64');
  address(server, 'up0', '192.0.2.1/24', '2001:db8:1::1/64');
  address(server, 'far0', '198.51.100.254/24', '2001:db8:2::fe/64');
  address(far, 'far0', '198.51.100.1/24', '198.51.100.2/24', '2001:db8:2::1/64');
  for (const [host, v4, v6] of [
    [client, '192.0.2.1', '2001:db8:1::1'],
    [far, '198.51.100.254', '2001:db8:2::fe'],
  ] as const) {
    sh('ip', ['-n', host, 'route', 'add', 'default', 'via', v4]);
    sh('ip', ['-n', host, '-6', 'route', 'add', 'default', 'via', v6]);
  }
  const forwarding =
    'echo 1 > /proc/sys/net/ipv4/ip_forward; echo 1 > /proc/sys/net/ipv6/conf/all/forwarding';
  sh('ip', ['netns', 'exec', server, 'sh', '-c', forwarding]);
  sh('ip', ['netns', 'exec', server, 'nft', '-f', '-'], serverRules);
  mkdirSync(`/etc/netns/${client}`, { recursive: true });
  writeFileSync(
    `/etc/netns/${client}/resolv.conf`,
    'nameserver 198.51.100.1\noptions timeout:1 attempts:1\n',
  );
}

const serverRules = `table inet watch {
  chain in {
    type filter hook prerouting priority raw; policy accept;
    iifname != "up0" accept
    udp dport 51820 accept
    icmpv6 type { nd-router-solicit, nd-neighbor-solicit, nd-neighbor-advert, mld-listener-report, mld-listener-done, mld2-listener-report } accept
    counter comment "leak"
  }
  chain nat {
    type nat hook postrouting priority srcnat; policy accept;
    ip saddr 10.9.0.0/24 oifname "far0" masquerade
    ip6 saddr fd09::/64 oifname "far0" masquerade
  }
}
`;

function startServer(): void {
  keys.client = sh('wg', ['genkey']).trim();
  keys.clientPublic = sh('wg', ['pubkey'], keys.client).trim();
  keys.server = sh('wg', ['genkey']).trim();
  keys.serverPublic = sh('wg', ['pubkey'], keys.server).trim();
  const conf = join(folder, 'server.conf');
  const peer = `[Peer]\nPublicKey = ${keys.clientPublic}\nAllowedIPs = 10.9.0.2/32, fd09::2/128\n`;
  writeFileSync(conf, `[Interface]\nPrivateKey = ${keys.server}\nListenPort = 51820\n${peer}`, {
    mode: 0o600,
  });
  spawnSync('ip', ['netns', 'exec', server, 'wireguard-go', serverInterface], { stdio: 'ignore' });
  sh('wg', ['setconf', serverInterface, conf]);
  sh('ip', ['-n', server, 'addr', 'add', '10.9.0.1/24', 'dev', serverInterface]);
  sh('ip', ['-n', server, 'addr', 'add', 'fd09::1/64', 'dev', serverInterface, 'nodad']);
  sh('ip', ['-n', server, 'link', 'set', serverInterface, 'up']);
}

describeWith(needs, 'mode proxy', () => {
  const own = new Machine('own', false);
  const system = new Machine('system', true);
  let stopFar: () => void = () => undefined;
  let untouched = '';

  beforeAll(async () => {
    chownSync(folder, user, user);
    buildNetwork();
    startServer();
    const child = spawn('ip', ['netns', 'exec', far, process.execPath, farProgram], { stdio: 'ignore' });
    stopFar = () => void child.kill('SIGKILL');
    const direct = (): Outcome => curl('http://198.51.100.1:8080/');
    await vi.waitFor(() => expect(direct().out).toBe(beside), { timeout: 20_000, interval: 200 });
    untouched = hostState();
    own.start();
    own.ok('import', writeConf('home'));
  }, 60_000);

  afterEach(() => {
    if (own.pid === 0) own.start();
    own.ok('disconnect');
    own.ok('edge', 'use', 'home');
  });

  afterAll(async () => {
    await own.end('SIGTERM');
    await system.end('SIGTERM');
    stopFar();
    spawnSync('ip', ['-n', server, 'link', 'del', serverInterface]);
    for (const name of [client, server, far]) spawnSync('ip', ['netns', 'del', name]);
    rmSync(`/etc/netns/${client}`, { recursive: true, force: true });
    rmSync(folder, { recursive: true, force: true });
  });

  test('is the default of an ordinary user, connects, and proves itself to an edge of ours', () => {
    own.ok('connect', '--wait');
    const status = own.status();

    expect(status).toMatchObject({
      state: 'connected',
      mode: 'proxy',
      edge: { name: 'home', endpoint: '192.0.2.1:51820' },
      addresses: ['10.9.0.2', 'fd09::2'],
      proxy: { address: '127.0.0.1:40000', resolvers: ['198.51.100.1'] },
      verified: { visibleAddress: '203.0.113.7', rttMs: expect.any(Number) },
      health: [],
    });
    expect(status).not.toHaveProperty('interface');
    expect(own.ok('status')).toContain('Programs that use the proxy are private');
    expect(hostState()).toBe(untouched);
  });

  test.each([
    ['SOCKS5, by name', ['-x', 'socks5h://127.0.0.1:40000', 'http://far_name.test:8080/']],
    ['SOCKS5, by IPv4', ['-x', 'socks5://127.0.0.1:40000', 'http://198.51.100.1:8080/']],
    ['SOCKS5, by a long answer', ['-x', 'socks5h://127.0.0.1:40000', 'http://long.test:8080/']],
    ['SOCKS5, from ::1', ['-x', 'socks5h://[::1]:40000', 'http://only4.test:8080/']],
    ['SOCKS4a', ['-x', 'socks4a://127.0.0.1:40000', 'http://only4.test:8080/']],
    ['HTTP', ['-x', 'http://127.0.0.1:40000', 'http://only4.test:8080/']],
    ['HTTP CONNECT', ['-p', '-x', 'http://127.0.0.1:40000', 'http://far_name.test:8080/']],
  ])('carries %s, and nothing goes beside the tunnel', (_title, words) => {
    own.ok('connect', '--wait');
    const before = leaked();

    const { code, out } = curl(...words);

    expect({ code, out }).toEqual({
      code: 0,
      out: expect.stringMatching(/^::ffff:198\.51\.100\.254$|^2001:db8:2::fe$/),
    });
    expect(leaked()).toBe(before);
  });

  test('carries IPv6, halves of streams and UDP', () => {
    own.ok('connect', '--wait');
    const near = (kind: string): string =>
      inClient([process.execPath, nearProgram, kind, '40000', 'far_name.test']).out.trim();

    const v6 = curl('-x', 'socks5://127.0.0.1:40000', 'http://[2001:db8:2::1]:8080/').out;

    expect([v6, near('udp'), near('half')]).toEqual(['2001:db8:2::fe', 'over udp', '3000000']);
  });

  test('says why a request failed', () => {
    own.ok('connect', '--wait');
    const ask = (url: string): string => curl('-x', 'http://127.0.0.1:40000', '-w', '%{http_code}', url).out;

    expect(ask('http://nowhere.test/')).toContain('nowhere.test');
    expect(ask('http://nowhere.test/')).toContain('502');
    expect(ask('http://198.51.100.1:9999/')).toContain('refused');
    expect(ask('http://127.0.0.1:22/')).toContain('403');
  });

  test('takes a stock server for what it is, with no resolver that knows an edge', () => {
    own.ok('import', writeConf('stock', { dns: 'DNS = 198.51.100.2' }));

    own.ok('connect', '--wait');

    expect(own.status()).toMatchObject({ state: 'connected', edge: { name: 'stock' } });
    expect(own.status()['verified']).not.toHaveProperty('rttMs');
    expect(curl('-x', 'socks5h://127.0.0.1:40000', 'http://only4.test:8080/').out).toBe(through);
  });

  test('reaches only the AllowedIPs of a split tunnel, and says so', () => {
    own.ok('import', writeConf('split', { allowed: '10.9.0.0/24, 198.51.100.0/24' }));
    own.ok('connect', '--wait');
    const before = leaked();

    const inside = curl('-x', 'socks5h://127.0.0.1:40000', 'http://only4.test:8080/');
    const outside = curl('-x', 'http://127.0.0.1:40000', 'http://192.0.2.1:8080/');

    expect(inside.out).toBe(through);
    expect(outside.out).toContain('does not lead');
    expect(leaked()).toBe(before);
    expect(own.status()['health'].map((item: { code: string }) => item.code)).toEqual(['split-proxy']);
  });

  test('refuses everything while there is no tunnel, and never goes beside it', () => {
    const stranger = sh('wg', ['pubkey'], sh('wg', ['genkey']).trim()).trim();
    own.ok('import', writeConf('stranger', { serverKey: stranger }));
    // Where nobody answers, the daemon itself would ask whether the network wants a sign-in.
    own.ok('settings', 'set', 'portal.detection', 'off');
    // The other edge answers, and would take over.
    own.ok('edge', 'use', 'stranger');
    const before = leaked();

    own.run(['connect', '--wait', '--timeout', '3s']);
    const http = curl('-x', 'http://127.0.0.1:40000', '-w', '%{http_code}', 'http://198.51.100.1:8080/');
    const socks = curl('-x', 'socks5h://127.0.0.1:40000', 'http://far_name.test:8080/');

    // The requests that went around it before there was a tunnel were counted.
    expect(before).toBeGreaterThan(0);
    expect(own.status()['state']).toBe('connecting');
    own.ok('edge', 'use', 'auto');
    expect(http.out).toContain('being made');
    expect(http.out).toContain('503');
    expect(socks.code).toBe(97);
    expect(leaked()).toBe(before);
  });

  test('asks for a password where one is set, and never shows it', () => {
    const secret = 'correct horse';
    const set = own.run(['proxy', 'password', '--username', 'me'], `${secret}\n`);
    const asArgument = own.run(['settings', 'set', 'proxy.password', secret]);
    own.ok('connect', '--wait');

    const without = curl('-x', 'http://127.0.0.1:40000', '-w', '%{http_code}', 'http://only4.test:8080/').out;
    const wanted = curl('-x', 'http://127.0.0.1:40000', '-U', `me:${secret}`, 'http://only4.test:8080/').out;
    const listed = own.ok('settings', 'list') + own.ok('settings', 'list', '--json') + own.ok('logs');
    own.ok('proxy', 'password', '--remove');

    expect(set.code).toBe(0);
    expect(asArgument).toMatchObject({ code: 2, err: expect.stringContaining('proxy password') });
    expect(without).toContain('407');
    expect(wanted).toBe(through);
    expect(listed).not.toContain(secret);
    expect(statSync(join(own.state, 'settings.json')).mode & 0o777).toBe(0o600);
  });

  test('moves to another port at once, and says where a port is taken', async () => {
    own.ok('connect', '--wait');
    own.ok('proxy', 'port', '40001');
    await vi.waitFor(() => expect(own.status()['state']).toBe('connected'), { timeout: 15_000 });
    const moved = curl('-x', 'socks5h://127.0.0.1:40001', 'http://only4.test:8080/').out;
    own.ok('disconnect');
    own.ok('settings', 'reset', 'proxy.port');
    const squat = `require('node:net').createServer().listen(40000, '127.0.0.1')`;
    const other = spawn('ip', ['netns', 'exec', client, process.execPath, '-e', squat], { stdio: 'ignore' });
    await vi.waitFor(() => expect(inClient(['ss', '-Hltn', 'sport', '=', ':40000']).out).toContain('40000'));
    const taken = own.run(['connect', '--wait', '--json']);
    other.kill('SIGKILL');

    expect(moved).toBe(through);
    expect(JSON.parse(taken.err)).toMatchObject({ code: 'port-in-use' });
    expect(own.status()['state']).toBe('off');
  });

  test('ends with its daemon: by SIGTERM, and by SIGKILL with nothing left behind', async () => {
    own.ok('connect', '--wait');
    const proxied = (): Outcome => curl('-x', 'socks5h://127.0.0.1:40000', 'http://only4.test:8080/');
    await own.end('SIGKILL');
    const before = leaked();

    const killed = proxied();
    const state = hostState();
    own.start();
    await vi.waitFor(() => expect(own.status()['state']).toBe('connected'), { timeout: 15_000 });
    const resumed = proxied();
    await own.end('SIGTERM');

    expect(killed.code).not.toBe(0);
    expect(leaked()).toBe(before);
    expect(state).toBe(untouched);
    expect(resumed.out).toBe(through);
    expect(proxied().code).not.toBe(0);
  });

  test('changes to the whole device and back while it is on, as root', async () => {
    system.start();
    system.ok('settings', 'set', 'tunnel.interface', `cpc${id}`);
    system.ok('import', writeConf('home'));
    system.ok('mode', 'proxy');
    system.ok('connect', '--wait');

    system.ok('mode', 'tunnel_only');
    await vi.waitFor(
      () => expect(system.status()).toMatchObject({ state: 'connected', mode: 'tunnel_only' }),
      {
        timeout: 20_000,
        interval: 300,
      },
    );
    const whole = [
      curl('http://198.51.100.1:8080/').out,
      inClient(['nft', 'list', 'tables']).out.trim(),
      system.port(),
    ];
    system.ok('mode', 'proxy');
    await vi.waitFor(() => expect(system.port()).toBe(40_000), { timeout: 20_000, interval: 300 });
    await vi.waitFor(() => expect(system.status()['state']).toBe('connected'), { timeout: 20_000 });
    const proxied = [curl('http://198.51.100.1:8080/').out, hostState()];
    system.ok('disconnect');

    expect(whole).toEqual([through, 'table inet culvert', 0]);
    expect(proxied).toEqual([beside, untouched]);
  });
});
