// `npm run bench`: measures tunnels side by side, the rounds interleaved (a b c a b c), and prints one table.
// See README.md for the options. Needs root. Runs under any Node from 20 on.

import { spawnSync } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { chart } from './chart.mjs';
import { cleanUp, measure } from './measure.mjs';
import { knownPeers } from './peers.mjs';
import { untilCalm } from './processes.mjs';
import { report } from './report.mjs';

const here = dirname(fileURLToPath(import.meta.url));
const allTests = ['rtt', 'handshake', 'tcp', 'udp', 'peers', 'crowd'];
/** The second profile of --full: an ordinary line, where wake-ups cost more than bytes. */
const ordinaryRate = '200mbit';
/** How long one measurement waits for others on the machine. */
const calmTimeoutMs = 40_000;
const debianPackages = {
  iperf3: 'iperf3',
  ping: 'iputils-ping',
  ip: 'iproute2',
  tc: 'iproute2',
  nft: 'nftables',
  ethtool: 'ethtool',
  wg: 'wireguard-tools',
  'wireguard-go': 'wireguard-go',
};

const { values } = parseArgs({
  options: {
    peers: { type: 'string' },
    only: { type: 'string' },
    rounds: { type: 'string', default: '3' },
    seconds: { type: 'string', default: '3' },
    'udp-seconds': { type: 'string', default: '1' },
    tests: { type: 'string', default: allTests.join(',') },
    underlay: { type: 'string', default: 'wire' },
    rate: { type: 'string' },
    cc: { type: 'string', default: 'cubic' },
    lock: { type: 'string' },
    out: { type: 'string' },
    full: { type: 'boolean', default: false },
    calm: { type: 'boolean', default: false },
    from: { type: 'string' },
    verbose: { type: 'boolean', default: false },
  },
});

function fail(text) {
  process.stderr.write(`bench: ${text}\n`);
  process.exit(2);
}

function installMissing() {
  const missing = Object.keys(debianPackages).filter(
    (program) => spawnSync('sh', ['-c', `command -v ${program}`]).status !== 0,
  );
  if (missing.length === 0) return;
  const packages = [...new Set(missing.map((program) => debianPackages[program]))];
  process.stderr.write(`bench: installing ${packages.join(', ')}\n`);
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' };
  const install = ['install', '-y', '--no-install-recommends', ...packages];
  for (const words of [['update'], install]) {
    if (spawnSync('apt-get', words, { env, stdio: 'inherit' }).status !== 0) {
      fail(`missing: ${missing.join(', ')}. Install them first.`);
    }
  }
}

function chosenPeers() {
  const all = values.peers ? JSON.parse(readFileSync(values.peers, 'utf8')) : knownPeers();
  if (!values.only) return all;
  return values.only.split(',').map((label) => {
    const found = all.find((peer) => peer.label === label);
    return found ?? fail(`no peer "${label}"; there are: ${all.map((peer) => peer.label).join(', ')}`);
  });
}

function readOptions() {
  const tests = values.tests.split(',');
  const unknown = tests.filter((test) => !allTests.includes(test));
  if (unknown.length > 0) fail(`--tests takes ${allTests.join(', ')}`);
  return {
    ...values,
    tests,
    rounds: Number(values.rounds),
    seconds: Number(values.seconds),
    udpSeconds: Number(values['udp-seconds']),
    cwd: values.peers ? dirname(resolve(values.peers)) : here,
  };
}

function write(folder, results) {
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, 'results.json'), `${JSON.stringify(results, null, 1)}\n`);
  writeFileSync(join(folder, 'table.md'), report(results));
  const drawing = chart(results);
  if (drawing !== '') writeFileSync(join(folder, 'chart.svg'), drawing);
}

/** Results of earlier runs, to be shown as one. Rounds of different runs are not compared with each other. */
function earlier(files) {
  return files.split(',').flatMap((file, part) => {
    const results = JSON.parse(readFileSync(file, 'utf8'));
    return results.map((result) => ({ ...result, part }));
  });
}

/** One peer in one round. The crowd gets a tunnel of its own: the other tests leave thousands of peers behind. */
async function measurePeer(peer, round, options) {
  if (options.calm) await untilCalm(calmTimeoutMs);
  const tests = options.tests.filter((test) => test !== 'crowd');
  const result = await measure(peer, round, { ...options, tests });
  const wantsCrowd = options.tests.includes('crowd') && peer.rehandshake && !result.error;
  if (!wantsCrowd) return result;
  const { crowd, error } = await measure(peer, round, { ...options, tests: ['crowd'] });
  return { ...result, crowd, ...(error && { error }) };
}

async function measureAll(options, peers) {
  const results = [];
  const profiles = [options];
  if (options.full) profiles.push({ ...options, rate: ordinaryRate, tests: ['rtt', 'tcp'] });
  for (const profile of profiles) {
    for (let round = 1; round <= options.rounds; round++) {
      for (const peer of peers) {
        const rate = profile.rate ? ` at ${profile.rate}` : '';
        process.stderr.write(`bench: round ${round} of ${options.rounds}${rate}: ${peer.label}\n`);
        results.push(await measurePeer(peer, round, profile));
        if (options.out) write(options.out, results);
      }
    }
  }
  return results;
}

if (!values.from) {
  if (process.getuid?.() !== 0) fail('this needs root: sudo npm run bench');
  installMissing();
}
for (const signal of ['SIGINT', 'SIGTERM']) {
  process.on(signal, () => {
    cleanUp();
    process.exit(130);
  });
}
const options = readOptions();
const results = options.from ? earlier(options.from) : await measureAll(options, chosenPeers());
if (options.out) write(options.out, results);
process.stdout.write(`\n${report(results)}`);
process.exitCode = results.some((result) => result.error) ? 1 : 0;
