/** Status and start of an edge as people read them. Pure. */

import { type DisguiseFields, disguiseKeys, writtenKey } from '../../shared/core/wire/disguise-fields.ts';
import type { EdgeStatus, EgressCounts } from '../admin/status.ts';
import type { EdgeConfig } from '../config.ts';

const minute = 60;
const hour = 60 * minute;
const day = 24 * hour;

export function startText(config: EdgeConfig, publicKey: string): string {
  const count = config.peers.length;
  return [
    `culvert-edge ${config.name}`,
    `  listens on    UDP ${config.udpPorts.slice(0, config.workers).join(', ')}`,
    `  way out       ${config.backend}, because ${config.backendReason}`,
    `  devices       ${count === 0 ? 'none yet: add them to peers in edge.yaml, then send SIGHUP' : count}`,
    `  public key    ${publicKey}`,
    config.backend === 'kernel'
      ? '  Ctrl-C ends it and undoes every change to this host.'
      : '  Nothing of this host was changed. Ctrl-C ends it.',
    '',
  ].join('\n');
}

export function statusText(status: EdgeStatus): string {
  const head = [
    `${status.name}: up for ${durationText(status.uptimeSeconds)}`,
    `  reachable at  ${status.endpoint ?? 'no endpoint in edge.yaml'}, UDP ${status.listen.udp.join(', ')}`,
    `  network       ${status.network.join(', ')}`,
    ...(status.obfuscation === undefined ? [] : [`  obfuscation   ${fieldsText(status.obfuscation)}`]),
    `  paths         ${status.paths.map((path) => path.id).join(', ')}`,
    `  public key    ${status.publicKey}`,
    `  way out       ${status.egress.backend}, because ${status.egress.why}`,
    ...(status.egress.flows === null ? [] : [flowsLine(status.egress.flows)]),
    ...pingLine(status.egress.flows?.ping),
  ];
  const devices = status.devices.length === 0 ? ['  no devices yet'] : deviceTable(status);
  return `${[...head, '', ...devices].join('\n')}\n`;
}

/** 'Jc 4, Jmin 50': what is not 0. */
function fieldsText(fields: DisguiseFields): string {
  const said = disguiseKeys.filter((key) => (fields[key] ?? '0') !== '0');
  return said.map((key) => `${writtenKey(key)} ${fields[key]}`).join(', ');
}

function flowsLine(flows: EgressCounts): string {
  const refused = Object.values(flows.refused).reduce((sum, count) => sum + count, 0);
  const { connections, udpFlows, memoryBytes } = flows;
  return `  flows         ${connections} TCP, ${udpFlows} UDP, ${bytesText(memoryBytes)} of buffers; ${refused} refused`;
}

/** Only where something is wrong. */
function pingLine(ping: EgressCounts['ping']): string[] {
  if (ping === undefined || ping.allowed) return [];
  return [`  ping          not beyond the edge, because ${ping.why}. ${ping.remedy}`];
}

function deviceTable(status: EdgeStatus): string[] {
  // Where all have the same port it stands above already.
  const manyPorts = status.listen.udp.length > 1;
  const rows = status.devices.map((device) => [
    device.name || device.id,
    device.addresses.join(', '),
    ...(manyPorts ? [String(device.udpPort)] : []),
    device.lastSeen?.replace('T', ' ').replace(/\.\d+Z$/, 'Z') ?? 'never',
    bytesText(device.rxBytes),
    bytesText(device.txBytes),
  ]);
  const head = ['DEVICE', 'ADDRESSES', ...(manyPorts ? ['UDP PORT'] : []), 'LAST SEEN', 'FROM IT', 'TO IT'];
  const all = [head, ...rows];
  const widths = (all[0] ?? []).map((_, column) => Math.max(...all.map((row) => row[column]?.length ?? 0)));
  return all.map((row) =>
    `  ${row.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join('  ')}`.trimEnd(),
  );
}

/** '1.5 MB': decimal units, as networks count. */
export function bytesText(bytes: number): string {
  const units = ['B', 'kB', 'MB', 'GB', 'TB', 'PB'];
  let value = bytes;
  let unit = 0;
  while (value >= 1000 && unit < units.length - 1) {
    value /= 1000;
    unit++;
  }
  return `${unit === 0 ? value : value.toFixed(value < 10 ? 1 : 0)} ${units[unit]}`;
}

export function durationText(seconds: number): string {
  if (seconds < minute) return `${seconds} s`;
  if (seconds < hour) return `${Math.floor(seconds / minute)} min`;
  if (seconds < day) return `${Math.floor(seconds / hour)} h ${Math.floor((seconds % hour) / minute)} min`;
  return `${Math.floor(seconds / day)} d ${Math.floor((seconds % day) / hour)} h`;
}
