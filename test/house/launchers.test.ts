// The launchers: which node runs which entry, and that no process of theirs stays between a signal and the program.
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import {
  chmodSync,
  cpSync,
  mkdirSync,
  mkdtempSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { read, root } from './tree.ts';

const programs = {
  culvert: 'client/main.ts',
  'culvert-edge': 'edge/main.ts',
  'culvert-wg': 'shared/node/wg/main.ts',
};
const names = Object.keys(programs);
const nodePackage = `node-${process.platform}-${process.arch}`;

const echo = `// Stands in for the real entry.
const entry: string = import.meta.url;
console.log(JSON.stringify({ entry, words: process.argv.slice(2), folder: process.cwd(), pid: process.pid, node: process.version }));
if (process.argv.includes('stay')) setInterval(() => {}, 1000);
`;

let scratch: string;
let checkout: string;

/** A checkout in a folder with spaces in its name, holding the launchers, three small entries and this node. */
function makeCheckout(folder: string, withNode: boolean): void {
  cpSync(join(root, 'shared', 'launch'), join(folder, 'shared', 'launch'), { recursive: true });
  for (const entry of Object.values(programs)) {
    mkdirSync(dirname(join(folder, entry)), { recursive: true });
    writeFileSync(join(folder, entry), echo);
  }
  writeFileSync(join(folder, 'package.json'), '{ "type": "module" }');
  mkdirSync(join(folder, 'node_modules', '.bin'), { recursive: true });
  symlinkSync('../shared/launch', join(folder, 'node_modules', 'culvert-launch'));
  for (const name of names)
    symlinkSync(`../culvert-launch/${name}`, join(folder, 'node_modules', '.bin', name));
  if (!withNode) return;
  mkdirSync(join(folder, 'node_modules', nodePackage, 'bin'), { recursive: true });
  symlinkSync(process.execPath, join(folder, 'node_modules', nodePackage, 'bin', 'node'));
}

function run(path: string, words: string[], options: { cwd?: string; path?: string } = {}) {
  const env = { PATH: options.path ?? '/usr/bin:/bin' };
  return spawnSync(path, words, { env, cwd: options.cwd ?? scratch, encoding: 'utf8' });
}

/** A `node` that only knows its version, and says when it is asked to run something. */
function fakeNode(folder: string, version: string): string {
  mkdirSync(folder, { recursive: true });
  const path = join(folder, 'node');
  writeFileSync(path, `#!/bin/sh\n[ "$1" = --version ] && { echo ${version}; exit 0; }\necho "ran $*"\n`);
  chmodSync(path, 0o755);
  return folder;
}

beforeAll(() => {
  scratch = mkdtempSync(join(tmpdir(), 'culvert launch '));
  checkout = join(scratch, 'my checkout');
  makeCheckout(checkout, true);
});

afterAll(() => rmSync(scratch, { recursive: true, force: true }));

describe.each(names)('the launcher %s', (name) => {
  const entry = programs[name as keyof typeof programs];

  test('is an executable POSIX script that npm links', () => {
    const path = join(root, 'shared', 'launch', name);
    const manifest = JSON.parse(read('shared/launch/package.json')) as { bin: Record<string, string> };

    expect(statSync(path).mode & 0o111).toBe(0o111);
    expect(read(`shared/launch/${name}`).startsWith('#!/bin/sh\n')).toBe(true);
    expect(spawnSync('sh', ['-n', path]).status).toBe(0);
    expect(manifest.bin[name]).toBe(name);
  });

  test('runs its entry with every word as given, in the folder where it was called', () => {
    const result = run(join(checkout, 'node_modules', '.bin', name), ['a b', '--version', '*', '']);

    const said = JSON.parse(result.stdout);
    expect(said.entry).toBe(new URL(`file://${checkout}/${entry}`).href);
    expect(said.words).toEqual(['a b', '--version', '*', '']);
    expect(said.folder).toBe(scratch);
  });

  test('is found behind links of links, absolute and relative', () => {
    mkdirSync(join(scratch, 'links'), { recursive: true });
    symlinkSync(join(checkout, 'node_modules', '.bin', name), join(scratch, 'links', `far-${name}`));
    symlinkSync(`far-${name}`, join(scratch, 'links', `near-${name}`));

    const result = run(`./near-${name}`, [], { cwd: join(scratch, 'links') });

    expect(JSON.parse(result.stdout).entry).toContain(entry);
  });

  test('needs nothing in PATH', () => {
    expect(run(join(checkout, 'node_modules', '.bin', name), [], { path: '' }).status).toBe(0);
  });
});

describe('the process of a launcher', () => {
  test('is the program itself, so a signal reaches it', async () => {
    const child = spawn(join(checkout, 'node_modules', '.bin', 'culvert'), ['stay'], {
      env: { PATH: '/usr/bin:/bin' },
    });
    const pid = await firstLine(child).then((line) => JSON.parse(line).pid as number);

    child.kill('SIGTERM');
    const signal = await new Promise((resolve) => child.on('exit', (_code, by) => resolve(by)));

    expect(pid).toBe(child.pid);
    expect(signal).toBe('SIGTERM');
  });
});

describe('the choice of node', () => {
  let bare: string;

  beforeAll(() => {
    bare = join(scratch, 'bare');
    makeCheckout(bare, false);
  });

  test('prefers the one of the lockfile to the one in PATH', () => {
    const path = fakeNode(join(scratch, 'newer'), 'v99.0.0');

    const result = run(join(checkout, 'node_modules', '.bin', 'culvert'), [], {
      path: `${path}:/usr/bin:/bin`,
    });

    expect(JSON.parse(result.stdout).node).toBe(process.version);
  });

  test.each(['v24.0.0', 'v26.1.0'])('takes %s from PATH where nothing is installed', (version) => {
    const path = fakeNode(join(scratch, version), version);

    const result = run(join(bare, 'node_modules', '.bin', 'culvert'), ['x'], {
      path: `${path}:/usr/bin:/bin`,
    });

    expect(result.stdout).toBe(`ran --max-semi-space-size=1 ${bare}/client/main.ts x\n`);
  });

  test.each(['v20.20.2', 'v8.1.0', 'nonsense', "''"])('refuses %s with the remedy', (version) => {
    const path = fakeNode(join(scratch, `old ${version}`), version);

    const result = run(join(bare, 'node_modules', '.bin', 'culvert'), [], { path: `${path}:/usr/bin:/bin` });

    expect(result.status).toBe(1);
    expect(result.stdout).toBe('');
    expect(result.stderr.trimEnd().split('\n')).toHaveLength(1);
    expect(result.stderr).toContain('npm ci');
  });
});

function firstLine(child: ChildProcess): Promise<string> {
  return new Promise((resolve) => {
    let text = '';
    child.stdout?.on('data', (chunk: Buffer) => {
      text += chunk.toString();
      if (text.includes('\n')) resolve(text);
    });
  });
}
