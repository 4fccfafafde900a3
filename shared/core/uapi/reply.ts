/**
 * Replies of a tunnel that speaks WireGuard's cross-platform configuration protocol
 * (wireguard.com/xplatform), as the asking side reads them. Pure.
 */

import { noDrops } from '../base/drop.ts';
import type { Endpoint } from '../base/endpoint.ts';
import type { DeviceStatus } from '../tunnel/config.ts';
import { type DisguiseKey, isDisguiseKey, readDisguise } from '../wire/disguise-fields.ts';
import { isPlain } from '../wire/disguise-rules.ts';
import {
  maxPort,
  maxSeconds,
  maxUint32,
  messageLines,
  parseDecimal,
  parseHexKey,
  parseNumericEndpoint,
  parsePrefixText,
  zeroKey,
} from './values.ts';

/** Most bytes of one reply that our side of the protocol reads. */
export const maxReplyBytes: number = 64 * 1024 * 1024;

export type UapiReply =
  | { readonly kind: 'status'; readonly status: DeviceStatus }
  | { readonly kind: 'error'; readonly errno: number }
  | { readonly kind: 'malformed'; readonly line: number; readonly text: string };

/**
 * Parses a reply to get or set. Unknown keys are ignored. The protocol says nothing of our own public
 * key, drops and data plane: they are undefined, zero and 'unknown'.
 */
export function parseReply(text: string): UapiReply {
  if (text.length > maxReplyBytes) return malformed(1, 'the reply is too long');
  const draft: StatusDraft = { privateKey: undefined, listenPort: 0, fwmark: 0, disguise: {}, peers: [] };
  let errno: number | undefined;
  let number = 0;
  for (const line of messageLines(text)) {
    number += 1;
    const cut = line.indexOf('=');
    if (cut < 1 || errno !== undefined) return malformed(number, 'a line of the form key=value is missing');
    const key = line.slice(0, cut);
    const value = line.slice(cut + 1);
    if (key === 'errno') {
      if (!/^-?\d{1,9}$/.test(value)) return malformed(number, 'errno is no number');
      errno = Number(value);
    } else if (!readStatusLine(draft, key, value)) {
      return malformed(number, `the value of ${key} is wrong`);
    }
  }
  if (errno === undefined) return malformed(number, 'errno is missing');
  if (errno !== 0) return { kind: 'error', errno: -Math.abs(errno) };
  return { kind: 'status', status: finishStatus(draft) };
}

interface PeerStatusDraft {
  publicKey: Uint8Array;
  presharedKey: Uint8Array;
  endpoint: Endpoint | undefined;
  handshakeSeconds: number;
  handshakeNanoseconds: number;
  rxBytes: number;
  txBytes: number;
  persistentKeepalive: number;
  allowedIps: string[];
}

interface StatusDraft {
  privateKey: Uint8Array | undefined;
  listenPort: number;
  fwmark: number;
  disguise: { -readonly [key in DisguiseKey]?: string };
  peers: PeerStatusDraft[];
}

/** Returns false where the value is wrong. */
function readStatusLine(draft: StatusDraft, key: string, value: string): boolean {
  if (key === 'public_key') {
    const publicKey = parseHexKey(value);
    if (publicKey !== undefined) draft.peers.push(newPeerStatus(publicKey));
    return publicKey !== undefined;
  }
  const peer = draft.peers.at(-1);
  if (peer !== undefined) return readPeerStatusLine(peer, key, value);
  switch (key) {
    case 'private_key':
      return stored(parseHexKey(value), (privateKey) => (draft.privateKey = privateKey));
    case 'listen_port':
      return stored(parseDecimal(value, maxPort), (port) => (draft.listenPort = port));
    case 'fwmark':
      return stored(parseDecimal(value, maxUint32), (mark) => (draft.fwmark = mark));
    default:
      if (isDisguiseKey(key)) draft.disguise[key] = value;
      return true;
  }
}

function readPeerStatusLine(peer: PeerStatusDraft, key: string, value: string): boolean {
  const count = (): number | undefined => parseDecimal(value, Number.MAX_SAFE_INTEGER);
  switch (key) {
    case 'preshared_key':
      return stored(parseHexKey(value), (presharedKey) => (peer.presharedKey = presharedKey));
    case 'endpoint':
      return stored(parseNumericEndpoint(value), (endpoint) => (peer.endpoint = endpoint));
    case 'last_handshake_time_sec':
      return stored(count(), (seconds) => (peer.handshakeSeconds = seconds));
    case 'last_handshake_time_nsec':
      return stored(count(), (nanoseconds) => (peer.handshakeNanoseconds = nanoseconds));
    case 'tx_bytes':
      return stored(count(), (bytes) => (peer.txBytes = bytes));
    case 'rx_bytes':
      return stored(count(), (bytes) => (peer.rxBytes = bytes));
    case 'persistent_keepalive_interval':
      return stored(parseDecimal(value, maxSeconds), (seconds) => (peer.persistentKeepalive = seconds));
    case 'allowed_ip':
      return stored(parsePrefixText(value), (prefix) => peer.allowedIps.push(prefix));
    default:
      return true;
  }
}

function stored<T>(value: T | undefined, store: (value: T) => void): boolean {
  if (value === undefined) return false;
  store(value);
  return true;
}

function newPeerStatus(publicKey: Uint8Array): PeerStatusDraft {
  return {
    publicKey,
    presharedKey: zeroKey(),
    endpoint: undefined,
    handshakeSeconds: 0,
    handshakeNanoseconds: 0,
    rxBytes: 0,
    txBytes: 0,
    persistentKeepalive: 0,
    allowedIps: [],
  };
}

function finishStatus(draft: StatusDraft): DeviceStatus {
  const peers = draft.peers.map(({ handshakeSeconds, handshakeNanoseconds, ...peer }) => {
    return {
      ...peer,
      lastHandshakeMs: handshakeSeconds * 1000 + Math.floor(handshakeNanoseconds / 1_000_000),
    };
  });
  const dataplane = { suite: 'unknown', udp: 'unknown', tun: 'unknown', mtu: 0 };
  const { disguise, ...rest } = draft;
  // What another program allows itself and we would not is not ours to judge: it is left out.
  const reading = readDisguise(disguise);
  const rules = reading.kind === 'rules' && !isPlain(reading.rules) ? { disguise: reading.rules } : {};
  return { ...rest, ...rules, peers, publicKey: undefined, drops: noDrops(), dataplane };
}

function malformed(line: number, text: string): UapiReply {
  return { kind: 'malformed', line, text };
}
