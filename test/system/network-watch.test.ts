// The watch of the network in real namespaces: what the kernel changes is said in time, what does not matter is not,
// nothing is left open, and no privilege is needed.
import { type ChildProcessWithoutNullStreams, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { describeWith } from '../support/requires.ts';

interface Line {
  readonly at: number;
  readonly fact?: string;
  readonly news?: number;
  readonly loss?: string;
  readonly source?: string;
  readonly sleep?: string;
  readonly network?: string;
  readonly leaked?: number;
  readonly wakeUps?: number;
  readonly looked?: boolean;
}

const program = fileURLToPath(new URL('./support/network-watch-program.ts', import.meta.url));
const ordinary = ['setpriv', '--reuid', '12345', '--regid', '12345', '--clear-groups', '--inh-caps=-all'];
/** From the command's start to the fact. */
const inTimeMs = 300;
const target = '203.0.113.5';

let space = '';
let running: ChildProcessWithoutNullStreams | undefined;
let lines: Line[] = [];
let waiters: (() => void)[] = [];

function ip(words: string, input?: string): void {
  const done = spawnSync('ip', ['-n', space, ...words.split(' ')], { encoding: 'utf8', input });
  if (done.status !== 0) throw new Error(`ip ${words}: ${done.stderr}`);
}

async function lineWith(fits: (line: Line) => boolean, timeoutMs = 4000): Promise<Line> {
  const deadline = Date.now() + timeoutMs;
  for (;;) {
    const found = lines.find(fits);
    if (found !== undefined) {
      lines = lines.slice(lines.indexOf(found) + 1);
      return found;
    }
    if (Date.now() > deadline) throw new Error(`no such line among ${JSON.stringify(lines)}`);
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, 50);
      waiters.push(() => {
        clearTimeout(timer);
        resolve();
      });
    });
  }
}

async function start(account: readonly string[] = []): Promise<Line> {
  const words = ['netns', 'exec', space, ...account, process.execPath, program, target];
  running = spawn('ip', words, {
    stdio: ['pipe', 'pipe', 'inherit'],
  }) as unknown as ChildProcessWithoutNullStreams;
  createInterface({ input: running.stdout }).on('line', (text) => {
    lines.push(JSON.parse(text) as Line);
    for (const wake of waiters.splice(0)) wake();
  });
  return lineWith((line) => line.source !== undefined);
}

async function expectFact(fact: string, act: () => void): Promise<void> {
  const before = Date.now();
  act();
  const line = await lineWith((one) => one.fact !== undefined);
  expect(line.fact).toBe(fact);
  expect(line.at - before).toBeLessThanOrEqual(inTimeMs);
}

/** What happened is noticed, and is no fact. */
async function expectNews(act: () => void): Promise<Line> {
  lines = [];
  act();
  const line = await lineWith((one) => one.news !== undefined);
  await new Promise((resolve) => setTimeout(resolve, 250));
  expect(lines.filter((one) => one.fact !== undefined)).toEqual([]);
  return line;
}

async function end(): Promise<Line> {
  const child = running!;
  running = undefined;
  child.stdin.end();
  const line = await lineWith((one) => one.leaked !== undefined);
  if (child.exitCode === null) await once(child, 'exit');
  return line;
}

describeWith({ namespaces: true, ffi: true, tools: ['ip', 'setpriv'] }, 'the watch of the network', () => {
  beforeEach(() => {
    space = `cvwatch-${process.pid}`;
    lines = [];
    waiters = [];
    spawnSync('ip', ['netns', 'add', space]);
    ip('link set lo up');
    for (const [name, peer] of [
      ['wifi0', 'far0'],
      ['eth0', 'far1'],
    ]) {
      ip(`link add ${name} type veth peer name ${peer}`);
      ip(`link set ${peer} up`);
      ip(`link set ${name} up`);
    }
    ip('address add 192.168.1.7/24 dev wifi0');
    ip('route add default via 192.168.1.1 dev wifi0 metric 600');
  });

  afterEach(async () => {
    if (running !== undefined) {
      running.kill('SIGKILL');
      await once(running, 'exit');
      running = undefined;
    }
    spawnSync('ip', ['netns', 'del', space]);
  });

  test.each<[string, readonly string[]]>([
    ['root', []],
    ['an ordinary user', ordinary],
  ])('tells %s of every move within 300 ms', async (_, account) => {
    expect(await start(account)).toMatchObject({ source: 'netlink', sleep: 'kernel' });

    await expectFact('network-changed', () => {
      ip('address del 192.168.1.7/24 dev wifi0');
      ip('address add 192.168.1.9/24 dev wifi0');
      ip('route add default via 192.168.1.1 dev wifi0 metric 600');
    });
    await expectFact('network-gone', () => ip('link set far0 down'));
    await expectFact('network-back', () => ip('link set far0 up'));
    await expectFact('network-changed', () => {
      ip('address add 10.0.0.5/24 dev eth0');
      ip('route add default via 10.0.0.1 dev eth0 metric 100');
    });
    await expectFact('network-changed', () => ip('link del eth0'));
    await expectFact('network-gone', () => ip('route del default'));
    // Without a default route an edge next door is enough.
    await expectFact('network-back', () => ip(`route add ${target} dev wifi0`));
    await expectFact('network-changed', () => {
      ip('-6 address add 2001:db8:7::7/64 dev wifi0 nodad');
      ip('-6 route add default via 2001:db8:7::1 dev wifi0');
    });

    expect(await end()).toMatchObject({ leaked: 0 });
  });

  test('says nothing of containers, of our own tunnel and of addresses beside the way', async () => {
    await start();

    await expectNews(() => {
      ip('link add docker0 type bridge');
      ip('address add 172.17.0.1/16 dev docker0');
      ip('link set docker0 up');
    });
    await expectNews(() => {
      ip('link add culvert0 type veth peer name far2');
      ip('link set far2 up');
      ip('address add 10.83.0.2/16 dev culvert0');
      ip('link set culvert0 up');
      ip('route add default dev culvert0 metric 1');
      ip('route add default dev culvert0 table 8383');
    });
    await expectNews(() => ip('address add 10.9.9.9/32 dev eth0'));
  });

  test('says what of ours somebody else took away', async () => {
    ip('link add culvert0 type veth peer name far2');
    ip('link set far2 up');
    ip('link set culvert0 up');
    ip('route add default dev culvert0 table 8383');
    ip('rule add pref 8383 lookup 8383');
    await start();

    expect(await expectNews(() => ip('rule del pref 8383'))).toMatchObject({ loss: 'rule' });
    expect(await expectNews(() => ip('rule add pref 8383 lookup 8383'))).toMatchObject({ loss: 'none' });
    expect(await expectNews(() => ip('route flush table 8383'))).toMatchObject({ loss: 'route' });
    expect(await expectNews(() => ip('link set culvert0 down'))).toMatchObject({ loss: 'link' });
  });

  test('lives through a storm of changes and still sees the next move in time', async () => {
    await start();
    const storm = (word: string): string =>
      Array.from({ length: 20_000 }, (_, i) => `route ${word} 10.${i >> 8}.${i & 255}.0/24 dev eth0\n`).join(
        '',
      );

    ip('-batch -', storm('add'));
    ip('-batch -', storm('del'));
    await lineWith((line) => line.news !== undefined);
    await new Promise((resolve) => setTimeout(resolve, 500));

    expect(lines.filter((line) => line.fact !== undefined)).toEqual([]);
    lines = [];
    await expectFact('network-gone', () => ip('link set wifi0 down'));
    expect(await end()).toMatchObject({ leaked: 0 });
  });

  test('does nothing while nothing changes, and leaves nothing open however often it looks', async () => {
    await start();
    running!.stdin.write('look\n');
    await lineWith((line) => line.looked === true);
    await new Promise((resolve) => setTimeout(resolve, 1500));

    running!.stdin.write('wakeups\n');
    const { wakeUps: before = 0 } = await lineWith((line) => line.wakeUps !== undefined);
    await new Promise((resolve) => setTimeout(resolve, 5000));
    running!.stdin.write('wakeups\n');
    const { wakeUps: after = 0 } = await lineWith((line) => line.wakeUps !== undefined);

    // Our own two questions wake it, and a garbage collector may.
    expect(after - before).toBeLessThanOrEqual(5);
    expect(await end()).toMatchObject({ leaked: 0 });
  });
});
