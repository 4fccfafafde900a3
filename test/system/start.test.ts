/**
 * `npm start`: the demonstration proves what it says, and nothing of it stays on this machine, however it
 * ends.
 */

import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { afterEach, expect, test } from 'vitest';
import { describeWith } from '../support/requires.ts';

const root = new URL('../..', import.meta.url).pathname;
const waitMs = 60_000;

interface Demo {
  readonly process: ChildProcess;
  readonly pid: number;
  output: string;
  readonly exit: Promise<number | NodeJS.Signals>;
}

const running: Demo[] = [];

describeWith({ root: true, namespaces: true, tools: ['ip', 'nft'] }, 'the demonstration', () => {
  afterEach(async () => {
    for (const demo of running.splice(0)) {
      demo.process.kill('SIGTERM');
      await demo.exit;
    }
  });

  test('shows the way out over both families, and cleans up', async () => {
    const before = hostState();
    const demo = start('--once');

    expect([await demo.exit, demo.output]).toEqual([0, expect.any(String)]);

    for (const line of [
      /✓ before: you cannot reach the web server/,
      /✓ you are connected +culvert connect/,
      /✓ a page over IPv4 +\d/,
      /✓ a page over IPv6 +\d/,
      /the web server saw 198\.51\.100\.1 and 2001:db8:b::1/,
      /connecting +[\d.]+ m?s/,
      /speed +[\d.]+ [MG]bit\/s down, [\d.]+ [MG]bit\/s up/,
      /path +direct/,
      /edge counted +.*: the same/,
      /nothing was left on this machine/,
    ]) {
      expect(demo.output).toMatch(line);
    }
    // No colours, and no line drawn twice, where nobody watches.
    expect(demo.output).not.toContain('\u001b');
    expect(demo.output).not.toContain('\r');
    expect(demo.output.split('\n').filter((line) => line.length > 80)).toEqual([]);
    expect(leftOf(demo.pid)).toEqual([]);
    expect(hostState()).toEqual(before);
  });

  test.each([
    ['while the network is built', /Watch it get out/],
    ['while the edge starts', /✓ before/],
    ['while it is connected', /✓ you are connected/],
    ['while it measures', /✓ a page over IPv6/],
  ])('cleans up after SIGINT %s', async (_title, when) => {
    const before = hostState();
    const demo = start('--once');
    await saw(demo, when);

    demo.process.kill('SIGINT');

    expect([await demo.exit, demo.output]).toEqual([130, expect.stringContaining('Stopped')]);
    expect(demo.output).not.toContain('✗');
    expect(leftOf(demo.pid)).toEqual([]);
    expect(hostState()).toEqual(before);
  });

  test('ends its programs when it is killed, and the next one clears away the rest', async () => {
    const killed = start('--once');
    await saw(killed, /✓ you are connected/);

    killed.process.kill('SIGKILL');
    expect(await killed.exit).toBe('SIGKILL');
    await until(() => processesOf(killed.pid).length === 0);
    expect(leftOf(killed.pid)).not.toEqual([]);
    const next = start('--once');

    expect([await next.exit, next.output]).toEqual([0, expect.stringContaining('was cut off')]);
    expect([...leftOf(killed.pid), ...leftOf(next.pid)]).toEqual([]);
  });

  test('says what is missing where it is not root, in one line', () => {
    const words = [
      '--reuid',
      '65534',
      '--regid',
      '65534',
      '--clear-groups',
      '--',
      'sh',
      'shared/launch/run.sh',
    ];
    const result = spawnSync('setpriv', [...words, 'client/start/start.ts'], { cwd: root, encoding: 'utf8' });

    expect([result.status, result.stdout]).toEqual([1, '']);
    expect(result.stderr).toMatch(/^culvert: this demonstration needs root for now.*sudo npm start.*\n$/);
  });

  test('takes --internet and says that it changes nothing yet', async () => {
    const demo = start('--once', '--internet');
    await saw(demo, /--internet changes nothing yet/);
  });

  test('refuses a flag that it does not know', async () => {
    const demo = start('--onec');

    expect([await demo.exit, demo.output]).toEqual([2, expect.stringContaining('--onec')]);
  });
});

function start(...words: string[]): Demo {
  const launcher = ['shared/launch/run.sh', 'client/start/start.ts', ...words];
  const child = spawn('sh', launcher, { cwd: root, stdio: ['ignore', 'pipe', 'pipe'] });
  const exit = new Promise<number | NodeJS.Signals>((resolve) => {
    child.once('close', (code, signal) => resolve(code ?? signal ?? -1));
  });
  const demo: Demo = { process: child, pid: child.pid ?? 0, output: '', exit };
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text: string) => {
      demo.output += text;
    });
  }
  running.push(demo);
  return demo;
}

async function saw(demo: Demo, pattern: RegExp): Promise<void> {
  await until(() => pattern.test(demo.output) || demo.process.exitCode !== null);
  expect(demo.output).toMatch(pattern);
}

async function until(holds: () => boolean): Promise<void> {
  const deadline = performance.now() + waitMs;
  while (!holds()) {
    if (performance.now() > deadline) throw new Error('waited too long');
    await new Promise((resolve) => setTimeout(resolve, 25));
  }
}

/** Whatever carries the name of that run: namespaces, records and folders, processes, interfaces, sockets. */
function leftOf(pid: number): string[] {
  const id = `culvert-demo-${pid}-`;
  return [
    ...lines('ip', 'netns', 'list').filter((line) => line.startsWith(id)),
    ...names('/run/culvert-lab').filter((name) => name.startsWith(id)),
    ...names('/var/run/wireguard').filter((name) => /^cv[ec]/.test(name) && name.includes(String(pid))),
    ...processesOf(pid),
  ];
}

/** Command lines of processes that belong to the run. */
function processesOf(pid: number): string[] {
  const id = `culvert-demo-${pid}-`;
  return names('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map((name) => commandLine(name))
    .filter((line) => line.includes(id));
}

function commandLine(pid: string): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ');
  } catch {
    return ''; // it ended meanwhile
  }
}

/** The machine's own network: no part of it may change. */
function hostState(): Record<string, unknown> {
  return {
    links: lines('ip', '-brief', 'address').map((line) => line.replace(/\s+/g, ' ')),
    rules: lines('ip', 'rule'),
    tables: lines('nft', 'list', 'tables').filter((line) => line.includes('culvert')),
    forwarding: readFileSync('/proc/sys/net/ipv4/ip_forward', 'utf8'),
    resolver: readFileSync('/etc/resolv.conf', 'utf8'),
  };
}

function lines(program: string, ...words: string[]): string[] {
  return spawnSync(program, words, { encoding: 'utf8' })
    .stdout.split('\n')
    .filter((line) => line !== '');
}

function names(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}
