// Brings node_modules in line with package-lock.json, and does nothing where it already is.
// It runs before anything is installed, so it uses no dependency and no syntax newer than Node 18.
// Usage: node install.mjs [--development]   (with --development the tools for checks and tests are needed too)
import { spawnSync } from 'node:child_process';
import {
  copyFileSync,
  existsSync,
  mkdtempSync,
  readFileSync,
  realpathSync,
  rmSync,
  writeSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { staleReason } from './stale.mjs';

const root = join(dirname(fileURLToPath(import.meta.url)), '..', '..');
const ownPackages = join(root, 'node_modules');
const development = process.argv.includes('--development');

function main() {
  let reason = whyStale();
  if (reason === undefined) return;
  writeSync(
    1,
    `Installing what package-lock.json pins, because ${reason}. This takes about half a minute.\n`,
  );
  if (npmCi(process.env.npm_node_execpath)) reason = whyStale();
  const pinned = join(ownPackages, `node-${process.platform}-${process.arch}`, 'bin', 'node');
  if (reason !== undefined && existsSync(pinned)) {
    // An npm that runs on an old Node leaves out optional packages that ask for a newer one.
    writeSync(1, `Once more with the pinned Node, because ${reason}.\n`);
    if (npmCiWith(pinned)) reason = whyStale();
  }
  if (reason === undefined) {
    writeSync(1, 'Installed.\n');
    return;
  }
  writeSync(
    2,
    `culvert: npm ci failed (${reason}). Check network and free space, then run it again: npm ci\n`,
  );
  if (process.env.npm_lifecycle_event === 'test') writeSync(1, '0 passed, 1 failed, 0 skipped\n');
  process.exitCode = 1;
}

function whyStale() {
  const wanted = readJson(join(root, 'package-lock.json'));
  return staleReason(wanted, readJson(join(ownPackages, '.package-lock.json')), thisSystem(), development);
}

function readJson(path) {
  try {
    return JSON.parse(readFileSync(path, 'utf8'));
  } catch {
    return undefined; // absent or half written: both mean that an install is needed
  }
}

function thisSystem() {
  if (process.report) process.report.excludeNetwork = true; // else it may look up names
  const glibc = process.report?.getReport().header.glibcVersionRuntime;
  return { os: process.platform, cpu: process.arch, libc: glibc === undefined ? 'musl' : 'glibc' };
}

/** `npm ci` by the given node where that is known, else by whatever runs `npm`. */
function npmCi(node) {
  const script = npmScript();
  const named = node !== undefined && script !== undefined && !node.startsWith(ownPackages);
  const [command, ...first] = named ? [node, script] : ['npm'];
  const options = { cwd: root, env: outsideEnvironment(), stdio: ['ignore', 'inherit', 'inherit'] };
  return spawnSync(command, [...first, 'ci', '--no-audit', '--no-fund'], options).status === 0;
}

/** The same by a copy of the pinned node: `npm ci` takes node_modules away while it runs. */
function npmCiWith(pinned) {
  const folder = mkdtempSync(join(tmpdir(), 'culvert-node-'));
  try {
    const copy = join(folder, 'node');
    copyFileSync(pinned, copy);
    return npmCi(copy);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** npm's own script: the one that started us, else the one behind `npm` in PATH. */
function npmScript() {
  const started = process.env.npm_execpath;
  if (started?.endsWith('npm-cli.js')) return started;
  for (const folder of outsideEnvironment().PATH.split(delimiter)) {
    const path = join(folder, 'npm');
    if (existsSync(path)) return realpathSync(path).endsWith('npm-cli.js') ? realpathSync(path) : undefined;
  }
  return undefined;
}

/** The environment without this checkout's own node in PATH: `npm ci` is about to replace it. */
function outsideEnvironment() {
  const parts = (process.env.PATH ?? '').split(delimiter);
  return { ...process.env, PATH: parts.filter((part) => !part.startsWith(ownPackages)).join(delimiter) };
}

main();
