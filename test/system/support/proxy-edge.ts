// An edge without privileges and a client in mode proxy that is enrolled with it, as real programs of an ordinary user.
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { chmodSync, chownSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { vi } from 'vitest';
import type { Status } from '../../../shared/core/control/status.ts';

export interface Outcome {
  readonly code: number | null;
  readonly out: string;
  readonly err: string;
}

const edgeEntry = fileURLToPath(new URL('../../../edge/main.ts', import.meta.url));
const clientEntry = fileURLToPath(new URL('../../../client/main.ts', import.meta.url));
export const patience: { readonly timeout: number; readonly interval: number } = {
  timeout: 60_000,
  interval: 100,
};
/** nobody. */
const user = 65_534;
const asUser =
  process.getuid?.() === 0
    ? ['setpriv', `--reuid=${user}`, `--regid=${user}`, '--clear-groups', '--bounding-set=-all', '--']
    : [];

/** What these programs need of the machine. */
export const proxyEdgeTools: readonly string[] = ['curl', ...(asUser.length > 0 ? ['setpriv'] : [])];

export async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as { port: number };
  await new Promise((resolve) => server.close(resolve));
  return port;
}

export class ProxyEdge {
  readonly folder: string = mkdtempSync(join(tmpdir(), 'culvert-world-'));
  readonly data: string = join(this.folder, 'edge');
  readonly socket: string = join(this.folder, 'client', 'control.sock');
  /** Ports. */
  readonly udp: number;
  readonly https: number;
  readonly metrics: number;
  /** All that the edge and the daemon wrote to their logs. */
  log = '';
  #edge: ChildProcess | undefined;
  #daemon: ChildProcess | undefined;

  private constructor(udp: number, https: number, metrics: number) {
    [this.udp, this.https, this.metrics] = [udp, https, metrics];
  }

  /** An edge with that configuration, changed before it runs; nobody is enrolled. */
  static async start(change: (yaml: string) => string = (yaml) => yaml): Promise<ProxyEdge> {
    const world = new ProxyEdge(await freePort(), await freePort(), await freePort());
    chmodSync(world.folder, 0o755);
    if (asUser.length > 0) chownSync(world.folder, user, user);
    const ports = ['--udp', String(world.udp), '--https', String(world.https)];
    world.edge('init', '--endpoint', '127.0.0.1', '--name', 'lab', ...ports);
    world.configure((yaml) => change(yaml.replace(/127\.0\.0\.1:9586/, `127.0.0.1:${world.metrics}`)));
    await world.runEdge();
    return world;
  }

  configure(change: (yaml: string) => string): void {
    const path = join(this.data, 'edge.yaml');
    writeFileSync(path, change(readFileSync(path, 'utf8')));
  }

  async runEdge(): Promise<void> {
    this.#edge = await this.#spawn([edgeEntry, 'run', '--data', this.data], /^ready$/m);
  }

  /** Returns the exit code and how long it took, milliseconds. */
  async endEdge(): Promise<{ readonly code: number | null; readonly tookMs: number }> {
    const program = this.#edge;
    this.#edge = undefined;
    return program === undefined ? { code: null, tookMs: 0 } : end(program);
  }

  /** It says nothing to anybody. */
  killEdge(): void {
    this.#edge?.kill('SIGKILL');
    this.#edge = undefined;
  }

  async runDaemon(): Promise<void> {
    const state = join(this.folder, 'client');
    const places = ['--state-dir', state, '--socket', this.socket];
    this.#daemon = this.#program([clientEntry, 'daemon', '--foreground', ...places]);
    await vi.waitFor(() => this.culvert('status'), patience);
    this.culvert('settings', 'set', 'proxy.port', '0');
    this.culvert('mode', 'proxy');
  }

  /** As a crash would end it. */
  killDaemon(): void {
    this.#daemon?.kill('SIGKILL');
    this.#daemon = undefined;
  }

  invite(...words: string[]): string {
    return (JSON.parse(this.edge('invite', '--json', ...words)) as { link: string }).link;
  }

  edge(...words: string[]): string {
    return this.#ok([edgeEntry, ...words, '--data', this.data]);
  }

  culvert(...words: string[]): string {
    return this.#ok([clientEntry, ...words, '--socket', this.socket]);
  }

  tryCulvert(...words: string[]): Outcome {
    return this.try(clientEntry, ...words, '--socket', this.socket);
  }

  status(): Status {
    return JSON.parse(this.culvert('status', '--json')) as Status;
  }

  curl(...words: string[]): Outcome {
    const address = this.status().proxy?.address ?? '127.0.0.1:1';
    const asked = ['-s', '--max-time', '10', '-x', `socks5h://${address}`, ...words];
    const { status, stdout, stderr } = spawnSync('curl', asked, { encoding: 'utf8' });
    return { code: status, out: stdout, err: stderr };
  }

  try(...words: string[]): Outcome {
    const [program = '', ...rest] = [...asUser, process.execPath, ...words];
    const { status, stdout, stderr } = spawnSync(program, rest, { encoding: 'utf8', env: this.#env });
    return { code: status, out: stdout, err: stderr };
  }

  async close(): Promise<void> {
    if (this.#daemon !== undefined) await end(this.#daemon);
    await this.endEdge();
    rmSync(this.folder, { recursive: true, force: true });
  }

  get #env(): NodeJS.ProcessEnv {
    return { PATH: process.env['PATH'], HOME: this.folder };
  }

  #ok(words: readonly string[]): string {
    const { code, out, err } = this.try(...words);
    if (code !== 0) throw new Error(`exit ${code}: ${err}${out}`);
    return out;
  }

  async #spawn(words: readonly string[], ready: RegExp): Promise<ChildProcess> {
    const program = this.#program(words);
    let out = '';
    program.stdout?.on('data', (text: Buffer) => (out += text));
    await vi.waitFor(() => {
      if (!ready.test(out)) throw new Error(`not ready: ${this.log}`);
    }, patience);
    return program;
  }

  #program(words: readonly string[]): ChildProcess {
    const [first = '', ...rest] = [...asUser, process.execPath, ...words];
    const program = spawn(first, rest, { env: this.#env, stdio: ['ignore', 'pipe', 'pipe'] });
    program.stderr?.on('data', (text: Buffer) => (this.log += text));
    return program;
  }
}

async function end(
  program: ChildProcess,
): Promise<{ readonly code: number | null; readonly tookMs: number }> {
  const begun = performance.now();
  if (program.exitCode !== null) return { code: program.exitCode, tookMs: 0 };
  const code = await new Promise<number | null>((resolve) => {
    program.once('exit', resolve);
    program.kill('SIGTERM');
  });
  return { code, tookMs: performance.now() - begun };
}
