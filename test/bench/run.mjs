// `npm run bench`: measures tunnels side by side, the rounds interleaved (a b c a b c), and prints one table.
// See README.md for the options. Needs root. Runs under any Node from 20 on.

import { spawnSync } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { cleanUp, measure } from './measure.mjs';
import { knownPeers } from './peers.mjs';
import { report } from './report.mjs';

const here = dirname(fileURLToPath(import.meta.url));
const allTests = ['rtt', 'handshake', 'tcp', 'udp'];
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

function write(folder, results, text) {
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, 'results.json'), `${JSON.stringify(results, null, 1)}\n`);
  writeFileSync(join(folder, 'table.md'), text);
}

if (process.getuid?.() !== 0) fail('this needs root: sudo npm run bench');
installMissing();
for (const signal of ['SIGINT', 'SIGTERM']) {
  process.on(signal, () => {
    cleanUp();
    process.exit(130);
  });
}
const options = readOptions();
const peers = chosenPeers();
const results = [];
for (let round = 1; round <= options.rounds; round++) {
  for (const peer of peers) {
    process.stderr.write(`bench: round ${round} of ${options.rounds}: ${peer.label}\n`);
    results.push(await measure(peer, round, options));
    if (values.out) write(values.out, results, report(results, options));
  }
}
process.stdout.write(`\n${report(results, options)}`);
process.exitCode = results.some((result) => result.error) ? 1 : 0;
