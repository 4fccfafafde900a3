/** What private DNS did → the text that people read. Pure. */

import type { DnsReport, DnsTest } from '../../shared/core/control/api.ts';

/** Where an answer came from, for people. */
const originTexts: Readonly<Record<string, string>> = {
  cache: 'from the cache',
  stale: 'from the cache, past its time, since no resolver answered',
  upstream: 'from the private resolver',
  network: "from the network's own resolver",
  own: 'from the edge',
  special: 'answered here: such names never leave',
  blocked: 'on a block list',
  rebind: 'refused: it leads into your own network',
  failed: 'nobody answered',
};

export function renderDnsTest(test: DnsTest): string {
  const lines = test.answers.map((answer) => {
    const records = answer.records.length === 0 ? nothingText(answer.code) : answer.records.join(', ');
    return `${answer.type.padEnd(5)} ${records}\n      ${originText(answer.origin)}, ${answer.ms} ms`;
  });
  const width = Math.max(...test.upstreams.map(({ name }) => name.length), 0);
  const longest = Math.max(...test.upstreams.map(({ ms }) => ms ?? 0), 1);
  const upstreams = test.upstreams.map(({ name, ms, failure }) =>
    ms === undefined
      ? `  ${name.padEnd(width)}  ${failure ?? 'no answer'}`
      : `  ${name.padEnd(width)}  ${bar(ms / longest)} ${ms} ms`,
  );
  return [
    test.name,
    ...lines,
    ...(upstreams.length === 0
      ? ['', 'No private resolver was asked for it.']
      : ['', 'Each resolver by itself:', ...upstreams]),
    ...(test.network === undefined ? [] : ['', test.network]),
  ].join('\n');
}

export function renderDnsReport(report: DnsReport): string {
  const { status, system, cache } = report;
  if (status === undefined) return 'Private DNS is off. Turn it on: culvert mode doh && culvert connect';
  const counted = Object.entries(report.answers).filter(([, count]) => count > 0);
  const asked = cache.hits + cache.misses;
  const share = asked === 0 ? '' : ` (${Math.round((100 * cache.hits) / asked)} % of the look-ups)`;
  return [
    `Answers on ${status.listen}, asks ${status.upstream}, filter ${status.families}`,
    ...(system === undefined ? [] : [`This system is told by way of: ${system.owner}. ${system.because}`]),
    '',
    ...counted.map(([origin, count]) => `  ${String(count).padStart(8)}  ${originText(origin)}`),
    `  ${String(cache.hits).padStart(8)}  hits of the cache${share}, ${cache.entries} names in it`,
    '',
    ...report.upstreams.map(
      ({ name, isDown, rttMs, queries, answers, failures }) =>
        `  ${isDown || (failures > 0 && answers === 0) ? '✗' : '✓'} ${name}  ${rttMs === undefined ? '' : `${rttMs} ms, `}${queries} asked, ${failures} failed`,
    ),
    ...report.blockLists.map(
      ({ name, names, ignored }) => `  list ${name}: ${names} names, ${ignored} lines ignored`,
    ),
  ].join('\n');
}

/** What a code without a record means. */
function nothingText(code: string): string {
  if (code === 'NOERROR') return 'nothing of this type (NOERROR)';
  return code === 'NXDOMAIN' ? 'no such name (NXDOMAIN)' : code;
}

function originText(origin: string): string {
  return originTexts[origin] ?? origin;
}

const barWidth = 20;

function bar(part: number): string {
  return '█'.repeat(Math.max(1, Math.round(part * barWidth))).padEnd(barWidth);
}
