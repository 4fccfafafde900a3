// Programs that the benchmark starts, and what they cost: CPU and memory of a whole process tree.

import { spawn, spawnSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { join } from 'node:path';

const ticksPerSecond = 100; // USER_HZ on every Linux architecture we run on
const graceMs = 3000;
/** A machine is calm when less than this share of its cores was busy in one sample. */
const calmShare = 0.08;
const calmSampleMs = 800;

/** What was started and must be ended, whatever happens. */
const running = new Set();

export const sleep = (ms) =>
  new Promise((resolve) => {
    setTimeout(resolve, ms);
  });

/** Starts argv in its own process group; `.done` resolves to {code, out, err}. */
export function start(argv, { env, cwd, timeoutMs, echo } = {}) {
  const child = spawn(argv[0], argv.slice(1), {
    detached: true,
    cwd,
    env: env ?? process.env,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  running.add(child);
  let out = '';
  let err = '';
  child.stdout.on('data', (chunk) => {
    out += chunk;
    if (echo) process.stderr.write(chunk);
  });
  child.stderr.on('data', (chunk) => {
    err += chunk;
    if (echo) process.stderr.write(chunk);
  });
  const timer = timeoutMs ? setTimeout(() => signalGroup(child, 'SIGKILL'), timeoutMs) : undefined;
  child.done = new Promise((resolve) => {
    child.on('error', (error) => {
      err += String(error);
    });
    child.on('close', (code) => {
      clearTimeout(timer);
      running.delete(child);
      resolve({ code, out, err });
    });
  });
  return child;
}

/** SIGTERM, and SIGKILL where that does not help. */
export async function stop(child) {
  if (!child) return;
  signalGroup(child, 'SIGTERM');
  const ended = await Promise.race([child.done.then(() => true), sleep(graceMs).then(() => false)]);
  if (ended) return;
  signalGroup(child, 'SIGKILL');
  await Promise.race([child.done, sleep(graceMs)]);
}

export function killEverything() {
  for (const child of running) signalGroup(child, 'SIGKILL');
}

export function inNamespace(namespace, ...argv) {
  return ['ip', 'netns', 'exec', namespace, ...argv];
}

/** CPU seconds used so far by the tree below (and including) root. Threads count with their process. */
export function cpuOf(root) {
  let user = 0;
  let system = 0;
  for (const pid of tree(root)) {
    const fields = statOf(pid);
    if (fields === undefined) continue;
    user += Number(fields[11]) / ticksPerSecond;
    system += Number(fields[12]) / ticksPerSecond;
  }
  return { user, system, all: user + system };
}

/** Resident memory in MiB, now and at its peak, of the largest process of the tree. */
export function memoryOf(root) {
  let now = 0;
  let peak = 0;
  for (const pid of tree(root)) {
    const text = readProc(`${pid}/status`) ?? '';
    now = Math.max(now, Number(/VmRSS:\s+(\d+)/.exec(text)?.[1] ?? 0) / 1024);
    peak = Math.max(peak, Number(/VmHWM:\s+(\d+)/.exec(text)?.[1] ?? 0) / 1024);
  }
  return { now, peak };
}

/**
 * CPU seconds that all cores together have been idle, and robbed by the host. Busy time is taken as what remains:
 * the kernel measures idle time exactly but samples busy time by ticks, which misses short bursts.
 */
export function machineCpu() {
  const fields = readFileSync('/proc/stat', 'latin1').split('\n')[0].trim().split(/\s+/).slice(1).map(Number);
  return { idle: (fields[3] + fields[4]) / ticksPerSecond, steal: fields[7] / ticksPerSecond };
}

/** Runs fn and returns [its result, CPU use of both ends and the machine]. */
export async function metered(processes, fn) {
  const client = cpuOf(processes.client.pid);
  const edge = cpuOf(processes.edge.pid);
  const before = machineCpu();
  const began = performance.now();
  const result = await fn();
  const seconds = (performance.now() - began) / 1000;
  const after = machineCpu();
  const steal = after.steal - before.steal;
  const clientUse = difference(client, cpuOf(processes.client.pid));
  const edgeUse = difference(edge, cpuOf(processes.edge.pid));
  const machine = Math.max(0, seconds * cpus().length - (after.idle - before.idle) - steal);
  const other = machine - clientUse.all - edgeUse.all;
  const otherShare = other / (seconds * cpus().length);
  const use = { client: clientUse, edge: edgeUse, machine, steal, otherShare };
  return [result, use];
}

function difference(before, after) {
  return { all: after.all - before.all, system: after.system - before.system };
}

/** Resolves when the machine does little besides us, or after timeoutMs. */
export async function untilCalm(timeoutMs) {
  for (const end = performance.now() + timeoutMs; performance.now() < end; ) {
    const began = performance.now();
    const before = machineCpu();
    await sleep(calmSampleMs);
    const coreSeconds = ((performance.now() - began) / 1000) * cpus().length;
    if (1 - (machineCpu().idle - before.idle) / coreSeconds < calmShare) return;
  }
}

/** Holds the tree below root on one core; returns what lets it go again. */
export function pin(root, core) {
  const hold = (list) => {
    for (const pid of tree(root)) spawnSync('taskset', ['-a', '-c', '-p', list, String(pid)]);
  };
  hold(String(core));
  return () => hold(`0-${cpus().length - 1}`);
}

function signalGroup(child, signal) {
  try {
    process.kill(-child.pid, signal);
  } catch {
    // gone already
  }
}

function tree(root) {
  const children = new Map();
  for (const name of readdirSync('/proc').filter((one) => /^\d+$/.test(one))) {
    const parent = Number(statOf(name)?.[1] ?? -1);
    if (!children.has(parent)) children.set(parent, []);
    children.get(parent).push(Number(name));
  }
  const all = [];
  const todo = [root];
  while (todo.length > 0) {
    const pid = todo.pop();
    all.push(pid);
    todo.push(...(children.get(pid) ?? []));
  }
  return all;
}

/** Fields of /proc/PID/stat behind the name; undefined for a process that ended meanwhile. */
function statOf(pid) {
  const text = readProc(`${pid}/stat`);
  return text?.slice(text.lastIndexOf(')') + 2).split(' ');
}

function readProc(path) {
  try {
    return readFileSync(`/proc/${path}`, 'latin1');
  } catch {
    return undefined;
  }
}

/** Where a program of this name is in PATH; undefined where none is. */
export function inPath(program) {
  for (const folder of (process.env.PATH ?? '').split(':')) {
    if (folder !== '' && existsSync(join(folder, program))) return join(folder, program);
  }
  return undefined;
}
