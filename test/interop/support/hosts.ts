// Small hosts made of network namespaces, joined by veth pairs. Names carry this process's id, so that runs do not
// meet; close() takes everything away again and ends what was started, whatever happened before.
import { type ChildProcess, execFile, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export interface Output {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

export interface RunOptions {
  readonly env?: Readonly<Record<string, string>>;
  readonly timeoutMs?: number;
  readonly stdin?: string;
}

/** A program that goes on in the background. */
export interface Running {
  readonly pid: number;
  readonly child: ChildProcess;
  /** What it wrote so far, both streams. */
  text(): string;
  /** 128 + the signal's number for a program ended by a signal. */
  readonly ended: Promise<number>;
  hasEnded(): boolean;
  /** Ends it with `signal`, after three seconds with SIGKILL. */
  stop(signal?: NodeJS.Signals): Promise<void>;
}

const defaultTimeoutMs = 30_000;
const graceMs = 3000;
const maxOutputBytes = 64 * 1024 * 1024;

const signalNumbers: Readonly<Record<string, number>> = { SIGTERM: 15, SIGKILL: 9, SIGINT: 2, SIGHUP: 1 };

let madeHosts = 0;

/** One namespace. */
export class Host {
  readonly namespace: string;
  readonly #lab: Lab;

  constructor(lab: Lab, namespace: string) {
    this.#lab = lab;
    this.namespace = namespace;
  }

  /** Runs a program inside to its end. Never throws for what the program did. */
  async try(argv: readonly string[], options: RunOptions = {}): Promise<Output> {
    return await runToEnd(['ip', 'netns', 'exec', this.namespace, ...argv], options);
  }

  /** The same; a program that fails is an error. Returns its standard output. */
  async run(...argv: string[]): Promise<string> {
    return mustSucceed(argv, await this.try(argv));
  }

  /** Several commands, one per line, words separated by blanks. */
  async script(text: string): Promise<void> {
    for (const line of text.split('\n').map((one) => one.trim())) {
      if (line !== '') await this.run(...line.split(/\s+/));
    }
  }

  start(argv: readonly string[], env: Readonly<Record<string, string>> = {}): Running {
    return this.#lab.start(['ip', 'netns', 'exec', this.namespace, ...argv], env);
  }
}

/** Everything one test file made: hosts, programs, a scratch folder. */
export class Lab {
  readonly folder: string = mkdtempSync(join(tmpdir(), 'culvert-interop-'));
  readonly #hosts: Host[] = [];
  readonly #running = new Set<Running>();

  async host(): Promise<Host> {
    madeHosts += 1;
    const host = new Host(this, `cvi${process.pid.toString(36)}-${madeHosts}`);
    mustSucceed(['ip', 'netns', 'add'], await runToEnd(['ip', 'netns', 'add', host.namespace]));
    this.#hosts.push(host);
    await host.script(`
      ip link set lo up
      sysctl -qw net.ipv6.conf.all.accept_dad=0 net.ipv6.conf.default.accept_dad=0
    `);
    return host;
  }

  /** A cable with the same device name at both ends. */
  async link(a: Host, b: Host, device: string, mtu = 1500): Promise<void> {
    const argv = `ip link add ${device} netns ${a.namespace} mtu ${mtu} type veth peer name ${device} netns ${b.namespace} mtu ${mtu}`;
    mustSucceed([argv], await runToEnd(argv.split(' ')));
    await a.run('ip', 'link', 'set', device, 'up');
    await b.run('ip', 'link', 'set', device, 'up');
  }

  start(argv: readonly string[], env: Readonly<Record<string, string>> = {}): Running {
    const one = startProgram(argv, env);
    this.#running.add(one);
    void one.ended.then(() => this.#running.delete(one));
    return one;
  }

  /** Ends programs and removes namespaces. Processes that a namespace still holds (daemons) end with it. */
  async close(): Promise<void> {
    await Promise.all([...this.#running].map(async (one) => one.stop()));
    for (const host of this.#hosts.splice(0)) {
      for (const pid of pidsIn(host.namespace)) endProcess(pid);
      await runToEnd(['ip', 'netns', 'del', host.namespace]);
    }
    rmSync(this.folder, { recursive: true, force: true });
  }
}

export async function sleep(ms: number): Promise<void> {
  await new Promise((resolve) => setTimeout(resolve, ms));
}

/** Asks until the answer is true. False when the time is over. */
export async function eventually(
  question: () => boolean | Promise<boolean>,
  timeoutMs = 5000,
): Promise<boolean> {
  for (const end = performance.now() + timeoutMs; performance.now() < end; await sleep(25)) {
    if (await question()) return true;
  }
  return await question();
}

/** Runs a program on the machine itself to its end. */
export async function runToEnd(argv: readonly string[], options: RunOptions = {}): Promise<Output> {
  const [program = '', ...parameters] = argv;
  return await new Promise((resolve) => {
    const child = execFile(
      program,
      parameters,
      {
        timeout: options.timeoutMs ?? defaultTimeoutMs,
        killSignal: 'SIGKILL',
        maxBuffer: maxOutputBytes,
        env: { ...process.env, ...options.env },
      },
      (error, out, err) => {
        const code = error === null ? 0 : typeof error.code === 'number' ? error.code : 128;
        resolve({ code, out, err });
      },
    );
    child.stdin?.on('error', () => undefined);
    child.stdin?.end(options.stdin ?? '');
  });
}

/** Ids of the processes that live in the namespace, read from the system. */
export function pidsIn(namespace: string): number[] {
  try {
    const text = execFileSync('ip', ['netns', 'pids', namespace], { encoding: 'utf8' });
    return text.split('\n').filter(Boolean).map(Number);
  } catch {
    return []; // the namespace is gone
  }
}

function mustSucceed(argv: readonly string[], output: Output): string {
  if (output.code === 0) return output.out;
  throw new Error(`${argv.join(' ')} failed with ${output.code}: ${output.err.trim() || output.out.trim()}`);
}

function endProcess(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // ended by itself meanwhile
  }
}

function startProgram(argv: readonly string[], env: Readonly<Record<string, string>>): Running {
  const [program = '', ...parameters] = argv;
  const child = spawn(program, parameters, {
    stdio: ['pipe', 'pipe', 'pipe'],
    env: { ...process.env, ...env },
  });
  let text = '';
  const keep = (chunk: Buffer): void => {
    if (text.length < maxOutputBytes) text += chunk.toString();
  };
  child.stdout.on('data', keep);
  child.stderr.on('data', keep);
  child.stdin.on('error', () => undefined);
  const ended = once(child, 'close').then(([code, signal]) =>
    typeof code === 'number' ? code : 128 + (signalNumbers[String(signal)] ?? 0),
  );
  const hasEnded = (): boolean => child.exitCode !== null || child.signalCode !== null;
  const stop = async (signal: NodeJS.Signals = 'SIGTERM'): Promise<void> => {
    if (!hasEnded()) child.kill(signal);
    const inTime = await Promise.race([ended.then(() => true), sleep(graceMs).then(() => false)]);
    if (!inTime) child.kill('SIGKILL');
    await ended;
  };
  return { pid: child.pid ?? -1, child, text: () => text, ended, hasEnded, stop };
}
