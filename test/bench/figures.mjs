// The figures that a run is judged by, one list for the tables and the chart, and their statistics over the rounds.

const tcpRuns = {
  up1: 'up, 1 stream',
  up4: 'up, 4 streams',
  down1: 'down, 1 stream',
  down4: 'down, 4 streams',
};

/** {key, name, unit, digits, pick, more}: `more` says that a greater figure is the better one. */
export const figures = [
  ...Object.entries(tcpRuns).map(([run, name]) => ({
    key: run,
    name: `TCP ${name}`,
    unit: 'Gbit/s',
    digits: 2,
    more: true,
    pick: (r) => r.tcp[run].mbps / 1000,
  })),
  ...Object.entries(tcpRuns).map(([run, name]) => ({
    key: `cpu-${run}`,
    name: `CPU per GB, both ends, ${name}`,
    unit: 's/GB',
    digits: 2,
    more: false,
    pick: (r) => (r.label === 'plain' ? NaN : r.tcp[run].clientCpuPerGb + r.tcp[run].edgeCpuPerGb),
  })),
  {
    key: 'small-up',
    name: 'UDP, 100 bytes, up, without loss',
    unit: 'kpps',
    digits: 1,
    more: true,
    pick: (r) => r.udp.smallUp.best.pps / 1000,
  },
  {
    key: 'small-down',
    name: 'UDP, 100 bytes, down, without loss',
    unit: 'kpps',
    digits: 1,
    more: true,
    pick: (r) => r.udp.smallDown.best.pps / 1000,
  },
  {
    key: 'small-flood',
    name: 'UDP, 100 bytes, up, delivered of a flood',
    unit: 'kpps',
    digits: 1,
    more: true,
    pick: (r) => r.udp.smallUp.flood.pps / 1000,
  },
  {
    key: 'loaded-up',
    name: 'Loaded round trip p50, 4 streams up',
    unit: 'ms',
    digits: 2,
    more: false,
    pick: (r) => r.tcp.up4.loadedRttMs.median,
  },
  {
    key: 'loaded-down',
    name: 'Loaded round trip p50, 4 streams down',
    unit: 'ms',
    digits: 2,
    more: false,
    pick: (r) => r.tcp.down4.loadedRttMs.median,
  },
  {
    key: 'rtt',
    name: 'Idle round trip p50',
    unit: 'us',
    digits: 0,
    more: false,
    pick: (r) => r.rtt.medianUs,
  },
  { key: 'rtt99', name: 'Idle round trip p99', unit: 'us', digits: 0, more: false, pick: (r) => r.rtt.p99Us },
  {
    key: 'handshake',
    name: 'Handshake and first packet p50',
    unit: 'ms',
    digits: 2,
    more: false,
    pick: (r) => r.handshake.medianMs,
  },
  {
    key: 'crowd',
    name: 'Handshakes answered on one core',
    unit: '/s',
    digits: 0,
    more: true,
    pick: (r) => r.crowd.perSecond,
  },
  {
    key: 'crowd-cpu',
    name: 'Handshakes per CPU-second',
    unit: '/CPU-s',
    digits: 0,
    more: true,
    pick: (r) => r.crowd.perCpuSecond,
  },
  {
    key: 'rss-peak',
    name: 'Peak memory, greater end',
    unit: 'MiB',
    digits: 0,
    more: false,
    pick: (r) =>
      r.tcp === undefined || r.label === 'plain' ? NaN : Math.max(r.rssPeak.client, r.rssPeak.edge),
  },
  {
    key: 'rss-many',
    name: 'Memory of an edge with 10 000 peers',
    unit: 'MiB',
    digits: 0,
    more: false,
    pick: (r) => r.peers.find((one) => one.peers === 10_000).rssMb,
  },
];

/** A TCP run in which others on the machine took more than this share of its cores says nothing. */
export const disturbedShare = 0.12;

/** The results without their disturbed TCP runs, and how many those were. */
export function withoutDisturbed(results) {
  let disturbed = 0;
  const kept = results.map((result) => {
    if (result.tcp === undefined) return result;
    const runs = Object.entries(result.tcp).filter(([, run]) => run.otherShare <= disturbedShare);
    disturbed += Object.keys(result.tcp).length - runs.length;
    return { ...result, tcp: Object.fromEntries(runs) };
  });
  return { kept, disturbed };
}

/** What `pick` finds in a result; NaN where that test was not run. */
export function figureOf(result, pick) {
  if (result.error) return NaN;
  try {
    return pick(result) ?? NaN;
  } catch {
    return NaN;
  }
}

/** Median over the rounds, by label. */
export function columnOf(results) {
  return (label, pick) =>
    median(results.filter((result) => result.label === label).map((result) => figureOf(result, pick)));
}

/**
 * By how much `label` is better than `other`, round by round, sorted: greater than 1 is better, whichever way the
 * figure counts.
 */
export function ratios(results, { label, other, figure }) {
  const found = [];
  for (const ours of results.filter((result) => result.label === label)) {
    const theirs = results.find(
      (one) => one.label === other && one.round === ours.round && one.part === ours.part,
    );
    if (theirs === undefined) continue;
    const [a, b] = [figureOf(ours, figure.pick), figureOf(theirs, figure.pick)];
    const ratio = figure.more ? a / b : b / a;
    if (Number.isFinite(ratio)) found.push(ratio);
  }
  return found.toSorted((a, b) => a - b);
}

export function median(list) {
  return quantile(list, 0.5);
}

/** By linear interpolation; NaN of nothing. What is not a finite number is left out. */
export function quantile(list, q) {
  const sorted = list.filter((one) => Number.isFinite(one)).toSorted((a, b) => a - b);
  if (sorted.length === 0) return NaN;
  const at = q * (sorted.length - 1);
  const low = Math.floor(at);
  const high = Math.min(sorted.length - 1, low + 1);
  return sorted[low] + (sorted[high] - sorted[low]) * (at - low);
}

export function shown(value, digits = 0) {
  return Number.isFinite(value) ? value.toFixed(digits) : '-';
}
