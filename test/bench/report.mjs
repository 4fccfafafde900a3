// Tables of a benchmark run in Markdown: medians over the rounds.

import { cpus, release } from 'node:os';
import { columnOf, disturbedShare, figures, quantile, ratios, shown, withoutDisturbed } from './figures.mjs';
import { bigPayload, smallPayload } from './measure.mjs';
import { peerCounts } from './scale.mjs';
import { acceptedLoss } from './udp.mjs';

const ours = 'culvert';

/** One section for each profile (cap of the underlay) that was measured. */
export function report(results) {
  const rates = [...new Set(results.map((result) => result.rate))];
  return rates.map((rate) => section(results.filter((result) => result.rate === rate))).join('\n');
}

function section(all) {
  const { kept: results, disturbed } = withoutDisturbed(all);
  const labels = [...new Set(results.map((result) => result.label))];
  const versions = labels
    .map((label) => [label, results.find((result) => result.label === label).version])
    .filter(([, version]) => version)
    .map(([label, version]) => `${label} = ${version}`);
  const { underlay, rate, cc } = results[0];
  const cap = rate ? `, capped at ${rate}` : '';
  const rounds = Math.max(...results.map((result) => result.round));
  const measured = (name) => results.some((result) => result[name] !== undefined);
  const parts = [
    `Underlay \`${underlay}\`${cap}, ${cc}, up to ${rounds} rounds (medians), ${cpus().length} cores, Linux ${release()}.`,
    ...(disturbed > 0
      ? [
          `Left out: ${disturbed} TCP runs in which others took more than ${disturbedShare * 100} % of the cores.`,
        ]
      : []),
    ...(versions.length > 0 ? [`${versions.join('; ')}.`] : []),
    ...(measured('tcp') ? tcpTable(results, labels) : []),
    ...(measured('udp') ? udpTable(results, labels) : []),
    ...latencyTable(results, labels),
    ...(measured('crowd') ? crowdTable(results, labels) : []),
    ...(measured('peers') ? peersTable(results, labels) : []),
    ...(labels.includes(ours) ? ratioTables(results, labels) : []),
    ...results
      .filter((result) => result.error)
      .map((result) => `! ${result.label}, round ${result.round}: ${result.error}`),
  ];
  return `${parts.join('\n\n')}\n`;
}

function crowdTable(results, labels) {
  const column = columnOf(results);
  return [
    'Handshakes answered per second by an edge on one core, and per second of its CPU time; calls lost; cookies asked for',
    table(
      ['peer', 'per second', 'per CPU-second', 'lost', 'cookies'],
      labels
        .filter((label) => Number.isFinite(column(label, (r) => r.crowd.perSecond)))
        .map((label) => [
          label,
          ...['perSecond', 'perCpuSecond', 'lost', 'cookies'].map((name) =>
            shown(column(label, (r) => r.crowd[name])),
          ),
        ]),
    ),
  ];
}

function peersTable(results, labels) {
  const column = columnOf(results);
  const row = (label, i) => {
    const of = (pick) => column(label, (r) => pick(r.peers[i]));
    return [
      label,
      String(peerCounts[i]),
      shown(of((one) => one.rssMb)),
      shown(
        of((one) => one.up.edgeUsPerPacket),
        2,
      ),
      shown(
        of((one) => one.down.edgeUsPerPacket),
        2,
      ),
      shown(100 * of((one) => one.up.loss), 1),
    ];
  };
  const withFigures = labels.filter((label) => Number.isFinite(column(label, (r) => r.peers[0].rssMb)));
  return [
    'Peers configured at the edge, one of them talking: RSS of the edge in MiB, its CPU microseconds per packet of 100 bytes at 20 000 packets a second',
    table(
      ['peer', 'peers', 'RSS', 'us/packet up', 'us/packet down', 'loss up %'],
      withFigures.flatMap((label) => peerCounts.map((_, i) => row(label, i))),
    ),
  ];
}

function ratioTables(results, labels) {
  return labels
    .filter((label) => label !== ours && label !== 'plain')
    .flatMap((other) => {
      const rows = [];
      for (const figure of figures) {
        const found = ratios(results, { label: ours, other, figure });
        if (found.length === 0) continue;
        rows.push([
          figure.name,
          ...[0.25, 0.5].map((q) => shown(quantile(found, q), 2)),
          String(found.length),
        ]);
      }
      if (rows.length === 0) return [];
      return [
        `Ratio to ${other}, round by round: how many times better ${ours} is (above 1: better, also where less is better)`,
        table(['figure', 'lower quartile', 'median', 'rounds'], rows),
      ];
    });
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

/** A Markdown table, the first column to the left, the others to the right. */
export function table(head, rows) {
  const all = [head, ...rows];
  const widths = head.map((_, i) => Math.max(...all.map((row) => row[i].length)));
  const line = (row) =>
    `| ${row.map((cell, i) => (i > 0 ? cell.padStart(widths[i]) : cell.padEnd(widths[i]))).join(' | ')} |`;
  const rule = widths.map((width, i) => (i > 0 ? `${'-'.repeat(width + 1)}:` : '-'.repeat(width + 2)));
  return [line(head), `|${rule.join('|')}|`, ...rows.map(line)].join('\n');
}
