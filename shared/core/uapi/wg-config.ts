/**
 * Files as `wg` and `wg-quick` read them (wg(8), wg-quick(8)): parsing. Every fault is found in one
 * reading, each with its line and a remedy. Commands (PostUp and the like) are listed, never run.
 * Values of keys that hold secrets are never repeated in a fault.
 */

import type { PrefixText } from '../tunnel/config.ts';
import {
  type DisguiseFields,
  type DisguiseKey,
  isDisguiseKey,
  readDisguise,
} from '../wire/disguise-fields.ts';
import { type DisguiseRules, isPlain } from '../wire/disguise-rules.ts';
import {
  type AddressText,
  formatHexKey,
  type HostPort,
  isHostName,
  maxPort,
  maxSeconds,
  maxUint32,
  parseAddressText,
  parseBase64Key,
  parseDecimal,
  parseHostPort,
  parseInterfaceAddress,
  parseMark,
  parsePrefixText,
} from './values.ts';
import { commandKeys, decoyKeys, interfaceRules, peerRules } from './wg-config-keys.ts';

/** Longest file that is read, in characters. */
export const maxConfigLength: number = 16 * 1024 * 1024;
/** Faults after these are not reported. */
export const maxConfigFaults = 100;

export interface WgConfig {
  readonly interface: WgInterface;
  readonly peers: readonly WgPeer[];
  /** Lines that were understood and left out, for telling people so. */
  readonly ignored: readonly IgnoredLine[];
}

export interface WgInterface {
  readonly privateKey?: Uint8Array;
  readonly listenPort?: number;
  /** 0 = none. */
  readonly fwmark?: number;
  readonly addresses: readonly AddressText[];
  /** Numeric addresses of resolvers. */
  readonly dns: readonly string[];
  readonly searchDomains: readonly string[];
  readonly mtu?: number;
  /** Routing table for the peers' prefixes. */
  readonly table?: 'auto' | 'off' | number;
  readonly saveConfig?: boolean;
  /** AmneziaWG's Jc … H4; absent where messages are plain. */
  readonly disguise?: DisguiseRules;
}

export interface WgPeer {
  readonly publicKey: Uint8Array;
  readonly presharedKey?: Uint8Array;
  /** The host may be a name: resolving is the caller's. */
  readonly endpoint?: HostPort;
  /** Seconds, 0 = off. */
  readonly persistentKeepalive?: number;
  readonly allowedIps: readonly PrefixText[];
}

export interface IgnoredLine {
  readonly line: number;
  readonly key: string;
  readonly value: string;
}

export interface ConfigFault {
  /** 1 is the first line; 0 is the file as a whole. */
  readonly line: number;
  readonly text: string;
  readonly remedy: string;
}

export type ParsedConfig =
  | { readonly kind: 'config'; readonly config: WgConfig }
  | { readonly kind: 'faults'; readonly faults: readonly ConfigFault[] };

export interface ParseConfigOptions {
  /** False for files that only add peers. Default true. */
  readonly requirePrivateKey?: boolean;
}

/** Parses a whole file. Never throws; at most maxConfigFaults faults are named. */
export function parseWgConfig(text: string, options: ParseConfigOptions = {}): ParsedConfig {
  const state = new ConfigReading();
  if (text.length > maxConfigLength) {
    state.fault(0, { text: 'The file is too long.', remedy: 'Check that it is a WireGuard configuration.' });
    return { kind: 'faults', faults: state.faults };
  }
  const source = text.startsWith('\uFEFF') ? text.slice(1) : text;
  for (const line of source.split('\n')) state.readLine(line);
  state.finish(options.requirePrivateKey ?? true);
  if (state.faults.length > 0) return { kind: 'faults', faults: state.faults };
  return { kind: 'config', config: state.config() };
}

interface Complaint {
  readonly text: string;
  readonly remedy: string;
}

interface InterfaceDraft {
  privateKey?: Uint8Array;
  listenPort?: number;
  fwmark?: number;
  addresses: AddressText[];
  dns: string[];
  searchDomains: string[];
  mtu?: number;
  table?: 'auto' | 'off' | number;
  saveConfig?: boolean;
  disguise?: DisguiseRules;
}

interface PeerDraft {
  publicKey?: Uint8Array;
  presharedKey?: Uint8Array;
  endpoint?: HostPort;
  persistentKeepalive?: number;
  allowedIps: PrefixText[];
}

type Section =
  | { readonly kind: 'none' }
  | { readonly kind: 'unknown' }
  | { readonly kind: 'interface'; readonly seen: Set<string> }
  | { readonly kind: 'peer'; readonly seen: Set<string>; readonly peer: PeerDraft; readonly line: number };

type PeerSection = Extract<Section, { readonly kind: 'peer' }>;
type KnownSection = Extract<Section, { readonly seen: Set<string> }>;

class ConfigReading {
  readonly faults: ConfigFault[] = [];
  readonly #interface: InterfaceDraft = { addresses: [], dns: [], searchDomains: [] };
  readonly #interfaceSeen = new Set<string>();
  readonly #disguise: { -readonly [key in DisguiseKey]?: string } = {};
  readonly #disguiseLines = new Map<DisguiseKey, number>();
  readonly #peers: PeerSection[] = [];
  readonly #ignored: IgnoredLine[] = [];
  #section: Section = { kind: 'none' };
  #interfaceLine = 0;
  #line = 0;

  fault(line: number, complaint: Complaint): void {
    if (this.faults.length < maxConfigFaults) this.faults.push({ line, ...complaint });
  }

  readLine(raw: string): void {
    this.#line += 1;
    const hash = raw.indexOf('#');
    const line = (hash < 0 ? raw : raw.slice(0, hash)).trim();
    if (line === '') return;
    if (line.startsWith('[')) {
      this.#startSection(line);
      return;
    }
    const cut = line.indexOf('=');
    if (cut < 1) {
      this.fault(this.#line, {
        text: 'This is neither a section nor a setting.',
        remedy: 'Write it as: Key = value',
      });
      return;
    }
    this.#readSetting(line.slice(0, cut).trim(), line.slice(cut + 1).trim());
  }

  /** Checks what only the end of the file can tell. */
  finish(requirePrivateKey: boolean): void {
    if (
      requirePrivateKey &&
      this.#interface.privateKey === undefined &&
      !this.#interfaceSeen.has('privatekey')
    ) {
      const where =
        this.#interfaceLine === 0 ? 'There is no [Interface] section' : '[Interface] has no PrivateKey';
      this.fault(this.#interfaceLine, {
        text: `${where}.`,
        remedy: 'Add [Interface] with PrivateKey = (wg genkey)',
      });
    }
    this.#finishDisguise(this.#disguise);
    const lineOfKey = new Map<string, number>();
    for (const { peer, seen, line } of this.#peers) {
      if (peer.publicKey === undefined) {
        if (seen.has('publickey')) continue; // Its fault is named already.
        this.fault(line, { text: 'This [Peer] has no PublicKey.', remedy: "Add the peer's public key." });
        continue;
      }
      const key = formatHexKey(peer.publicKey);
      const first = lineOfKey.get(key);
      if (first === undefined) lineOfKey.set(key, line);
      else
        this.fault(line, {
          text: `This is the peer of line ${first} again.`,
          remedy: 'Join the two sections.',
        });
    }
    this.faults.sort((a, b) => a.line - b.line);
  }

  #finishDisguise(fields: DisguiseFields): void {
    const reading = readDisguise(fields);
    if (reading.kind === 'rules') {
      if (!isPlain(reading.rules)) this.#interface.disguise = reading.rules;
      return;
    }
    const [first = this.#interfaceLine] = this.#disguiseLines.values();
    for (const { key, text, remedy } of reading.faults) {
      this.fault(this.#disguiseLines.get(key) ?? first, { text, remedy });
    }
  }

  /** Only where there are no faults. */
  config(): WgConfig {
    const peers: WgPeer[] = [];
    for (const { peer } of this.#peers) {
      if (peer.publicKey !== undefined) peers.push({ ...peer, publicKey: peer.publicKey });
    }
    return { interface: this.#interface, peers, ignored: this.#ignored };
  }

  #startSection(line: string): void {
    const name = line.toLowerCase();
    if (name === '[interface]') {
      if (this.#interfaceLine > 0) {
        const text = `A second [Interface]; the first is on line ${this.#interfaceLine}.`;
        this.fault(this.#line, { text, remedy: 'Join the two sections.' });
      } else {
        this.#interfaceLine = this.#line;
      }
      this.#section = { kind: 'interface', seen: this.#interfaceSeen };
    } else if (name === '[peer]') {
      this.#section = { kind: 'peer', seen: new Set(), peer: { allowedIps: [] }, line: this.#line };
      this.#peers.push(this.#section);
    } else {
      this.fault(this.#line, { text: 'An unknown section.', remedy: 'There are [Interface] and [Peer].' });
      this.#section = { kind: 'unknown' };
    }
  }

  #readSetting(written: string, value: string): void {
    const key = written.toLowerCase();
    const section = this.#section;
    if (section.kind === 'unknown') return;
    if (section.kind === 'none') {
      this.fault(this.#line, { text: 'A setting before any section.', remedy: 'Put [Interface] above it.' });
      return;
    }
    if (section.kind === 'interface' && (commandKeys.has(key) || decoyKeys.has(key))) {
      this.#ignored.push({ line: this.#line, key: written, value });
      return;
    }
    const complaint = this.#complaintAbout(section, key, value);
    if (complaint !== undefined) this.fault(this.#line, complaint);
    section.seen.add(key);
  }

  #complaintAbout(section: KnownSection, key: string, value: string): Complaint | undefined {
    const rule = section.kind === 'interface' ? interfaceRules.get(key) : peerRules.get(key);
    if (rule === undefined) return unknownKey(section.kind, key);
    if (value === '' && !rule.isList) return { text: `${rule.name} has no value.`, remedy: rule.remedy };
    if (!rule.isList && section.seen.has(key)) {
      return { text: `${rule.name} is there twice in this section.`, remedy: 'Keep one of the two.' };
    }
    const parts = rule.isList ? value.split(',').map((part) => part.trim()) : [value];
    for (const part of value === '' ? [] : parts) {
      const isRight =
        section.kind === 'interface' ? this.#readInterface(key, part) : readPeer(section.peer, key, part);
      if (isRight) continue;
      const quoted = rule.isSecret ? '' : ` '${part.slice(0, maxQuotedLength)}'`;
      return { text: `The value${quoted} of ${rule.name} is wrong.`, remedy: rule.remedy };
    }
    return undefined;
  }

  #readInterface(key: string, value: string): boolean {
    if (isDisguiseKey(key)) {
      // Whether it is right depends on the others: the end of the file tells.
      this.#disguise[key] = value;
      this.#disguiseLines.set(key, this.#line);
      return true;
    }
    return readInterface(this.#interface, key, value);
  }
}

const maxQuotedLength = 80;

function unknownKey(section: 'interface' | 'peer', key: string): Complaint {
  const other = section === 'interface' ? peerRules.get(key) : interfaceRules.get(key);
  if (other !== undefined) {
    const [here, there] = section === 'interface' ? ['[Interface]', '[Peer]'] : ['[Peer]', '[Interface]'];
    return { text: `${other.name} does not belong to ${here}.`, remedy: `Move it below ${there}.` };
  }
  return {
    text: `'${key.slice(0, maxQuotedLength)}' is no known setting.`,
    remedy: 'Correct its name, or remove the line.',
  };
}

/** Returns false where the value is wrong. */
function readInterface(draft: InterfaceDraft, key: string, value: string): boolean {
  switch (key) {
    case 'privatekey':
      return keep(parseBase64Key(value), (privateKey) => (draft.privateKey = privateKey));
    case 'listenport':
      return keep(parseDecimal(value, maxPort), (port) => (draft.listenPort = port));
    case 'fwmark':
      return keep(parseMark(value), (mark) => (draft.fwmark = mark));
    case 'address':
      return keep(parseInterfaceAddress(value), (address) => draft.addresses.push(address));
    case 'dns':
      return keepDns(draft, value);
    case 'mtu':
      return keep(atLeast(576, parseDecimal(value, 65535)), (mtu) => (draft.mtu = mtu));
    case 'table':
      return keep(parseTable(value.toLowerCase()), (table) => (draft.table = table));
    default:
      return keep(parseBoolean(value.toLowerCase()), (saveConfig) => (draft.saveConfig = saveConfig));
  }
}

/** Returns false where the value is wrong. */
function readPeer(draft: PeerDraft, key: string, value: string): boolean {
  switch (key) {
    case 'publickey':
      return keep(parseBase64Key(value), (publicKey) => (draft.publicKey = publicKey));
    case 'presharedkey':
      return keep(parseBase64Key(value), (presharedKey) => (draft.presharedKey = presharedKey));
    case 'allowedips':
      return keep(parsePrefixText(value, { bareAddress: true }), (prefix) => draft.allowedIps.push(prefix));
    case 'endpoint':
      return keep(parseHostPort(value), (endpoint) => (draft.endpoint = endpoint));
    default:
      return keep(value.toLowerCase() === 'off' ? 0 : parseDecimal(value, maxSeconds), (seconds) => {
        draft.persistentKeepalive = seconds;
      });
  }
}

function keep<T>(value: T | undefined, store: (value: T) => void): boolean {
  if (value === undefined) return false;
  store(value);
  return true;
}

function keepDns(draft: InterfaceDraft, value: string): boolean {
  const address = parseAddressText(value);
  if (address !== undefined) {
    draft.dns.push(address);
    return true;
  }
  if (!isHostName(value)) return false;
  draft.searchDomains.push(value);
  return true;
}

function atLeast(least: number, value: number | undefined): number | undefined {
  return value !== undefined && value >= least ? value : undefined;
}

/** The tables that every Linux knows by name. */
const tableNumbers: ReadonlyMap<string, number> = new Map([
  ['default', 253],
  ['main', 254],
  ['local', 255],
]);

function parseTable(value: string): 'auto' | 'off' | number | undefined {
  if (value === 'auto' || value === 'off') return value;
  return tableNumbers.get(value) ?? atLeast(1, parseDecimal(value, maxUint32));
}

function parseBoolean(value: string): boolean | undefined {
  if (value === 'true') return true;
  return value === 'false' ? false : undefined;
}
