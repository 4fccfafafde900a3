/**
 * `npm start`: each demonstration proves what it says, and nothing of it stays on this machine, however it ends.
 */

import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { chmodSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { describeWith } from '../support/requires.ts';

const root = new URL('../..', import.meta.url).pathname;
const waitMs = 60_000;
const nobody = ['setpriv', '--reuid', '65534', '--regid', '65534', '--clear-groups', '--'];

interface Demo {
  readonly process: ChildProcess;
  readonly pid: number;
  output: string;
  readonly exit: Promise<number | NodeJS.Signals>;
}

interface StartOptions {
  /** Words before the launcher: who runs it, and where. */
  readonly before?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
}

const running: Demo[] = [];

afterEach(async () => {
  for (const demo of running.splice(0)) {
    demo.process.kill('SIGTERM');
    await demo.exit;
  }
});

/** A place for temporary files that is the test's own: what is left behind is found in it. */
let place: string;

/** The demonstration for everyone; `before` says as whom. */
function forEveryone(title: string, before: readonly string[]): void {
  describe(title, () => {
    beforeEach(() => {
      place = mkdtempSync(join(tmpdir(), 'start-'));
      chmodSync(place, 0o777);
    });
    afterEach(() => rmSync(place, { recursive: true }));

    const begin = (...words: string[]): Demo => start(words, { before, env: { TMPDIR: place, HOME: place } });

    test('shows a request through the tunnel, and cleans up', async () => {
      const host = hostState();
      const demo = begin('--once');

      expect([await demo.exit, demo.output]).toEqual([0, expect.any(String)]);

      for (const line of [
        /✓ your edge is ready +culvert-edge run/,
        /✓ before: no page loads/,
        /✓ you are connected +culvert connect/,
        /✓ a page of the edge, through proxy and tunnel/,
        /✓ closed: this machine itself/,
        /device=you {2}ip=(10\.83\.0\.2|fd83:0:0:1::2) {2}path=direct/,
        /a round trip +[\d.]+ ms/,
        /speed +[\d.]+ [MG]bit\/s through the tunnel/,
        /edge counted +.*: the same/,
        /nothing was left on this machine/,
      ]) {
        expect(demo.output).toMatch(line);
      }
      expect(demo.output).not.toContain('\u001b');
      expect(demo.output).not.toContain('\r');
      expect(demo.output.split('\n').filter((line) => line.length > 80)).toEqual([]);
      expect([...readdirSync(place), ...processesWith(place)]).toEqual([]);
      expect(hostState()).toEqual(host);
    });

    test('goes on until it is told to end, and its proxy works as it says', async () => {
      const demo = begin();
      await saw(demo, /● Programs that use the proxy are private/);
      const [, command = ''] = /^ +(curl -x socks5h:\/\/127\.0\.0\.1:\d+ .*)$/m.exec(demo.output) ?? [];
      const trace = spawnSync(command.split(' ')[0] ?? '', ['-sS', ...command.split(' ').slice(1)], {
        encoding: 'utf8',
      });

      demo.process.kill('SIGINT');

      expect([trace.stdout, trace.stderr]).toEqual([expect.stringMatching(/^device=you$/m), '']);
      expect([await demo.exit, demo.output]).toEqual([0, expect.stringContaining('nothing was left')]);
      expect([...readdirSync(place), ...processesWith(place)]).toEqual([]);
    });

    test.each([
      ['SIGHUP', 'while it begins', /No public address/, 143],
      ['SIGTERM', 'while the client starts', /✓ your edge is ready/, 143],
      ['SIGINT', 'while it is connected', /✓ you are connected/, 130],
    ] as const)('cleans up after %s %s', async (signal, _title, when, code) => {
      const demo = begin('--once');
      await saw(demo, when);

      demo.process.kill(signal);

      expect([await demo.exit, demo.output]).toEqual([code, expect.stringContaining('Stopped')]);
      expect(demo.output).not.toContain('✗');
      expect([...readdirSync(place), ...processesWith(place)]).toEqual([]);
    });

    test('ends when whoever reads it is gone, as a terminal that is closed', async () => {
      const demo = begin();
      await saw(demo, /● Programs/);

      demo.process.stdout?.destroy();
      demo.process.stderr?.destroy();
      demo.process.kill('SIGHUP');

      expect(await demo.exit).toBe(0);
      expect([...readdirSync(place), ...processesWith(place)]).toEqual([]);
    });

    test('ends its programs when it is killed, and the next one clears away the rest', async () => {
      const killed = begin('--once');
      await saw(killed, /✓ you are connected/);

      killed.process.kill('SIGKILL');
      expect(await killed.exit).toBe('SIGKILL');
      await until(() => processesWith(place).length === 0);
      expect(readdirSync(place)).toHaveLength(1);
      const next = begin('--once');

      expect([await next.exit, next.output]).toEqual([0, expect.stringContaining('was cut off')]);
      expect(readdirSync(place)).toEqual([]);
    });

    test('takes another port where the usual one is taken, and says which', async () => {
      const other = createServer();
      // Where somebody else has it already, that is as good.
      await new Promise<void>((resolve) => {
        other.once('error', () => resolve());
        other.listen(40_000, '127.0.0.1', resolve);
      });
      try {
        const demo = begin();
        await saw(demo, /● Programs/);

        expect(demo.output).toMatch(/Another program has port 40000, so the proxy is at port \d+/);
      } finally {
        other.close();
      }
    });
  });
}

describeWith({ tools: ['curl', 'ip', 'nft'] }, 'the demonstration for everyone', () => {
  forEveryone('as who runs the tests', []);
});

describeWith(
  { root: true, tools: ['setpriv', 'curl', 'ip', 'nft'] },
  'the demonstration for everyone',
  () => {
    forEveryone('as an ordinary user', nobody);
  },
);

describeWith(
  { root: true, namespaces: true, tools: ['ip'] },
  'the demonstration, watched from outside',
  () => {
    const namespace = `start-${process.pid}`;
    const inside = (...words: string[]): string => {
      const result = spawnSync('ip', ['netns', 'exec', namespace, ...words], { encoding: 'utf8' });
      return result.stdout;
    };

    const watched = async (...words: string[]): Promise<{ code: unknown; output: string; sent: number }> => {
      spawnSync('ip', ['netns', 'add', namespace]);
      try {
        // A way out that is only looked at: what would leave is counted and gone.
        inside('ip', 'link', 'add', 'out', 'type', 'veth', 'peer', 'name', 'gone');
        inside('sysctl', '-qw', 'net.ipv6.conf.out.disable_ipv6=1', 'net.ipv6.conf.gone.disable_ipv6=1');
        for (const device of ['lo', 'out', 'gone']) inside('ip', 'link', 'set', device, 'up');
        inside('ip', 'address', 'add', '192.0.2.1/24', 'dev', 'out');
        inside('ip', 'route', 'add', 'default', 'via', '192.0.2.2');
        const demo = start(['--once', ...words], { before: ['ip', 'netns', 'exec', namespace] });
        const code = await demo.exit;
        const sent = Number(inside('cat', '/sys/class/net/out/statistics/tx_packets'));
        return { code, output: demo.output, sent };
      } finally {
        spawnSync('ip', ['netns', 'delete', namespace]);
      }
    };

    test('sends nothing to anybody but loopback', async () => {
      expect(await watched()).toEqual({
        code: 0,
        output: expect.stringContaining('nothing was left'),
        sent: 0,
      });
    });

    test('asks the Internet when it is told to, and says in one sentence that there is none', async () => {
      const { code, output, sent } = await watched('--internet');

      expect([code, sent > 0]).toEqual([1, true]);
      expect(output).toMatch(
        /✗ a public page[^]*did not load through the proxy: .*\[no-reply\]\n.*connection/,
      );
    });
  },
);

describe('the command line of the demonstration', () => {
  test('refuses a flag that it does not know', async () => {
    const demo = start(['--onec']);

    expect([await demo.exit, demo.output]).toEqual([2, expect.stringMatching(/--onec.*\[bad-usage\]/)]);
  });

  test('explains itself', async () => {
    const demo = start(['--help']);

    expect([await demo.exit, demo.output]).toEqual([0, expect.stringContaining('--whole-device')]);
  });

  test('does not promise the Internet to networks that have none', async () => {
    const demo = start(['--whole-device', '--internet']);

    expect([await demo.exit, demo.output]).toEqual([2, expect.stringContaining('[bad-usage]')]);
  });
});

describeWith(
  { root: true, namespaces: true, tools: ['ip', 'nft'] },
  'the demonstration of a whole device',
  () => {
    test('shows the way out over both families, and cleans up', async () => {
      const before = hostState();
      const demo = start(['--whole-device', '--once']);

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
      const demo = start(['--whole-device', '--once']);
      await saw(demo, when);

      demo.process.kill('SIGINT');

      expect([await demo.exit, demo.output]).toEqual([130, expect.stringContaining('Stopped')]);
      expect(demo.output).not.toContain('✗');
      expect(leftOf(demo.pid)).toEqual([]);
      expect(hostState()).toEqual(before);
    });

    test('ends its programs when it is killed, and the next one clears away the rest', async () => {
      const killed = start(['--whole-device', '--once']);
      await saw(killed, /✓ you are connected/);

      killed.process.kill('SIGKILL');
      expect(await killed.exit).toBe('SIGKILL');
      await until(() => processesWith(`culvert-demo-${killed.pid}-`).length === 0);
      expect(leftOf(killed.pid)).not.toEqual([]);
      const next = start(['--whole-device', '--once']);

      expect([await next.exit, next.output]).toEqual([0, expect.stringContaining('was cut off')]);
      expect([...leftOf(killed.pid), ...leftOf(next.pid)]).toEqual([]);
    });

    test('says what is missing where it is not root', () => {
      const words = [
        ...nobody.slice(1),
        'sh',
        'shared/launch/run.sh',
        'client/start/start.ts',
        '--whole-device',
      ];
      const result = spawnSync('setpriv', words, { cwd: root, encoding: 'utf8' });

      expect([result.status, result.stdout]).toEqual([1, '']);
      expect(result.stderr).toMatch(/needs root\. \[not-root\]\n.*sudo npm start -- --whole-device/);
    });
  },
);

function start(words: readonly string[], options: StartOptions = {}): Demo {
  const launcher = ['sh', 'shared/launch/run.sh', 'client/start/start.ts', ...words];
  const [program = '', ...parameters] = [...(options.before ?? []), ...launcher];
  const child = spawn(program, parameters, {
    cwd: root,
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, ...options.env },
  });
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
    ...processesWith(id),
  ];
}

/** Command lines that have the text in them. */
function processesWith(text: string): string[] {
  return names('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map((name) => commandLine(name))
    .filter((line) => line.includes(text));
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
