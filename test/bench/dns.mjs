// What a name costs: cached answers and misses over TLS and HTTPS, CPU per query and latency, memory of 100 000 names;
// our stub and our edge beside unbound, dnsmasq and dnsdist on the same upstream, interleaved. Needs openssl, unbound and
// dnsperf; dnsmasq and dnsdist where they are there. Run: node test/bench/dns.mjs [--seconds 3] [--rounds 3] [--out FILE]
import { execFileSync, spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { AnswerCache, cacheKey } from '../../shared/core/dns/cache.ts';
import { dressAnswer } from '../../shared/core/dns/edns.ts';
import { HotAnswers } from '../../shared/core/dns/hot-answers.ts';
import { readMessage } from '../../shared/core/dns/reader.ts';
import { writeAddressAnswer, writeQuery } from '../../shared/core/dns/writer.ts';
import { processClock } from '../../shared/node/clock.ts';
import { createTestCa } from '../support/test-ca.ts';
import {
  hasProgram,
  startDnsdist,
  startDnsmasq,
  startUnboundPeer,
  startUpstream,
  upstreamPorts,
} from './dns-peers.mjs';

const hotNames = 1000;
const missNames = 400_000;
const memoryNames = 100_000;
const { values: options } = parseArgs({
  options: {
    seconds: { type: 'string', default: '3' },
    rounds: { type: 'string', default: '3' },
    only: { type: 'string', default: '' },
    out: { type: 'string', default: '' },
  },
});
const rounds = Number(options.rounds);
const children = [];
const folder = mkdtempSync(join(tmpdir(), 'culvert-dns-bench-'));
let nextPort = 5400;
let nextList = 0;

const ca = createTestCa();
try {
  await main();
} finally {
  for (const child of children) child.kill('SIGKILL');
  ca.remove();
  rmSync(folder, { recursive: true, force: true });
}

async function main() {
  const inMemory = inProcess();
  children.push(startUpstream(folder, ca.issueFiles('IP:127.0.0.1')));
  await pause(700);
  const dot = `tls://127.0.0.1:${upstreamPorts.dot}`;
  const doh = `https://127.0.0.1:${upstreamPorts.doh}/dns-query`;
  const cached = await started([
    ['unbound', (port) => startUnboundPeer(folder, port, 'udp')],
    ['dnsmasq', hasProgram('dnsmasq') ? startDnsmasq : undefined],
    ['culvert edge', (port) => startOurs('edge', port, dot)],
    ['culvert edge, no FFI', (port) => startOurs('edge-dgram', port, dot)],
    ['culvert stub', (port) => startOurs('stub', port, dot)],
    ['echo on node:dgram', (port) => startOurs('echo', port, dot)],
  ]);
  const misses = await started([
    ['unbound, UDP', (port) => startUnboundPeer(folder, port, 'udp')],
    ['unbound, DoT', (port) => startUnboundPeer(folder, port, 'dot')],
    ['dnsdist, DoH', hasProgram('dnsdist') ? (port) => startDnsdist(folder, port) : undefined],
    ['culvert edge, DoT', (port) => startOurs('edge', port, dot)],
    ['culvert edge, DoH', (port) => startOurs('edge', port, doh)],
  ]);
  const results = { inMemory, cached: [], misses: [], memory: [] };
  const { only } = options;
  if (only === '' || only === 'cached') results.cached = measured(cached, 'cached');
  if (only === '' || only === 'misses') results.misses = measured(misses, 'misses');
  if (only === '' || only === 'memory') results.memory = await memory(dot, doh);
  console.log(JSON.stringify(results));
  if (options.out !== '') writeFileSync(options.out, `${JSON.stringify(results, undefined, 2)}\n`);
}

/** Starts them all, each on a port of its own; leaves out what is not there. */
async function started(subjects) {
  const running = [];
  for (const [title, start] of subjects) {
    if (start === undefined) {
      console.log(`${title}: not here`);
      continue;
    }
    const port = nextPort++;
    const child = await start(port);
    children.push(child);
    running.push({ title, port, pid: child.pid });
  }
  await pause(500);
  return running;
}

/** Everybody once, then everybody again; the median of each figure. */
function measured(subjects, kind) {
  const takes = new Map(subjects.map(({ title }) => [title, []]));
  for (let round = 0; round < rounds; round++) {
    for (const subject of subjects) takes.get(subject.title).push(take(subject, kind));
  }
  return [...takes].map(([title, list]) => {
    const figures = {};
    for (const name of Object.keys(list[0])) figures[name] = median(list.map((one) => one[name]));
    const { cpuMicros, qps, lost, p50Micros, p99Micros } = figures;
    const cost = `${cpuMicros.toFixed(1).padStart(6)} us CPU/query`;
    const latency = `p50 ${p50Micros.toFixed(0).padStart(5)}  p99 ${p99Micros.toFixed(0).padStart(5)} us`;
    console.log(
      `${kind} ${title.padEnd(22)} ${cost} ${qps.toFixed(0).padStart(7)} q/s  ${latency}  lost ${lost}`,
    );
    return { title, ...figures };
  });
}

/** One subject, one round: under full load, then at a rate that nobody notices. */
function take({ port, pid }, kind) {
  const isCached = kind === 'cached';
  const hot = listOf(hotNames, (i) => `h${i}.bench.example A`, 'hot');
  if (isCached) dnsperf(port, hot, ['-n', '2']);
  // Whoever compiles while it runs is measured compiled.
  else dnsperf(port, missList(), ['-l', '2']);
  const names = isCached ? hot : missList();
  const before = cpuSeconds(pid);
  const load = dnsperf(port, names, ['-l', options.seconds]);
  const used = cpuSeconds(pid) - before;
  const rate = isCached ? '1000' : '500';
  const calm = dnsperf(port, isCached ? hot : missList(), ['-l', '3', '-Q', rate, '-v']);
  const ordered = calm.micros.toSorted((one, two) => one - two);
  const at = (part) => ordered[Math.floor(ordered.length * part)] ?? Number.NaN;
  return {
    cpuMicros: (used / load.completed) * 1e6,
    qps: load.qps,
    lost: load.lost + calm.lost,
    p50Micros: at(0.5),
    p99Micros: at(0.99),
  };
}

function missList() {
  const id = nextList++;
  return listOf(missNames, (i) => `m${i}-${id}.bench.example A`, `miss-${id % 2}`);
}

function listOf(count, line, name) {
  const file = join(folder, `${name}.txt`);
  writeFileSync(file, `${Array.from({ length: count }, (_, i) => line(i)).join('\n')}\n`);
  return file;
}

/** Memory that 100 000 answers take, ours and unbound's, by what the kernel counts. */
async function memory(dot, doh) {
  const names = listOf(memoryNames, (i) => `host-${i}.department.bench.example A`, 'memory');
  const subjects = await started([
    ['unbound', (port) => startUnboundPeer(folder, port, 'udp')],
    ['culvert edge, DoT', (port) => startOurs('edge', port, dot)],
    ['culvert edge, DoH', (port) => startOurs('edge', port, doh)],
  ]);
  return subjects.map(({ title, port, pid }) => {
    const before = residentMb(pid);
    const { completed, lost } = dnsperf(port, names, ['-n', '1']);
    const after = residentMb(pid);
    const peak = residentMb(pid, 'VmHWM');
    console.log(
      `memory ${title.padEnd(22)} ${before.toFixed(0)} -> ${after.toFixed(0)} MB, at most ${peak.toFixed(0)}, for ${completed} names, lost ${lost}`,
    );
    return { title, beforeMb: before, afterMb: after, peakMb: peak };
  });
}

/** No sockets: what our own code costs, in nanoseconds. */
function inProcess() {
  const limits = { maxEntries: 1000, maxBytes: 1e6, maxStaleMs: 0 };
  const cache = new AnswerCache(limits);
  const hot = new HotAnswers(1024, 1);
  const now = processClock().now();
  const query = readMessage(
    writeQuery({ id: 1, name: 'h1.bench.example', type: 1, edns: { udpSize: 1232 } }),
  );
  const address = Uint8Array.of(192, 0, 2, 1);
  const answer = readMessage(writeAddressAnswer(query, [address, address], 300));
  cache.put(cacheKey(query), answer, now);
  hot.learn(query, cache.lookup(cacheKey(query), now), cache.generation);
  const question = { bytes: query.bytes, at: 0, length: query.bytes.length };
  const out = { bytes: new Uint8Array(4096), at: 0, length: 0 };
  return {
    longWay: timed('a cached answer, the long way', () => {
      const asked = readMessage(query.bytes);
      return dressAnswer(asked, cache.lookup(cacheKey(asked), now).answer, { ageSeconds: 5 });
    }),
    atOnce: timed('a cached answer at once', () => {
      out.length = 4096;
      if (!hot.answer(question, out, now, cache.generation)) throw new Error('not at once');
    }),
  };
}

function timed(title, run) {
  for (let i = 0; i < 50_000; i++) run();
  const times = 500_000;
  const start = process.hrtime.bigint();
  for (let i = 0; i < times; i++) run();
  const nanoseconds = Math.round(Number(process.hrtime.bigint() - start) / times);
  console.log(`${title.padEnd(36)} ${nanoseconds} ns`);
  return nanoseconds;
}

function dnsperf(port, names, more) {
  const words = ['-s', '127.0.0.1', '-p', String(port), '-d', names, '-c', '8', '-q', '100', '-e', ...more];
  const pipes = { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'], maxBuffer: 1 << 28 };
  const text = execFileSync('dnsperf', words, pipes);
  const figure = (label) => Number(new RegExp(`${label}:\\s+([0-9.]+)`).exec(text)?.[1] ?? Number.NaN);
  return {
    completed: figure('Queries completed'),
    lost: figure('Queries lost'),
    qps: figure('Queries per second'),
    micros: Array.from(text.matchAll(/^> \w+ \S+ \S+ ([0-9.]+)$/gm), (line) => Number(line[1]) * 1e6),
  };
}

/** User and system time of a process with all its threads, from the kernel's hundredths. */
function cpuSeconds(pid) {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1].split(' ');
  return (Number(fields[11]) + Number(fields[12])) / 100;
}

/** `figure`: 'VmRSS' is now, 'VmHWM' the most there ever was. */
function residentMb(pid, figure = 'VmRSS') {
  const text = readFileSync(`/proc/${pid}/status`, 'utf8');
  return Number(new RegExp(`${figure}:\\s+(\\d+)`).exec(text)?.[1]) / 1024;
}

function median(values) {
  return values.toSorted((one, two) => one - two)[Math.floor(values.length / 2)];
}

function startOurs(role, port, upstream) {
  const program = 'test/bench/dns-role.mjs';
  // With the launcher's settings, as users start it: they cost a little processor time and save memory.
  const launcher = new URL('../../shared/launch/run.sh', import.meta.url).pathname;
  const child = spawn('sh', [launcher, program, role, String(port), upstream, ca.file], {
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
  });
  return new Promise((resolve, reject) => {
    child.once('message', () => resolve(child));
    child.once('exit', (code) => reject(new Error(`our ${role} ended with ${code}`)));
  });
}
