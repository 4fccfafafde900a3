// `culvert exec` with real programs in real namespaces, as an ordinary user and as root. The proxy is the real one; the
// far end lies on loopback, so nothing leaves this machine.
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest';
import { describeWith, findProgram } from '../support/requires.ts';
import {
  blobBytes,
  connectedStatus,
  type ExecWorld,
  farAddress,
  farAddress6,
  knownName,
  openExecWorld,
  otherAddress,
} from './support/exec-world.ts';

interface Outcome {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly out: string;
  readonly err: string;
}

const entry = fileURLToPath(new URL('../../client/main.ts', import.meta.url));
const datagrams = fileURLToPath(new URL('./support/datagrams-program.ts', import.meta.url));
const ordinary = '12345';
const isRoot = process.getuid?.() === 0;
const asOrdinary = ['setpriv', '--reuid', ordinary, '--regid', ordinary, '--clear-groups', '--inh-caps=-all'];
const accounts: [string, readonly string[]][] = isRoot
  ? [
      ['as root', []],
      ['as an ordinary user', asOrdinary],
    ]
  : [['as an ordinary user', []]];
const curlCannotConnect = 7;
const nonBlocking = 0o4000;

/** In a mount namespace: this machine as systemd-resolved would have it. */
const resolvedHere = `
mount -t tmpfs names /mnt
mkdir /mnt/etc /mnt/work
mount -t overlay names -o lowerdir=/etc,upperdir=/mnt/etc,workdir=/mnt/work /etc
mkdir -p /run/systemd
mount -t tmpfs names /run/systemd -o mode=755
mkdir /run/systemd/resolve
echo nameserver 127.0.0.53 > /run/systemd/resolve/stub-resolv.conf
touch /run/systemd/resolve/io.systemd.Resolve
ln -sf ../run/systemd/resolve/stub-resolv.conf /etc/resolv.conf
echo 'hosts: resolve [!UNAVAIL=return] dns' > /etc/nsswitch.conf`;

/** What would have to work for the tests to mean anything; the program itself tries the same. */
function mayIsolate(account: readonly string[]): boolean {
  const words = [
    ...account,
    'unshare',
    '--user',
    '--map-current-user',
    '--net',
    '--mount',
    'test',
    '-r',
    entry,
  ];
  const [program = '', ...rest] = words;
  return spawnSync(program, rest).status === 0;
}

describeWith({ tools: ['curl', 'unshare', 'setsid', 'getent'], ffi: true }, 'culvert exec', () => {
  let world: ExecWorld;
  const started: ChildProcess[] = [];

  beforeAll(async () => {
    world = await openExecWorld();
  });
  beforeEach(() => {
    world.status = connectedStatus(world.proxy.port);
    world.proxy.setGate({ kind: 'open' });
    world.dialled.length = 0;
    world.posted.length = 0;
  });
  afterEach(async () => {
    for (const child of started.splice(0)) child.kill('SIGKILL');
    await vi.waitFor(() => expect(carriers()).toEqual([]), { timeout: 5000, interval: 100 });
  });
  afterAll(() => world.close());

  function start(
    account: readonly string[],
    command: readonly string[],
    flags: readonly string[] = [],
  ): ChildProcess {
    const words = [
      ...account,
      process.execPath,
      entry,
      'exec',
      '--socket',
      world.socket,
      ...flags,
      '--',
      ...command,
    ];
    const [program = '', ...rest] = words;
    const env = { ...process.env, HOME: world.folder, no_proxy: '*' };
    const child = spawn(program, rest, { stdio: ['pipe', 'pipe', 'pipe'], env });
    started.push(child);
    return child;
  }

  async function exec(
    account: readonly string[],
    command: readonly string[],
    flags: readonly string[] = [],
    input = '',
  ): Promise<Outcome> {
    const child = start(account, command, flags);
    child.stdin?.on('error', () => {}).end(input);
    const [out, err] = [collect(child.stdout), collect(child.stderr)];
    const [code, signal] = (await once(child, 'close')) as [number | null, NodeJS.Signals | null];
    return { code, signal, out: out(), err: err() };
  }

  describe.each(accounts)('%s', (_title, account) => {
    const isAllowed = mayIsolate(account);
    const here = test.skipIf(!isAllowed);
    const run = (...command: string[]): Promise<Outcome> => exec(account, command);
    const node = (...words: string[]): Promise<Outcome> => run(process.execPath, ...words);

    here('reaches an address, IPv4 and IPv6', async () => {
      const four = await run('curl', '-sS', `http://${farAddress}/`);
      const six = await run('curl', '-sS', `http://[${farAddress6}]/`);

      expect([four, six]).toMatchObject([
        { code: 0, out: `hello ${farAddress}\n`, err: '' },
        { code: 0, out: `hello [${farAddress6}]\n`, err: '' },
      ]);
      expect(world.dialled).toEqual([`${farAddress}:80`, `${farAddress6}:80`]);
    });

    here('looks names up at the far end, and nowhere else', async () => {
      const known = await run('curl', '-sS', `http://${knownName}/`);
      const unknown = await run('getent', 'hosts', 'unknown.example');

      expect(known).toMatchObject({ code: 0, out: `hello ${knownName}\n` });
      expect(unknown.code).toBe(2);
      const sources = await run(
        'sh',
        '-c',
        'grep -v options /etc/resolv.conf; grep hosts: /etc/nsswitch.conf',
      );
      expect(sources.out).toBe('nameserver 192.0.0.1\nhosts: files dns\n');
    });

    here('sends datagrams to several places from one socket', async () => {
      const answers = await node(datagrams, '7', farAddress, otherAddress);
      const six = await node(datagrams, '7', farAddress6);

      expect(answers.out.split('\n').toSorted()).toEqual(
        [
          '',
          `echo hi ${farAddress} from ${farAddress}:7`,
          `echo hi ${otherAddress} from ${otherAddress}:7`,
        ].toSorted(),
      );
      expect(six.out).toBe(`echo hi ${farAddress6} from ${farAddress6}:7\n`);
    });

    here('downloads, byte for byte', async () => {
      const script = `curl -sS http://${farAddress}/blob | sha256sum`;
      const through = await run('sh', '-c', script);

      const expected = createHash('sha256').update(Buffer.alloc(blobBytes, 'culvert ')).digest('hex');
      expect(through.out).toBe(`${expected}  -\n`);
    });

    here('delivers what a program sent just before it ended', async () => {
      const body = 'x'.repeat(200_000);
      const request = `POST / HTTP/1.1\\r\\nHost: a\\r\\nConnection: close\\r\\nContent-Length: ${body.length}\\r\\n\\r\\n`;
      const script = `const s = require('net').connect(80, '${farAddress}', () => {
        s.write('${request}' + 'x'.repeat(${body.length})); s.end(); setTimeout(() => process.exit(0), 20); });`;
      await node('-e', script);

      await vi.waitFor(() => expect(world.posted).toEqual([body]), { timeout: 5000 });
    });

    here('passes the exit code, standard input and the environment on', async () => {
      const outcome = await exec(account, ['sh', '-c', 'cat; echo "$no_proxy" >&2; exit 7'], [], 'typed');

      expect(outcome).toEqual({ code: 7, signal: null, out: 'typed', err: '*\n' });
    });

    here('is the program itself: signals and its death are its own', async () => {
      const trap = 'trap "echo caught; exit 3" INT; echo ready $$; while :; do sleep 0.05; done';
      const child = start(account, ['sh', '-c', trap]);
      const out = collect(child.stdout);
      await vi.waitFor(() => expect(out()).toBe(`ready ${child.pid}\n`), { timeout: 5000 });

      child.kill('SIGINT');
      const [code] = (await once(child, 'close')) as [number];
      const killed = await run('sh', '-c', 'kill -TERM $$');

      expect([code, out()]).toEqual([3, `ready ${child.pid}\ncaught\n`]);
      expect(killed.signal).toBe('SIGTERM');
    });

    here('leaves signals and standard streams as programs expect them', async () => {
      const outcome = await run(
        'sh',
        '-c',
        'grep SigIgn /proc/self/status; yes | head -1; grep flags /proc/self/fdinfo/1',
      );

      expect(outcome.out).toMatch(/^SigIgn:\t0000000000000000\ny\nflags:\t\d+\n$/);
      expect(Number.parseInt(/flags:\t(\d+)/.exec(outcome.out)?.[1] ?? '', 8) & nonBlocking).toBe(0);
      expect(outcome.err).toBe('');
    });

    here('refuses while the tunnel is down', async () => {
      const child = start(account, ['sh', '-c', `echo up; read line; curl -sS http://${farAddress}/`]);
      const out = collect(child.stdout);
      await vi.waitFor(() => expect(out()).toBe('up\n'), { timeout: 5000 });

      world.proxy.setGate({ kind: 'closed', reason: 'The tunnel is down.' });
      child.stdin?.end('\n');

      expect(await once(child, 'close')).toEqual([curlCannotConnect, null]);
    });

    here('does not reach what listens on this machine', async () => {
      const loopback = await run('curl', '-sS', `http://127.0.0.1:${world.hostPort}/`);
      const closed = await run('curl', '-sS', `http://${farAddress}:9/`);

      expect([loopback.code, closed.code]).toEqual([curlCannotConnect, curlCannotConnect]);
      expect(world.dialled).toEqual([`${farAddress}:9`]);
    });

    here('has a network of its own with two interfaces, abstract sockets included', async () => {
      const outcome = await run(
        'sh',
        '-c',
        'readlink /proc/self/ns/net; tail -n +3 /proc/net/dev | cut -d: -f1',
      );

      const [netns, ...interfaces] = outcome.out
        .trim()
        .split('\n')
        .map((line) => line.trim());
      expect(netns).not.toBe(readlinkSync('/proc/self/ns/net'));
      expect(interfaces.toSorted()).toEqual(['culvert0', 'lo']);
    });

    here('shows the proxy to programs that are set to use it', async () => {
      const outcome = await run(
        'curl',
        '-sS',
        '--noproxy',
        '',
        '-x',
        `socks5h://127.0.0.1:${world.proxy.port}`,
        'http://some.example/',
      );

      expect(outcome.out).toBe('hello some.example\n');
      expect(world.dialled).toEqual(['some.example:80']);
    });

    here('loses its network, and gains no other, when the network process is killed', async () => {
      const child = start(account, ['sh', '-c', `echo up; read line; curl -m 3 -sS http://${farAddress}/`]);
      const out = collect(child.stdout);
      await vi.waitFor(() => expect(out()).toBe('up\n'), { timeout: 5000 });

      for (const pid of carriers()) process.kill(pid, 'SIGKILL');
      await vi.waitFor(() => expect(carriers()).toEqual([]));
      child.stdin?.end('\n');

      const [code] = (await once(child, 'close')) as [number];
      expect(code).not.toBe(0);
      expect(world.dialled).toEqual([]);
    });

    here('leaves nothing behind when the program is killed', async () => {
      const child = start(account, ['sh', '-c', 'echo up; readlink /proc/self/ns/net; exec sleep 60']);
      const out = collect(child.stdout);
      await vi.waitFor(() => expect(out()).toMatch(/^up\nnet:/), { timeout: 5000 });
      expect(carriers()).toHaveLength(1);

      child.kill('SIGKILL');
      await once(child, 'close');

      await vi.waitFor(() => expect(carriers()).toEqual([]), { timeout: 5000, interval: 50 });
    });

    here('keeps the network for what the program left running', async () => {
      const script = `(sleep 1; curl -sS http://${farAddress}/) & echo left`;
      const outcome = await run('sh', '-c', script);

      // The pipe closes when the last of them ends.
      expect(outcome).toMatchObject({ code: 0, out: `left\nhello ${farAddress}\n` });
    });

    test('says that nothing enforces proxy variables, and refuses them with --strict', async () => {
      const path = withoutUnshare(world.folder);
      const command = [...account, 'env', `PATH=${path}`];
      const outcome = await exec(command, ['/usr/bin/env']);
      const strict = await exec(command, ['/usr/bin/env'], ['--strict']);

      const address = `127.0.0.1:${world.proxy.port}`;
      expect(outcome.code).toBe(0);
      expect(outcome.err).toMatch(/^Only proxy variables .* nothing enforces them: .*\n$/);
      expect(outcome.out).toContain(`ALL_PROXY=socks5h://${address}\n`);
      expect(outcome.out).toContain(`https_proxy=http://${address}\n`);
      expect(outcome.out).not.toContain('no_proxy');
      expect(strict).toMatchObject({ code: 1, out: '' });
      expect(strict.err).toContain('[exec-not-isolated]');
    });
  });

  test.skipIf(!isRoot).each(accounts)(
    'covers the resolver of systemd where it owns the names of this machine, %s',
    async (_title, account) => {
      const words = [...account, process.execPath, entry, 'exec', '--socket', world.socket, '--'];
      const look =
        'grep nameserver /etc/resolv.conf; grep hosts: /etc/nsswitch.conf; ls /run/systemd/resolve';
      const script = `${resolvedHere}\nexec ${words.join(' ')} sh -c '${look}; curl -sS http://${knownName}/'`;
      const child = spawn('unshare', ['--mount', 'sh', '-ec', script], { stdio: ['ignore', 'pipe', 'pipe'] });
      started.push(child);
      const [out, err] = [collect(child.stdout), collect(child.stderr)];
      await once(child, 'close');

      expect([err(), out()]).toEqual([
        '',
        `nameserver 192.0.0.1\nhosts: files dns\nstub-resolv.conf\nhello ${knownName}\n`,
      ]);
    },
  );

  test.each([
    ['off', 'proxy', 'not-connected'],
    ['connecting', 'proxy', 'not-connected'],
    ['blocked', 'proxy', 'not-connected'],
    ['dns', 'doh', 'not-proxy-mode'],
    ['off', 'tunnel', 'not-connected'],
    ['disconnecting', 'tunnel', 'not-connected'],
  ] as const)('runs nothing in state %s of mode %s', async (state, mode, code) => {
    world.status = { ...world.status, state, mode };

    const outcome = await exec([], ['echo', 'ran']);

    expect(outcome).toMatchObject({ code: 1, out: '' });
    expect(outcome.err).toContain(`[${code}]`);
  });

  test('runs the program as it is where the whole device is protected, and says so', async () => {
    world.status = { ...world.status, mode: 'tunnel' };

    const outcome = await exec([], ['readlink', '/proc/self/ns/net']);

    expect(outcome.code).toBe(0);
    expect(outcome.out.trim()).toBe(readlinkSync('/proc/self/ns/net'));
    expect(outcome.err).toBe('The whole device is protected already, so the program runs as it is.\n');
  });

  test.each([
    ['a program that is not there', 'no-such-program', 127, 'command-not-found'],
    ['a file that is no program', '/etc/passwd', 126, 'command-not-executable'],
  ])('exits as a shell would for %s', async (_title, name, exit, code) => {
    const outcome = await exec([], [name, '--json']);

    expect(outcome.code).toBe(exit);
    expect(outcome.err).toContain(`[${code}]`);
  });
});

/** Network processes of `culvert exec` that run now. */
function carriers(): number[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name) && commandLine(name).includes('exec/carrier-program.ts'))
    .map(Number);
}

function commandLine(pid: string): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8');
  } catch {
    return ''; // Gone meanwhile.
  }
}

/** A PATH without util-linux: then there is no network of its own to be had. */
function withoutUnshare(folder: string): string {
  return findProgram('unshare') === undefined ? (process.env['PATH'] ?? '') : `${folder}/empty`;
}

function collect(stream: NodeJS.ReadableStream | null): () => string {
  const chunks: Buffer[] = [];
  stream?.on('data', (chunk: Buffer) => chunks.push(chunk));
  return () => Buffer.concat(chunks).toString();
}
