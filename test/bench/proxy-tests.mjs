// What the proxy's benchmark measures. Rounds are interleaved: everybody carries once, then everybody again.

import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Child } from '../../shared/node/lab/child.ts';
import { labAddresses } from '../../shared/node/lab/topology.ts';
import { memoryOf, metered, sleep, untilCalm } from './processes.mjs';
import { Bed, silentPort, webPort } from './proxy-bed.mjs';

const visitor = join(fileURLToPath(new URL('.', import.meta.url)), 'proxy-visitor.mjs');
const down = `http://${labAddresses.inet}:${webPort}/down`;
const calmTimeoutMs = 40_000;
const firstByteCount = 200;
const settleMs = 6000;
/** Of a download that is not counted: programs that just started are slower. */
const warmUpSeconds = 2;
/** Exit code of curl where its time is over: that is how every download here ends. */
const curlTimeOver = 28;
const parallel = 4;

/** Results so far are told to `save` after each measurement; an error is part of them. */
export async function measureProxy(options, signal, save) {
  const results = {
    options: { ...options, note: undefined },
    throughput: [],
    firstByte: [],
    idle: [],
    loss: [],
    errors: [],
  };
  const attempt = async (title, act) => {
    if (signal.aborted) return;
    try {
      await act();
    } catch (cause) {
      results.errors.push(`${title}: ${cause.message}`);
      options.note(`${title}: ${cause.message}`);
    }
    save(results);
  };
  const wants = (test) => options.tests.includes(test);
  if (wants('throughput') || wants('first-byte'))
    await attempt('good link', () => onGoodLink(options, signal, results, save));
  if (wants('idle')) await attempt('idle connections', () => withIdle(options, results));
  if (wants('loss')) await attempt('bad link', () => onBadLink(options, signal, results, save));
  return results;
}

async function withBed(options, impairment, act) {
  const bed = await Bed.make(options, impairment);
  try {
    return await act(bed);
  } finally {
    await bed.end();
  }
}

function onGoodLink(options, signal, results, save) {
  return withBed(options, undefined, async (bed) => {
    await warmUp(bed, options);
    for (let round = 1; round <= options.rounds && !signal.aborted; round++) {
      for (const [label, carrier] of Object.entries(bed.carriers)) {
        if (options.tests.includes('throughput')) {
          for (const streams of [1, parallel]) {
            options.note(`round ${round} of ${options.rounds}: ${label}, downloads at once: ${streams}`);
            if (options.calm) await untilCalm(calmTimeoutMs);
            results.throughput.push({ round, label, ...(await download(bed, carrier, streams, options)) });
            save(results);
          }
        }
      }
      if (options.tests.includes('first-byte')) {
        options.note(`round ${round} of ${options.rounds}: time to the first byte`);
        if (options.calm) await untilCalm(calmTimeoutMs);
        results.firstByte.push(...(await firstByte(bed)).map((one) => ({ round, ...one })));
        save(results);
      }
    }
  });
}

async function warmUp(bed, options) {
  for (const carrier of Object.values(bed.carriers))
    await download(bed, carrier, 1, { ...options, seconds: warmUpSeconds });
}

/** Some downloads at a time, by curl; bits a second of all together, and what both ends used for it. */
async function download(bed, carrier, streams, options) {
  const words = ['-s', '-o', '/dev/null', '--max-time', String(options.seconds)];
  words.push('-w', '%{size_download} %{time_total} %{time_starttransfer}');
  if (carrier.proxyPort !== 0) words.push('-x', `socks5h://127.0.0.1:${carrier.proxyPort}`);
  const one = async () => {
    const timeoutMs = (options.seconds + 10) * 1000;
    const { exitCode, stdout } = await bed.lab.client.run('curl', [...words, down], {
      allowFailure: true,
      timeoutMs,
    });
    if (exitCode !== curlTimeOver) throw new Error(`curl ended with ${exitCode}`);
    const [bytes, total, began] = stdout.split(' ').map(Number);
    return { bytes, seconds: total - began };
  };
  const load = () => Promise.all(Array.from({ length: streams }, one));
  const [runs, use] = carrier.client === undefined ? [await load()] : await metered(carrier, load);
  const bytes = runs.reduce((sum, run) => sum + run.bytes, 0);
  const gb = bytes / 1e9;
  return {
    streams,
    mbps: runs.reduce((sum, run) => sum + (run.bytes * 8) / run.seconds / 1e6, 0),
    ...(use && {
      clientCpuPerGb: use.client.all / gb,
      edgeCpuPerGb: use.edge.all / gb,
      clientRss: memoryOf(carrier.client.pid).now,
      edgeRss: memoryOf(carrier.edge.pid).now,
      otherShare: use.otherShare,
    }),
  };
}

/** New connections one by one, each way in turn. */
async function firstByte(bed) {
  const labels = Object.keys(bed.carriers);
  const ports = labels.map((label) => String(bed.carriers[label].proxyPort));
  const words = [visitor, 'first-byte', labAddresses.inet, String(webPort), String(firstByteCount), ...ports];
  const { stdout } = await bed.lab.client.run(process.execPath, words, { timeoutMs: 120_000 });
  const times = JSON.parse(stdout);
  return labels.map((label, i) => {
    const sorted = times[i].toSorted((a, b) => a - b);
    const at = (share) => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))];
    return { label, medianMs: at(0.5), p95Ms: at(0.95) };
  });
}

function withIdle(options, results) {
  const only = options.only.filter((label) => label === 'culvert');
  return withBed({ ...options, only }, undefined, async (bed) => {
    const carrier = bed.carriers.culvert;
    if (carrier === undefined) return;
    const { client, edge } = carrier;
    const before = { client: memoryOf(client.pid).now, edge: memoryOf(edge.pid).now };
    options.note(`opening ${options.connections} connections that then stay idle`);
    const inside = ['ip', 'netns', 'exec', bed.lab.client.namespace, process.execPath, visitor, 'hold'];
    const where = [labAddresses.inet, silentPort, options.connections, carrier.proxyPort].map(String);
    const words = [...inside, ...where];
    const holder = await Child.start('the visitor', words, { input: true });
    try {
      const [line] = await holder.waitFor(/^\{"open".*\}$/m, 180_000);
      const opened = JSON.parse(line);
      await sleep(settleMs);
      const after = { client: memoryOf(client.pid), edge: memoryOf(edge.pid) };
      holder.write('?\n');
      const [answer] = await holder.waitFor(/^\{"closed".*\}$/m, 10_000);
      results.idle.push({ ...opened, ...JSON.parse(answer), before, after });
    } finally {
      await holder.end();
    }
  });
}

function onBadLink(options, signal, results, save) {
  const impairment = (lossPercent) => ({
    delayMs: options.rttMs / 2,
    rateMbit: options.rateMbit,
    lossPercent,
  });
  return withBed(options, impairment(0), async (bed) => {
    await warmUp(bed, options);
    for (let round = 1; round <= options.rounds && !signal.aborted; round++) {
      for (const lossPercent of options.losses) {
        await bed.relay.change({ forward: impairment(lossPercent), backward: impairment(lossPercent) });
        for (const [label, carrier] of Object.entries(bed.carriers)) {
          if (signal.aborted) return;
          options.note(`round ${round} of ${options.rounds}: ${label} at ${lossPercent} % loss`);
          if (options.calm) await untilCalm(calmTimeoutMs);
          const before = await bed.relay.counts();
          const found = await download(bed, carrier, 1, { ...options, seconds: 2 * options.seconds });
          const { backward } = await bed.relay.counts();
          const packets = backward.packets - before.backward.packets;
          const lost = backward.lost - before.backward.lost;
          const queueFull = backward.queueFull - before.backward.queueFull;
          const linkFull = backward.linkFull - before.backward.linkFull;
          results.loss.push({ round, label, lossPercent, ...found, packets, lost, queueFull, linkFull });
          save(results);
        }
      }
    }
  });
}
