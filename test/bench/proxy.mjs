// `node test/bench/proxy.mjs`: the proxy mode of the client with an edge in user space, measured over veth and over
// a bad link. See README.md, "The proxy". Needs root. Any Node starts it; it runs under the one of the lockfile.

import { spawn } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { constants } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

const root = fileURLToPath(new URL('../..', import.meta.url));
const leastNode = 24;
const allTests = ['throughput', 'first-byte', 'idle', 'loss'];
const help = `Usage: node test/bench/proxy.mjs [OPTION]...

  --tests LIST     of ${allTests.join(', ')} (default: all)
  --only LIST      of plain, culvert, gvisor, ssh: who carries the downloads (default: all that are there)
  --rounds N       interleaved rounds (default 3)
  --seconds S      of each download (default 4; twice as long on the bad link)
  --loss LIST      percent, on the bad link (default 0,0.1,1)
  --rtt MS         of the bad link (default 20)
  --rate MBIT      of the bad link's line (default 400; 0 = as fast as it goes)
  --connections N  idle ones (default 10000)
  --calm           before each measurement wait, 40 s at most, until others leave the machine alone
  --out DIR        writes proxy.json and proxy.md
  --verbose        show what the programs print
  --help           print this

With the defaults it takes about 8 minutes; needs root, iproute2, nftables, ethtool and curl.
`;

const { values } = parseArgs({
  options: {
    tests: { type: 'string', default: allTests.join(',') },
    only: { type: 'string', default: 'plain,culvert,gvisor,ssh' },
    rounds: { type: 'string', default: '3' },
    seconds: { type: 'string', default: '4' },
    loss: { type: 'string', default: '0,0.1,1' },
    rtt: { type: 'string', default: '20' },
    rate: { type: 'string', default: '400' },
    connections: { type: 'string', default: '10000' },
    calm: { type: 'boolean', default: false },
    out: { type: 'string' },
    verbose: { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  },
});

function fail(text) {
  process.stderr.write(`bench: ${text}\n`);
  process.exit(2);
}

/** Under the Node that this checkout pins, whatever started us. */
async function restart() {
  const words = ['shared/launch/run.sh', 'test/bench/proxy.mjs', ...process.argv.slice(2)];
  const child = spawn('sh', words, { cwd: root, stdio: 'inherit' });
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => child.kill(signal));
  const [code, signal] = await new Promise((resolve) => {
    child.once('close', (...ended) => resolve(ended));
  });
  return code ?? 128 + constants.signals[signal];
}

function readOptions() {
  const list = (text) => text.split(',').filter((word) => word !== '');
  const tests = list(values.tests);
  if (tests.some((test) => !allTests.includes(test))) fail(`--tests takes ${allTests.join(', ')}`);
  return {
    tests,
    only: list(values.only),
    rounds: Number(values.rounds),
    seconds: Number(values.seconds),
    losses: list(values.loss).map(Number),
    rttMs: Number(values.rtt),
    rateMbit: Number(values.rate),
    connections: Number(values.connections),
    calm: values.calm,
    verbose: values.verbose,
    note: (text) => process.stderr.write(`bench: ${text}\n`),
  };
}

async function main() {
  if (process.getuid?.() !== 0) fail('this needs root: sudo node test/bench/proxy.mjs');
  const options = readOptions();
  // Only now: these import TypeScript, which an older Node cannot read.
  const { measureProxy } = await import('./proxy-tests.mjs');
  const { proxyReport } = await import('./proxy-report.mjs');
  const stopping = new AbortController();
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => stopping.abort());
  const results = await measureProxy(options, stopping.signal, (soFar) => {
    if (values.out === undefined) return;
    mkdirSync(values.out, { recursive: true });
    writeFileSync(join(values.out, 'proxy.json'), `${JSON.stringify(soFar, null, 1)}\n`);
    writeFileSync(join(values.out, 'proxy.md'), proxyReport(soFar));
  });
  process.stdout.write(`\n${proxyReport(results)}`);
  if (stopping.signal.aborted) return 130;
  return results.errors.length > 0 ? 1 : 0;
}

if (values.help) process.stdout.write(help);
else process.exitCode = await (Number.parseInt(process.versions.node, 10) < leastNode ? restart() : main());
