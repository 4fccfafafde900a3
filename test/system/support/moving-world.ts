// A laptop that moves between networks, and an edge of ours far from them: three network namespaces. The laptop's daemon
// and its commands see a copy of resolv.conf and hosts of their own; the machine that runs the tests is never touched.
//
//   laptop ─ up0 (192.0.2.0/24, 2001:db8:1::/64) ─┐
//          ─ up1 (192.0.3.0/24, 2001:db8:2::/64) ─┴ middle ─ out0 (203.0.113.0/24, 2001:db8:3::/64) ─ far
import { type ChildProcess, execFileSync, spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface, type Interface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { vi } from 'vitest';
import type { Status } from '../../../shared/core/control/status.ts';
import { makeEtc, withEtc } from '../../../shared/node/lab/private-etc.ts';
import { Story } from './status-story.ts';

const clientEntry = fileURLToPath(new URL('../../../client/main.ts', import.meta.url));
const edgeEntry = fileURLToPath(new URL('../../../edge/main.ts', import.meta.url));
const placeProgram = fileURLToPath(new URL('./moving-place-program.ts', import.meta.url));
const flowProgram = fileURLToPath(new URL('./steady-flow-program.ts', import.meta.url));

export const edgeV4 = '203.0.113.1';
export const edgeV6 = '2001:db8:3::1';
/** Behind the edge, and not one of its own addresses. */
export const behind = '203.0.113.254';
export const edgeName = 'edge.example';
const echoPort = 9100;
const readyMs = 30_000;

export interface Outcome {
  readonly code: number | null;
  readonly out: string;
  readonly err: string;
}

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

export interface Pulse {
  readonly heard: number;
  readonly longestMs: number;
  readonly alive: boolean;
}

/** A connection inside the tunnel. */
export class SteadyFlow {
  readonly #child: ChildProcess;
  readonly #lines: Interface;

  constructor(child: ChildProcess) {
    this.#child = child;
    if (child.stdout === null) throw new Error('no output');
    this.#lines = createInterface({ input: child.stdout });
  }

  line(): Promise<string> {
    return new Promise((resolve, reject) => {
      this.#lines.once('line', resolve);
      this.#lines.once('close', () => reject(new Error('the flow ended')));
    });
  }

  /** Since the last time. */
  async take(): Promise<Pulse> {
    const line = this.line();
    this.#child.stdin?.write('\n');
    return JSON.parse(await line) as Pulse;
  }

  close(): void {
    this.#child.stdin?.end();
    this.#child.kill('SIGKILL');
  }
}

export class MovingWorld {
  readonly folder: string = mkdtempSync(join(tmpdir(), 'culvert-moving-'));
  readonly laptop: string;
  readonly middle: string;
  readonly far: string;
  readonly #names: string;
  readonly #etc: string;
  #place: ChildProcess | undefined;
  #edge: ChildProcess | undefined;
  #daemon = 0;

  constructor(id: number) {
    this.laptop = `mv${id}l`;
    this.middle = `mv${id}m`;
    this.far = `mv${id}f`;
    this.#names = join(this.folder, 'names.json');
    this.#etc = join(this.folder, 'etc');
  }

  get socket(): string {
    return join(this.folder, 'control.sock');
  }

  get daemon(): number {
    return this.#daemon;
  }

  get edgePid(): number {
    return this.#edge?.pid ?? 0;
  }

  inLaptop(program: string, ...words: string[]): Outcome {
    const [first = program, ...more] = [...withEtc(this.#etc), program, ...words];
    return runIn(this.laptop, first, more);
  }

  inMiddle(program: string, words: readonly string[], input = ''): string {
    return sh('ip', ['netns', 'exec', this.middle, program, ...words], input);
  }

  culvert(...words: string[]): Outcome {
    return this.inLaptop(process.execPath, clientEntry, ...words, '--socket', this.socket);
  }

  ok(...words: string[]): string {
    const { code, out, err } = this.culvert(...words);
    if (code !== 0) throw new Error(`culvert ${words.join(' ')}: exit ${code}: ${err}${out}`);
    return out;
  }

  status(): Status {
    return JSON.parse(this.ok('status', '--json')) as Status;
  }

  /** What the network's name server answers from now on. */
  name(names: Readonly<Record<string, readonly string[]>>): void {
    writeFileSync(this.#names, JSON.stringify(names));
  }

  /** `change`: of the edge's configuration, before it runs. */
  async open(change: (yaml: string) => string = (yaml) => yaml): Promise<void> {
    buildNetwork(this);
    this.goHome();
    this.name({ [edgeName]: [edgeV4, edgeV6] });
    makeEtc(this.#etc, { hosts: '127.0.0.1 localhost\n' });
    this.networkNames();
    const servers = ['192.0.2.1', '2001:db8:1::1'];
    const chain =
      'chain q { type filter hook prerouting priority -300; iifname "up0" udp dport 53 counter\n}';
    this.inMiddle('nft', ['-f', '-'], `table inet watch {\n${chain}\n}\n`);
    this.#place = await started(this.middle, [placeProgram, this.#names, ...servers]);
    this.#edgeCommand('init', '--endpoint', edgeName, '--udp', '51820', '--https', '8443', '--name', 'home');
    const path = join(this.folder, 'edge', 'edge.yaml');
    const text = readFileSync(path, 'utf8').replace(/backend: \w+/, 'backend: userspace');
    writeFileSync(path, change(text.replace(/targets: \[.*\]/, 'targets: []')));
    await this.startEdge();
  }

  /** resolv.conf as the network gave it. */
  networkNames(): void {
    rmSync(join(this.#etc, 'resolv.conf'), { force: true });
    writeFileSync(
      join(this.#etc, 'resolv.conf'),
      'nameserver 192.0.2.1\nnameserver 2001:db8:1::1\noptions timeout:1 attempts:1\n',
    );
  }

  async startEdge(): Promise<void> {
    this.#edge = await started(this.far, [edgeEntry, 'run', '--data', join(this.folder, 'edge')], /^ready$/m);
  }

  killEdge(): void {
    this.#edge?.kill('SIGKILL');
  }

  /** A daemon of root's. `env`: NAME=VALUE, for it alone. */
  startDaemon(env: readonly string[] = []): void {
    const words = ['daemon', '--state-dir', join(this.folder, 'client'), '--socket', this.socket, '--json'];
    const { code, out, err } = this.inLaptop('env', ...env, process.execPath, clientEntry, ...words);
    if (code !== 0) throw new Error(`culvert daemon: exit ${code}: ${err}${out}`);
    this.#daemon = (JSON.parse(out) as { pid: number }).pid;
  }

  /** Keeps the laptop out, or lets it in again: as an edge that forgot it, with a way back. */
  admit(allowed: boolean): void {
    const devices = JSON.parse(this.#edgeCommand('device', 'list', '--json')) as { name: string }[];
    for (const { name } of devices) this.#edgeCommand('device', allowed ? 'enable' : 'disable', name);
  }

  enroll(): void {
    const { link } = JSON.parse(this.#edgeCommand('invite', '--json')) as { link: string };
    this.ok('enroll', link);
  }

  async endDaemon(signal: 'SIGTERM' | 'SIGKILL' = 'SIGTERM'): Promise<void> {
    const pid = this.#daemon;
    if (pid === 0) return;
    if (isAlive(pid)) process.kill(pid, signal);
    await vi.waitFor(
      () => {
        if (isAlive(pid)) throw new Error('the daemon still runs');
      },
      { timeout: 20_000 },
    );
    this.#daemon = 0;
  }

  story(): Story {
    return new Story(this.socket);
  }

  /** Through the tunnel; with a port through the proxy there. */
  async flow(proxyPort?: number): Promise<SteadyFlow> {
    const way = proxyPort === undefined ? [] : [String(proxyPort)];
    const words = [
      'netns',
      'exec',
      this.laptop,
      process.execPath,
      flowProgram,
      behind,
      String(echoPort),
      ...way,
    ];
    const flow = new SteadyFlow(spawn('ip', words, { stdio: ['pipe', 'pipe', 'inherit'] }));
    await flow.line();
    return flow;
  }

  /** Everything between laptop and edge vanishes, or passes again. */
  cut(): void {
    this.inMiddle(
      'nft',
      ['-f', '-'],
      'table inet cut { chain f { type filter hook forward priority 0; drop; }; }\n',
    );
  }

  mend(): void {
    this.inMiddle('nft', ['-f', '-'], 'add table inet cut\ndelete table inet cut\n');
  }

  /** Datagrams of more bytes than this vanish between laptop and edge, without a word; 0: none. */
  narrow(bytes: number): void {
    const rule =
      bytes === 0 ? '' : `chain f { type filter hook forward priority 1; meta length > ${bytes} drop\n}`;
    this.inMiddle(
      'nft',
      ['-f', '-'],
      `add table inet narrow\ndelete table inet narrow\ntable inet narrow {\n${rule}\n}\n`,
    );
  }

  /** Of DNS, which came from the laptop outside the tunnel. */
  questions(): number {
    const listing = this.inMiddle('nft', ['list', 'table', 'inet', 'watch']);
    return Number(/counter packets (\d+)/.exec(listing)?.[1]);
  }

  ip(...words: string[]): void {
    sh('ip', ['-n', this.laptop, ...words]);
  }

  /** The one address that up0 has; the way out goes with it. */
  readdress(to: string): void {
    const lines = ['addr flush dev up0 scope global', `addr add ${to}/24 dev up0`];
    this.#batch([...lines, ...homeV6, 'route replace default via 192.0.2.1 dev up0']);
  }

  /** As everything began. */
  goHome(): void {
    const lines = ['addr flush dev up1 scope global', 'link set up1 down', 'link set up0 up'];
    this.#batch([...lines, 'addr flush dev up0 scope global', 'addr add 192.0.2.2/24 dev up0']);
    this.#batch([...homeV6, 'route replace default via 192.0.2.1 dev up0']);
  }

  /** To up1, in another network, with IPv4 alone. */
  goAway(): void {
    this.#batch(['link set up0 down', 'addr add 192.0.3.2/24 dev up1', 'link set up1 up']);
    this.#batch(['route replace default via 192.0.3.1 dev up1']);
  }

  #batch(lines: readonly string[]): void {
    sh('ip', ['-n', this.laptop, '-batch', '-'], `${lines.join('\n')}\n`);
  }

  async close(): Promise<void> {
    await this.endDaemon();
    this.inLaptop(process.execPath, clientEntry, 'restore', '--state-dir', join(this.folder, 'client'));
    for (const child of [this.#edge, this.#place]) child?.kill('SIGKILL');
    for (const name of [this.laptop, this.middle, this.far]) spawnSync('ip', ['netns', 'del', name]);
    rmSync(this.folder, { recursive: true, force: true });
  }

  #edgeCommand(...words: string[]): string {
    const all = [process.execPath, edgeEntry, ...words, '--data', join(this.folder, 'edge')];
    return sh('ip', ['netns', 'exec', this.far, ...all]);
  }
}

const homeV6: readonly string[] = [
  'addr replace 2001:db8:1::2/64 dev up0 nodad',
  'route replace default via 2001:db8:1::1 dev up0',
];

function runIn(name: string, program: string, words: readonly string[]): Outcome {
  const result = spawnSync('ip', ['netns', 'exec', name, program, ...words], { encoding: 'utf8' });
  return { code: result.status, out: result.stdout, err: result.stderr };
}

async function started(name: string, words: readonly string[], ready = /^ready$/m): Promise<ChildProcess> {
  const child = spawn('ip', ['netns', 'exec', name, process.execPath, ...words], {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let out = '';
  let err = '';
  child.stdout?.on('data', (text: Buffer) => (out += text));
  child.stderr?.on('data', (text: Buffer) => (err = (err + text.toString()).slice(-4000)));
  await vi.waitFor(
    () => {
      if (!ready.test(out)) throw new Error(`${words[0]} is not ready: ${err}`);
    },
    { timeout: readyMs },
  );
  return child;
}

function buildNetwork({ laptop, middle, far }: MovingWorld): void {
  for (const name of [laptop, middle, far]) {
    sh('ip', ['netns', 'add', name]);
    sh('ip', ['-n', name, 'link', 'set', 'lo', 'up']);
  }
  for (const device of ['up0', 'up1']) link(laptop, middle, device);
  link(far, middle, 'out0');
  address(middle, 'up0', '192.0.2.1/24', '2001:db8:1::1/64');
  address(middle, 'up1', '192.0.3.1/24', '2001:db8:2::1/64');
  address(middle, 'out0', `${behind}/24`, '2001:db8:3::fe/64');
  address(far, 'out0', `${edgeV4}/24`, `${edgeV6}/64`);
  sh('ip', ['-n', far, 'route', 'add', 'default', 'via', behind]);
  sh('ip', ['-n', far, '-6', 'route', 'add', 'default', 'via', '2001:db8:3::fe']);
  const forwarding =
    'echo 1 > /proc/sys/net/ipv4/ip_forward; echo 1 > /proc/sys/net/ipv6/conf/all/forwarding';
  sh('ip', ['netns', 'exec', middle, 'sh', '-c', forwarding]);
}

function link(a: string, b: string, device: string): void {
  sh('ip', ['link', 'add', device, 'netns', a, 'type', 'veth', 'peer', 'name', device, 'netns', b]);
  // A router needs an address of its own making to look for its neighbours; the others' would only come and go.
  sh('ip', ['-n', a, 'link', 'set', device, 'addrgenmode', 'none']);
}

function address(name: string, device: string, ...all: string[]): void {
  for (const one of all) {
    const noProbe = one.includes(':') ? ['nodad'] : [];
    sh('ip', ['-n', name, 'addr', 'add', one, 'dev', device, ...noProbe]);
  }
  sh('ip', ['-n', name, 'link', 'set', device, 'up']);
}
