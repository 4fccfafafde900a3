// The bad networks that the product brings, played with a real edge and a real client: the state that a person saw and
// the time to data for each network and mode, as a table in a temporary file and printed.
import { spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, expect, test, vi } from 'vitest';
import { tableText } from '../../client/lab/lab-text.ts';
import { labNetworks, networkNamed } from '../../client/lab/networks.ts';
import { LabStage } from '../../client/lab/stage.ts';
import { type Story, StoryTeller } from '../../client/lab/story.ts';
import type { Mode, Status } from '../../shared/core/control/status.ts';
import { recordFolder } from '../../shared/node/lab/record.ts';
import { sweepDeadLabs } from '../../shared/node/lab/topology.ts';
import { describeWith } from '../support/requires.ts';

const clientEntry = fileURLToPath(new URL('../../client/main.ts', import.meta.url));
const patienceMs = 60_000;
const stories: Story[] = [];

async function play(name: string, mode: Mode): Promise<{ readonly story: Story; readonly status: Status }> {
  const stage = await LabStage.build(mode);
  try {
    await stage.start();
    const signal = new AbortController().signal;
    const teller = new StoryTeller(stage, networkNamed(name), {
      patienceMs,
      onLine: () => undefined,
      signal,
    });
    const story = await teller.play();
    stories.push(story);
    // Agreed on shortly after each connect.
    const status = await vi.waitFor(
      async () => {
        const now = await stage.control.call('status');
        if (now.state === 'connected' && now.edge?.quantum !== true) throw new Error('not safe yet');
        return now;
      },
      { timeout: 20_000, interval: 100 },
    );
    return { story, status };
  } finally {
    await stage.clear();
  }
}

test('culvert lab lists the networks to anybody', () => {
  const { status, stdout } = spawnSync(process.execPath, [clientEntry, 'lab'], { encoding: 'utf8' });

  expect(status).toBe(0);
  for (const { name } of labNetworks) expect(stdout).toContain(name);
});

test.each([
  ['lab', '--socket', '/nowhere'],
  ['completions', 'bash', '--socket', '/nowhere'],
])('%s takes --socket as every command does', (...words) => {
  const { status, stdout } = spawnSync(process.execPath, [clientEntry, ...words], { encoding: 'utf8' });

  expect(status).toBe(0);
  expect(stdout).not.toBe('');
});

test('a network that there is not is wrong usage', () => {
  const { status, stderr } = spawnSync(process.execPath, [clientEntry, 'lab', 'moon'], { encoding: 'utf8' });

  expect(status).toBe(2);
  expect(stderr).toContain('culvert lab');
});

describeWith({ namespaces: true, tools: ['ip', 'nft'] }, 'the bad networks', () => {
  afterAll(() => {
    const folder = mkdtempSync(join(tmpdir(), 'culvert-lab-'));
    const path = join(folder, 'table.md');
    writeFileSync(path, `${tableText(stories)}\n`);
    process.stdout.write(`\n${tableText(stories)}\n(kept in ${path})\n`);
  });

  test.each<readonly [string, Mode]>([
    ['portal', 'tunnel'],
    ['loss3', 'tunnel'],
    ['mtu1280', 'tunnel'],
    ['udp-block', 'proxy'],
    ['roam', 'tunnel'],
    ['edge-down', 'proxy'],
  ])(
    '%s in mode %s: pages load, none past the tunnel, and the tunnel is safe from quantum computers',
    async (name, mode) => {
      const { story, status } = await play(name, mode);

      expect(story.outside).toBe(0);
      expect(story.firstPageMs).toBeLessThan(30_000);
      expect(status.state).toBe('connected');
      expect(status.edge?.quantum).toBe(true);
      if (networkNamed(name).steps.some(({ from }) => from === 'page'))
        expect(story.backMs).toBeLessThan(40_000);
      if (name === 'portal') expect(story.states).toContain('portal');
      if (name === 'edge-down') expect(story.states.slice(-2)).toEqual(['connecting', 'connected']);
    },
    240_000,
  );

  test('what was recorded is played again, and goes the same way', async () => {
    const path = join(mkdtempSync(join(tmpdir(), 'culvert-trace-')), 'trace.json');
    const lab = (...words: string[]): ReturnType<typeof spawnSync> =>
      spawnSync(process.execPath, [clientEntry, 'lab', ...words, '--patience', '60s', '--json'], {
        encoding: 'utf8',
        timeout: 110_000,
      });

    const first = lab('udp-block', '--mode', 'proxy', '--record', path);
    const again = lab('--trace', path);

    expect([first.status, again.status]).toEqual([0, 0]);
    const [before, now] = [first, again].map(({ stdout }) => JSON.parse(String(stdout)) as Story);
    expect(before?.health).toContain('udp-blocked');
    expect(now).toMatchObject({
      network: 'udp-block',
      mode: 'proxy',
      states: before?.states,
      health: before?.health,
      outside: 0,
      different: [],
    });
  }, 240_000);

  test('a lab that was killed is gone after the next look', async () => {
    const program = spawn(process.execPath, [clientEntry, 'lab', 'good', '--stay'], {
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    let out = '';
    program.stdout.on('data', (text: Buffer) => (out += text.toString()));
    const id = `culvert-bad-${program.pid}-1`;
    await vi.waitFor(() => expect(out).toContain('Ctrl-C'), { timeout: 90_000, interval: 200 });
    expect(namespaces()).toContain(`${id}-laptop`);

    program.kill('SIGKILL');
    await new Promise((resolve) => program.once('exit', resolve));
    await sweepDeadLabs();

    expect(namespaces()).not.toContain(id);
    expect(readdirSync(recordFolder).filter((name) => name.startsWith(id))).toEqual([]);
  }, 180_000);

  test('a program in the lab gets its exit code told, and Ctrl-C takes everything away', async () => {
    const words = [clientEntry, 'lab', 'good', '--stay', '--', 'sh', '-c', 'echo inside'];
    const program = spawn(process.execPath, words, { stdio: ['ignore', 'pipe', 'ignore'] });
    let out = '';
    program.stdout.on('data', (text: Buffer) => (out += text.toString()));
    await vi.waitFor(() => expect(out).toContain('Ctrl-C'), { timeout: 90_000, interval: 200 });
    expect(out).toContain('inside');

    program.kill('SIGINT');
    await new Promise((resolve) => program.once('exit', resolve));

    expect(namespaces()).not.toContain(`culvert-bad-${program.pid}-1`);
  }, 180_000);
});

function namespaces(): string {
  return spawnSync('ip', ['netns', 'list'], { encoding: 'utf8' }).stdout;
}
