// A laptop whose DNS may be taken over, and the Internet that it asks: two network namespaces, and for the laptop a mount
// namespace with its own copy of /etc. The machine that runs the tests is never touched: every command of the laptop
// runs inside, and opening fails where its /etc is not a copy.
import { type ChildProcess, execFileSync, spawn, spawnSync } from 'node:child_process';
import {
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface, type Interface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { vi } from 'vitest';
import { createTestCa, type TestCa } from '../../support/test-ca.ts';

const entry = fileURLToPath(new URL('../../../client/main.ts', import.meta.url));
const namesProgram = fileURLToPath(new URL('./names-program.ts', import.meta.url));

export interface Outcome {
  readonly code: number | null;
  readonly out: string;
  readonly err: string;
}

export interface Asked {
  readonly way: 'doh' | 'dot' | 'plain';
  readonly name: string;
  readonly type: number;
  /** Address of the server that was asked. */
  readonly at: string;
  /** Codes of the EDNS options that came along. */
  readonly edns: readonly number[];
}

/** What the network's DHCP would have told: the world's plain DNS. */
export const networkServer = '192.0.2.1';
export const networkFile = `# by hand\nsearch office.example\nnameserver ${networkServer}\noptions timeout:1\n`;
/** Addresses of the world on which it answers. */
const publicAddresses = ['1.1.1.1', '1.0.0.1', '1.1.1.2', '1.0.0.2', '1.1.1.3', '1.0.0.3', '203.0.113.53'];
const certified = [
  ...publicAddresses.map((address) => `IP:${address}`),
  'DNS:security.cloudflare-dns.com',
  'DNS:family.cloudflare-dns.com',
  'DNS:dns.example',
];
/** nobody. */
const plainUser = 65_534;
const watchRules = `table inet watch {
  chain in {
    type filter hook prerouting priority raw; policy accept;
    iifname "up0" meta l4proto { tcp, udp } th dport 53 counter comment "port53"
    iifname "up0" meta l4proto { tcp, udp } th dport { 443, 853 } counter comment "private"
  }
}
`;

export function sh(program: string, words: readonly string[], input = ''): string {
  return execFileSync(program, words, { encoding: 'utf8', input, stdio: ['pipe', 'pipe', 'pipe'] });
}

export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'));
  } catch {
    return false;
  }
}

/** Ends a process that a test started, and waits for its end. */
export async function end(pid: number, signal: 'SIGTERM' | 'SIGKILL'): Promise<void> {
  if (isAlive(pid)) process.kill(pid, signal);
  await vi.waitFor(() => {
    if (isAlive(pid)) throw new Error(`process ${pid} still runs`);
  }, 15_000);
}

/** The namespaces and the Internet's resolvers. */
export class DnsWorld {
  readonly folder: string = mkdtempSync(join(tmpdir(), 'culvert-dns-'));
  readonly laptopNetwork: string;
  readonly network: string;
  readonly #ca: TestCa = createTestCa();
  #names: ChildProcess | undefined;
  #lines: Interface | undefined;
  #laptops = 0;

  constructor(id: number) {
    this.laptopNetwork = `dn${id}l`;
    this.network = `dn${id}w`;
    // Other accounts read the certificate.
    chmodSync(this.folder, 0o755);
  }

  get caFile(): string {
    return join(this.folder, 'ca.pem');
  }

  async open(): Promise<void> {
    const { laptopNetwork: laptop, network } = this;
    for (const name of [laptop, network]) {
      sh('ip', ['netns', 'add', name]);
      sh('ip', ['-n', name, 'link', 'set', 'lo', 'up']);
    }
    sh('ip', [
      'link',
      'add',
      'up0',
      'netns',
      laptop,
      'type',
      'veth',
      'peer',
      'name',
      'up0',
      'netns',
      network,
    ]);
    for (const [name, address] of [
      [laptop, '192.0.2.2/24'],
      [network, `${networkServer}/24`],
    ] as const) {
      sh('ip', ['-n', name, 'addr', 'add', address, 'dev', 'up0']);
      sh('ip', ['-n', name, 'link', 'set', 'up0', 'up']);
    }
    sh('ip', ['-n', laptop, 'route', 'add', 'default', 'via', networkServer]);
    for (const one of publicAddresses) sh('ip', ['-n', network, 'addr', 'add', `${one}/32`, 'dev', 'lo']);
    sh('ip', ['netns', 'exec', network, 'nft', '-f', '-'], watchRules);
    writeFileSync(this.caFile, this.#ca.certificate);
    await this.#startNames();
  }

  /** A certificate that `dns.caFile` makes good, for another server of the world. */
  issueFiles(...names: string[]): { readonly key: string; readonly cert: string } {
    return this.#ca.issueFiles(...names);
  }

  async #startNames(): Promise<void> {
    const { cert, key } = this.#ca.issueFiles(...certified);
    const words = ['netns', 'exec', this.network, process.execPath, namesProgram, cert, key];
    this.#names = spawn('ip', words, { stdio: ['pipe', 'pipe', 'inherit'] });
    if (this.#names.stdout === null) throw new Error('no output');
    this.#lines = createInterface({ input: this.#names.stdout }).setMaxListeners(0);
    await this.#line();
  }

  async #line(): Promise<{ readonly asked: readonly Asked[] }> {
    const lines = this.#lines;
    if (lines === undefined) throw new Error('the world is not open');
    const line = await new Promise<string>((resolve, reject) => {
      lines.once('line', resolve);
      lines.once('close', () => reject(new Error('the names ended')));
    });
    return JSON.parse(line) as { asked: readonly Asked[] };
  }

  /** Tells the resolvers of the world what to do. */
  async tell(command: object): Promise<void> {
    this.#names?.stdin?.write(`${JSON.stringify(command)}\n`);
    await this.#line();
  }

  /** What was asked since the last time. */
  async take(): Promise<readonly Asked[]> {
    this.#names?.stdin?.write('{"take":true}\n');
    return (await this.#line()).asked;
  }

  /** Packets that came from the laptop for port 53, and for the ports of private DNS. */
  packets(): { readonly port53: number; readonly private: number } {
    const listing = sh('ip', ['netns', 'exec', this.network, 'nft', 'list', 'table', 'inet', 'watch']);
    const of = (comment: string): number =>
      Number(new RegExp(`counter packets (\\d+) bytes \\d+ comment "${comment}"`).exec(listing)?.[1]);
    return { port53: of('port53'), private: of('private') };
  }

  /** A laptop with a new /etc and a new state directory, in the one network of laptops. `setUp`: run inside, as root. */
  async boot(setUp = ''): Promise<Laptop> {
    const laptop = new Laptop(this, join(this.folder, `laptop${++this.#laptops}`));
    await laptop.boot(setUp);
    return laptop;
  }

  async close(): Promise<void> {
    this.#names?.stdin?.end();
    if (this.#names?.pid !== undefined) await end(this.#names.pid, 'SIGTERM');
    for (const name of [this.laptopNetwork, this.network]) spawnSync('ip', ['netns', 'del', name]);
    this.#ca.remove();
    rmSync(this.folder, { recursive: true, force: true });
  }
}

export class Laptop {
  readonly world: DnsWorld;
  readonly folder: string;
  readonly socket: string;
  readonly stateDir: string;
  #holder = 0;
  #daemon = 0;
  #as: readonly string[] = [];

  constructor(world: DnsWorld, folder: string) {
    this.world = world;
    this.folder = folder;
    this.stateDir = join(folder, 'state');
    this.socket = join(this.stateDir, 'control.sock');
  }

  get daemon(): number {
    return this.#daemon;
  }

  async boot(setUp: string): Promise<void> {
    const etc = join(this.folder, 'etc');
    mkdirSync(this.stateDir, { recursive: true, mode: 0o755 });
    chmodSync(this.stateDir, 0o755);
    cpSync('/etc', etc, { recursive: true, verbatimSymlinks: true });
    rmSync(join(etc, 'resolv.conf'), { force: true });
    writeFileSync(join(etc, 'resolv.conf'), networkFile, { mode: 0o644 });
    writeFileSync(join(etc, 'hosts'), '127.0.0.1 localhost\n');
    writeFileSync(join(etc, 'nsswitch.conf'), 'passwd: files\ngroup: files\nhosts: files dns\n');
    // `ip netns exec` gives it a mount namespace from which nothing comes back; /run is empty there, as after a boot.
    const script = `set -e
      mount --bind '${etc}' /etc
      mount -t tmpfs -o mode=755 none /run
      ${setUp}
      echo ready
      exec sleep infinity`;
    const holder = spawn('ip', ['netns', 'exec', this.world.laptopNetwork, 'sh', '-c', script], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    await new Promise<void>((resolve, reject) => {
      holder.stdout.once('data', () => resolve());
      holder.once('exit', () => reject(new Error('the laptop does not start')));
    });
    this.#holder = holder.pid ?? 0;
    const inside = this.run('stat', '-c', '%i', '/etc').out.trim();
    if (inside === String(statSync('/etc').ino)) throw new Error('the laptop has the /etc of this machine');
  }

  /** A program on the laptop, as root. */
  run(program: string, ...words: string[]): Outcome {
    return this.#spawn([], [program, ...words]);
  }

  #spawn(as: readonly string[], words: readonly string[], input = ''): Outcome {
    const result = spawnSync('nsenter', [...this.#enter(), ...as, ...words], {
      encoding: 'utf8',
      input,
      timeout: 60_000,
    });
    return { code: result.status, out: result.stdout, err: result.stderr };
  }

  #enter(): readonly string[] {
    if (!isAlive(this.#holder)) throw new Error('the laptop is off');
    return [`--target=${this.#holder}`, '--mount', '--net', '--'];
  }

  /** A program that goes on; the caller ends it. */
  start(program: string, ...words: string[]): ChildProcess {
    return spawn('nsenter', [...this.#enter(), program, ...words], { stdio: ['ignore', 'pipe', 'ignore'] });
  }

  sh(script: string): string {
    const { code, out, err } = this.run('sh', '-c', script);
    if (code !== 0) throw new Error(`exit ${code}: ${err}${out}`);
    return out;
  }

  /** The command line of culvert, as whoever started the daemon. */
  culvert(...words: string[]): Outcome {
    return this.#spawn(this.#as, [process.execPath, entry, ...words, '--socket', this.socket]);
  }

  ok(...words: string[]): string {
    const { code, out, err } = this.culvert(...words);
    if (code !== 0) throw new Error(`exit ${code}: ${err}${out}`);
    return out;
  }

  /** Starts the daemon; from here on everything of culvert's runs as that account. */
  startDaemon(account: 'root' | 'user' = 'root'): void {
    const ids = [
      `--reuid=${plainUser}`,
      `--regid=${plainUser}`,
      '--clear-groups',
      '--bounding-set=-all',
      '--',
    ];
    this.#as = account === 'root' ? [] : ['setpriv', ...ids];
    if (account === 'user') sh('chown', ['-R', `${plainUser}:${plainUser}`, this.stateDir]);
    const out = this.ok('daemon', '--state-dir', this.stateDir, '--json');
    this.#daemon = (JSON.parse(out) as { pid: number }).pid;
  }

  /** A daemon that asks the world's resolvers, in this mode, connected. */
  protect(mode: 'doh' | 'dot', account: 'root' | 'user' = 'root'): Record<string, any> {
    this.startDaemon(account);
    this.ok('settings', 'set', 'dns.caFile', this.world.caFile);
    this.ok('mode', mode);
    return this.connect();
  }

  connect(): Record<string, any> {
    return JSON.parse(this.ok('connect', '--wait', '--json')) as Record<string, any>;
  }

  status(): Record<string, any> {
    return JSON.parse(this.ok('status', '--json')) as Record<string, any>;
  }

  health(): readonly string[] {
    return (this.status()['health'] as readonly { code: string }[]).map(({ code }) => code);
  }

  restore(): Outcome {
    return this.run(process.execPath, entry, 'restore', '--state-dir', this.stateDir);
  }

  async kill(signal: 'SIGTERM' | 'SIGKILL'): Promise<void> {
    await end(this.#daemon, signal);
  }

  /** What a reader of resolv.conf gets; undefined where there is nothing. */
  resolvConf(): string | undefined {
    const { code, out } = this.run('cat', '/etc/resolv.conf');
    return code === 0 ? out : undefined;
  }

  /** Kind, target and text of resolv.conf. */
  resolvConfState(): string {
    return this.run('sh', '-c', 'stat -c "%F %a %N" /etc/resolv.conf; cat /etc/resolv.conf').out;
  }

  /** Addresses as programs of the C library get them. */
  lookUp(name: string): string {
    const { out } = this.run('getent', 'ahostsv4', name);
    return out.split(/\s+/)[0] ?? '';
  }

  dig(...words: string[]): string {
    return this.run('dig', '+time=3', '+tries=1', ...words).out;
  }

  async shutDown(): Promise<void> {
    if (this.#daemon !== 0 && isAlive(this.#daemon)) await this.kill('SIGTERM');
    if (existsSync(`/proc/${this.#holder}`)) await end(this.#holder, 'SIGKILL');
  }
}
