/**
 * Status and lists → the text that people read. Pure.
 */

import type { EdgeEntry, ModeList, SettingEntry } from '../../shared/core/control/api.ts';
import type { HealthItem } from '../../shared/core/control/health.ts';
import type { Status } from '../../shared/core/control/status.ts';
import { modeTexts, wordsFor } from '../../shared/core/control/texts.ts';

export function renderStatus(status: Status): string {
  const { heading, sentence } = wordsFor(status);
  const rows: (readonly [string, string])[] = [
    ['state', `${status.state} since ${status.since}`],
    ['mode', status.mode],
  ];
  if (status.resumesAt !== undefined) rows.push(['resumes', status.resumesAt]);
  if (status.edge !== undefined) {
    const { name, endpoint, transport } = status.edge;
    rows.push(['edge', endpoint === undefined ? name : `${name} (${endpoint}, ${transport})`]);
  }
  if (status.interface !== undefined) rows.push(['interface', status.interface]);
  if (status.proxy !== undefined) rows.push(['proxy', status.proxy.address]);
  if (status.dns !== undefined) {
    const { transport, upstream, families, listen, besideTunnel = [] } = status.dns;
    const filter = families === 'off' ? '' : `, filter ${families}`;
    const title = transport === 'edge' ? 'names' : 'private DNS';
    rows.push([title, `${upstream}${filter}, answers on ${listen}`]);
    for (const { name, servers } of besideTunnel) {
      const asked = servers.length === 0 ? 'nobody: this network names no server' : servers.join(', ');
      rows.push([name, `asked of ${asked}, outside the tunnel`]);
    }
  }
  if (status.addresses.length > 0) rows.push(['addresses', status.addresses.join(', ')]);
  if (status.dataplane !== undefined) {
    const { suite, udp, tun, mtu } = status.dataplane;
    rows.push(['data plane', `${suite}, udp ${udp}, tun ${tun}, mtu ${mtu}`]);
  }
  const { rttMs, visibleAddress } = status.verified ?? {};
  if (rttMs !== undefined) rows.push(['round trip', `${rttMs} ms`]);
  if (visibleAddress !== undefined) rows.push(['seen as', visibleAddress]);
  if (status.path !== undefined) rows.push(['way out', wayOutText(status.path)]);
  const { rxBytes, txBytes } = status.traffic;
  rows.push(['traffic', `${formatBytes(rxBytes)} received, ${formatBytes(txBytes)} sent`]);
  if (status.receipt !== undefined) rows.push(['speed', status.receipt.text]);
  const lines = [heading, sentence, '', ...table(rows)];
  return [...lines, ...status.health.flatMap(renderHealth)].join('\n');
}

function wayOutText({ id, chosen, rttMs, lossPercent }: NonNullable<Status['path']>): string {
  const by = chosen === 'auto' ? 'chosen by the edge' : 'as you chose';
  const time = rttMs === undefined ? 'not measured yet' : `${rttMs} ms beyond the edge`;
  const loss = lossPercent === undefined || lossPercent === 0 ? '' : `, loses ${lossPercent} %`;
  return `${id}, ${by} (${time}${loss})`;
}

/** The proxy and how to use it; what is in its way comes first. */
export function renderProxy(status: Status): string {
  const address = status.proxy?.address;
  if (status.mode !== 'proxy')
    return `The mode is ${status.mode}, which has no proxy. Choose it: culvert mode proxy`;
  if (address === undefined) return 'The proxy is off. Turn it on: culvert connect';
  const rows: (readonly [string, string])[] = [
    ['SOCKS5', `socks5h://${address}   (also SOCKS4a, and UDP by SOCKS5)`],
    ['HTTP', `http://${address}`],
    ['browsers', `http://${address}/proxy.pac`],
  ];
  const { heading, sentence } = wordsFor(status);
  return [heading, sentence, '', ...table(rows), ...status.health.flatMap(renderHealth)].join('\n');
}

function renderHealth(item: HealthItem): readonly string[] {
  return ['', `  ${item.severity}: ${item.text} [${item.code}]`, `  ${item.remedy}`];
}

export function renderEdges(edges: readonly EdgeEntry[]): string {
  if (edges.length === 0) return 'No edge is known yet. Import one: culvert import FILE.conf';
  return edges
    .map(
      (edge) => `${edge.selected ? '*' : ' '} ${edge.name}  ${edge.endpoint}  ${edge.addresses.join(', ')}`,
    )
    .join('\n');
}

export function renderModes(list: ModeList): string {
  const rows = list.modes.map((entry) => {
    const lacking = entry.available ? '' : ' (this daemon may not: it needs root)';
    const mark = entry.mode === list.mode ? '*' : ' ';
    return [`${mark} ${entry.mode}`, `${modeTexts[entry.mode]}${lacking}`] as const;
  });
  return table(rows, '').join('\n');
}

export function renderSettings(settings: readonly SettingEntry[]): string {
  return table(
    settings.map((entry) => [`${entry.name} = ${String(entry.value)}`, entry.text]),
    '',
  ).join('\n');
}

/** One line of the log for people; what is no JSON object is printed as it is. */
export function renderLogLine(line: string): string {
  let entry: Record<string, unknown>;
  try {
    entry = JSON.parse(line) as Record<string, unknown>;
  } catch {
    return line;
  }
  const { time, level, msg, part: _, ...rest } = entry;
  const details = Object.entries(rest).map(([name, value]) => ` ${name}=${String(value)}`);
  return `${String(time)} ${String(level)} ${String(msg)}${details.join('')}`;
}

export function formatBytes(bytes: number): string {
  const units = ['B', 'kB', 'MB', 'GB', 'TB'];
  let value = bytes;
  let unit = 0;
  while (value >= 1000 && unit < units.length - 1) {
    value /= 1000;
    unit += 1;
  }
  return `${unit === 0 ? value : value.toFixed(1)} ${units[unit]}`;
}

function table(rows: readonly (readonly [string, string])[], indent = '  '): readonly string[] {
  const width = Math.max(...rows.map(([name]) => name.length));
  return rows.map(([name, value]) => `${indent}${name.padEnd(width)}  ${value}`);
}
