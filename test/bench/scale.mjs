// What many peers cost: handshakes per second on one core, and memory and CPU per packet with 1 to 10 000 peers
// configured at the edge. A "bed" is what measure.mjs brought up.

import { randomBytes } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { inNamespace, memoryOf, metered, pin, sleep, start } from './processes.mjs';
import { udpOnce } from './udp.mjs';

const here = dirname(fileURLToPath(import.meta.url));
const launcher = join(here, '..', '..', 'shared', 'launch', 'run.sh');
const generator = 'test/bench/handshake-load.mjs';
const callers = 2000;
const callsPerCaller = 10;
const callSeconds = 3;
const edgeCore = 0;
const callerCore = 1;
export const peerCounts = [1, 100, 1000, 10_000];
/** Packets a second of 100 bytes: what every peer carries without loss. */
const scalePps = 20_000;
const scaleSeconds = 2;
const settleMs = 1500;
const configureTimeoutMs = 60_000;

/** Handshakes per second that the edge answers on one core, and per second of its CPU time. */
export async function testHandshakeRate({ net, env, folder, processes, cores }) {
  if (cores < 2) return undefined; // the callers need a core of their own
  await generate(net, env, ['prepare', folder, String(callers), String(callsPerCaller)]);
  await run(inNamespace(net.NS_CLIENT, 'ip', 'route', 'add', 'local', '10.99.0.0/16', 'dev', 'lo'));
  await run(inNamespace(net.NS_EDGE, 'ip', 'route', 'add', '10.99.0.0/16', 'via', net.CLIENT_ADDR));
  await addPeers(net, join(folder, 'peers.conf'));
  const release = pin(processes.edge.pid, edgeCore);
  try {
    const [out, cpu] = await metered(processes, () =>
      generate(net, env, ['send', folder, String(callSeconds)]),
    );
    const found = JSON.parse(out);
    return { ...found, perCpuSecond: found.answered / cpu.edge.all, cpu: cpu.edge };
  } finally {
    release();
  }
}

/** Memory and CPU of the edge as its list of peers grows. All but one of them never say a word. */
export async function testPeerCounts(bed, calmly) {
  const { net, folder, processes, options } = bed;
  const file = join(folder, 'silent.conf');
  const rows = [];
  let have = 1;
  const shorter = { ...bed, options: { ...options, udpSeconds: scaleSeconds } };
  for (const reverse of [false, true]) await udpOnce(shorter, 100, scalePps * 100 * 8, reverse); // warm up
  for (const peers of peerCounts) {
    if (peers > have) {
      writeFileSync(file, silentPeers(have, peers));
      await addPeers(net, file);
      have = peers;
    }
    await sleep(settleMs);
    const rssMb = memoryOf(processes.edge.pid).now;
    const row = { peers, rssMb };
    for (const [name, reverse] of [
      ['up', false],
      ['down', true],
    ]) {
      const once = await calmly(() => udpOnce(shorter, 100, scalePps * 100 * 8, reverse));
      row[name] = { edgeUsPerPacket: once.edgeUsPerPacket, loss: once.loss };
    }
    rows.push(row);
  }
  return rows;
}

function silentPeers(from, to) {
  let text = '';
  for (let i = from; i < to; i++) {
    const key = randomBytes(32);
    key[31] &= 0x7f;
    text += `[Peer]\nPublicKey = ${key.toString('base64')}\nAllowedIPs = 10.201.${i >> 8}.${i & 255}/32\n`;
  }
  return text;
}

/** `wg` reaches the edge's socket from any namespace. */
async function addPeers(net, file) {
  await run(['wg', 'addconf', `${net.TOPO_PREFIX}e`, file], { timeoutMs: configureTimeoutMs });
}

async function generate(net, env, words) {
  const argv = ['taskset', '-c', String(callerCore), 'sh', launcher, generator, ...words];
  return await run(inNamespace(net.NS_CLIENT, ...argv), { env, timeoutMs: 60_000 });
}

async function run(argv, options = {}) {
  const { code, out, err } = await start(argv, { timeoutMs: 5000, ...options }).done;
  if (code !== 0) throw new Error(`${argv.join(' ')}: ended with ${code}: ${err.trim()}`);
  return out;
}
