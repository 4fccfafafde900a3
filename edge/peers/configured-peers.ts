/**
 * The peers that edge.yaml lists: read and checked, and turned into what the tunnel must be told.
 * Pure. A peer's addresses lie inside the edge's network, are not the edge's own and belong to nobody else.
 */

import { formatPrefix, type Prefix, parsePrefix, prefixContains } from '../../shared/core/base/ip.ts';
import { CulvertError } from '../../shared/core/control/codes.ts';
import { isTag, maxTags } from '../../shared/core/registration/shapes.ts';
import type { ConfigReader, Field } from '../config-reader.ts';
import { gatewayOf, isInside, overlaps } from '../network.ts';

export interface ConfiguredPeer {
  readonly name: string;
  /** 32 bytes. */
  readonly publicKey: Uint8Array;
  /** 32 bytes. */
  readonly presharedKey: Uint8Array | undefined;
  readonly allowedIps: readonly Prefix[];
  /** Words that rules may speak of. */
  readonly tags?: readonly string[];
}

export interface PeerSurroundings {
  /** What the edge's network has: IPv4, IPv6 or both. */
  readonly network: readonly Prefix[];
  readonly readSecretKey: (path: string) => Uint8Array | undefined;
}

const keySize = 32;
const maxPeers = 10_000;
const maxAddressesPerPeer = 64;

export function readPeers(
  reader: ConfigReader,
  at: Field | undefined,
  surroundings: PeerSurroundings,
): readonly ConfiguredPeer[] {
  if (at === undefined) return [];
  const items = reader.list(at);
  if (items.length > maxPeers) reader.problem(at, `${at.name} may have ${maxPeers} entries at most`);
  const taken: Taken = { names: new Map(), keys: new Map(), prefixes: [], last: new Map() };
  const peers = items.slice(0, maxPeers).map((item) => readPeer(reader, item, surroundings, taken));
  return peers.filter((peer) => peer !== undefined);
}

/** What earlier entries of the list have: each may be had once. */
interface Taken {
  readonly names: Map<string, string>;
  readonly keys: Map<string, string>;
  readonly prefixes: { readonly prefix: Prefix; readonly owner: string }[];
  /** Single addresses, by text: the usual case, without a scan. */
  readonly last: Map<string, string>;
}

function readPeer(
  reader: ConfigReader,
  at: Field,
  surroundings: PeerSurroundings,
  taken: Taken,
): ConfiguredPeer | undefined {
  const section = reader.section(at, {
    known: ['name', 'publicKey', 'presharedKeyFile', 'allowedIps', 'tags'],
    required: ['name', 'publicKey', 'allowedIps'],
  });
  if (section === undefined) return undefined;
  const name = readPeerName(reader, section.get('name'), taken);
  const publicKey = readPublicKey(reader, section.get('publicKey'), taken);
  const presharedKey = readPresharedKey(reader, section.get('presharedKeyFile'), surroundings);
  const allowed = section.get('allowedIps');
  const owner = name ?? at.name;
  const items = allowed === undefined ? [] : reader.list(allowed);
  if (allowed !== undefined && items.length === 0)
    reader.problem(allowed, `${allowed.name} needs an address`);
  const allowedIps = items
    .slice(0, maxAddressesPerPeer)
    .map((item) => readAllowed(reader, item, { owner, network: surroundings.network, taken }))
    .filter((prefix) => prefix !== undefined);
  const tags = readTags(reader, section.get('tags'));
  if (name === undefined || publicKey === undefined) return undefined;
  return { name, publicKey, presharedKey, allowedIps, tags };
}

function readPeerName(reader: ConfigReader, at: Field | undefined, taken: Taken): string | undefined {
  const text = reader.name(at);
  if (at === undefined || text === undefined) return undefined;
  const other = taken.names.get(text);
  if (other !== undefined) return reader.problem(at, `${at.name}: "${text}" is the name of ${other} too`);
  taken.names.set(text, at.name.replace(/\.name$/, ''));
  return text;
}

function readPublicKey(reader: ConfigReader, at: Field | undefined, taken: Taken): Uint8Array | undefined {
  const text = reader.text(at);
  if (at === undefined || text === undefined) return undefined;
  const key = Buffer.from(text, 'base64');
  if (key.length !== keySize || key.toString('base64') !== text || key.every((byte) => byte === 0)) {
    return reader.problem(at, `${at.name} must be a WireGuard key: 44 characters of base64`);
  }
  const other = taken.keys.get(text);
  if (other !== undefined) return reader.problem(at, `${at.name} is the key of ${other} too`);
  taken.keys.set(text, at.name.replace(/\.publicKey$/, ''));
  return Uint8Array.from(key);
}

function readPresharedKey(
  reader: ConfigReader,
  at: Field | undefined,
  surroundings: PeerSurroundings,
): Uint8Array | undefined {
  const path = reader.text(at);
  if (at === undefined || path === undefined) return undefined;
  try {
    const key = surroundings.readSecretKey(path);
    return key ?? reader.problem(at, `${at.name}: there is no file ${path}`);
  } catch (cause) {
    if (!(cause instanceof CulvertError)) throw cause;
    return reader.problem(at, `${at.name}: ${cause.message} ${cause.remedy}`);
  }
}

function readTags(reader: ConfigReader, at: Field | undefined): readonly string[] {
  const items = at === undefined ? [] : reader.list(at);
  if (at !== undefined && items.length > maxTags) {
    reader.problem(at, `${at.name} may have ${maxTags} entries at most`);
  }
  const texts = items.slice(0, maxTags).map((item) => {
    const text = reader.text(item);
    if (text === undefined || isTag(text)) return text;
    return reader.problem(item, `${item.name} must be small letters, digits, dots, dashes or underscores`);
  });
  return [...new Set(texts.filter((text) => text !== undefined))];
}

function readAllowed(
  reader: ConfigReader,
  at: Field,
  peer: { readonly owner: string; readonly network: readonly Prefix[]; readonly taken: Taken },
): Prefix | undefined {
  const text = reader.text(at);
  if (text === undefined) return undefined;
  const prefix = parsePrefix(text);
  if (prefix === undefined) {
    return reader.problem(at, `${at.name} must be an address or a prefix, for example 10.83.0.2/32`);
  }
  const network = peer.network.find((one) => isInside(prefix, one));
  if (network === undefined) {
    const known = peer.network.map(formatPrefix).join(' and ') || 'which has errors';
    return reader.problem(at, `${at.name}: ${text} is outside the network (${known})`);
  }
  if (prefixContains(prefix, gatewayOf(network))) {
    return reader.problem(at, `${at.name}: ${text} takes the edge's own address`);
  }
  const other = ownerOf(prefix, peer.taken);
  if (other !== undefined)
    return reader.problem(at, `${at.name}: ${text} overlaps with an address of ${other}`);
  if (prefix.bits === prefix.address.length * 8) peer.taken.last.set(formatPrefix(prefix), peer.owner);
  else peer.taken.prefixes.push({ prefix, owner: peer.owner });
  return prefix;
}

function ownerOf(prefix: Prefix, taken: Taken): string | undefined {
  const wide = taken.prefixes.find((one) => overlaps(one.prefix, prefix))?.owner;
  if (wide !== undefined) return wide;
  if (prefix.bits === prefix.address.length * 8) return taken.last.get(formatPrefix(prefix));
  for (const [text, owner] of taken.last) {
    const single = parsePrefix(text);
    if (single !== undefined && prefixContains(prefix, single.address)) return owner;
  }
  return undefined;
}
