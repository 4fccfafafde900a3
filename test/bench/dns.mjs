// CPU per query of the edge's DNS: cached answers in process and over UDP, misses over DoT and DoH to unbound on
// loopback, memory of 100 000 names; unbound and dnsmasq in the same run as anchors. Needs openssl, unbound,
// dnsperf (and dnsmasq). Run: sh shared/launch/run.sh test/bench/dns.mjs [seconds]
import { execFileSync, spawn } from 'node:child_process';
import { createSocket } from 'node:dgram';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { createDnsAnswerer, edgeCacheLimits } from '../../edge/dns/answerer.ts';
import { AnswerCache, cacheKey } from '../../shared/core/dns/cache.ts';
import { dressAnswer } from '../../shared/core/dns/edns.ts';
import { readMessage } from '../../shared/core/dns/reader.ts';
import { writeAddressAnswer, writeQuery } from '../../shared/core/dns/writer.ts';
import { processClock } from '../../shared/node/clock.ts';
import { systemEntropy } from '../../shared/node/entropy.ts';
import { silentLog } from '../../shared/node/log.ts';
import { createTestCa } from '../support/test-ca.ts';

const hotNames = 1000;
const address = Uint8Array.of(192, 0, 2, 1);
const ports = { plain: 5391, dot: 8531, doh: 4431, unbound: 5393, dnsmasq: 5394, edge: 5395 };
const seconds = Number(process.argv[2] ?? 5);
const unboundUsual = `  do-daemonize: no
  username: ""
  chroot: ""
  directory: "/tmp"
  pidfile: ""
  use-syslog: no
  logfile: "/dev/null"
  num-threads: 1
  module-config: "iterator"`;

if (process.argv[2] === 'serve') await serve(process.argv[3], process.argv[4]);
else await main();

/** The edge's answerer behind a socket, in a process of its own; prints its CPU time when it ends. */
async function serve(upstream, caFile) {
  const rate = { perSecond: 1e9, burst: 1e9 };
  const upstreams = upstream === 'echo' ? [] : [upstream];
  const settings = { upstreams, family: 'off', cache: edgeCacheLimits(100_000), caFile };
  const names = { gateway: [], addressesOf: () => undefined };
  const place = { clock: processClock(), log: silentLog, entropy: systemEntropy() };
  const answerer = createDnsAnswerer({ ...place, settings, names, rate });
  const socket = createSocket({ type: 'udp4', recvBufferSize: 4 << 20, sendBufferSize: 4 << 20 });
  const about = { overTcp: false, device: 'bench', maxBytes: 1232 };
  const reply = async (bytes, from) => {
    const answer = await answerer.answer(bytes, about);
    if (answer !== undefined) socket.send(answer, from.port, from.address);
  };
  // The floor: what Node itself costs.
  const echo = (bytes, from) => {
    bytes[2] |= 0x80;
    socket.send(bytes, from.port, from.address);
  };
  socket.on('message', upstream === 'echo' ? echo : (bytes, from) => void reply(bytes, from));
  process.once('SIGTERM', () => process.exit());
  socket.bind(ports.edge, '127.0.0.1', () => process.send?.('ready'));
}

async function main() {
  inProcess();
  memory();
  const folder = mkdtempSync(join(tmpdir(), 'culvert-dns-bench-'));
  const ca = createTestCa();
  const children = [];
  try {
    const leaf = ca.issueFiles('IP:127.0.0.1');
    const hot = join(folder, 'hot.txt');
    writeFileSync(
      hot,
      lines(hotNames, (i) => `h${i}.bench.example A`),
    );
    // The authority: answers every name by itself, over all transports.
    children.push(startUnbound(folder, 'authority', authorityConfig(leaf)));
    children.push(startUnbound(folder, 'peer', peerConfig()));
    await pause(700);
    report('unbound (udp upstream)', children[1].pid, ports.unbound, hot, hotNames);
    const dnsmasq = startDnsmasq();
    if (dnsmasq !== undefined) {
      children.push(dnsmasq);
      await pause(300);
      report('dnsmasq', dnsmasq.pid, ports.dnsmasq, hot, hotNames);
    }
    const floor = await startEdge('echo', ca.file);
    children.push(floor);
    report('Node alone, echo', floor.pid, ports.edge, hot, hotNames);
    await ended(floor);
    for (const [title, upstream] of [
      ['DoT', `tls://127.0.0.1:${ports.dot}`],
      ['DoH', `https://127.0.0.1:${ports.doh}/dns-query`],
    ]) {
      const edge = await startEdge(upstream, ca.file);
      children.push(edge);
      report(`edge, cached (${title})`, edge.pid, ports.edge, hot, hotNames);
      const misses = join(folder, `miss-${title}.txt`);
      writeFileSync(
        misses,
        lines(400_000, (i) => `m${i}-${title}.bench.example A`),
      );
      report(`edge, miss over ${title}`, edge.pid, ports.edge, misses, 0);
      await ended(edge);
    }
  } finally {
    for (const child of children) child.kill();
    ca.remove();
    rmSync(folder, { recursive: true, force: true });
  }
}

/** No sockets: what our own code costs. */
function inProcess() {
  const cache = new AnswerCache(edgeCacheLimits(100_000));
  const now = processClock().now();
  const query = readMessage(
    writeQuery({ id: 1, name: 'h1.bench.example', type: 1, edns: { udpSize: 1232 } }),
  );
  const answer = readMessage(writeAddressAnswer(query, [address, address], 300));
  cache.put(cacheKey(query), answer, now);
  measure('a cached answer, from bytes to bytes', () => {
    const asked = readMessage(query.bytes);
    return dressAnswer(asked, cache.lookup(cacheKey(asked), now).answer, { ageSeconds: 5 });
  });
  measure('read a query', () => readMessage(query.bytes));
  measure('read an answer and its least TTL', () => readMessage(answer.bytes).minTtl());
}

function measure(title, run) {
  for (let i = 0; i < 20_000; i++) run();
  const rounds = 300_000;
  const start = process.hrtime.bigint();
  for (let i = 0; i < rounds; i++) run();
  const nanoseconds = Number(process.hrtime.bigint() - start) / rounds;
  console.log(`${title.padEnd(36)} ${nanoseconds.toFixed(0)} ns`);
}

function memory() {
  const count = 100_000;
  collect();
  const before = occupied();
  const cache = new AnswerCache(edgeCacheLimits(count));
  for (let i = 0; i < count; i++) {
    const query = readMessage(writeQuery({ id: 1, name: `host-${i}.department.example.com`, type: 1 }));
    const answer = readMessage(writeAddressAnswer(query, [address, address], 300));
    cache.put(query.questionKey(), answer, processClock().now());
  }
  collect();
  const megabytes = (occupied() - before) / 1e6;
  console.log(`${cache.entries} names in the cache: ${megabytes.toFixed(0)} MB more than before`);
}

/** Garbage is not the cache's. */
function collect() {
  setFlagsFromString('--expose-gc');
  runInNewContext('gc')();
}

function occupied() {
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}

function report(title, pid, port, names, warmUp) {
  if (warmUp > 0) dnsperf(port, names, ['-n', '1']);
  const before = cpuSeconds(pid);
  const load = dnsperf(port, names, ['-l', String(seconds)]);
  const used = cpuSeconds(pid) - before;
  const latency = dnsperf(port, names, ['-l', '2', '-Q', '1000', '-O', 'latency-histogram']);
  const perQuery = (used / load.completed) * 1e6;
  const [queries, cost] = [Math.round(load.qps), perQuery.toFixed(1)];
  console.log(
    `${title.padEnd(26)} ${String(queries).padStart(7)} q/s  ${cost.padStart(6)} µs CPU/query  lost ${load.lost}  mean ${latency.meanMs} ms at 1000 q/s`,
  );
}

function dnsperf(port, names, more) {
  const words = ['-s', '127.0.0.1', '-p', String(port), '-d', names, '-c', '8', '-q', '100', '-e', ...more];
  let text = '';
  try {
    text = execFileSync('dnsperf', words, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
  } catch {
    const plain = words.filter((word) => word !== '-O' && word !== 'latency-histogram');
    text = execFileSync('dnsperf', plain, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] });
  }
  const figure = (label) => Number(new RegExp(`${label}:\\s+([0-9.]+)`).exec(text)?.[1] ?? Number.NaN);
  const mean = figure('Average Latency \\(s\\)') * 1000;
  return {
    completed: figure('Queries completed'),
    lost: figure('Queries lost'),
    qps: figure('Queries per second'),
    meanMs: mean.toFixed(3),
  };
}

/** User and system time of a process, from the kernel's hundredths. */
function cpuSeconds(pid) {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1].split(' ');
  return (Number(fields[11]) + Number(fields[12])) / 100;
}

function startEdge(upstream, caFile) {
  return new Promise((resolve) => {
    const child = spawn(process.execPath, [new URL(import.meta.url).pathname, 'serve', upstream, caFile], {
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    });
    child.once('message', () => resolve(child));
  });
}

function ended(child) {
  return new Promise((resolve) => {
    child.once('exit', resolve);
    child.kill('SIGKILL');
  });
}

function startUnbound(folder, name, config) {
  const file = join(folder, `${name}.conf`);
  writeFileSync(file, config);
  return spawn('unbound', ['-d', '-c', file], { stdio: 'ignore' });
}

function startDnsmasq() {
  try {
    execFileSync('dnsmasq', ['--version'], { stdio: 'ignore' });
  } catch {
    return undefined;
  }
  const words = ['-k', '-C', '/dev/null', '-p', String(ports.dnsmasq), '-a', '127.0.0.1', '-z', '-R', '-h'];
  return spawn('dnsmasq', [...words, '-c', '10000', '-S', `127.0.0.1#${ports.plain}`], { stdio: 'ignore' });
}

function authorityConfig(leaf) {
  return `server:
  interface: 127.0.0.1@${ports.plain}
  interface: 127.0.0.1@${ports.dot}
  interface: 127.0.0.1@${ports.doh}
  tls-port: ${ports.dot}
  https-port: ${ports.doh}
  tls-service-key: ${leaf.key}
  tls-service-pem: ${leaf.cert}
${unboundUsual}
  local-zone: "bench.example." redirect
  local-data: "bench.example. 300 IN A 192.0.2.1"
`;
}

function peerConfig() {
  return `server:
  interface: 127.0.0.1@${ports.unbound}
  do-not-query-localhost: no
  msg-cache-size: 64m
  rrset-cache-size: 128m
${unboundUsual}
forward-zone:
  name: "."
  forward-addr: 127.0.0.1@${ports.plain}
`;
}

function lines(count, line) {
  return `${Array.from({ length: count }, (_, i) => line(i)).join('\n')}\n`;
}

function pause(ms) {
  return new Promise((resolve) => {
    setTimeout(resolve, ms);
  });
}
