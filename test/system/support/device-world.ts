/**
 * A laptop (a network namespace with the client daemon of a whole-device mode) and all that is around it in another
 * one: a stock WireGuard server, a network next door, places of the Internet. What leaves outside the tunnel is counted.
 */

import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, vi } from 'vitest';
import { makeEtc, withEtc } from '../../../shared/node/lab/private-etc.ts';
import type { Needs } from '../../support/requires.ts';

export const deviceNeeds: Needs = {
  namespaces: true,
  tools: ['ip', 'nft', 'wg', 'wireguard-go', 'curl', 'ping'],
};

/** The router, which is also where the edge is. */
export const router = '192.0.2.1';
/** In the Internet. */
export const behind = '198.51.100.1';
export const elsewhere = '203.0.113.10';
export const elsewhere6 = '2001:db8:5::10';
/** A device of the network next door. */
export const printer = '192.168.77.1';
/** How the web at all of them sees the laptop: outside, inside the tunnel, from next door. */
export const seenOutside = '::ffff:192.0.2.2';
export const seenInside = '::ffff:10.9.0.2';
export const seenNextDoor = '::ffff:192.168.77.2';

const entry = fileURLToPath(new URL('../../../client/main.ts', import.meta.url));

export interface Outcome {
  readonly code: number | null;
  readonly out: string;
  readonly err: string;
}

export class DeviceWorld {
  readonly client: string;
  readonly server: string;
  readonly folder: string = mkdtempSync(join(tmpdir(), 'culvert-device-'));
  readonly stateDir: string = join(this.folder, 'state');
  readonly socket: string = join(this.folder, 'control.sock');
  readonly tunnel: string;
  daemon = 0;
  readonly #serverInterface: string;
  readonly #etc: string = join(this.folder, 'etc');
  readonly #ends: (() => void)[] = [];
  readonly #keys = { client: '', clientPublic: '', server: '', serverPublic: '' };

  /** `letter` keeps the names of two files' worlds apart. */
  constructor(letter: string) {
    const id = `${letter}${process.pid % 100_000}`;
    this.client = `dv${id}c`;
    this.server = `dv${id}s`;
    this.tunnel = `dvc${id}`;
    this.#serverInterface = `dvs${id}`;
  }

  async open(mode = 'tunnel_only'): Promise<void> {
    this.#buildNetwork();
    this.#startServer();
    await vi.waitFor(() => expect(this.ask(router)).toBe(seenOutside), { timeout: 20_000 });
    this.startDaemon();
    this.succeed(this.culvert('settings', 'set', 'tunnel.interface', this.tunnel));
    this.succeed(this.culvert('mode', mode));
    // Every packet outside the tunnel is counted; who wants these questions turns them on.
    this.succeed(this.culvert('settings', 'set', 'portal.detection', 'off'));
    this.succeed(this.culvert('import', this.#conf()));
  }

  async close(): Promise<void> {
    if (this.daemon !== 0) await this.end('SIGTERM');
    this.restore();
    for (const end of this.#ends.toReversed()) end();
    spawnSync('ip', ['-n', this.server, 'link', 'del', this.#serverInterface]);
    for (const name of [this.client, this.server]) spawnSync('ip', ['netns', 'del', name]);
    rmSync(this.folder, { recursive: true, force: true });
  }

  /** Done when the world is closed. */
  atEnd(end: () => void): void {
    this.#ends.push(end);
  }

  inClient(program: string, ...words: string[]): Outcome {
    const [first = program, ...more] = [...withEtc(this.#etc), program, ...words];
    return this.#in(this.client, first, more);
  }

  inServer(program: string, ...words: string[]): Outcome {
    return this.#in(this.server, program, words);
  }

  culvert(...words: string[]): Outcome {
    return this.inClient(process.execPath, entry, ...words, '--socket', this.socket);
  }

  succeed(outcome: Outcome): string {
    if (outcome.code !== 0) throw new Error(`exit ${outcome.code}: ${outcome.err}${outcome.out}`);
    return outcome.out;
  }

  startDaemon(): void {
    const words = [
      process.execPath,
      entry,
      'daemon',
      '--state-dir',
      this.stateDir,
      '--socket',
      this.socket,
      '--json',
    ];
    // The tree of program groups as systemd mounts it, where this kernel has it.
    const script = 'mount -t cgroup2 none /sys/fs/cgroup 2>/dev/null; exec "$@"';
    const out = this.succeed(this.inClient('sh', '-c', script, 'sh', ...words));
    this.daemon = (JSON.parse(out) as { pid: number }).pid;
  }

  restore(): Outcome {
    return this.inClient(process.execPath, entry, 'restore', '--state-dir', this.stateDir);
  }

  status(): Record<string, any> {
    return JSON.parse(this.succeed(this.culvert('status', '--json'))) as Record<string, any>;
  }

  healthCodes(): readonly string[] {
    return (this.status()['health'] as { code: string }[]).map((item) => item.code);
  }

  isAlive(pid = this.daemon): boolean {
    try {
      process.kill(pid, 0);
      return !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'));
    } catch {
      return false;
    }
  }

  async end(signal: 'SIGTERM' | 'SIGKILL'): Promise<void> {
    if (this.isAlive()) process.kill(this.daemon, signal);
    await vi.waitFor(() => expect(this.isAlive()).toBe(false), { timeout: 20_000 });
  }

  /** What the web there says to a request: the address that it came from. Undefined where there is no answer. */
  ask(address: string, seconds = 3): string | undefined {
    const url = `http://${address.includes(':') ? `[${address}]` : address}:8080/`;
    const { code, out } = this.inClient('curl', '-s', '--max-time', String(seconds), url);
    return code === 0 ? out : undefined;
  }

  /** Everything of the laptop that culvert may change. */
  hostState(): string {
    const asks = [
      ['ip', '-4', 'rule'],
      ['ip', '-6', 'rule'],
      ['ip', '-4', 'route', 'show', 'table', 'all'],
      ['ip', '-6', 'route', 'show', 'table', 'all'],
      ['ip', '-o', 'addr'],
      ['nft', 'list', 'ruleset'],
      ['cat', '/etc/resolv.conf'],
      ['cat', '/proc/sys/net/ipv4/conf/all/src_valid_mark'],
    ];
    // Lifetimes of addresses count down.
    return asks
      .map(([program = '', ...words]) => this.inClient(program, ...words).out)
      .join('\n')
      .replace(/\d+sec/g, '');
  }

  /** Packets of the laptop that came out outside the tunnel, what the link itself needs left out. */
  leaked(): number {
    const listing = this.succeed(this.inServer('nft', 'list', 'chain', 'inet', 'watch', 'in'));
    return Number(/counter packets (\d+) bytes \d+ comment "leak"/.exec(listing)?.[1]);
  }

  /** Waits until a packet more has come out: the chatter and the counter work. */
  async seeLeak(): Promise<void> {
    const before = this.leaked();
    await vi.waitFor(() => expect(this.leaked()).toBeGreaterThan(before), { timeout: 10_000 });
  }

  /** True while our firewall stands. */
  isClosed(): boolean {
    return this.inClient('nft', 'list', 'table', 'inet', 'culvert').code === 0;
  }

  /** Programs on the laptop that never stop trying, in both families. Returns what ends them. */
  startChatter(): () => void {
    const script = `while :; do ping -c1 -W1 ${router}; ping -c1 -W1 ${behind}; ping -6 -c1 -W1 2001:db8:1::1;
      ping -c1 -W1 ${printer}; curl -s -m1 http://${elsewhere}:8080/; sleep 0.05; done`;
    const child = spawn('ip', ['netns', 'exec', this.client, 'sh', '-c', script], {
      stdio: 'ignore',
      detached: true,
    });
    return () => {
      if (child.pid !== undefined) process.kill(-child.pid, 'SIGKILL');
    };
  }

  #in(space: string, program: string, words: readonly string[]): Outcome {
    const result = spawnSync('ip', ['netns', 'exec', space, program, ...words], { encoding: 'utf8' });
    return { code: result.status, out: result.stdout, err: result.stderr };
  }

  #conf(): string {
    const path = join(this.folder, 'home.conf');
    const text = [
      '[Interface]',
      `PrivateKey = ${this.#keys.client}`,
      'Address = 10.9.0.2/24, fd09::2/64',
      'DNS = 10.9.0.1',
      '[Peer]',
      `PublicKey = ${this.#keys.serverPublic}`,
      `Endpoint = ${router}:51820`,
      'AllowedIPs = 0.0.0.0/0, ::/0',
    ];
    writeFileSync(path, `${text.join('\n')}\n`, { mode: 0o600 });
    return path;
  }

  #buildNetwork(): void {
    const { client, server } = this;
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
      sh('ip', ['-n', name, 'addr', 'add', `192.168.77.${last}/24`, 'dev', 'up0']);
      sh('ip', ['-n', name, 'addr', 'add', `2001:db8:1::${last}/64`, 'dev', 'up0', 'nodad']);
      // No address of its own making: it would change by itself while we compare.
      sh('ip', ['-n', name, 'link', 'set', 'up0', 'addrgenmode', 'none']);
      sh('ip', ['-n', name, 'link', 'set', 'up0', 'up']);
    }
    sh('ip', ['-n', client, 'route', 'add', 'default', 'via', router]);
    sh('ip', ['-n', client, '-6', 'route', 'add', 'default', 'via', '2001:db8:1::1']);
    for (const address of [`${behind}/32`, `${elsewhere}/32`]) {
      sh('ip', ['-n', server, 'addr', 'add', address, 'dev', 'lo']);
    }
    sh('ip', ['-n', server, 'addr', 'add', `${elsewhere6}/128`, 'dev', 'lo', 'nodad']);
    sh('ip', ['netns', 'exec', server, 'nft', '-f', '-'], watchRules);
    makeEtc(this.#etc, {
      hosts: '127.0.0.1 localhost\n',
      'resolv.conf': `nameserver ${router}\noptions timeout:1 attempts:1\n`,
    });
  }

  #startServer(): void {
    const { server } = this;
    const keys = this.#keys;
    keys.client = sh('wg', ['genkey']).trim();
    keys.clientPublic = sh('wg', ['pubkey'], keys.client).trim();
    keys.server = sh('wg', ['genkey']).trim();
    keys.serverPublic = sh('wg', ['pubkey'], keys.server).trim();
    const conf = join(this.folder, 'server.conf');
    const lines = ['[Interface]', `PrivateKey = ${keys.server}`, 'ListenPort = 51820', '[Peer]'];
    const peer = [`PublicKey = ${keys.clientPublic}`, 'AllowedIPs = 10.9.0.2/32, fd09::2/128'];
    writeFileSync(conf, `${[...lines, ...peer].join('\n')}\n`, { mode: 0o600 });
    const device = this.#serverInterface;
    spawnSync('ip', ['netns', 'exec', server, 'wireguard-go', device], { stdio: 'ignore' });
    sh('wg', ['setconf', device, conf]);
    sh('ip', ['-n', server, 'addr', 'add', '10.9.0.1/24', 'dev', device]);
    sh('ip', ['-n', server, 'addr', 'add', 'fd09::1/64', 'dev', device, 'nodad']);
    sh('ip', ['-n', server, 'link', 'set', device, 'up']);
    const web = `require('node:http').createServer((q, r) => r.end(q.socket.remoteAddress)).listen(8080, '::')`;
    const child = spawn('ip', ['netns', 'exec', server, process.execPath, '-e', web], { stdio: 'ignore' });
    this.#ends.push(() => void child.kill('SIGKILL'));
  }

  /** Names of the far side, at the router and inside the tunnel. Needs dnsmasq. */
  startNames(names: Readonly<Record<string, string>>): void {
    const answers = Object.entries(names).map(([name, address]) => `--address=/${name}/${address}`);
    const words = [
      '--keep-in-foreground',
      '--no-resolv',
      '--no-hosts',
      '--conf-file=/dev/null',
      '--pid-file',
      ...answers,
    ];
    const places = ['--listen-address=10.9.0.1', `--listen-address=${router}`, '--bind-interfaces'];
    const child = spawn('ip', ['netns', 'exec', this.server, 'dnsmasq', ...words, ...places], {
      stdio: 'ignore',
    });
    this.#ends.push(() => void child.kill('SIGKILL'));
  }
}

const watchRules = `table inet watch {
  chain in {
    type filter hook prerouting priority raw; policy accept;
    iifname != "up0" accept
    udp dport 51820 accept
    icmpv6 type { nd-router-solicit, nd-neighbor-solicit, nd-neighbor-advert, mld-listener-report, mld-listener-done, mld2-listener-report } accept
    ip daddr 192.168.77.0/24 counter accept comment "next door"
    counter comment "leak"
  }
}
`;

function sh(program: string, words: readonly string[], input = ''): string {
  return execFileSync(program, words, { encoding: 'utf8', input, stdio: ['pipe', 'pipe', 'pipe'] });
}
