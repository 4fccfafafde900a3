// How an edge carries many devices of its store: start, memory, revocation and enrolment, against the bars of the
// design. Usage: node test/bench/edge-devices.mjs [DEVICES] [kernel|userspace]
import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { enrol } from '../../client/enroll/enrollment.ts';
import { askToLook } from '../../edge/admin/client.ts';
import { openEdge } from '../../edge/cli/place.ts';
import { loadConfig } from '../../edge/config-file.ts';
import { nativeDhSuite } from '../../shared/node/crypto/native-dh.ts';
import { systemEntropy } from '../../shared/node/entropy.ts';
import { generatePrivateKey, publicKeyOf } from '../../shared/node/wgtools/keys.ts';

const count = Number(process.argv[2] ?? 10_000);
const backend = process.argv[3] ?? 'userspace';
const revocations = 100;
const enrolments = 400;
const folder = mkdtempSync(join(tmpdir(), 'culvert-devices-'));
const entry = new URL('../../edge/main.ts', import.meta.url).pathname;
// As users start it: it hands over to Node with the flags and settings that belong to it, as the same process.
const launcher = new URL('../../node_modules/.bin/culvert-edge', import.meta.url).pathname;
const entropy = systemEntropy();

function run(...words) {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [entry, ...words, '--data', folder], { stdio: 'inherit' });
    child.once('exit', (code) => (code === 0 ? resolve() : reject(new Error(`exit ${code}`))));
  });
}

/** Every device from an address of its own, as it is in life: one source alone is slowed down. */
let sources = 0;
function fromElsewhere({ host, port }) {
  const number = sources++;
  return connect({ host, port, localAddress: `127.1.${number >> 8}.${number & 255 || 1}` });
}

const percentile = (values, share) => values.toSorted((a, b) => a - b)[Math.floor(values.length * share)];

await run('init', '--endpoint', '127.0.0.1', '--udp', '47811', '--https', '47812', '--json');
const yaml = join(folder, 'edge.yaml');
writeFileSync(
  yaml,
  readFileSync(yaml, 'utf8')
    .replace('backend: auto', `backend: ${backend}`)
    .replace(/metrics: .*/, 'metrics: off'),
);
const { config } = loadConfig(yaml, folder);
const { store, administration } = await openEdge(folder, config);
const facts = [config.network.v4, config.network.v6].map((prefix) => ({ prefix, reserved: [] }));
const act = () => ({ id: `act${Math.random().toString(36).slice(2)}`, actor: 'operator', at: Date.now() });
for (let i = 0; i < count; i++) {
  const publicKey = publicKeyOf(generatePrivateKey());
  const device = {
    id: `device${String(i).padStart(8, '0')}`,
    name: `device ${i}`,
    publicKey,
    platform: undefined,
    pools: facts,
    entropy,
  };
  await store.addDevice(device, { path: null }, act());
}

const begun = performance.now();
const edge = spawn(launcher, ['run', '--data', folder], {
  stdio: ['ignore', 'pipe', 'inherit'],
});
await new Promise((resolve) => edge.stdout.on('data', (text) => /ready/.test(String(text)) && resolve()));
const startMs = performance.now() - begun;
const rss = () => Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${edge.pid}/status`, 'utf8'))?.[1]) / 1000;
const startRss = rss();
/** Of all threads of the edge, in milliseconds; the system counts in hundredths of a second. */
function edgeCpuMs() {
  const fields = readFileSync(`/proc/${edge.pid}/stat`, 'utf8').split(') ')[1].split(' ');
  return (Number(fields[11]) + Number(fields[12])) * 10;
}

const socket = join(folder, 'control.sock');
const times = [];
for (let i = 0; i < revocations; i++) {
  const at = performance.now();
  await store.removeDevice(`device${String(i).padStart(8, '0')}`, Date.now() + 1, act());
  // Resolves when peers, flows and sockets are gone.
  await askToLook(socket);
  times.push(performance.now() - at);
}

const { link } = await administration.invite({ uses: enrolments + 1 }, 'operator');
const enrolBegun = performance.now();
const cpuBefore = { edge: edgeCpuMs(), callers: process.cpuUsage() };
let next = 0;
const failures = {};
await Promise.all(
  Array.from({ length: 16 }, async (_, worker) => {
    while (next < enrolments) {
      const name = `new ${next++}`;
      try {
        await enrol(
          link,
          { name },
          {
            suite: nativeDhSuite,
            pendingPath: join(folder, `pending${worker}-${name}`),
            unixNow: Date.now,
            open: fromElsewhere,
          },
        );
      } catch (cause) {
        failures[cause.message] = (failures[cause.message] ?? 0) + 1;
      }
    }
  }),
);
const enrolSeconds = (performance.now() - enrolBegun) / 1000;
const callers = process.cpuUsage(cpuBefore.callers);
/** Of the edge and of those who enrol, which share the machine and of whom all are one thread here. */
const cpuMsEach = {
  edge: (edgeCpuMs() - cpuBefore.edge) / enrolments,
  callers: (callers.user + callers.system) / 1000 / enrolments,
};

console.log({
  devices: count,
  backend,
  startMs: Math.round(startMs),
  rssMB: Math.round(startRss),
  rssAfterMB: Math.round(rss()),
  revokeMs: { p50: percentile(times, 0.5), p99: percentile(times, 0.99) },
  enrolmentsPerSecond: Math.round(enrolments / enrolSeconds),
  enrolmentCpuMs: cpuMsEach,
  failures,
});
store.close();
edge.kill('SIGTERM');
await new Promise((resolve) => edge.once('exit', resolve));
rmSync(folder, { recursive: true });
