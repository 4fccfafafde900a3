// Measures one tunnel in the topology of topology.sh: latency, handshakes, TCP, UDP, CPU and memory.
//
// A "peer" is a pair of commands that bring a tunnel up:
//   edge    run by `bash -c` inside the edge namespace
//   client  run by `bash -c` inside the client namespace, once the edge is ready
// Rules for both:
//   * They stay in the foreground; the tunnel process is the command itself or a descendant of it. CPU and memory are
//     counted over that whole tree, and it is ended with SIGTERM (then SIGKILL).
//   * The edge command creates $BENCH_TMP/edge.ready when it takes clients.
//   * After the client command, INET_ADDR (198.51.100.2) must answer from the client namespace. The edge already
//     forwards and masquerades; a peer that does its own NAT may simply ignore that.
//   * Environment: the KEY=value lines of `topology.sh env`, plus BENCH_TMP (a scratch directory both share: keys,
//     ready file) and TOPOLOGY (path of topology.sh). Working directory: that of the peers file.
// Optional third command:
//   rehandshake  run inside the client namespace while the tunnel is up; makes the client forget its session, so that
//                the next packet needs a fresh handshake.

import { execFileSync, spawn } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { cpus, loadavg, tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { disturbedShare } from './figures.mjs';
import {
  inNamespace,
  killEverything,
  memoryOf,
  metered,
  sleep,
  start,
  stop,
  untilCalm,
} from './processes.mjs';
import { testHandshakeRate, testPeerCounts } from './scale.mjs';
import { iperf, testUdp } from './udp.mjs';

const topology = join(dirname(fileURLToPath(import.meta.url)), 'topology.sh');
/** Of this run's namespaces. */
const prefix = `b${process.pid.toString(36)}`;
/** Bytes of UDP payload: small for packet rates; big fits any tunnel MTU from 1280 up. */
export const smallPayload = 100;
export const bigPayload = 1200;
const handshakeRuns = 15;
const idlePings = 400;
const disturbedRetries = 4;
const retryCalmMs = 20_000;
const readyTimeoutMs = 10_000;
const firstReplyTimeoutMs = 20_000;

const scratch = new Set();

/** After a signal: nothing of ours may stay. */
export function cleanUp() {
  killEverything();
  for (const folder of scratch) rmSync(folder, { recursive: true, force: true });
  try {
    execFileSync(topology, ['down', '-p', prefix]);
  } catch {
    // best effort: we are leaving
  }
}

/** Brings the peer up, runs the tests, takes everything down. An error is part of the result. */
export async function measure(peer, round, options) {
  const { underlay, rate, cc, cwd } = options;
  const topologyEnv = {
    ...process.env,
    TOPO_PREFIX: prefix,
    TOPO_UNDERLAY: underlay,
    TOPO_RATE: rate ?? '',
  };
  const folder = mkdtempSync(join(tmpdir(), 'bench-'));
  scratch.add(folder);
  const processes = {};
  const result = { label: peer.label, version: peer.version, round, underlay, rate, cc, load: loadavg()[0] };
  try {
    const lines = execFileSync(topology, ['up'], { env: topologyEnv, stdio: ['ignore', 'pipe', 'ignore'] });
    const net = Object.fromEntries(
      lines
        .toString()
        .trim()
        .split('\n')
        .map((line) => line.split('=')),
    );
    const env = { ...topologyEnv, ...net, BENCH_TMP: folder, TOPOLOGY: topology };
    const bed = { net, env, cwd, folder, processes, options, peer, cores: cpus().length };
    await bringUp(bed, result);
    await runTests(bed, result);
  } catch (error) {
    result.error = error.message;
    process.stderr.write(`bench: ${peer.label}: ${error.message}\n`);
  } finally {
    await stop(processes.client);
    await stop(processes.edge);
    execFileSync(topology, ['down'], { env: topologyEnv });
    rmSync(folder, { recursive: true, force: true });
    scratch.delete(folder);
  }
  return result;
}

async function bringUp({ net, env, cwd, folder, processes, options, peer }, result) {
  const commandOptions = { env, cwd, echo: options.verbose };
  processes.edge = start(inNamespace(net.NS_EDGE, 'bash', '-c', peer.edge), commandOptions);
  const ready = join(folder, 'edge.ready');
  for (let waited = 0; waited < readyTimeoutMs && !existsSync(ready); waited += 100) {
    if (processes.edge.exitCode !== null) break;
    await sleep(100);
  }
  if (!existsSync(ready)) throw new Error('the edge did not become ready; see --verbose');

  const began = performance.now();
  processes.client = start(inNamespace(net.NS_CLIENT, 'bash', '-c', peer.client), commandOptions);
  for (;;) {
    const { code } = await ping(net, ['-c', '1', '-W', '0.2'], 3000);
    const ms = performance.now() - began;
    if (code === 0) {
      result.coldStartMs = ms;
      break;
    }
    for (const role of ['client', 'edge']) {
      const { exitCode } = processes[role];
      if (exitCode !== null) throw new Error(`the ${role} command ended (code ${exitCode})`);
    }
    if (ms > firstReplyTimeoutMs) throw new Error('no reply through the tunnel in 20 s');
    await sleep(10);
  }
}

async function runTests(bed, result) {
  const { processes, options, peer } = bed;
  const wanted = new Set(options.tests.filter((test) => !(peer.skip ?? []).includes(test)));
  result.rssIdle = { client: memoryOf(processes.client.pid).now, edge: memoryOf(processes.edge.pid).now };
  await locked(options.lock, async () => {
    if (wanted.has('rtt')) result.rtt = await calmly(options, () => testRtt(bed));
    if (wanted.has('handshake')) result.handshake = await calmly(options, () => testHandshake(bed));
  });
  if (wanted.has('tcp')) {
    await locked(options.lock, async () => {
      result.tcp = {};
      for (const streams of [1, 4]) {
        for (const reverse of [false, true]) {
          result.tcp[`${reverse ? 'down' : 'up'}${streams}`] = await calmly(options, () =>
            testTcp(bed, { reverse, streams }),
          );
        }
      }
    });
  }
  if (wanted.has('udp')) {
    result.udp = {};
    for (const [name, size, reverse] of [
      ['smallUp', smallPayload, false],
      ['smallDown', smallPayload, true],
      ['bigUp', bigPayload, false],
    ]) {
      await locked(options.lock, async () => {
        result.udp[name] = await testUdp(bed, size, reverse, (fn) => calmly(options, fn));
      });
    }
  }
  result.rssPeak = { client: memoryOf(processes.client.pid).peak, edge: memoryOf(processes.edge.pid).peak };
  // The last ones: they leave many peers at the edge.
  await locked(options.lock, async () => {
    if (wanted.has('peers') && peer.rehandshake)
      result.peers = await testPeerCounts(bed, (fn) => calmly(options, fn));
    if (wanted.has('crowd') && peer.rehandshake) result.crowd = await testHandshakeRate(bed);
  });
}

/** With --calm, a test that others disturbed is repeated, a few times at most. */
async function calmly(options, test) {
  let found = await test();
  for (let i = 0; i < disturbedRetries && options.calm && found?.otherShare > disturbedShare; i++) {
    await untilCalm(retryCalmMs);
    found = await test();
  }
  return found;
}

/** Runs fn while holding the lock file, on machines shared with other measurements. */
async function locked(file, fn) {
  if (!file) return await fn();
  const holder = spawn('flock', ['-x', file, '-c', 'echo locked; read _'], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  await new Promise((resolve) => {
    holder.stdout.once('data', resolve);
  });
  try {
    return await fn();
  } finally {
    holder.stdin.end();
    await new Promise((resolve) => {
      holder.once('close', resolve);
    });
  }
}

function quantile(sorted, q) {
  if (sorted.length === 0) return NaN;
  return sorted[Math.min(sorted.length - 1, Math.floor(q * sorted.length))];
}

/** Microseconds of each reply, sorted. */
function pingTimes(text) {
  const times = [...text.matchAll(/time=([\d.]+) ms/g)].map((match) => Number(match[1]) * 1000);
  return times.toSorted((a, b) => a - b);
}

async function ping(net, words, timeoutMs = 20_000) {
  return await start(inNamespace(net.NS_CLIENT, 'ping', '-n', ...words, net.INET_ADDR), { timeoutMs }).done;
}

async function testRtt({ net, processes }) {
  await ping(net, ['-i', '0.01', '-c', '50']); // warm up
  const words = ['-i', '0.01', '-c', String(idlePings)];
  const [{ out }, { otherShare }] = await metered(processes, () => ping(net, words));
  const times = pingTimes(out);
  return {
    medianUs: quantile(times, 0.5),
    p99Us: quantile(times, 0.99),
    lost: idlePings - times.length,
    otherShare,
  };
}

async function testHandshake({ net, env, cwd, peer, processes }) {
  if (!peer.rehandshake) return undefined;
  const times = [];
  const [, { otherShare }] = await metered(processes, async () => {
    for (let i = 0; i < handshakeRuns; i++) {
      const forget = inNamespace(net.NS_CLIENT, 'bash', '-c', peer.rehandshake);
      await start(forget, { env, cwd, timeoutMs: 5000 }).done;
      await sleep(150);
      const { out } = await ping(net, ['-c', '1', '-W', '3'], 5000);
      times.push(...pingTimes(out));
    }
  });
  times.sort((a, b) => a - b);
  return {
    medianMs: quantile(times, 0.5) / 1000,
    maxMs: quantile(times, 1) / 1000,
    failed: handshakeRuns - times.length,
    otherShare,
  };
}

async function testTcp({ net, processes, options }, { reverse, streams }) {
  const { seconds } = options;
  const words = ['-P', String(streams), '-C', options.cc, ...(reverse ? ['-R'] : [])];
  // Latency under load rides along with the runs of several streams (50 pings a second).
  const pings = String(Math.max(10, Math.floor((seconds - 1.5) * 50)));
  const pinger =
    streams > 1 ? sleep(700).then(() => ping(net, ['-i', '0.02', '-c', pings, '-W', '1'])) : undefined;
  const [report, cpu] = await metered(processes, () => iperf(net, words, seconds));
  const got = report.end.sum_received;
  const gb = got.bytes / 1e9;
  const use = report.end.cpu_utilization_percent;
  const iperfCpu = ((use.host_total + use.remote_total) / 100) * got.seconds;
  const coreSeconds = got.seconds * cpus().length;
  const loaded = pinger ? pingTimes((await pinger).out) : undefined;
  return {
    mbps: got.bits_per_second / 1e6,
    retransmits: report.end.sum_sent.retransmits,
    clientCpuPerGb: cpu.client.all / gb,
    edgeCpuPerGb: cpu.edge.all / gb,
    clientSystemShare: cpu.client.all ? cpu.client.system / cpu.client.all : 0,
    edgeSystemShare: cpu.edge.all ? cpu.edge.system / cpu.edge.all : 0,
    machineCpuPerGb: cpu.machine / gb,
    machineBusyShare: Math.min(1, cpu.machine / coreSeconds),
    // neither the tunnel nor iperf3: kernel threads, and other people's work
    otherShare: Math.max(0, (cpu.machine - cpu.client.all - cpu.edge.all - iperfCpu) / coreSeconds),
    stealShare: cpu.steal / coreSeconds,
    loadedRttMs: loaded && {
      median: quantile(loaded, 0.5) / 1000,
      p99: quantile(loaded, 0.99) / 1000,
      n: loaded.length,
    },
  };
}
