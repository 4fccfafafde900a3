/**
 * Files as `wg` and `wg-quick` read them (wg(8), wg-quick(8)): printing. What is printed holds
 * secrets; the caller keeps it from others. Commands of the original file are not repeated.
 */

import { writtenFields, writtenKey } from '../wire/disguise-fields.ts';
import { formatBase64Key, formatHostPort } from './values.ts';
import type { WgConfig, WgInterface, WgPeer } from './wg-config.ts';

/** A whole file for wg-quick. Parsing it gives the same configuration, without ignored lines. */
export function printWgConfig(config: WgConfig): string {
  return print(config, wgQuickLines(config.interface));
}

/** What `wg setconf` takes: the file without the settings that only wg-quick knows. */
export function stripWgConfig(config: WgConfig): string {
  return print(config, []);
}

function print(config: WgConfig, more: readonly string[]): string {
  const sections = [
    ['[Interface]', ...deviceLines(config.interface), ...more],
    ...config.peers.map(peerLines),
  ];
  return `${sections.map((lines) => lines.join('\n')).join('\n\n')}\n`;
}

function deviceLines(own: WgInterface): string[] {
  const lines: string[] = [];
  if (own.privateKey !== undefined) lines.push(`PrivateKey = ${formatBase64Key(own.privateKey)}`);
  if (own.listenPort !== undefined) lines.push(`ListenPort = ${own.listenPort}`);
  if (own.fwmark !== undefined)
    lines.push(`FwMark = ${own.fwmark === 0 ? 'off' : `0x${own.fwmark.toString(16)}`}`);
  if (own.disguise !== undefined) {
    for (const [key, value] of writtenFields(own.disguise)) lines.push(`${writtenKey(key)} = ${value}`);
  }
  return lines;
}

function wgQuickLines(own: WgInterface): string[] {
  const lines: string[] = [];
  if (own.addresses.length > 0) lines.push(`Address = ${own.addresses.join(', ')}`);
  const dns = [...own.dns, ...own.searchDomains];
  if (dns.length > 0) lines.push(`DNS = ${dns.join(', ')}`);
  if (own.mtu !== undefined) lines.push(`MTU = ${own.mtu}`);
  if (own.table !== undefined) lines.push(`Table = ${own.table}`);
  if (own.saveConfig !== undefined) lines.push(`SaveConfig = ${own.saveConfig}`);
  return lines;
}

function peerLines(peer: WgPeer): string[] {
  const lines = ['[Peer]', `PublicKey = ${formatBase64Key(peer.publicKey)}`];
  if (peer.presharedKey !== undefined) lines.push(`PresharedKey = ${formatBase64Key(peer.presharedKey)}`);
  if (peer.endpoint !== undefined) lines.push(`Endpoint = ${formatHostPort(peer.endpoint)}`);
  if (peer.allowedIps.length > 0) lines.push(`AllowedIPs = ${peer.allowedIps.join(', ')}`);
  if (peer.persistentKeepalive !== undefined) {
    lines.push(`PersistentKeepalive = ${peer.persistentKeepalive === 0 ? 'off' : peer.persistentKeepalive}`);
  }
  return lines;
}
