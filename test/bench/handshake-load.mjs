// A crowd of callers for one edge: counts how many handshakes a second it answers. Started by scale.mjs.
//   handshake-load.mjs prepare FOLDER PEERS PER_PEER   makes callers, writes peers.conf (for `wg addconf`) and calls.bin
//   handshake-load.mjs send FOLDER SECONDS              calls from many addresses, prints one line of JSON
// All public-key work is done by `prepare`; `send` only adds the macs, so that it is not what is measured. Every call is
// a real initiation: own ephemeral key, growing timestamp, a caller that the edge knows. No caller comes twice within
// 20 ms and no address more than 20 times a second, so that nothing is refused as a flood; cookies are answered.

import { createSocket } from 'node:dgram';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { CookieJar } from '../../shared/core/admission/cookie-jar.ts';
import { monoMs, unixMs } from '../../shared/core/base/time.ts';
import { beginInitiation } from '../../shared/core/noise/initiator.ts';
import { initiationSize } from '../../shared/core/wire/initiation.ts';
import { nextTimestamp } from '../../shared/core/wire/tai64n.ts';
import { chooseSuite } from '../../shared/node/crypto/choose.ts';
import { systemEntropy } from '../../shared/node/entropy.ts';
import { requireLibc } from '../../shared/node/ffi/libc.ts';
import { WorkerMemory } from '../../shared/node/ffi/memory.ts';

const memoryBytes = 4 * 1024 * 1024;
const edgePort = 51_820;
/** Calls that wait for an answer at a time: fewer than makes any peer ask for cookies by its queue alone. */
const window = 32;
/** Addresses that call: at 20 calls a second each, more than any core answers. */
const sources = 512;
const warmUpMs = 300;
const answerTimeoutMs = 200;
const sweepMs = 20;
const typeResponse = 2;
const typeCookie = 3;
const silent = { debug() {}, info() {}, warn() {}, error() {} };

const entropy = systemEntropy();
const suite = chooseSuite({ memory: new WorkerMemory(memoryBytes, requireLibc()), log: silent });
const [verb, folder, ...rest] = process.argv.slice(2);
const edgeKey = new Uint8Array(
  Buffer.from(readFileSync(join(folder, 'edge.pub'), 'latin1').trim(), 'base64'),
);

if (verb === 'prepare') prepare(Number(rest[0]), Number(rest[1]));
else if (verb === 'send') console.log(JSON.stringify(await send(Number(rest[0]))));
else throw new Error('prepare or send?');

function prepare(peers, perPeer) {
  const calls = new Uint8Array(peers * perPeer * initiationSize);
  const config = [];
  for (let i = 0; i < peers; i++) {
    const secretKey = new Uint8Array(32);
    entropy.fill(secretKey);
    const local = { secretKey, publicKey: suite.publicKey(secretKey) };
    const staticShared = suite.dh(secretKey, edgeKey);
    let timestamp;
    for (let n = 0; n < perPeer; n++) {
      timestamp = nextTimestamp(timestamp, unixMs(Date.now()));
      const localIndex = n * peers + i; // the place in the file: each peer once, then each once more
      const options = { suite, entropy, local, remoteStatic: edgeKey, staticShared, timestamp, localIndex };
      beginInitiation(options, calls, localIndex * initiationSize);
    }
    const key = Buffer.from(local.publicKey).toString('base64');
    config.push(`[Peer]\nPublicKey = ${key}\nAllowedIPs = 10.200.${i >> 8}.${i & 255}/32\n`);
  }
  writeFileSync(join(folder, 'peers.conf'), config.join(''));
  writeFileSync(join(folder, 'calls.bin'), calls);
}

/** One socket per source, each with its own cookie. */
async function openSources(onMessage) {
  const all = [];
  for (let i = 0; i < sources; i++) {
    const socket = createSocket('udp4');
    const source = { socket, jar: new CookieJar(suite, edgeKey), call: -1, message: undefined, sentAt: 0 };
    socket.on('message', (bytes) => onMessage(source, bytes));
    await new Promise((resolve) => {
      socket.bind(0, `10.99.${1 + (i >> 7)}.${1 + (i & 127)}`, resolve);
    });
    await new Promise((resolve) => {
      socket.connect(edgePort, process.env.EDGE_ADDR, resolve);
    });
    all.push(source);
  }
  return all;
}

async function send(seconds) {
  const calls = readFileSync(join(folder, 'calls.bin'));
  const total = calls.length / initiationSize;
  const count = { answered: 0, cookies: 0, lost: 0 };
  let next = 0;
  let waiting = 0;
  let over = false;

  const transmit = (source) => {
    const now = performance.now();
    source.jar.sign(source.message, monoMs(now));
    source.sentAt = now;
    source.socket.send(source.message);
  };
  const callNext = () => {
    while (!over && waiting < window && next < total && idle.length > 0) {
      const source = idle.shift();
      source.call = next++;
      source.message = calls.subarray(source.call * initiationSize, (source.call + 1) * initiationSize);
      waiting++;
      transmit(source);
    }
  };
  const release = (source) => {
    source.call = -1;
    waiting--;
    idle.push(source);
  };
  const idle = await openSources((source, bytes) => {
    if (source.call < 0) return;
    if (bytes[0] === typeCookie) {
      if (source.jar.receive(bytes, 0, monoMs(performance.now())) !== 'ok') return;
      count.cookies++;
      transmit(source);
    } else if (bytes[0] === typeResponse && bytes.readUInt32LE(8) === source.call) {
      count.answered++;
      release(source);
      callNext();
    }
  });

  const all = [...idle];
  const sweep = setInterval(() => {
    const old = performance.now() - answerTimeoutMs;
    for (const source of all) {
      if (source.call < 0 || source.sentAt > old) continue;
      count.lost++;
      release(source);
    }
    callNext();
  }, sweepMs);
  const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
  callNext();
  await sleep(warmUpMs);
  const before = { at: performance.now(), answered: count.answered, lost: count.lost };
  const end = before.at + seconds * 1000;
  while (performance.now() < end && next < total) await sleep(sweepMs);
  const took = (performance.now() - before.at) / 1000;
  const result = {
    perSecond: (count.answered - before.answered) / took,
    seconds: took,
    lost: count.lost - before.lost,
  };
  over = true;
  clearInterval(sweep);
  await sleep(answerTimeoutMs);
  for (const { socket } of all) socket.close();
  return { ...result, answered: count.answered, cookies: count.cookies };
}
