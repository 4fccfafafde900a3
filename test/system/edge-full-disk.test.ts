// An edge whose disk is full: what needs it says so in one sentence, nothing half is kept, devices stay, and once there is
// room again everything goes on. The disk is a few megabytes of memory in a mount namespace of the test's own.
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { describeWith } from '../support/requires.ts';
import { freePort, patience } from './support/proxy-edge.ts';

const edgeEntry = fileURLToPath(new URL('../../edge/main.ts', import.meta.url));
/** No name in it that the test could not see: it is looked at from outside its namespace only by programs inside. */
const disk = mkdtempSync(join(tmpdir(), 'culvert-disk-'));
const data = join(disk, 'edge');
const diskSize = '6m';
const checkProgram = `
  const { DatabaseSync } = require('node:sqlite');
  const store = new DatabaseSync(process.argv[1]);
  console.log(JSON.stringify({
    check: store.prepare('PRAGMA integrity_check').get().integrity_check,
    faults: store.prepare('PRAGMA foreign_key_check').all().length,
    names: store.prepare('SELECT name FROM device ORDER BY name').all().map((row) => row.name),
    addresses: store.prepare('SELECT count(*) AS n FROM address WHERE device_id IS NOT NULL').get().n,
  }));`;

let holder: ChildProcess;
let edge: ChildProcess | undefined;

interface Outcome {
  readonly code: number | null;
  readonly out: string;
  readonly err: string;
}

function inside(words: readonly string[]): string[] {
  return ['nsenter', `--mount=/proc/${holder.pid}/ns/mnt`, '--', ...words];
}

function run(...words: string[]): Outcome {
  const [program = '', ...rest] = inside(words);
  const { status, stdout, stderr } = spawnSync(program, rest, { encoding: 'utf8' });
  return { code: status, out: stdout, err: stderr };
}

function edgeCommand(...words: string[]): Outcome {
  return run(process.execPath, edgeEntry, ...words, '--data', data, '--json');
}

function done(outcome: Outcome): string {
  if (outcome.code !== 0) throw new Error(outcome.err + outcome.out);
  return outcome.out;
}

/** Exit 1, a code, a sentence, a remedy, and no bug. */
function refusal({ code, err }: Outcome): string {
  expect([code, err]).toEqual([1, expect.stringMatching(/^\{/)]);
  const problem = JSON.parse(err) as { code: string; text: string; remedy: string };
  expect(problem.text).toMatch(/^[A-Z][^\n]*\.$/);
  expect(problem.remedy).not.toBe('');
  return problem.code;
}

async function runEdge(): Promise<void> {
  const [program = '', ...rest] = inside([process.execPath, edgeEntry, 'run', '--data', data]);
  const started = spawn(program, rest, { stdio: ['ignore', 'pipe', 'pipe'] });
  edge = started;
  let out = '';
  for (const stream of [started.stdout, started.stderr]) stream.on('data', (text: Buffer) => (out += text));
  await vi.waitFor(() => expect(out).toMatch(/^ready$/m), patience);
}

async function endEdge(signal: 'SIGTERM' | 'SIGKILL'): Promise<void> {
  const program = edge;
  edge = undefined;
  if (program === undefined || program.exitCode !== null) return;
  await new Promise((resolve) => {
    program.once('exit', resolve);
    program.kill(signal);
  });
}

function fill(): void {
  run('sh', '-c', `head -c 100000000 /dev/zero > ${disk}/filler 2>/dev/null; sync`);
}

function free(): void {
  done(run('rm', '-f', `${disk}/filler`));
}

function store(): { check: string; faults: number; names: string[]; addresses: number } {
  return JSON.parse(done(run(process.execPath, '-e', checkProgram, join(data, 'store.db')))) as ReturnType<
    typeof store
  >;
}

describeWith(
  { root: true, namespaces: true, tools: ['unshare', 'nsenter'] },
  'an edge on a full disk',
  () => {
    beforeAll(async () => {
      const mount = `mount -t tmpfs -o size=${diskSize},mode=700 disk ${disk} && echo mounted && exec sleep 3600`;
      const started = spawn('unshare', ['--mount', 'sh', '-c', mount], {
        stdio: ['ignore', 'pipe', 'ignore'],
      });
      holder = started;
      let out = '';
      started.stdout.on('data', (text: Buffer) => (out += text));
      await vi.waitFor(() => expect(out).toContain('mounted'), patience);
      const [udp, https] = [await freePort(), await freePort()];
      done(edgeCommand('init', '--endpoint', '127.0.0.1', '--udp', String(udp), '--https', String(https)));
      const quiet = 's/backend: auto/backend: userspace/; s/metrics: "[^"]*"/metrics: off/';
      done(run('sed', '-i', quiet, join(data, 'edge.yaml')));
      await runEdge();
      done(edgeCommand('device', 'add', 'first', '--generate'));
    });

    afterAll(async () => {
      await endEdge('SIGTERM');
      holder?.kill();
      rmSync(disk, { recursive: true, force: true });
    });

    test('refuses what must be written, in one sentence, and keeps what was', () => {
      fill();

      // Some writes fit into what the store has already; then none does.
      const codes: string[] = [];
      const kept = ['first'];
      for (let i = 0; i < 60 && codes.length < 3; i++) {
        const outcome = edgeCommand('device', 'add', `more${i}`, '--generate');
        if (outcome.code === 0) kept.push(`more${i}`);
        else codes.push(refusal(outcome));
      }

      expect(codes).toEqual(['store-full', 'store-full', 'store-full']);
      expect(refusal(edgeCommand('backup', join(disk, 'copy.db')))).toMatch(/^store-(full|unreadable)$/);
      expect(JSON.parse(done(edgeCommand('device', 'list')))).toHaveLength(kept.length);
      expect(done(edgeCommand('status'))).toContain('"devices"');
      const { findings } = {
        findings: JSON.parse(edgeCommand('doctor').out) as { subject: string; verdict: string }[],
      };
      expect(findings.find(({ subject }) => subject === 'disk')).toMatchObject({ verdict: 'bad' });

      free();
      const { check, faults, names, addresses } = store();
      expect([check, faults, names]).toEqual(['ok', 0, kept.toSorted()]);
      expect(addresses % kept.length).toBe(0);
    });

    test('goes on when there is room again, without a restart', () => {
      done(edgeCommand('device', 'add', 'after', '--generate'));
      done(edgeCommand('invite'));

      expect(store()).toMatchObject({ check: 'ok', names: expect.arrayContaining(['after']) });
    });

    test('loses nothing when it is killed while the disk is full', async () => {
      const before = store().names;
      fill();
      await endEdge('SIGKILL');

      free();
      await runEdge();

      expect(store()).toMatchObject({ check: 'ok', faults: 0, names: before });
      done(edgeCommand('device', 'remove', 'after'));
    });

    test('says why it cannot be made on a full disk', () => {
      fill();
      const elsewhere = ['--data', join(disk, 'another'), '--json'];

      const outcome = run(process.execPath, edgeEntry, 'init', '--endpoint', '127.0.0.1', ...elsewhere);

      expect(refusal(outcome)).not.toBe('internal');
      free();
    });
  },
);
