// What the tunnel costs inside TLS, beside UDP: one client, one edge, one host behind it, in network namespaces.
//   sudo node test/bench/transport.mjs [--rounds 3] [--seconds 3]
// Needs root, ip, nft and iperf3. Nothing outside the namespaces is changed.
import { execFileSync, spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '3' },
    seconds: { type: 'string', default: '3' },
  },
});
const at = (path) => fileURLToPath(new URL(`../../${path}`, import.meta.url));
const node = at('node_modules/.bin/node');
const [client, edge, inet] = ['c', 'e', 'i'].map((end) => `tb${process.pid % 100_000}${end}`);
const folder = mkdtempSync(join(tmpdir(), 'culvert-bench-'));
const socket = join(folder, 'control.sock');
const data = join(folder, 'edge');
const children = [];

const sh = (program, ...words) => execFileSync(program, words, { encoding: 'utf8' });
const inside = (name, program, ...words) => sh('ip', 'netns', 'exec', name, program, ...words);
const culvert = (...words) => inside(client, node, at('client/main.ts'), ...words, '--socket', socket);
const edgeCommand = (...words) => inside(edge, node, at('edge/main.ts'), ...words, '--data', data);

function join2(a, b, [addressA, addressB], device) {
  sh('ip', 'link', 'add', device, 'netns', a, 'type', 'veth', 'peer', 'name', device, 'netns', b);
  for (const [name, address] of [
    [a, addressA],
    [b, addressB],
  ]) {
    sh('ip', '-n', name, 'addr', 'add', `${address}/24`, 'dev', device);
    sh('ip', '-n', name, 'link', 'set', device, 'up');
  }
}

async function started(name, words, ready) {
  const child = spawn('ip', ['netns', 'exec', name, ...words], { stdio: ['ignore', 'pipe', 'inherit'] });
  children.push(child);
  let out = '';
  await new Promise((resolve, reject) => {
    child.stdout.on('data', (text) => ready.test((out += text)) && resolve());
    child.once('exit', (code) => reject(new Error(`${words[0]} ended with ${code}`)));
  });
}

async function open() {
  for (const name of [client, edge, inet]) {
    sh('ip', 'netns', 'add', name);
    sh('ip', '-n', name, 'link', 'set', 'lo', 'up');
  }
  join2(client, edge, ['203.0.113.2', '203.0.113.1'], 'near0');
  join2(inet, edge, ['198.51.100.2', '198.51.100.1'], 'far0');
  sh('ip', '-n', client, 'route', 'add', 'default', 'via', '203.0.113.1');
  mkdirSync(`/etc/netns/${client}`, { recursive: true });
  writeFileSync(`/etc/netns/${client}/resolv.conf`, '');
  edgeCommand('init', '--endpoint', '203.0.113.1', '--udp', '51820', '--https', '8443');
  const yaml = readFileSync(join(data, 'edge.yaml'), 'utf8');
  const quiet = yaml.replace(/backend: \w+/, 'backend: kernel').replace(/targets: \[.*\]/, 'targets: []');
  writeFileSync(join(data, 'edge.yaml'), quiet);
  await started(edge, [node, at('edge/main.ts'), 'run', '--data', data], /^ready$/m);
  await started(inet, ['iperf3', '-s', '--forceflush'], /listening/);
  culvert('daemon', '--state-dir', join(folder, 'client'));
  const { link } = JSON.parse(edgeCommand('invite', '--json'));
  culvert('enroll', link);
  culvert('mode', 'tunnel_only');
}

function close() {
  try {
    const { pid } = JSON.parse(readFileSync(join(folder, 'client', 'daemon.json'), 'utf8'));
    process.kill(pid, 'SIGTERM');
  } catch {
    // It never ran.
  }
  for (const child of children) child.kill('SIGTERM');
  for (const name of [client, edge, inet]) {
    try {
      sh('ip', 'netns', 'del', name);
    } catch {
      // It was never made.
    }
  }
  rmSync(`/etc/netns/${client}`, { recursive: true, force: true });
  rmSync(folder, { recursive: true, force: true });
}

/** Mbit/s of one stream. */
function measure(direction) {
  const more = direction === 'down' ? ['-R'] : [];
  const words = ['-c', '198.51.100.2', '-t', values.seconds, '-O', '1', '-J', ...more];
  const { end, error } = JSON.parse(inside(client, 'iperf3', ...words));
  if (error !== undefined) throw new Error(`iperf3 ${direction}: ${error}`);
  return end.sum_received.bits_per_second / 1e6;
}

async function until(holds) {
  for (let tries = 0; !holds(); tries++) {
    if (tries === 20) throw new Error('the tunnel does not run over what was chosen');
    await new Promise((resolve) => setTimeout(resolve, 250));
  }
}

const median = (all) => all.toSorted((a, b) => a - b)[Math.floor(all.length / 2)] ?? 0;

try {
  await open();
  const figures = { udp: { up: [], down: [] }, tls: { up: [], down: [] } };
  for (let round = 0; round < Number(values.rounds); round++) {
    for (const transport of ['udp', 'tls']) {
      culvert('settings', 'set', 'transport', transport);
      culvert('reconnect', '--wait');
      await until(() => JSON.parse(culvert('status', '--json')).edge?.transport === transport);
      for (const direction of ['up', 'down']) figures[transport][direction].push(measure(direction));
    }
  }
  for (const direction of ['up', 'down']) {
    const [udp, tls] = [median(figures.udp[direction]), median(figures.tls[direction])];
    const share = (tls / udp).toFixed(2);
    console.log(`${direction}: udp ${udp.toFixed(0)} Mbit/s, tls ${tls.toFixed(0)} Mbit/s, ${share} of it`);
  }
} finally {
  close();
}
