// Tables of a benchmark run in Markdown: medians over the rounds.

import { cpus } from 'node:os';
import { acceptedLoss, bigPayload, smallPayload } from './measure.mjs';

export function report(results, options) {
  const labels = [...new Set(results.map((result) => result.label))];
  const versions = labels
    .map((label) => [label, results.find((result) => result.label === label).version])
    .filter(([, version]) => version)
    .map(([label, version]) => `${label} = ${version}`);
  const rate = options.rate ? `, capped at ${options.rate}` : '';
  const parts = [
    `Underlay \`${options.underlay}\`${rate}, ${options.cc}, ${options.rounds} rounds (medians), ${cpus().length} cores.`,
    ...(versions.length > 0 ? [`${versions.join('; ')}.`] : []),
    ...(results.some((result) => result.tcp) ? tcpTable(results, labels) : []),
    ...(results.some((result) => result.udp) ? udpTable(results, labels) : []),
    ...latencyTable(results, labels),
    ...results
      .filter((result) => result.error)
      .map((result) => `! ${result.label}, round ${result.round}: ${result.error}`),
  ];
  return `${parts.join('\n\n')}\n`;
}

function tcpTable(results, labels) {
  const column = columnOf(results);
  const cpu = (label, run) =>
    `${shown(
      column(label, (r) => r.tcp[run].clientCpuPerGb),
      2,
    )}+${shown(
      column(label, (r) => r.tcp[run].edgeCpuPerGb),
      2,
    )}`;
  const share = (label, name) => `${shown(100 * column(label, (r) => r.tcp.up1[name]))}%`;
  return [
    'TCP goodput in Mbit/s; CPU seconds per GB (10^9 bytes) of goodput, single stream, client+edge process; machine: the same for everything that ran; shares of all cores (other = neither tunnel nor iperf3; steal = taken by the host)',
    table(
      ['peer', 'up 1', 'up 4', 'down 1', 'down 4', 'CPU up', 'CPU down', 'machine up', 'busy/other/steal'],
      labels.map((label) => [
        label,
        ...['up1', 'up4', 'down1', 'down4'].map((run) => shown(column(label, (r) => r.tcp[run].mbps))),
        cpu(label, 'up1'),
        cpu(label, 'down1'),
        shown(
          column(label, (r) => r.tcp.up1.machineCpuPerGb),
          2,
        ),
        ['machineBusyShare', 'otherShare', 'stealShare'].map((name) => share(label, name)).join('/'),
      ]),
    ),
  ];
}

function udpTable(results, labels) {
  const column = columnOf(results);
  const kpps = (run) => run.pps / 1e3;
  const mbps = (run) => (run.pps * bigPayload * 8) / 1e6;
  const cell = (label, name, unit, digits) =>
    `${shown(
      column(label, (r) => unit(r.udp[name].best)),
      digits,
    )} (${shown(
      column(label, (r) => unit(r.udp[name].flood)),
      digits,
    )})`;
  return [
    `UDP, one stream: kpps of ${smallPayload}-byte payloads, Mbit/s of ${bigPayload}-byte payloads, at most ${acceptedLoss * 100} % loss; in brackets what a flood still delivers; CPU microseconds per small packet, client+edge`,
    table(
      ['peer', 'kpps up', 'kpps down', 'Mbit/s up', 'us/packet up'],
      labels.map((label) => [
        label,
        cell(label, 'smallUp', kpps, 1),
        cell(label, 'smallDown', kpps, 1),
        cell(label, 'bigUp', mbps, 0),
        ['clientUsPerPacket', 'edgeUsPerPacket']
          .map((name) =>
            shown(
              column(label, (r) => r.udp.smallUp.best[name]),
              1,
            ),
          )
          .join('+'),
      ]),
    ),
  ];
}

function latencyTable(results, labels) {
  const column = columnOf(results);
  const loaded = (label, run) =>
    ['median', 'p99'].map((name) =>
      shown(
        column(label, (r) => r.tcp[run].loadedRttMs[name]),
        1,
      ),
    );
  const both = (label, name) => ['client', 'edge'].map((role) => shown(column(label, (r) => r[name][role])));
  return [
    'RTT in microseconds (idle, 100/s) and in ms under 4 TCP streams; handshake: first reply after the session was dropped; cold start: client command to first reply; RSS in MiB, client/edge',
    table(
      [
        'peer',
        'RTT p50',
        'RTT p99',
        'loaded up p50/p99',
        'loaded down p50/p99',
        'handshake ms',
        'cold ms',
        'RSS idle',
        'RSS peak',
      ],
      labels.map((label) => [
        label,
        shown(column(label, (r) => r.rtt.medianUs)),
        shown(column(label, (r) => r.rtt.p99Us)),
        loaded(label, 'up4').join('/'),
        loaded(label, 'down4').join('/'),
        shown(
          column(label, (r) => r.handshake.medianMs),
          2,
        ),
        shown(column(label, (r) => r.coldStartMs)),
        both(label, 'rssIdle').join('/'),
        both(label, 'rssPeak').join('/'),
      ]),
    ),
  ];
}

/** Median over the rounds of what `pick` finds; NaN where a round has no such figure. */
function columnOf(results) {
  return (label, pick) => {
    const found = results.filter((result) => result.label === label && !result.error);
    return median(
      found.map((result) => {
        try {
          return pick(result);
        } catch {
          return NaN; // that test was not run
        }
      }),
    );
  };
}

export function median(list) {
  const sorted = list.filter((one) => Number.isFinite(one)).toSorted((a, b) => a - b);
  if (sorted.length === 0) return NaN;
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

function shown(value, digits = 0) {
  return Number.isFinite(value) ? value.toFixed(digits) : '-';
}

/** A Markdown table, the first column to the left, the others to the right. */
export function table(head, rows) {
  const all = [head, ...rows];
  const widths = head.map((_, i) => Math.max(...all.map((row) => row[i].length)));
  const line = (row) =>
    `| ${row.map((cell, i) => (i > 0 ? cell.padStart(widths[i]) : cell.padEnd(widths[i]))).join(' | ')} |`;
  const rule = widths.map((width, i) => (i > 0 ? `${'-'.repeat(width + 1)}:` : '-'.repeat(width + 2)));
  return [line(head), `|${rule.join('|')}|`, ...rows.map(line)].join('\n');
}
