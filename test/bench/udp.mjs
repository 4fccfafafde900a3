// iperf3 through the tunnel, and what its UDP finds: the highest rate without loss, and CPU per packet.

import { cpus } from 'node:os';
import { inNamespace, metered, sleep, start, stop } from './processes.mjs';

/** This much loss still counts as none. */
export const acceptedLoss = 0.001;
const udpProbes = 5;

/** One iperf3 run with a one-shot server; returns its JSON. */
export async function iperf(net, words, seconds) {
  const server = start(inNamespace(net.NS_INET, 'iperf3', '-s', '-1'), { timeoutMs: (seconds + 20) * 1000 });
  try {
    for (let attempt = 0; ; attempt++) {
      await sleep(150);
      const fixed = ['-c', net.INET_ADDR, '-J', '-t', String(seconds), '--connect-timeout', '2000'];
      const { out, err } = await start(inNamespace(net.NS_CLIENT, 'iperf3', ...fixed, ...words), {
        timeoutMs: (seconds + 15) * 1000,
      }).done;
      const report = parseReport(out, err);
      if (!report.error) return report;
      if (attempt >= 3) throw new Error(`iperf3: ${report.error}`);
    }
  } finally {
    await stop(server);
  }
}

function parseReport(out, err) {
  try {
    return JSON.parse(out);
  } catch {
    return { error: err || 'no JSON (timed out)' };
  }
}

export async function udpOnce({ net, processes, options }, size, bitsPerSecond, reverse) {
  const words = ['-u', '-l', String(size), '-b', String(Math.round(bitsPerSecond)), '-w', '3M'];
  const [report, cpu] = await metered(processes, () =>
    iperf(net, reverse ? [...words, '-R'] : words, options.udpSeconds),
  );
  const { packets, lost_packets: lost, seconds } = report.end.sum;
  const got = packets - lost;
  const { host_total: host, remote_total: remote } = report.end.cpu_utilization_percent;
  return {
    offeredPps: packets / seconds,
    pps: got / seconds,
    loss: packets ? lost / packets : 1,
    clientUsPerPacket: (cpu.client.all * 1e6) / got,
    edgeUsPerPacket: (cpu.edge.all * 1e6) / got,
    otherShare: cpu.otherShare - (host + remote) / 100 / cpus().length,
  };
}

/**
 * The highest rate with no loss worth the name, found by halving, and what a flood delivers. `calmly` repeats what others
 * disturbed.
 */
export async function testUdp(bed, size, reverse, calmly) {
  const once = (rate) => calmly(() => udpOnce(bed, size, rate, reverse));
  const flood = await once(0);
  let best = flood.loss <= acceptedLoss ? flood : undefined;
  let low = 0;
  let high = Math.max(flood.pps * 1.1, 2000);
  let probe = flood.pps * 0.8;
  for (let i = 0; i < udpProbes && best !== flood && high - low >= 0.04 * high; i++) {
    const run = await once(probe * size * 8);
    if (run.loss <= acceptedLoss) {
      low = probe;
      if (!best || run.pps > best.pps) best = run;
    } else {
      high = probe;
    }
    probe = (low + high) / 2;
  }
  const nothing = { pps: 0, loss: NaN, clientUsPerPacket: NaN, edgeUsPerPacket: NaN };
  return { size, flood, best: best ?? nothing };
}
