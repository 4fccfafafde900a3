// What the choice among paths costs: of one new flow with 200 rules, and of a rootless edge's throughput with six paths,
// probes and 200 rules against the same edge with one path, in turns. Throughput depends on what else the machine does;
// the processor time of the edge, for a GB and for a connection, nearly not. Needs root (a network namespace of its own).
// Usage: node test/bench/paths.mjs [--choice]
import { execFileSync, spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { PathReports } from '../../edge/egress/report.ts';
import { RuleList } from '../../edge/egress/rules.ts';
import { PathSelector } from '../../edge/egress/select.ts';
import { monoMs } from '../../shared/core/base/time.ts';

const bin = fileURLToPath(new URL('../../node_modules/.bin/', import.meta.url));
const rules = 200;
const rounds = 7;
const downloadBytes = 400_000_000;
const requestSeconds = 2;
const places = 64;
const figures = [
  { what: 'perGb', unit: 'CPU-s/GB of the edge', digits: 2, bar: '111 %' },
  { what: 'perConnection', unit: 'CPU-µs of the edge a new connection', digits: 0, bar: '111 %' },
  { what: 'mbps', unit: 'Mbit/s', digits: 0, bar: '90 %' },
  { what: 'rate', unit: 'new connections/s', digits: 0, bar: '90 %' },
];

choiceCost();
if (!process.argv.includes('--choice')) await throughput();

function choiceCost() {
  const paths = ['direct', 'a', 'b', 'c', 'd', 'e'].map((id) => ({
    id,
    type: 'direct',
    carries: () => true,
    trouble: () => undefined,
  }));
  const list = Array.from({ length: rules }, (_, i) => ({ match: matchOf(i), use: 'a' }));
  const reports = new PathReports(paths.map(({ id }) => id));
  for (const [i, { id }] of paths.entries()) reports.noteProbe(id, 10 + i, monoMs(0));
  const selector = new PathSelector({ paths, rules: list, reports });
  const question = {
    protocol: 'tcp',
    device: 'laptop',
    tags: [],
    address: Uint8Array.of(203, 0, 113, 9),
    port: 443,
    name: { name: 'www.somewhere.example', source: 'looked-up', others: [] },
  };
  const ruleList = new RuleList(list);
  const nsOf = (act) => {
    let best = Number.POSITIVE_INFINITY;
    for (let round = 0; round < 40; round++) {
      const count = 20_000;
      const startedAt = performance.now();
      for (let i = 0; i < count; i++) act(i);
      best = Math.min(best, ((performance.now() - startedAt) / count) * 1e6);
    }
    return Math.round(best);
  };
  const found = nsOf(() => ruleList.find(question));
  const whole = nsOf((i) => selector.choose(question, monoMs(1000 + i)));
  console.log(
    `${rules} rules, none matching: ${found} ns a flow (bar: 2000 ns); the whole choice: ${whole} ns`,
  );
}

/** A mix as people write them; none matches the question. */
function matchOf(i) {
  if (i % 4 === 0) return { host: `*.host${i}.example` };
  if (i % 4 === 1) return { cidr: { address: Uint8Array.of(10, i, 0, 0), bits: 16 } };
  if (i % 4 === 2) return { host: `www.host${i}.example`, port: 443 };
  return { port: 1000 + i, device: 'laptop' };
}

async function throughput() {
  const namespace = `cvbench${process.pid % 10_000}`;
  const folder = mkdtempSync(join(tmpdir(), 'culvert-paths-'));
  const children = [];
  const inside = (...words) => ['netns', 'exec', namespace, ...words];
  const start = (name, words) => {
    const child = spawn('ip', inside(...words), { stdio: ['ignore', 'pipe', 'pipe'], env: process.env });
    let text = '';
    child.stdout.on('data', (data) => (text += data));
    child.stderr.on('data', (data) => (text += data));
    children.push(child);
    return {
      name,
      pid: child.pid,
      until: (sign) =>
        waitFor(
          () => sign.test(text),
          () => `${name}: ${text.slice(-2000)}`,
        ),
    };
  };
  const run = (...words) =>
    execFileSync('ip', inside(...words), { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
  execFileSync('ip', ['netns', 'add', namespace]);
  try {
    run('ip', 'link', 'set', 'lo', 'up');
    // Enough that connections which ended a moment ago do not use up the ports towards one.
    for (let i = 0; i < places; i++) run('ip', 'address', 'add', `203.0.113.${10 + i}/32`, 'dev', 'lo');
    const far = `const b=Buffer.alloc(65536);require('http').createServer((q,s)=>{let n=+q.url.slice(1);const go=()=>{while(n>0){n-=b.length;if(!s.write(b))return s.once('drain',go)}s.end()};go()}).listen(8080,'0.0.0.0',()=>console.log('listening'))`;
    await start('far', [process.execPath, '-e', far]).until(/listening/);
    const kinds = ['plain', 'many'];
    const pids = [];
    for (const [i, kind] of kinds.entries()) pids.push(await startPair(kind, i, { folder, start, run }));
    // What is compiled on the way belongs to nobody.
    for (const i of kinds.keys()) {
      download(i, run);
      requests(i, run);
    }
    const results = { plain: newResults(), many: newResults() };
    for (let round = 0; round < rounds; round++) {
      const order = round % 2 === 0 ? [0, 1] : [1, 0];
      for (const i of order) {
        const result = results[kinds[i]];
        const before = cpuSeconds(pids[i]);
        result.mbps.push(download(i, run));
        const between = cpuSeconds(pids[i]);
        const rate = requests(i, run);
        result.rate.push(rate);
        result.perGb.push((between - before) / (downloadBytes / 1e9));
        result.perConnection.push(((cpuSeconds(pids[i]) - between) / (rate * requestSeconds)) * 1e6);
      }
    }
    for (const { what, unit, digits, bar } of figures) {
      const [plain, many] = kinds.map((kind) => median(results[kind][what]));
      const spread = kinds.map((kind) => spreadOf(results[kind][what], digits)).join(' and ');
      const share = Math.round((many / plain) * 1000) / 10;
      console.log(
        `one path ${plain.toFixed(digits)} ${unit}, six paths and ${rules} rules ${many.toFixed(digits)}: ${share} % (bar: ${bar}); rounds ${spread}`,
      );
    }
  } finally {
    for (const child of children) child.kill('SIGTERM');
    await new Promise((resolve) => setTimeout(resolve, 1500));
    execFileSync('ip', ['netns', 'delete', namespace]);
    rmSync(folder, { recursive: true, force: true });
  }
}

async function startPair(kind, i, { folder, start, run }) {
  const [udp, https, proxy] = [41_820 + i, 41_443 + i, 41_080 + i];
  const data = join(folder, kind);
  const edge = join(bin, 'culvert-edge');
  const words = ['init', '--endpoint', '127.0.0.1', '--udp', udp, '--https', https, '--data', data];
  run(edge, ...words.map(String));
  const file = join(data, 'edge.yaml');
  const paths = kind === 'plain' ? '' : manyPaths();
  const text = readFileSync(file, 'utf8')
    .replace('backend: auto', 'backend: userspace')
    .replace(/metrics: .*/, 'metrics: off')
    .replace('allow: []', `allow: [${openings()}]`)
    .replace(/^ {2}paths: .*$/m, paths === '' ? '$&' : paths);
  writeFileSync(file, text);
  const running = start(`edge ${kind}`, [edge, 'run', '--data', data]);
  await running.until(/^ready$/m);
  const socket = join(folder, `${kind}-sockets`, 's');
  const state = join(folder, `${kind}-client`);
  const client = join(bin, 'culvert');
  await start(`client ${kind}`, [
    client,
    'daemon',
    '--foreground',
    '--state-dir',
    state,
    '--socket',
    socket,
  ]).until(/daemon is ready/);
  const { link } = JSON.parse(run(edge, 'invite', '--json', '--data', data));
  run(client, 'mode', 'proxy', '--socket', socket);
  run(client, 'settings', 'set', 'proxy.port', String(proxy), '--socket', socket);
  run(client, 'enroll', link, '--socket', socket);
  run(client, 'connect', '--wait', '--socket', socket);
  return running.pid;
}

/** They are the edge's own here, and such must be named one by one. */
function openings() {
  return Array.from({ length: places }, (_, i) => `{ cidr: 203.0.113.${10 + i}/32 }`).join(', ');
}

function manyPaths() {
  const more = ['a', 'b', 'c', 'd', 'e'].map(
    (id) => `    - { id: ${id}, type: source, address: 203.0.113.10 }`,
  );
  // None of them needs a name: connections are dialled at once, as with one path.
  const list = Array.from(
    { length: rules },
    (_, i) => `    - { match: { port: ${2000 + i}, device: nobody }, use: a }`,
  );
  return [
    '  paths:',
    '    - { id: direct, type: direct }',
    ...more,
    '  probe: { every: 2s, targets: ["203.0.113.10:8080"] }',
    '  rules:',
    ...list,
  ].join('\n');
}

function download(i, run) {
  const words = ['--silent', '--output', '/dev/null', '--write-out', '%{speed_download}', '--max-time', '60'];
  const speed = run(
    'curl',
    ...words,
    '--proxy',
    `socks5://127.0.0.1:${41_080 + i}`,
    `http://203.0.113.10:8080/${downloadBytes}`,
  );
  return (Number(speed) * 8) / 1e6;
}

function requests(i, run) {
  const program = `const net=require('net');let next=0;const one=()=>new Promise((done,fail)=>{const to='203.0.113.'+(10+next++%${places})+':8080';const s=net.connect(${41_080 + i},'127.0.0.1',()=>s.write('CONNECT '+to+' HTTP/1.1\\r\\nHost: '+to+'\\r\\n\\r\\n'));s.once('data',(d)=>{s.destroy();/^HTTP\\/1.1 200/.test(d)?done():fail(new Error(String(d)))});s.on('error',fail)});
  (async()=>{const t=performance.now();let n=0;await Promise.all(Array.from({length:8},async()=>{while(performance.now()-t<${requestSeconds * 1000}){await one();n++}}));console.log(n/${requestSeconds})})()`;
  return Number(run(process.execPath, '-e', program));
}

function newResults() {
  return { mbps: [], rate: [], perGb: [], perConnection: [] };
}

/** Of all threads, user and system, since the process began. */
function cpuSeconds(pid) {
  const fields = readFileSync(`/proc/${pid}/stat`, 'latin1')
    .replace(/^.*\) /s, '')
    .split(' ');
  // utime and stime, in hundredths.
  return (Number(fields[11]) + Number(fields[12])) / 100;
}

function spreadOf(values, digits) {
  return `${Math.min(...values).toFixed(digits)} to ${Math.max(...values).toFixed(digits)}`;
}

function median(values) {
  return values.toSorted((a, b) => a - b)[values.length >> 1];
}

async function waitFor(done, what) {
  const deadline = performance.now() + 60_000;
  while (!done()) {
    if (performance.now() > deadline) throw new Error(`it does not come: ${what()}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}
