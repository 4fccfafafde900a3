// The client daemon on a whole machine (a network namespace) against a stock WireGuard server in another one: it
// connects, carries traffic, leaks nothing, stays closed when it is killed, and leaves the machine as it found it.
import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, afterEach, beforeAll, expect, test, vi } from 'vitest';
import { describeWith } from '../support/requires.ts';

const entry = fileURLToPath(new URL('../../client/main.ts', import.meta.url));
const id = process.pid % 100_000;
/** The laptop and the server. */
const client = `cl${id}c`;
const server = `cl${id}s`;
const serverInterface = `cls${id}`;
const clientInterface = `clc${id}`;
const folder = mkdtempSync(join(tmpdir(), 'culvert-system-'));
const state = join(folder, 'state');
const socket = join(folder, 'control.sock');

const outside = '192.0.2.1';
const behind = '198.51.100.1';
const needs = { namespaces: true, tools: ['ip', 'nft', 'wg', 'wireguard-go', 'curl', 'ping'] };

interface Outcome {
  readonly code: number | null;
  readonly out: string;
  readonly err: string;
}

function sh(program: string, words: readonly string[], input = ''): string {
  return execFileSync(program, words, { encoding: 'utf8', input, stdio: ['pipe', 'pipe', 'pipe'] });
}

function inClient(program: string, ...words: string[]): Outcome {
  const result = spawnSync('ip', ['netns', 'exec', client, program, ...words], { encoding: 'utf8' });
  return { code: result.status, out: result.stdout, err: result.stderr };
}

function culvert(...words: string[]): Outcome {
  return inClient(process.execPath, entry, ...words, '--socket', socket);
}

function succeed(outcome: Outcome): string {
  if (outcome.code !== 0) throw new Error(`exit ${outcome.code}: ${outcome.err}${outcome.out}`);
  return outcome.out;
}

function startDaemon(): number {
  const out = succeed(culvert('daemon', '--state-dir', state, '--json'));
  return (JSON.parse(out) as { pid: number }).pid;
}

function restore(): Outcome {
  return inClient(process.execPath, entry, 'restore', '--state-dir', state);
}

function statusNow(): Record<string, any> {
  return JSON.parse(succeed(culvert('status', '--json'))) as Record<string, any>;
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'));
  } catch {
    return false;
  }
}

async function end(pid: number, signal: 'SIGTERM' | 'SIGKILL'): Promise<void> {
  if (isAlive(pid)) process.kill(pid, signal);
  await vi.waitFor(() => expect(isAlive(pid)).toBe(false), { timeout: 15_000 });
}

/** What the server says to a request: the address that it came from. */
function ask(address: string): string | undefined {
  const url = `http://${address.includes(':') ? `[${address}]` : address}:8080/`;
  const { code, out } = inClient('curl', '-s', '--max-time', '3', url);
  return code === 0 ? out : undefined;
}

/** Everything of the host that culvert may change. */
function hostState(): string {
  const asks = [
    ['ip', '-4', 'rule'],
    ['ip', '-6', 'rule'],
    ['ip', '-4', 'route', 'show', 'table', 'all'],
    ['ip', '-6', 'route', 'show', 'table', 'all'],
    ['ip', '-o', 'addr'],
    ['nft', 'list', 'ruleset'],
    ['cat', '/proc/sys/net/ipv4/conf/all/src_valid_mark'],
  ];
  // Lifetimes of addresses count down.
  return asks
    .map(([program = '', ...words]) => inClient(program, ...words).out)
    .join('\n')
    .replace(/\d+sec/g, '');
}

/** Packets of the laptop that reached the server outside the tunnel, neighbours' talk left out. */
function leaked(): number {
  const listing = sh('ip', ['netns', 'exec', server, 'nft', 'list', 'chain', 'inet', 'watch', 'in']);
  return Number(/counter packets (\d+) bytes \d+ comment "leak"/.exec(listing)?.[1]);
}

/** Programs on the laptop that never stop trying, by both ways, in both families. */
function startChatter(): () => void {
  const script = `while :; do ping -c1 -W1 ${outside}; ping -c1 -W1 ${behind}; ping -6 -c1 -W1 2001:db8:1::1;
    curl -s -m1 http://${outside}:8080/; sleep 0.05; done`;
  const child = spawn('ip', ['netns', 'exec', client, 'sh', '-c', script], {
    stdio: 'ignore',
    detached: true,
  });
  return () => {
    if (child.pid !== undefined) process.kill(-child.pid, 'SIGKILL');
  };
}

const keys = { client: '', clientPublic: '', server: '', serverPublic: '' };

function writeConf(
  name: string,
  change: { endpoint?: string; allowed?: string; serverKey?: string } = {},
): string {
  const path = join(folder, `${name}.conf`);
  const text = [
    '[Interface]',
    `PrivateKey = ${keys.client}`,
    'Address = 10.9.0.2/24, fd09::2/64',
    'DNS = 10.9.0.1',
    `PostUp = touch ${join(folder, 'ran')}`,
    '[Peer]',
    `PublicKey = ${change.serverKey ?? keys.serverPublic}`,
    `Endpoint = ${change.endpoint ?? `${outside}:51820`}`,
    `AllowedIPs = ${change.allowed ?? '0.0.0.0/0, ::/0'}`,
  ];
  writeFileSync(path, `${text.join('\n')}\n`);
  return path;
}

function buildNetwork(): void {
  for (const name of [client, server]) {
    sh('ip', ['netns', 'add', name]);
    sh('ip', ['-n', name, 'link', 'set', 'lo', 'up']);
  }
  sh('ip', ['link', 'add', 'up0', 'netns', client, 'type', 'veth', 'peer', 'name', 'up0', 'netns', server]);
  for (const [name, last] of [
    [client, 2],
    [server, 1],
  ] as const) {
    sh('ip', ['-n', name, 'addr', 'add', `192.0.2.${last}/24`, 'dev', 'up0']);
    sh('ip', ['-n', name, 'addr', 'add', `2001:db8:1::${last}/64`, 'dev', 'up0', 'nodad']);
    // No address of its own making: it would change by itself while we compare.
    sh('ip', ['-n', name, 'link', 'set', 'up0', 'addrgenmode', 'none']);
    sh('ip', ['-n', name, 'link', 'set', 'up0', 'up']);
  }
  sh('ip', ['-n', client, 'route', 'add', 'default', 'via', outside]);
  sh('ip', ['-n', client, '-6', 'route', 'add', 'default', 'via', '2001:db8:1::1']);
  sh('ip', ['-n', server, 'addr', 'add', `${behind}/32`, 'dev', 'lo']);
  sh('ip', ['netns', 'exec', server, 'nft', '-f', '-'], watchRules);
  mkdirSync(`/etc/netns/${client}`, { recursive: true });
  writeFileSync(`/etc/netns/${client}/hosts`, `127.0.0.1 localhost\n${outside} edge.example\n`);
  writeFileSync(`/etc/netns/${client}/resolv.conf`, `nameserver ${outside}\noptions timeout:1 attempts:1\n`);
}

const watchRules = `table inet watch {
  chain in {
    type filter hook prerouting priority raw; policy accept;
    iifname != "up0" accept
    udp dport { 51820, 53 } accept
    icmpv6 type { nd-router-solicit, nd-neighbor-solicit, nd-neighbor-advert, mld-listener-report, mld-listener-done, mld2-listener-report } accept
    counter comment "leak"
  }
}
`;

function startServer(): () => void {
  keys.client = sh('wg', ['genkey']).trim();
  keys.clientPublic = sh('wg', ['pubkey'], keys.client).trim();
  keys.server = sh('wg', ['genkey']).trim();
  keys.serverPublic = sh('wg', ['pubkey'], keys.server).trim();
  const conf = join(folder, 'server.conf');
  writeFileSync(
    conf,
    `[Interface]\nPrivateKey = ${keys.server}\nListenPort = 51820\n[Peer]\nPublicKey = ${keys.clientPublic}\nAllowedIPs = 10.9.0.2/32, fd09::2/128\n`,
    { mode: 0o600 },
  );
  spawnSync('ip', ['netns', 'exec', server, 'wireguard-go', serverInterface], { stdio: 'ignore' });
  sh('wg', ['setconf', serverInterface, conf]);
  sh('ip', ['-n', server, 'addr', 'add', '10.9.0.1/24', 'dev', serverInterface]);
  sh('ip', ['-n', server, 'addr', 'add', 'fd09::1/64', 'dev', serverInterface, 'nodad']);
  sh('ip', ['-n', server, 'link', 'set', serverInterface, 'up']);
  const web = `require('node:http').createServer((q, r) => r.end(q.socket.remoteAddress)).listen(8080, '::')`;
  const child = spawn('ip', ['netns', 'exec', server, process.execPath, '-e', web], { stdio: 'ignore' });
  return () => void child.kill('SIGKILL');
}

describeWith(needs, 'the client daemon', () => {
  let stopServer: () => void = () => undefined;
  let untouched = '';
  let daemon = 0;

  beforeAll(async () => {
    buildNetwork();
    stopServer = startServer();
    await vi.waitFor(() => expect(ask(outside)).toBe('::ffff:192.0.2.2'), { timeout: 10_000 });
    daemon = startDaemon();
    succeed(culvert('settings', 'set', 'tunnel.interface', clientInterface));
    succeed(culvert('mode', 'tunnel'));
    // Every packet outside the tunnel is counted, those that look for a sign-in too.
    succeed(culvert('settings', 'set', 'portal.detection', 'off'));
    succeed(culvert('import', writeConf('home')));
    untouched = hostState();
  });

  afterEach(async () => {
    if (isAlive(daemon)) culvert('disconnect');
    else {
      restore();
      daemon = startDaemon();
    }
    succeed(culvert('edge', 'use', 'home'));
  });

  afterAll(async () => {
    if (daemon !== 0) await end(daemon, 'SIGTERM');
    restore();
    stopServer();
    spawnSync('ip', ['-n', server, 'link', 'del', serverInterface]);
    for (const name of [client, server]) spawnSync('ip', ['netns', 'del', name]);
    rmSync(`/etc/netns/${client}`, { recursive: true, force: true });
    rmSync(folder, { recursive: true, force: true });
  });

  test('connects to a stock server, carries both families, and undoes everything on disconnect', () => {
    const connected = JSON.parse(succeed(culvert('connect', '--wait', '--json'))) as Record<string, unknown>;
    const seen = [ask(behind), ask('10.9.0.1'), ask('fd09::1')];
    const status = statusNow();
    const wg = succeed(inClient('wg', 'show', clientInterface, 'allowed-ips'));
    const link = succeed(inClient('ip', '-o', 'link', 'show', clientInterface));
    const names = succeed(inClient('cat', '/etc/resolv.conf'));
    succeed(culvert('disconnect'));

    expect(connected).toMatchObject({
      state: 'connected',
      mode: 'tunnel',
      edge: { name: 'home', endpoint: `${outside}:51820`, transport: 'udp' },
      addresses: ['10.9.0.2', 'fd09::2'],
    });
    expect(seen).toEqual(['::ffff:10.9.0.2', '::ffff:10.9.0.2', 'fd09::2']);
    expect(status['traffic'].rxBytes).toBeGreaterThan(500);
    expect(status['health']).toEqual([]);
    expect(names).toContain('nameserver 10.9.0.1');
    expect(succeed(inClient('cat', '/etc/resolv.conf'))).toContain(`nameserver ${outside}`);
    expect(wg).toContain('0.0.0.0/0 ::/0');
    expect(link).toContain('mtu 1420');
    expect(ask(outside)).toBe('::ffff:192.0.2.2');
    expect(hostState()).toBe(untouched);
  });

  test('lets nothing out beside the tunnel, through connecting, a kill, a new start and reconnecting', async () => {
    succeed(culvert('connect', '--wait'));
    const before = leaked();
    const stopChatter = startChatter();
    try {
      succeed(culvert('reconnect', '--wait'));
      await end(daemon, 'SIGKILL');
      await new Promise((resolve) => setTimeout(resolve, 500));
      daemon = startDaemon();
      await expect.poll(() => statusNow()['state'], { timeout: 20_000 }).toBe('connected');
      expect(ask(behind)).toBe('::ffff:10.9.0.2');
      await end(daemon, 'SIGTERM');
      await new Promise((resolve) => setTimeout(resolve, 500));
    } finally {
      stopChatter();
    }

    expect(before).toBeGreaterThan(0);
    expect(leaked() - before).toBe(0);
  });

  test('stays closed when it is killed, and restore opens the machine without a daemon, twice', async () => {
    succeed(culvert('connect', '--wait'));
    await end(daemon, 'SIGKILL');

    const closed = [ask(outside), ask(behind), inClient('ping', '-c1', '-W1', outside).code === 0];
    const first = restore();
    const open = ask(outside);
    const after = hostState();
    const second = restore();

    expect(closed).toEqual([undefined, undefined, false]);
    expect(first.out).toContain('removed table inet culvert');
    expect(open).toBe('::ffff:192.0.2.2');
    expect(after).toBe(untouched);
    expect([second.code, second.out.trim()]).toEqual([0, 'Nothing to undo.']);
    daemon = startDaemon();
    expect(statusNow()['state']).toBe('off');
  });

  test('asks a running daemon to let go on restore', () => {
    succeed(culvert('connect', '--wait'));

    const restored = restore();

    expect(restored.out).toContain('The daemon disconnected');
    expect(statusNow()['state']).toBe('off');
    expect(hostState()).toBe(untouched);
  });

  test('fails with handshake-timeout where the edge does not know us, closed meanwhile', () => {
    const stranger = sh('wg', ['pubkey'], sh('wg', ['genkey']).trim()).trim();
    succeed(culvert('import', writeConf('stranger', { serverKey: stranger })));
    // By itself another edge would take over after three seconds.
    succeed(culvert('edge', 'use', 'stranger'));

    const failed = culvert('connect', '--wait', '--timeout', '2s', '--json');
    const state = statusNow()['state'];
    const closed = ask(outside);
    succeed(culvert('disconnect'));
    succeed(culvert('edge', 'use', 'auto'));

    expect(failed.code).toBe(1);
    expect(JSON.parse(failed.err)).toMatchObject({ code: 'handshake-timeout' });
    expect(state).toBe('connecting');
    expect(closed).toBeUndefined();
    expect(ask(outside)).toBe('::ffff:192.0.2.2');
    expect(hostState()).toBe(untouched);
  });

  test('looks the name of an edge up before the tunnel is up', () => {
    succeed(culvert('import', writeConf('named', { endpoint: 'edge.example:51820' })));

    succeed(culvert('connect', '--wait'));

    expect(statusNow()['edge']).toMatchObject({ name: 'named', endpoint: `${outside}:51820` });
    expect(ask(behind)).toBe('::ffff:10.9.0.2');
  });

  test('waits, closed, where the name of an edge is unknown', () => {
    succeed(culvert('import', writeConf('nowhere', { endpoint: 'nowhere.invalid:51820' })));

    const failed = culvert('connect', '--wait', '--timeout', '8s', '--json');

    expect(JSON.parse(failed.err)).toMatchObject({ code: 'endpoint-unresolved' });
    expect(statusNow()['state']).toMatch(/waiting|connecting/);
    expect(ask(outside)).toBeUndefined();
  });

  test('protects only the AllowedIPs of a split tunnel, also when it is killed', async () => {
    succeed(culvert('import', writeConf('split', { allowed: '10.9.0.0/24' })));
    succeed(culvert('connect', '--wait'));

    const health = statusNow()['health'].map((item: { code: string }) => item.code);
    const open = [ask('10.9.0.1'), ask(outside)];
    await end(daemon, 'SIGKILL');
    const killed = [ask('10.9.0.1'), ask(outside)];

    expect(health).toContain('split-tunnel');
    expect(open).toEqual(['::ffff:10.9.0.2', '::ffff:192.0.2.2']);
    expect(killed).toEqual([undefined, '::ffff:192.0.2.2']);
  });

  test('makes a new tunnel where somebody takes the interface away, closed meanwhile', async () => {
    succeed(culvert('connect', '--wait'));
    const before = leaked();

    succeed(inClient('ip', 'link', 'del', clientInterface));
    const closed = ask(outside);

    expect(closed).toBeUndefined();
    await expect.poll(() => statusNow()['state'], { timeout: 30_000 }).toBe('connected');
    expect(ask(behind)).toBe('::ffff:10.9.0.2');
    expect(leaked() - before).toBe(0);
  });

  test('never runs commands from an imported file', () => {
    expect(inClient('ls', join(folder, 'ran')).code).not.toBe(0);
  });
});
