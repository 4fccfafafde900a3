/**
 * What `wg show INTERFACE dump` and `wg show all dump` print (wg(8)): lines of fields between tabs.
 * The same facts as a status, except the data plane. Pure.
 */

import type { DeviceStatus, PeerStatus } from '../tunnel/config.ts';
import { emptyStatus } from './device-change.ts';
import {
  maxPort,
  maxSeconds,
  parseBase64Key,
  parseDecimal,
  parseMark,
  parseNumericEndpoint,
  parsePrefixText,
  type ScopeOf,
  zeroKey,
} from './values.ts';

export interface NamedStatus {
  readonly interfaceName: string;
  readonly status: DeviceStatus;
}

/** The dump of one interface; undefined where it is not understood. */
export function parseDump(text: string, scopeOf?: ScopeOf): DeviceStatus | undefined {
  const [device, ...peers] = dumpLines(text);
  const own = device === undefined ? undefined : parseDevice(device);
  if (own === undefined) return undefined;
  const statuses = peers.map((fields) => parsePeer(fields, scopeOf)).filter((peer) => peer !== undefined);
  return statuses.length === peers.length ? { ...own, peers: statuses } : undefined;
}

/** The dump of all interfaces; undefined where it is not understood. */
export function parseAllDump(text: string, scopeOf?: ScopeOf): readonly NamedStatus[] | undefined {
  const found: { interfaceName: string; own: DeviceStatus; peers: PeerStatus[] }[] = [];
  for (const [interfaceName = '', ...fields] of dumpLines(text)) {
    const last = found.at(-1);
    if (fields.length === 4) {
      const own = parseDevice(fields);
      if (own === undefined) return undefined;
      found.push({ interfaceName, own, peers: [] });
    } else {
      const peer = parsePeer(fields, scopeOf);
      if (peer === undefined || last?.interfaceName !== interfaceName) return undefined;
      last.peers.push(peer);
    }
  }
  return found.map(({ interfaceName, own, peers }) => ({ interfaceName, status: { ...own, peers } }));
}

function dumpLines(text: string): string[][] {
  const lines = text.split('\n').filter((line) => line !== '');
  return lines.map((line) => line.split('\t'));
}

function parseDevice(fields: readonly string[]): DeviceStatus | undefined {
  const [privateText = '', publicText = '', port = '', mark = ''] = fields;
  const privateKey = keyOrNone(privateText);
  const publicKey = keyOrNone(publicText);
  const listenPort = parseDecimal(port, maxPort);
  const fwmark = parseMark(mark);
  if (fields.length !== 4 || privateKey === undefined || publicKey === undefined) return undefined;
  if (listenPort === undefined || fwmark === undefined) return undefined;
  const present = (key: Uint8Array | 'none'): Uint8Array | undefined => (key === 'none' ? undefined : key);
  return {
    ...emptyStatus(),
    privateKey: present(privateKey),
    publicKey: present(publicKey),
    listenPort,
    fwmark,
  };
}

function parsePeer(fields: readonly string[], scopeOf?: ScopeOf): PeerStatus | undefined {
  const [publicText = '', presharedText = '', place = '', prefixes = '', ...counts] = fields;
  const publicKey = parseBase64Key(publicText);
  const presharedKey = keyOrNone(presharedText);
  const endpoint = place === '(none)' ? undefined : parseNumericEndpoint(place, scopeOf);
  // A link-local endpoint whose interface is gone is as good as none.
  const isPlace = endpoint !== undefined || place === '(none)' || place.includes('%');
  const allowedIps =
    prefixes === '(none)' ? [] : prefixes.split(',').map((prefix) => parsePrefixText(prefix));
  const [handshake = '', rx = '', tx = '', keepalive = ''] = counts;
  const seconds = parseDecimal(handshake, Number.MAX_SAFE_INTEGER / 1000);
  const rxBytes = parseDecimal(rx, Number.MAX_SAFE_INTEGER);
  const txBytes = parseDecimal(tx, Number.MAX_SAFE_INTEGER);
  const persistentKeepalive = keepalive === 'off' ? 0 : parseDecimal(keepalive, maxSeconds);
  const known = allowedIps.filter((prefix) => prefix !== undefined);
  if (fields.length !== 8 || publicKey === undefined || presharedKey === undefined) return undefined;
  if (known.length !== allowedIps.length || !isPlace) return undefined;
  if (seconds === undefined || rxBytes === undefined || txBytes === undefined) return undefined;
  if (persistentKeepalive === undefined) return undefined;
  return {
    publicKey,
    presharedKey: presharedKey === 'none' ? zeroKey() : presharedKey,
    endpoint,
    lastHandshakeMs: seconds * 1000,
    rxBytes,
    txBytes,
    persistentKeepalive,
    allowedIps: known,
  };
}

function keyOrNone(text: string): Uint8Array | 'none' | undefined {
  return text === '(none)' ? 'none' : parseBase64Key(text);
}
