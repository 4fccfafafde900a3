/**
 * WireGuard's cross-platform configuration protocol (wireguard.com/xplatform): requests, and the
 * replies of a server; reading a reply is in reply.ts. A request is checked wholly before anything of it is returned, so that a bad
 * line can never leave half a change applied. Pure: sockets are elsewhere.
 *
 * Deviation: `allowed_ip=-PREFIX` takes a prefix away, as newer kernels do; older tools never send it.
 */

import { isZero } from '../base/bytes.ts';
import type { Endpoint } from '../base/endpoint.ts';
import type { DeviceChange, DeviceStatus, PeerChange, PeerStatus } from '../tunnel/config.ts';
import {
  type DisguiseFields,
  type DisguiseKey,
  disguiseFields,
  disguiseKeys,
  faultsText,
  isDisguiseKey,
  readDisguise,
  writtenFields,
} from '../wire/disguise-fields.ts';
import { type DisguiseRules, plainRules } from '../wire/disguise-rules.ts';
import {
  formatHexKey,
  formatNumericEndpoint,
  maxPort,
  maxSeconds,
  maxUint32,
  messageLines,
  parseDecimal,
  parseHexKey,
  parseNumericEndpoint,
  parsePrefixText,
  type ScopeOf,
} from './values.ts';

/** Most bytes of one request: fifty thousand peers and more. */
export const maxRequestBytes: number = 16 * 1024 * 1024;
/** Linux's EINVAL, negative as the protocol has it. */
export const errnoInvalid = -22;

export type UapiRequest =
  | { readonly kind: 'get' }
  | {
      readonly kind: 'set';
      readonly change: DeviceChange;
      /** jc … h4 as they were said, to be joined with what the device has (joinDisguise); absent: none was said. */
      readonly disguise?: DisguiseFields;
    }
  /** Neither get nor set: the connection is closed without an answer. */
  | { readonly kind: 'unknown' }
  | UapiFault;

/** What is wrong and where. `text` names keys, never values: they may be secret. */
export interface UapiFault {
  readonly kind: 'error';
  readonly errno: number;
  /** 1 is the first line. */
  readonly line: number;
  readonly text: string;
}

/** Parses one request: its lines, with or without the empty line that ends it. */
export function parseRequest(text: string, scopeOf?: ScopeOf): UapiRequest {
  if (text.length > maxRequestBytes) return fault(1, 'the request is too long');
  let operation: string | undefined;
  let number = 0;
  const draft: ChangeDraft = { peers: [] };
  for (const line of messageLines(text)) {
    number += 1;
    operation ??= line;
    if (operation !== 'get=1' && operation !== 'set=1') return { kind: 'unknown' };
    if (number === 1) continue;
    const problem = operation === 'get=1' ? 'get takes no lines' : readSetLine(draft, line, scopeOf);
    if (problem !== undefined) return fault(number, problem);
  }
  if (operation === undefined) return { kind: 'unknown' };
  return operation === 'get=1' ? { kind: 'get' } : finishSet(draft);
}

/**
 * The change with its fields of a disguise in place: those that were said, and for the others what the device has.
 * A fault where they do not fit each other.
 */
export function joinDisguise(
  { change, disguise }: Extract<UapiRequest, { readonly kind: 'set' }>,
  current: DisguiseRules | undefined,
): { readonly kind: 'change'; readonly change: DeviceChange } | UapiFault {
  if (disguise === undefined) return { kind: 'change', change };
  const reading = readDisguise({ ...disguiseFields(current ?? plainRules), ...disguise });
  if (reading.kind === 'faults') return fault(1, faultsText(reading.faults));
  return { kind: 'change', change: { ...change, disguise: reading.rules } };
}

/** The whole reply to a get. Keys that are not set are left out, times are split as the protocol wants. */
export function formatStatus(status: DeviceStatus): string {
  const lines: string[] = [];
  if (status.privateKey !== undefined && !isZero(status.privateKey)) {
    lines.push(`private_key=${formatHexKey(status.privateKey)}`);
  }
  if (status.listenPort !== 0) lines.push(`listen_port=${status.listenPort}`);
  if (status.fwmark !== 0) lines.push(`fwmark=${status.fwmark}`);
  pushDisguise(lines, status.disguise);
  for (const peer of status.peers) pushPeerStatus(lines, peer);
  lines.push('errno=0', '', '');
  return lines.join('\n');
}

/** A reply without values: 0 for success, else a negative errno. */
export function formatErrno(errno: number): string {
  return `errno=${errno}\n\n`;
}

/** The request that asks for everything. */
export const getRequest = 'get=1\n\n';

/** A request that applies `change`; the reverse of parseRequest. */
export function formatSet(change: DeviceChange): string {
  const lines = ['set=1'];
  if (change.privateKey !== undefined) lines.push(`private_key=${formatHexKey(change.privateKey)}`);
  if (change.listenPort !== undefined) lines.push(`listen_port=${change.listenPort}`);
  if (change.fwmark !== undefined) lines.push(`fwmark=${change.fwmark}`);
  if (change.disguise !== undefined) {
    const fields = disguiseFields(change.disguise);
    for (const key of disguiseKeys) lines.push(`${key}=${fields[key]}`);
  }
  if (change.replacePeers === true) lines.push('replace_peers=true');
  for (const peer of change.peers) pushPeerChange(lines, peer);
  lines.push('', '');
  return lines.join('\n');
}

// Requests

interface PeerDraft {
  publicKey: Uint8Array;
  remove?: boolean;
  updateOnly?: boolean;
  presharedKey?: Uint8Array;
  endpoint?: Endpoint;
  persistentKeepalive?: number;
  replaceAllowedIps?: boolean;
  /** The last word on each prefix: it comes or it goes. */
  allowedIps: Map<string, 'add' | 'take'>;
}

interface ChangeDraft {
  privateKey?: Uint8Array;
  listenPort?: number;
  fwmark?: number;
  replacePeers?: boolean;
  disguise?: { -readonly [key in DisguiseKey]?: string };
  peers: PeerDraft[];
}

/** Reads one line into the draft; returns what is wrong with it. */
function readSetLine(draft: ChangeDraft, line: string, scopeOf?: ScopeOf): string | undefined {
  const cut = line.indexOf('=');
  if (cut < 1) return 'a line of the form key=value is missing';
  const key = line.slice(0, cut);
  const value = line.slice(cut + 1);
  if (key === 'public_key') {
    const publicKey = parseHexKey(value);
    if (publicKey === undefined) return 'the value of public_key is wrong';
    draft.peers.push({ publicKey, allowedIps: new Map() });
    return undefined;
  }
  const peer = draft.peers.at(-1);
  const verdict =
    peer === undefined ? readDeviceLine(draft, key, value) : readPeerLine(peer, key, value, scopeOf);
  if (verdict === 'ok') return undefined;
  if (verdict === 'bad-value') return `the value of ${key} is wrong`;
  return peer === undefined
    ? 'an unknown key, or a peer’s before public_key'
    : 'an unknown key, or a device’s after public_key';
}

type LineVerdict = 'ok' | 'bad-value' | 'unknown-key';

function readDeviceLine(draft: ChangeDraft, key: string, value: string): LineVerdict {
  switch (key) {
    case 'private_key':
      return keep(parseHexKey(value), (privateKey) => (draft.privateKey = privateKey));
    case 'listen_port':
      return keep(parseDecimal(value, maxPort), (port) => (draft.listenPort = port));
    case 'fwmark':
      return keep(parseDecimal(value, maxUint32), (mark) => (draft.fwmark = mark));
    case 'replace_peers':
      return keep(parseTrue(value), () => (draft.replacePeers = true));
    default:
      return isDisguiseKey(key) ? readDisguiseLine(draft, key, value) : 'unknown-key';
  }
}

function readDisguiseLine(draft: ChangeDraft, key: DisguiseKey, value: string): LineVerdict {
  // Whether it fits the others is told by joinDisguise.
  if (!/^\d{1,10}(-\d{1,10})?$/.test(value)) return 'bad-value';
  (draft.disguise ??= {})[key] = value;
  return 'ok';
}

function readPeerLine(peer: PeerDraft, key: string, value: string, scopeOf?: ScopeOf): LineVerdict {
  switch (key) {
    case 'remove':
      return keep(parseTrue(value), () => (peer.remove = true));
    case 'update_only':
      return keep(parseTrue(value), () => (peer.updateOnly = true));
    case 'preshared_key':
      return keep(parseHexKey(value), (presharedKey) => (peer.presharedKey = presharedKey));
    case 'endpoint':
      return keep(parseNumericEndpoint(value, scopeOf), (endpoint) => (peer.endpoint = endpoint));
    case 'persistent_keepalive_interval':
      return keep(parseDecimal(value, maxSeconds), (seconds) => (peer.persistentKeepalive = seconds));
    case 'replace_allowed_ips':
      return keep(parseTrue(value), () => {
        peer.replaceAllowedIps = true;
        peer.allowedIps.clear();
      });
    case 'allowed_ip': {
      const take = value.startsWith('-');
      return keep(parsePrefixText(take ? value.slice(1) : value), (prefix) => {
        peer.allowedIps.set(prefix, take ? 'take' : 'add');
      });
    }
    case 'protocol_version':
      return value === '1' ? 'ok' : 'bad-value';
    default:
      return 'unknown-key';
  }
}

function keep<T>(value: T | undefined, store: (value: T) => void): LineVerdict {
  if (value === undefined) return 'bad-value';
  store(value);
  return 'ok';
}

function parseTrue(value: string): true | undefined {
  return value === 'true' ? true : undefined;
}

function finishSet(draft: ChangeDraft): Extract<UapiRequest, { readonly kind: 'set' }> {
  const { disguise, ...rest } = draft;
  const change = { ...rest, peers: draft.peers.map(finishPeer) };
  return { kind: 'set', change, ...(disguise === undefined ? {} : { disguise }) };
}

/** A peer that is removed keeps nothing else, as in the kernel. */
function finishPeer(draft: PeerDraft): PeerChange {
  const { allowedIps, ...rest } = draft;
  if (draft.remove === true) return { publicKey: draft.publicKey, remove: true, allowedIps: [] };
  const added = [...allowedIps].filter(([, way]) => way === 'add').map(([prefix]) => prefix);
  const taken = [...allowedIps].filter(([, way]) => way === 'take').map(([prefix]) => prefix);
  return { ...rest, allowedIps: added, ...(taken.length > 0 ? { removeAllowedIps: taken } : {}) };
}

function pushPeerChange(lines: string[], peer: PeerChange): void {
  lines.push(`public_key=${formatHexKey(peer.publicKey)}`);
  if (peer.remove === true) {
    lines.push('remove=true');
    return;
  }
  if (peer.updateOnly === true) lines.push('update_only=true');
  if (peer.presharedKey !== undefined) lines.push(`preshared_key=${formatHexKey(peer.presharedKey)}`);
  if (peer.endpoint !== undefined) lines.push(`endpoint=${formatNumericEndpoint(peer.endpoint) ?? ''}`);
  if (peer.persistentKeepalive !== undefined) {
    lines.push(`persistent_keepalive_interval=${peer.persistentKeepalive}`);
  }
  if (peer.replaceAllowedIps === true) lines.push('replace_allowed_ips=true');
  for (const prefix of peer.removeAllowedIps ?? []) lines.push(`allowed_ip=-${prefix}`);
  for (const prefix of peer.allowedIps) lines.push(`allowed_ip=${prefix}`);
}

// Replies

/** Nothing where messages are plain: tools that know no disguise then see what they always saw. */
function pushDisguise(lines: string[], rules: DisguiseRules | undefined): void {
  if (rules === undefined) return;
  for (const [key, value] of writtenFields(rules)) lines.push(`${key}=${value}`);
}

function pushPeerStatus(lines: string[], peer: PeerStatus): void {
  lines.push(
    `public_key=${formatHexKey(peer.publicKey)}`,
    `preshared_key=${formatHexKey(peer.presharedKey)}`,
  );
  lines.push('protocol_version=1');
  // Left out unless numeric: `wg` crashes on an endpoint that it cannot resolve.
  const endpoint = peer.endpoint === undefined ? undefined : formatNumericEndpoint(peer.endpoint);
  if (endpoint !== undefined) lines.push(`endpoint=${endpoint}`);
  const handshakeMs = Math.max(0, Math.floor(peer.lastHandshakeMs));
  lines.push(
    `last_handshake_time_sec=${Math.floor(handshakeMs / 1000)}`,
    `last_handshake_time_nsec=${(handshakeMs % 1000) * 1_000_000}`,
    `tx_bytes=${peer.txBytes}`,
    `rx_bytes=${peer.rxBytes}`,
    `persistent_keepalive_interval=${peer.persistentKeepalive}`,
  );
  for (const prefix of peer.allowedIps) lines.push(`allowed_ip=${prefix}`);
}

function fault(line: number, text: string): UapiFault {
  return { kind: 'error', errno: errnoInvalid, line, text };
}
