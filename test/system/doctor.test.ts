// Netcheck and doctor on a laptop, with an edge in another namespace that sees the other end. Each fault is made on the
// wire or at the edge, and must be named.
import { type ChildProcess, execFileSync, spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, afterEach, beforeAll, expect, test, vi } from 'vitest';
import { describeWith } from '../support/requires.ts';

const edgeEntry = fileURLToPath(new URL('../../edge/main.ts', import.meta.url));
const clientEntry = fileURLToPath(new URL('../../client/main.ts', import.meta.url));
const edgeAddress = '192.0.2.1';
const id = process.pid % 100_000;

interface Report {
  readonly fault: string;
  readonly text: string;
  readonly lines: readonly { readonly subject: string; readonly verdict: string; readonly text: string }[];
  readonly facts: any;
}

class World {
  readonly laptop: string = `dr${id}c`;
  readonly far: string = `dr${id}s`;
  readonly folder: string = mkdtempSync(join(tmpdir(), 'culvert-doctor-'));
  readonly data: string = join(this.folder, 'edge');
  readonly socket: string = join(this.folder, 'control.sock');
  readonly #programs: ChildProcess[] = [];
  #edge: ChildProcess | undefined;

  async open(): Promise<void> {
    const { laptop, far } = this;
    for (const name of [laptop, far]) {
      sh('ip', ['netns', 'add', name]);
      sh('ip', ['-n', name, 'link', 'set', 'lo', 'up']);
    }
    sh('ip', ['link', 'add', 'up0', 'netns', laptop, 'type', 'veth', 'peer', 'name', 'up0', 'netns', far]);
    for (const [name, last] of [
      [laptop, 2],
      [far, 1],
    ] as const) {
      sh('ip', ['-n', name, 'addr', 'add', `192.0.2.${last}/24`, 'dev', 'up0']);
      sh('ip', ['-n', name, 'link', 'set', 'up0', 'up']);
    }
    sh('ip', ['-n', laptop, 'route', 'add', 'default', 'via', edgeAddress]);
    // A page of the Internet.
    const web = `require('node:http').createServer((q, r) => r.writeHead(204).end()).listen(80, '::');
      require('node:http').createServer((q, r) => r.end('Please pay')).listen(8081, '::')`;
    this.#programs.push(this.#start(far, ['-e', web]));
    this.edge(
      'init',
      '--endpoint',
      edgeAddress,
      '--name',
      'lab',
      '--udp',
      '51820',
      '--https',
      '8443',
      '--https',
      '9443',
    );
    const yaml = join(this.data, 'edge.yaml');
    writeFileSync(yaml, readFileSync(yaml, 'utf8').replace(/backend: auto/, 'backend: userspace'));
    await this.runEdge();
    const words = [
      'daemon',
      '--foreground',
      '--state-dir',
      join(this.folder, 'client'),
      '--socket',
      this.socket,
    ];
    this.#programs.push(this.#start(laptop, [clientEntry, ...words]));
    await vi.waitFor(() => this.culvert('status'), { timeout: 30_000 });
    this.culvert('mode', 'proxy');
    this.culvert('settings', 'set', 'proxy.port', '0');
    this.culvert('settings', 'set', 'portal.probes', `http://${edgeAddress}/generate_204`);
    const { link } = JSON.parse(this.edge('invite', '--name', 'laptop', '--json')) as { link: string };
    this.culvert('enroll', link);
  }

  async close(): Promise<void> {
    await this.endEdge();
    for (const program of this.#programs) await end(program);
    for (const name of [this.laptop, this.far]) spawnSync('ip', ['netns', 'del', name]);
    rmSync(this.folder, { recursive: true, force: true });
  }

  async runEdge(): Promise<void> {
    const program = this.#start(this.far, [edgeEntry, 'run', '--data', this.data]);
    this.#edge = program;
    let out = '';
    program.stdout?.on('data', (text: Buffer) => (out += text.toString()));
    program.stderr?.on('data', (text: Buffer) => (out += text.toString()));
    await vi.waitFor(() => expect(out).toMatch(/^ready$/m), { timeout: 60_000 });
  }

  async endEdge(): Promise<void> {
    if (this.#edge !== undefined) await end(this.#edge);
    this.#edge = undefined;
  }

  edge(...words: string[]): string {
    return sh('ip', ['netns', 'exec', this.far, process.execPath, edgeEntry, ...words, '--data', this.data]);
  }

  culvert(...words: string[]): string {
    const { code, out, err } = this.try(...words);
    if (code !== 0) throw new Error(`exit ${code}: ${err}${out}`);
    return out;
  }

  try(...words: string[]): { readonly code: number | null; readonly out: string; readonly err: string } {
    const all = [
      'netns',
      'exec',
      this.laptop,
      process.execPath,
      clientEntry,
      ...words,
      '--socket',
      this.socket,
    ];
    const { status, stdout, stderr } = spawnSync('ip', all, { encoding: 'utf8' });
    return { code: status, out: stdout, err: stderr };
  }

  doctor(): Report {
    return JSON.parse(this.try('doctor', '--json').out) as Report;
  }

  /** What `culvert-edge doctor` has from a device. */
  outside(): { readonly verdict: string; readonly text: string } {
    const words = [edgeEntry, 'doctor', '--json', '--data', this.data];
    const { stdout } = spawnSync('ip', ['netns', 'exec', this.far, process.execPath, ...words], {
      encoding: 'utf8',
    });
    const findings = JSON.parse(stdout) as { subject: string; verdict: string; text: string }[];
    const found = findings.find(({ subject }) => subject === 'outside');
    if (found === undefined) throw new Error(stdout);
    return found;
  }

  /** Rules in the far namespace, of which the laptop's packets come by `up0`. */
  fault(rules: string): void {
    sh('ip', ['netns', 'exec', this.far, 'nft', '-f', '-'], `table inet fault {\n${rules}\n}\n`);
  }

  well(): void {
    spawnSync('ip', ['netns', 'exec', this.far, 'nft', 'delete', 'table', 'inet', 'fault']);
  }

  #start(space: string, words: readonly string[]): ChildProcess {
    return spawn('ip', ['netns', 'exec', space, process.execPath, ...words], {
      stdio: ['ignore', 'pipe', 'pipe'],
    });
  }
}

async function end(program: ChildProcess): Promise<void> {
  if (program.exitCode !== null || program.signalCode !== null) return;
  const ended = new Promise((resolve) => program.once('exit', resolve));
  program.kill('SIGTERM');
  await ended;
}

function sh(program: string, words: readonly string[], input = ''): string {
  return execFileSync(program, words, { encoding: 'utf8', input, stdio: ['pipe', 'pipe', 'pipe'] });
}

const incoming =
  'chain in { type filter hook prerouting priority -400; policy accept; iifname != "up0" accept;';

describeWith({ namespaces: true, tools: ['ip', 'nft'] }, 'the doctor', () => {
  const world = new World();

  beforeAll(() => world.open(), 120_000);
  afterEach(() => world.well());
  afterAll(() => world.close(), 60_000);

  test('finds nothing where nothing is wrong, and netcheck fits on a screen', () => {
    const report = world.doctor();
    const screen = world.culvert('netcheck');

    expect(report).toMatchObject({ fault: 'healthy' });
    expect(report.facts.edge).toMatchObject({ mapping: 'none', lossPercent: 0, largeArrives: true });
    expect(report.facts.edge.udp).toMatchObject([{ port: 51820, answer: 'handshake' }]);
    expect(Math.abs(report.facts.edge.api.clockAheadMs)).toBeLessThan(5000);
    expect(JSON.stringify(report.facts)).not.toMatch(/[A-Za-z0-9+/]{43}=/);
    expect(screen.split('\n').length).toBeLessThan(24);
    expect(screen).toContain('ok  UDP 51820');
  }, 120_000);

  test.each([
    ['UDP does not reach the edge', `${incoming} udp dport 51820 drop; }`, 'edge-firewall'],
    [
      'the replies of the edge do not come back',
      'chain out { type filter hook output priority 0; policy accept; oifname "up0" udp sport 51820 drop; }',
      'replies-lost',
    ],
    [
      'large packets vanish',
      `${incoming} udp dport 51820 meta length > 1300 drop; }`,
      'large-packets-vanish',
    ],
    [
      'the edge is cut off, the Internet is not',
      `${incoming} udp dport 51820 drop; tcp dport { 8443, 9443 } drop; }`,
      'edge-down',
    ],
    ['nothing passes', `${incoming} drop; }`, 'no-internet'],
    [
      'somebody answers for all name servers',
      `chain nat { type nat hook prerouting priority dstnat; policy accept; iifname "up0" udp dport 53 redirect to :5399; }`,
      'dns-tampered',
    ],
  ])(
    'names it where %s',
    async (_title, rules, fault) => {
      const liar = fault === 'dns-tampered' ? startLiar(world.far) : undefined;
      world.fault(rules);
      const report = world.doctor();
      if (liar !== undefined) await end(liar);

      expect(report.fault, JSON.stringify(report.lines)).toBe(fault);
    },
    120_000,
  );

  test('names what the edge decided about the device, and exits 1 with one fix', () => {
    world.edge('device', 'disable', 'laptop');
    const disabled = world.try('doctor');
    world.edge('device', 'enable', 'laptop');
    const enabled = world.doctor();

    expect(disabled.code).toBe(1);
    expect(disabled.out).toContain('disabled this device');
    expect(disabled.err).toContain('fault-found');
    expect(enabled.fault).toBe('healthy');
  }, 120_000);

  test('leaves a tunnel that is up as it is, and tells the edge what of it is reached from outside', async () => {
    world.culvert('connect', '--wait', '--timeout', '60s');
    const report = world.doctor();
    const state = (): string => (JSON.parse(world.culvert('status', '--json')) as { state: string }).state;
    const after = state();
    await vi.waitFor(
      () => expect(world.outside().text).toContain('A device reaches UDP 51820, HTTPS 8443, HTTPS 9443'),
      {
        timeout: 60_000,
      },
    );
    world.fault(`${incoming} tcp dport 9443 drop; }`);
    const closed = world.outside();
    world.well();
    world.culvert('disconnect');

    expect(report.fault).toBe('healthy');
    expect(after).toBe('connected');
    expect(closed).toMatchObject({ verdict: 'warning' });
    expect(closed.text).toContain('does not reach HTTPS 9443 ');
  }, 240_000);

  test('says in mode proxy that the network wants a sign-in, opens nothing for it, and goes on after it', async () => {
    const walls = `${incoming} udp dport 51820 drop; tcp dport { 8443, 9443 } drop; }
      chain nat { type nat hook prerouting priority dstnat; policy accept; iifname "up0" tcp dport 80 redirect to :8081; }`;
    const status = (): any => JSON.parse(world.culvert('status', '--json'));
    world.fault(walls);
    world.culvert('connect');

    await vi.waitFor(() => expect(status().portal).toBeDefined(), { timeout: 60_000, interval: 500 });
    const during = status();
    world.well();
    await vi.waitFor(() => expect(status().state).toBe('connected'), { timeout: 60_000, interval: 500 });
    const after = status();
    world.culvert('disconnect');

    expect(during).toMatchObject({
      state: 'connecting',
      portal: { url: `http://${edgeAddress}/generate_204` },
    });
    expect(during.portal).not.toHaveProperty('opensUntil');
    expect(during.health[0].code).toBe('portal');
    expect(after).not.toHaveProperty('portal');
  }, 240_000);

  test('names an edge that does not run, and one that is back', async () => {
    await world.endEdge();
    const down = world.doctor();
    await world.runEdge();
    const back = world.doctor();

    // Its machine says that nothing listens there.
    expect(down.fault).toBe('edge-port-closed');
    expect(back.fault).toBe('healthy');
  }, 180_000);

  test('names a machine without a network', () => {
    sh('ip', ['-n', world.laptop, 'addr', 'flush', 'dev', 'up0']);
    const { fault } = world.doctor();
    sh('ip', ['-n', world.laptop, 'addr', 'add', '192.0.2.2/24', 'dev', 'up0']);
    sh('ip', ['-n', world.laptop, 'route', 'replace', 'default', 'via', edgeAddress]);

    expect(fault).toBe('no-network');
  }, 60_000);

  test('names a device that was removed at the edge', () => {
    world.edge('device', 'remove', 'laptop');

    expect(world.doctor().fault).toBe('key-revoked');
  }, 60_000);
});

/** Answers every question with an address. */
function startLiar(space: string): ChildProcess {
  const program = `const s = require('node:dgram').createSocket('udp4');
    s.on('message', (m, r) => { const a = Buffer.from(m); a[2] = 0x81; a[3] = 0x80; a.writeUInt16BE(1, 6);
      s.send(Buffer.concat([a, Buffer.from([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 9, 0, 4, 192, 0, 2, 1])]), r.port, r.address); });
    s.bind(5399);`;
  return spawn('ip', ['netns', 'exec', space, process.execPath, '-e', program], { stdio: 'ignore' });
}
