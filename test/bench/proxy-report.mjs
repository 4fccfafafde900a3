// Tables of the proxy's benchmark in Markdown: medians over the rounds, ratios round by round.

import { cpus, release } from 'node:os';
import { quantile } from './figures.mjs';

const mebibyte = 1.048576;

export function proxyReport(results) {
  const { options } = results;
  const parts = [
    `${options.rounds} rounds, ${options.seconds} s a download, ${cpus().length} cores, Linux ${release()}, Node ${process.versions.node}.`,
    ...throughput(results.throughput),
    ...firstBytes(results.firstByte),
    ...idle(results.idle),
    ...loss(results.loss, options),
    ...results.errors.map((error) => `! ${error}`),
  ];
  return `${parts.join('\n\n')}\n`;
}

function throughput(rows) {
  if (rows.length === 0) return [];
  const of = (label, streams, pick) =>
    median(
      rows.filter((r) => r.label === label && r.streams === streams),
      pick,
    );
  return [
    'Downloads through the proxy over veth; CPU seconds per GB as client+edge; memory of both ends after one download, MB',
    table(
      [
        'who carries',
        'Mbit/s, 1 download',
        'Mbit/s, 4 downloads',
        'CPU s/GB, 1',
        'CPU s/GB, 4',
        'RSS client',
        'RSS edge',
      ],
      labelsOf(rows).map((label) => [
        label,
        number(
          of(label, 1, (r) => r.mbps),
          0,
        ),
        number(
          of(label, 4, (r) => r.mbps),
          0,
        ),
        ...[1, 4].map(
          (n) =>
            `${number(
              of(label, n, (r) => r.clientCpuPerGb),
              2,
            )}+${number(
              of(label, n, (r) => r.edgeCpuPerGb),
              2,
            )}`,
        ),
        number(of(label, 1, (r) => r.clientRss) * mebibyte, 0),
        number(of(label, 1, (r) => r.edgeRss) * mebibyte, 0),
      ]),
    ),
    `Others on the machine, all that is neither end (web server and curl included), took up to ${number(100 * Math.max(...rows.map((r) => r.otherShare ?? 0)), 0)} % of the cores.`,
  ];
}

function firstBytes(rows) {
  if (rows.length === 0) return [];
  const of = (label, pick) =>
    median(
      rows.filter((r) => r.label === label),
      pick,
    );
  const plain = of('plain', (r) => r.medianMs);
  return [
    'From opening a connection to the first byte of the answer, ms',
    table(
      ['who carries', 'median', 'p95', 'added to plain'],
      labelsOf(rows).map((label) => [
        label,
        number(
          of(label, (r) => r.medianMs),
          2,
        ),
        number(
          of(label, (r) => r.p95Ms),
          2,
        ),
        label === 'plain' ? '-' : number(of(label, (r) => r.medianMs) - plain, 2),
      ]),
    ),
  ];
}

function idle(rows) {
  return rows.flatMap((row) => [
    'Connections that stand idle, memory in MB',
    table(
      [
        'open',
        'failed',
        'closed meanwhile',
        'opened in',
        'client before',
        'client after',
        'edge before',
        'edge after',
      ],
      [
        [
          String(row.open),
          String(row.failed),
          String(row.closed),
          `${number(row.seconds, 1)} s`,
          number(row.before.client * mebibyte, 0),
          number(row.after.client.now * mebibyte, 0),
          number(row.before.edge * mebibyte, 0),
          number(row.after.edge.now * mebibyte, 0),
        ],
      ],
    ),
  ]);
}

function loss(rows, options) {
  if (rows.length === 0) return [];
  const losses = [...new Set(rows.map((row) => row.lossPercent))];
  const labels = labelsOf(rows);
  const rate = options.rateMbit === 0 ? 'no limit' : `${options.rateMbit} Mbit/s`;
  const cells = (label, lossPercent) =>
    rows.filter((r) => r.label === label && r.lossPercent === lossPercent);
  const tunnels = labels.filter((label) => label !== 'plain');
  const ratioOf = (label, lossPercent) => {
    const ratios = cells(label, lossPercent).map((row) => {
      const plain = cells('plain', lossPercent).find((one) => one.round === row.round);
      return plain === undefined ? NaN : row.mbps / plain.mbps;
    });
    const sorted = ratios.filter(Number.isFinite).toSorted((a, b) => a - b);
    return sorted.length === 0
      ? '-'
      : `${number(quantile(sorted, 0.25), 2)} / ${number(quantile(sorted, 0.5), 2)}`;
  };
  return [
    `One download over the bad link: ${options.rttMs} ms, ${rate}, loss both ways; goodput in Mbit/s. plain is the kernel's cubic, set on each socket and read back; ratios to it are taken round by round, lower quartile / median`,
    table(
      ['loss', ...labels, ...tunnels.map((label) => `${label} to plain`)],
      losses.map((lossPercent) => [
        `${lossPercent} %`,
        ...labels.map((label) =>
          number(
            median(cells(label, lossPercent), (r) => r.mbps),
            1,
          ),
        ),
        ...tunnels.map((label) => ratioOf(label, lossPercent)),
      ]),
    ),
  ];
}

function labelsOf(rows) {
  return [...new Set(rows.map((row) => row.label))];
}

function median(rows, pick) {
  const sorted = rows
    .map(pick)
    .filter(Number.isFinite)
    .toSorted((a, b) => a - b);
  return sorted.length === 0 ? NaN : quantile(sorted, 0.5);
}

function number(value, digits) {
  return Number.isFinite(value) ? value.toFixed(digits) : '-';
}

function table(head, rows) {
  const lines = [head, head.map((_, i) => (i === 0 ? '---' : '--:')), ...rows];
  return lines.map((cells) => `| ${cells.join(' | ')} |`).join('\n');
}
